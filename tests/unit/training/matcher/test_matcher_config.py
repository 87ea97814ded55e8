"""Settings of a matcher's training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midground.cli.config_file import resolve_config
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError
from midground.training.config import DataConfig, SourceConfig
from midground.training.matcher.config import MatcherTrainConfig

PRESETS = Path(__file__).parents[4] / "configs"
DATA = DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, found 0"),
        ({"curriculum_share": 0.0}, "curriculum_share must lie between 0 and 1, found 0.0"),
        ({"masked_share": 1.5}, "masked_share must lie between 0 and 1, found 1.5"),
        ({"unrelated_share": -0.1}, "unrelated_share must lie between 0 and 1, found -0.1"),
        ({"realign_px": -1}, "realign_px must be 0 or more, found -1"),
        ({"n_oriented": -1}, "n_oriented must be 0 or more, found -1"),
        ({"compared_deg": -15.0}, "compared_deg must lie between 0 and 180, found -15"),
        ({"side_px": 200}, "side_px must be a multiple of 32 from 128 up, found 200"),
        ({"data": replace(DATA, crop_px=96)}, "data.crop_px must be 128 or more for a matcher, found 96"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MatcherTrainConfig(**({"name": "mine", "data": DATA} | changes))


@pytest.mark.parametrize(
    ("preset", "rotation_deg", "scale"),
    [("roma-shared", 30.0, (0.9, 1.1)), ("roma-shared-wide", 180.0, (0.5, 2.0))],
)
def test_the_presets_have_the_papers_shifts_and_their_own_rotations_and_scales(
    preset: str, rotation_deg: float, scale: tuple[float, float]
) -> None:
    config = resolve_config(MatcherTrainConfig, file=PRESETS / f"{preset}.yaml", settings=())
    assert config.name == preset
    assert config.card.imagery_notice != "not stated"
    assert (config.warp.shift_px, config.warp.rotation_deg, config.warp.scale) == (64.0, rotation_deg, scale)
