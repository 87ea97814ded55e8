"""What runs of every kind share; needs torch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="needs the extra train")

from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.training.config import DataConfig, SourceConfig
from midground.training.fitting import trained_on

pytestmark = pytest.mark.extras


def test_a_split_is_named_with_its_collection(simulated_pairs: Path) -> None:
    pairs = open_pairs(PairsConfig(path=simulated_pairs))
    paths = (Path("data/ombria/train"), Path("data/places"))
    data = DataConfig(train=tuple(SourceConfig(pairs=PairsConfig(path=path), share=0.5) for path in paths))
    expected = (f"ombria/train: {len(pairs)} pairs", f"places: {len(pairs)} pairs")
    assert trained_on(data, [pairs, pairs]) == expected
