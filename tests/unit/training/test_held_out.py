"""Which pairs are trained on, and which are held out."""

from __future__ import annotations

from pathlib import Path

from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.training.config import DataConfig, SourceConfig
from midground.training.held_out import split, trained_on


def test_a_split_is_named_with_its_collection(simulated_pairs: Path) -> None:
    pairs = open_pairs(PairsConfig(path=simulated_pairs))
    paths = (Path("data/ombria/train"), Path("data/places"))
    data = DataConfig(train=tuple(SourceConfig(pairs=PairsConfig(path=path), share=0.5) for path in paths))
    expected = (f"ombria/train: {len(pairs)} pairs", f"places: {len(pairs)} pairs")
    assert trained_on(data, [pairs, pairs]) == expected


def test_no_collection_trains_on_a_place_that_is_held_out_of_the_first(simulated_pairs: Path) -> None:
    pairs = open_pairs(PairsConfig(path=simulated_pairs))
    source = SourceConfig(pairs=PairsConfig(path=simulated_pairs), share=0.5)
    data = DataConfig(train=(source, source), validation_share=0.25, validation_block_places=1)
    training, held_out = split(data, [pairs, pairs], None)
    assert len(training) == 2
    assert len(held_out) > 0
    for part in training:
        assert not set(part.places) & set(held_out.places)
