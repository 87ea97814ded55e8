"""Which pairs are trained on, and which are held out to choose the best weights by."""

from __future__ import annotations

from collections.abc import Sequence

from midground.datasets.base import PairSource
from midground.datasets.scaled import ScaledPairs
from midground.datasets.splits import Subset, evenly_spread, split_by_place
from midground.errors import InputError
from midground.training.config import DataConfig

_VALIDATION_SEED = 0
_SPLITS = ("train", "validation", "test")


def split(
    data: DataConfig, sources: list[ScaledPairs], validation: ScaledPairs | None
) -> tuple[list[PairSource], PairSource]:
    """Training pairs of each collection, and validation pairs of places that no training pair shows.

    Raises:
        InputError: Nothing is left on one side.
    """
    held_out: PairSource
    training: list[PairSource]
    if validation is not None:
        held_out, training = validation, _apart(sources, validation)
    else:
        kept, rest = split_by_place(
            sources[0],
            data.validation_share,
            seed=_VALIDATION_SEED,
            block_places=data.validation_block_places,
        )
        held_out = Subset(sources[0], rest)
        training = [Subset(sources[0], kept), *_apart(sources[1:], held_out)]
    if len(held_out) == 0 or min(map(len, training)) == 0:
        raise InputError(
            f"The split by place leaves {[len(pairs) for pairs in training]} pairs to train on and {len(held_out)} to "
            "validate on: change data.validation_share or data.validation_block_places, or name data.validation."
        )
    return training, evenly_spread(held_out, data.max_validation_pairs)


def _apart(sources: Sequence[ScaledPairs], held_out: PairSource) -> list[PairSource]:
    """The pairs of each collection that show none of the places held out."""
    places = set(held_out.places)
    apart: list[PairSource] = []
    for source in sources:
        kept = [index for index, place in enumerate(source.places) if place not in places]
        apart.append(source if len(kept) == len(source) else Subset(source, kept))
    return apart


def trained_on(data: DataConfig, training: list[PairSource]) -> tuple[str, ...]:
    """Each collection and how many pairs of it are trained on, for cards; a split by the name of its collection too."""
    paths = [source.pairs.path for source in data.train]
    names = [f"{path.parent.name}/{path.name}" if path.name in _SPLITS else path.name for path in paths]
    return tuple(f"{name}: {len(pairs)} pairs" for name, pairs in zip(names, training, strict=True))
