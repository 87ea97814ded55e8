"""Settings of a training run that are refused before anything is opened; needs no torch."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import pytest

from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError
from midground.training.augment import AugmentConfig
from midground.training.config import (
    CardConfig,
    DataConfig,
    NetworkConfig,
    OptimizerConfig,
    RealignConfig,
    SourceConfig,
    TrainConfig,
)
from midground.training.matcher.config import MatcherTrainConfig

SOURCES = (SourceConfig(pairs=PairsConfig(path=Path("pairs"))),)


def data(**settings: Any) -> DataConfig:
    return DataConfig(train=SOURCES, **settings)


def run(**settings: Any) -> TrainConfig:
    return TrainConfig(name="one", data=data(), **settings)


def matcher(**settings: Any) -> MatcherTrainConfig:
    return MatcherTrainConfig(name="one", data=data(), **settings)


@pytest.mark.parametrize(
    ("build", "settings", "message"),
    [
        (data, {"workers": -1}, "data.workers must be 0 or more, found -1."),
        (data, {"max_validation_pairs": 0}, "data.max_validation_pairs must be 1 or more, found 0."),
        (data, {"validation_block_places": 0}, "data.validation_block_places must be 1 or more, found 0."),
        (OptimizerConfig, {"learning_rate": math.nan}, "optimizer.learning_rate must be a number above 0, found nan."),
        (OptimizerConfig, {"learning_rate": math.inf}, "optimizer.learning_rate must be a number above 0, found inf."),
        (OptimizerConfig, {"weight_decay": math.nan}, "optimizer.weight_decay must be a number from 0 up, found nan."),
        (OptimizerConfig, {"clip_norm": -1.0}, "optimizer.clip_norm must be a number above 0, found -1.0."),
        (RealignConfig, {"search_px": 4}, "realign.search_px must be 8 or more, found 4."),
        (RealignConfig, {"every_epochs": -1}, "realign.every_epochs must be 0 or more, found -1."),
        (AugmentConfig, {"rotation_deg": 400.0}, "augment.rotation_deg must lie between 0 and 180, found 400.0."),
        (AugmentConfig, {"speckle": math.nan}, "augment.speckle must be a number from 0 up, found nan."),
        (CardConfig, {"gsd_m": -3.0}, "card.gsd_m must be a number above 0, found -3.0."),
        (NetworkConfig, {"widths": (8,) * 6}, "network.widths must be two to 5 numbers from 1 up, found [8, 8, 8, "),
        (run, {"patience": 0}, "patience must be 1 or more, found 0."),
        (run, {"seed": -1}, "seed must be a number from 0 to 4294967295, found -1."),
        (matcher, {"realign_px": 4}, "realign_px must be 0 or from 8 up, found 4."),
        (matcher, {"seed": 2**32}, "seed must be a number from 0 to 4294967295, found 4294967296."),
    ],
)
def test_what_no_run_can_do_is_said(build: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        build(**settings)


def test_a_share_is_a_number_above_0() -> None:
    with pytest.raises(ConfigError, match="The share of a collection must be a number above 0, found nan"):
        SourceConfig(pairs=SOURCES[0].pairs, share=math.nan)
