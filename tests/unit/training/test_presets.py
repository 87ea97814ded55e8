"""The shipped settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from midground.cli.config_file import resolve_config
from midground.training.config import TrainConfig
from midground.training.criterion_configs import GrayscaleConfig, LsganConfig, Pix2pixConfig, ReconstructionConfig

CONFIGS = Path(__file__).parents[3] / "configs"
PRESETS = sorted(path for path in CONFIGS.glob("*.yaml") if not path.stem.startswith("roma-"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_is_valid_and_named_as_its_file(path: Path) -> None:
    config = resolve_config(TrainConfig, file=path)
    assert config.name == path.stem
    assert config.card.imagery_notice != "not stated"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_every_preset_chooses_by_windows_and_key_points_under_known_warps(path: Path) -> None:
    validation = resolve_config(TrainConfig, file=path).validation
    assert "sift" in validation.matchers
    assert len(validation.windows_px) >= 2
    for warp in (validation.window_warp, validation.feature_warp):
        assert warp.shift_px > 0
        assert warp.rotation_deg > 0
        assert warp.scale[0] < 1 < warp.scale[1]


def preset(name: str) -> TrainConfig:
    return resolve_config(TrainConfig, file=CONFIGS / f"{name}.yaml")


@pytest.mark.parametrize("name", ["paper-ours-1", "paper-ours-2"])
def test_presets_of_the_paper_hold_its_section_4_4(name: str) -> None:
    config = preset(name)
    assert (config.epochs, config.steps_per_epoch, config.batch_size) == (512, 1024, 4)
    assert (config.optimizer.name, config.optimizer.learning_rate) == ("nadam", 2e-4)
    assert (config.optimizer.warmup_epochs, config.optimizer.warmup_from) == (4, 1e-8)
    assert (config.n_channels, config.network.name) == (3, "efficientnet")
    assert config.augment.flips
    assert config.augment.quarter_turns
    assert config.criterion.ssim.effective_side_px == 5  # type: ignore[union-attr]


def test_weights_of_the_papers_criteria() -> None:
    one, two = preset("paper-ours-1").criterion, preset("paper-ours-2").criterion
    assert isinstance(one, ReconstructionConfig)
    assert (one.alpha, one.beta, one.gamma, one.eta) == (1, 3, 16, 1)
    assert isinstance(two, GrayscaleConfig)
    assert (two.alpha, two.beta, two.gamma, two.lambda1, two.lambda2, two.detach_sar) == (16, 1, 3, 1, 0, False)


def test_the_reference_detaches_the_sar_image() -> None:
    for name in ("reference-ours-2", "reference-ours-2-hr", "reference-ours-2-rgb"):
        criterion = preset(name).criterion
        assert isinstance(criterion, GrayscaleConfig)
        assert criterion.detach_sar
        assert criterion.ssim.window == "gaussian"


@pytest.mark.parametrize("name", ["pix2pix", "lsgan"])
def test_presets_of_translation_hold_the_defaults_of_their_papers(name: str) -> None:
    config = preset(name)
    assert (config.n_channels, config.network.base_width, config.batch_size, config.data.crop_px) == (3, 64, 1, 256)
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.learning_rate, optimizer.betas) == ("adam", 2e-4, (0.5, 0.999))
    assert (optimizer.schedule, optimizer.warmup_epochs) == ("linear", 0)
    assert (config.augment.flips, config.augment.quarter_turns) == (True, False)


def test_criteria_of_the_presets_of_translation() -> None:
    assert preset("pix2pix").criterion == Pix2pixConfig(lambda_l1=100, discriminator_rate=2e-4)
    assert preset("lsgan").criterion == LsganConfig(lambda_cycle=10, n_pool=50, discriminator_rate=1e-3)
    assert [preset(name).network.name for name in ("pix2pix", "lsgan")] == ["unet256", "resnet9"]
