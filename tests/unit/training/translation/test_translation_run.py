"""Translators from settings to a bundle that is evaluated; needs torch."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import PixelWindow
from midground.datasets.catalogue import open_pairs
from midground.datasets.splits import Subset
from midground.errors import ConfigError, ModelError
from midground.evaluation.matchability import measure
from midground.training.config import NetworkConfig, RealignConfig, TrainConfig
from midground.training.criterion_configs import CorrelationConfig, LsganConfig, Pix2pixConfig

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from midground.modality.base import MODALITIES  # noqa: E402
from midground.modality.bundle import write_bundle  # noqa: E402
from midground.modality.learned import LearnedMapper  # noqa: E402
from midground.training.checkpoint import load_checkpoint  # noqa: E402
from midground.training.run import train  # noqa: E402
from midground.training.running import RunOptions, TrainResult  # noqa: E402
from midground.training.ship import export_checkpoint  # noqa: E402
from midground.training.torch_mapper import TorchMapper  # noqa: E402
from midground.training.translation.networks import PassThrough, Translator  # noqa: E402

pytestmark = pytest.mark.extras

Settings = Callable[..., TrainConfig]
CRITERIA = [Pix2pixConfig(), LsganConfig(n_pool=3)]


@pytest.fixture
def translation(settings: Settings) -> Settings:
    """``translation(epochs=1, ...)``: settings of a tiny translator, trained for two epochs of four steps."""
    config = settings(
        criterion=Pix2pixConfig(),
        network=NetworkConfig(name="resnet9", base_width=4),
        n_channels=3,
        optimizer=replace(settings().optimizer, name="adam", learning_rate=2e-3, betas=(0.5, 0.999), clip_norm=None),
        steps_per_epoch=4,
        batch_size=2,
    )
    return lambda **changes: replace(config, **changes)


def run(config: TrainConfig, folder: Path, **options: Any) -> TrainResult:
    return train(config, folder, RunOptions(accelerator="cpu", **options), report=[].append)


def state(path: Path) -> dict[str, Any]:
    return dict(torch.load(path, weights_only=True))


def test_pix2pix_comes_nearer_to_the_optical_images(translation: Settings, tmp_path: Path) -> None:
    run(translation(epochs=1, steps_per_epoch=25, batch_size=4), tmp_path / "run")
    pairs = Subset(open_pairs(translation().data.train[0].pairs), [0, 5, 10])
    trained = load_checkpoint(tmp_path / "run" / "last.ckpt").networks["sar"]
    torch.manual_seed(0)
    untrained = Translator("resnet9", 1, 3, base_width=4, window_px=64)
    distances = []
    for network in (untrained, trained):
        mapper = TorchMapper(torch.nn.ModuleDict({"sar": network}), {})
        read = [pairs.read(index) for index in range(len(pairs))]
        distances.append(np.mean([np.abs(mapper.map(p.sar, "sar").channels - p.optical.channels).mean() for p in read]))
    assert distances[1] < 0.75 * distances[0]


def test_the_rates_are_those_of_the_settings(translation: Settings, tmp_path: Path) -> None:
    optimizer = replace(translation().optimizer, learning_rate=1e-3, schedule="linear")
    config = translation(criterion=LsganConfig(discriminator_rate=4e-3), optimizer=optimizer)
    run(config, tmp_path / "run", max_minutes=1e-6)
    saved = state(tmp_path / "run" / "last.ckpt")
    groups = [one["param_groups"][0] for one in saved["optimizer_states"]]
    assert [group["initial_lr"] for group in groups] == [1e-3, 4e-3]
    assert [group["betas"] for group in groups] == [(0.5, 0.999)] * 2
    run(config, tmp_path / "run", resume=True)
    saved = state(tmp_path / "run" / "last.ckpt")
    # Straight to zero over the second half.
    assert [one["param_groups"][0]["lr"] for one in saved["optimizer_states"]] == [0, 0]
    assert [len(one["state"]) > 0 for one in saved["optimizer_states"]] == [True, True]


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.name)
def test_a_run_that_is_stopped_and_resumed_ends_like_one_that_is_not(
    translation: Settings, tmp_path: Path, signals_after, criterion
) -> None:
    config = translation(criterion=criterion)
    whole = run(config, tmp_path / "whole")
    assert (whole.n_steps, whole.score is not None) == (8, True)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts", RunOptions(accelerator="cpu", tell_every_s=0), report=signals_after(3))
    assert state(tmp_path / "parts" / "last.ckpt")["global_step"] == 3
    assert run(config, tmp_path / "parts", resume=True).n_steps == 8
    one, other = (state(tmp_path / name / "last.ckpt") for name in ("whole", "parts"))
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for key, value in one["state_dict"].items():
        torch.testing.assert_close(other["state_dict"][key], value, atol=1e-6, rtol=0)
    for first, second in zip(one["optimizer_states"], other["optimizer_states"], strict=True):
        for index, moments in first["state"].items():
            torch.testing.assert_close(second["state"][index], moments, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda criterion: criterion.name)
def test_a_translator_becomes_a_bundle_that_is_measured(translation: Settings, tmp_path: Path, criterion) -> None:
    config = translation(criterion=criterion, epochs=1, steps_per_epoch=2)
    run(config, tmp_path / "run")
    pairs = Subset(open_pairs(config.data.train[0].pairs), [0, 3])
    done, found = export_checkpoint(tmp_path / "run", tmp_path / "mine", pairs=pairs)
    assert max(done.differences.values()) <= 1e-4
    assert done.differences["optical"] == 0
    card = done.bundle.card
    assert (card.n_channels, card.stride_px, card.halo_px) == (3, 1, 16)
    assert f"resnet9 networks, criterion {criterion.name}, adam 0.002" in card.training.recipe
    mapper = LearnedMapper(done.bundle)
    assert found is not None
    assert found.numbers() == measure(mapper, pairs).numbers()
    # Larger, smaller and oddly sized images than the squares of 64 px, as torch maps them.
    networks = torch.nn.ModuleDict(dict(load_checkpoint(tmp_path / "run").networks))
    in_torch = TorchMapper(networks, {})
    rng = np.random.default_rng(0)
    for hw in ((64, 64), (150, 97), (40, 71)):
        sar = Image(rng.random((1, *hw), np.float32), rng.random(hw) > 0.1)
        mapped = mapper.map(sar, "sar")
        assert mapped.channels.shape == (3, *hw)
        np.testing.assert_allclose(mapped.channels, in_torch.map(sar, "sar").channels, atol=1e-4)
        optical = Image(rng.random((3, *hw), np.float32) * sar.valid, sar.valid)
        np.testing.assert_array_equal(mapper.map(optical, "optical").channels, optical.channels)


def test_a_square_is_mapped_as_it_was_in_training(translation: Settings, tmp_path: Path) -> None:
    run(translation(epochs=1, steps_per_epoch=1), tmp_path / "run")
    done, _ = export_checkpoint(tmp_path / "run", tmp_path / "mine")
    pair = open_pairs(translation().data.train[0].pairs).read(0, PixelWindow(32, 32, 64, 64))
    network = load_checkpoint(tmp_path / "run").networks["sar"]
    with torch.inference_mode():
        wanted = network(torch.from_numpy(pair.sar.channels)[None])[0].numpy()
    np.testing.assert_allclose(LearnedMapper(done.bundle).map(pair.sar, "sar").channels, wanted, atol=1e-4)

    graphs = {modality: done.bundle.read(modality) for modality in MODALITIES}
    wide = write_bundle(tmp_path / "wide", replace(done.bundle.card, halo_px=32), graphs)
    with pytest.raises(ModelError, match="halo_px must be less than half of the network's squares of 64 px; the card"):
        LearnedMapper(wide).map(pair.sar, "sar")


@pytest.fixture
def large_pairs(tmp_path: Path) -> Path:
    """Three pairs of 256 px."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    rng = np.random.default_rng(0)
    for index in range(3):
        for modality, n_bands in (("sar", 1), ("optical", 3)):
            path = tmp_path / "large" / modality / f"place_{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(
                    path, "w", driver="PNG", count=n_bands, height=256, width=256, dtype="uint8"
                ) as target:
                    target.write(rng.integers(1, 255, (n_bands, 256, 256), dtype=np.uint8))
    return tmp_path / "large"


def test_the_unet_from_pairs_to_a_bundle(translation: Settings, large_pairs: Path, tmp_path: Path) -> None:
    source = replace(translation().data.train[0], pairs=replace(translation().data.train[0].pairs, path=large_pairs))
    source = replace(source, pairs=replace(source.pairs, sar_scale="8bit", scaling_sar=None))
    config = translation(
        data=replace(translation().data, train=(source,), crop_px=256),
        network=NetworkConfig(name="unet256", base_width=2),
        epochs=1,
        steps_per_epoch=2,
        batch_size=1,
    )
    run(config, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run")
    assert isinstance(checkpoint.networks["optical"], PassThrough)
    done, _ = export_checkpoint(tmp_path / "run", tmp_path / "mine")
    assert max(done.differences.values()) <= 1e-4
    mapped = LearnedMapper(done.bundle).map(
        Image(np.full((1, 300, 260), 0.5, np.float32), np.ones((300, 260), bool)), "sar"
    )
    assert mapped.channels.shape == (3, 300, 260)


def test_a_run_starts_from_another_ones_translator(translation: Settings, tmp_path: Path) -> None:
    run(translation(epochs=1), tmp_path / "first")
    config = translation(epochs=1, init_from=str(tmp_path / "first" / "last.ckpt"), criterion=LsganConfig())
    frozen = replace(config, optimizer=replace(config.optimizer, learning_rate=1e-12))
    run(replace(frozen, steps_per_epoch=1), tmp_path / "second")
    one, other = (load_checkpoint(tmp_path / name / "last.ckpt").networks["sar"] for name in ("first", "second"))
    for first, second in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(first, second, atol=1e-9, rtol=0)


def test_translators_are_trained_on_one_device(translation: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="The criterion pix2pix is trained on one device, found 2: leave out"):
        run(translation(), tmp_path / "run", devices=2)
    assert not (tmp_path / "run").exists()


def test_channels_are_the_optical_bands(translation: Settings, tmp_path: Path) -> None:
    message = "The network resnet9 makes optical images: n_channels must be the number of their bands, 3, found 4"
    with pytest.raises(ConfigError, match=message):
        run(translation(n_channels=4), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"criterion": CorrelationConfig(window_px=(24, 32), search_px=12, frame_shift_px=0)},
            "The network resnet9 translates SAR images into optical ones: set criterion.name to pix2pix or lsgan, "
            "found correlation",
        ),
        (
            {"network": NetworkConfig()},
            "The criterion pix2pix trains a network that translates .* set network.name to unet256 or resnet9, "
            "found efficientnet",
        ),
        (
            {"network": NetworkConfig(name="unet256")},
            "The network unet256 needs a data.crop_px that is a multiple of 256 px, found 64",
        ),
        ({"realign": RealignConfig(every_epochs=1)}, "cannot be trained with 'realign.every_epochs': leave it out"),
        ({"compile": True}, "The criterion pix2pix cannot be trained with 'compile'"),
        ({"precision": "16-mixed"}, "cannot be trained with 'precision: 16-mixed'"),
    ],
)
def test_settings_that_do_not_fit(translation: Settings, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        translation(**changes)


@pytest.mark.parametrize(
    ("changes", "key"), [({"clip_norm": 1.0}, "optimizer.clip_norm"), ({"schedule": "onecycle"}, "optimizer.schedule")]
)
def test_optimisers_that_do_not_fit(translation: Settings, changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"The criterion pix2pix cannot be trained with '{key}"):
        translation(optimizer=replace(translation().optimizer, **changes))
