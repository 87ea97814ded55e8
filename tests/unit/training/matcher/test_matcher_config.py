"""Settings of a matcher's training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midground.cli.config_file import resolve_config
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError
from midground.evaluation.config import WarpConfig
from midground.training.config import DataConfig, SourceConfig
from midground.training.matcher.config import CompactConfig, FullConfig, MatcherTrainConfig

PRESETS = Path(__file__).parents[4] / "configs"
DATA = DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, found 0"),
        ({"curriculum_share": 0.0}, "curriculum_share must lie between 0 and 1, found 0.0"),
        ({"masked_share": 1.5}, "masked_share must lie between 0 and 1, found 1.5"),
        ({"unrelated_share": -0.1}, "unrelated_share must lie between 0 and 1, found -0.1"),
        ({"realign_px": -1}, "realign_px must be 0 or from 8 up, found -1"),
        ({"side_px": 200}, "side_px must be a multiple of 32 from 128 up for the network compact, found 200"),
        (
            {"side_px": 256, "network": FullConfig()},
            "side_px must be a multiple of 56 from 128 up for the network roma, found 256",
        ),
        (
            {"side_px": 224, "network": FullConfig(), "init_from": "runs/mine"},
            "init_from is for the network compact; roma starts from network.weights",
        ),
        ({"data": replace(DATA, crop_px=96)}, "data.crop_px must be 128 or more for a matcher, found 96"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MatcherTrainConfig(**({"name": "mine", "data": DATA} | changes))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        (CompactConfig, {"n_oriented": -1}, r"network\.n_oriented must be 0 or more, found -1"),
        (CompactConfig, {"compared_deg": -15.0}, r"network\.compared_deg must lie between 0 and 180, found -15"),
        (FullConfig, {"encoder_rate": -0.1}, r"network\.encoder_rate must be 0 or more, found -0\.1"),
    ],
)
def test_settings_of_a_network_that_make_no_sense(
    kind: type[CompactConfig | FullConfig], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        kind(**changes)


def test_the_rotations_compared_are_those_of_the_warp_unless_said() -> None:
    warp = WarpConfig(rotation_deg=30.0)
    assert CompactConfig().rotation_deg(warp) == 30
    assert CompactConfig(compared_deg=180.0).rotation_deg(warp) == 180


@pytest.mark.parametrize(
    ("preset", "rotation_deg", "scale"),
    [("roma-shared", 30.0, (0.9, 1.1)), ("roma-shared-wide", 180.0, (0.5, 2.0)), ("roma-full", 30.0, (0.9, 1.1))],
)
def test_the_presets_have_the_papers_shifts_and_their_own_rotations_and_scales(
    preset: str, rotation_deg: float, scale: tuple[float, float]
) -> None:
    config = resolve_config(MatcherTrainConfig, file=PRESETS / f"{preset}.yaml", settings=())
    assert config.name == preset
    assert config.card.imagery_notice != "not stated"
    assert (config.warp.shift_px, config.warp.rotation_deg, config.warp.scale) == (64.0, rotation_deg, scale)


def test_the_preset_of_roma_holds_what_the_paper_and_roma_say() -> None:
    config = resolve_config(MatcherTrainConfig, file=PRESETS / "roma-full.yaml", settings=())
    assert isinstance(config.network, FullConfig)
    assert (config.side_px, config.network.encoder_rate) == (224, 0.05)
    optimizer = config.optimizer
    assert (optimizer.name, optimizer.weight_decay, optimizer.clip_norm) == ("adamw", 0.01, 0.01)
    # RoMa: 1e-4 for eight pairs, in proportion to their number.
    assert optimizer.learning_rate == pytest.approx(1e-4 / 8 * config.batch_size)
