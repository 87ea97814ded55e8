"""Parts of a collection, and dividing it so that no place is seen in both."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from midground.datasets.base import Pair, PairSource, PixelWindow
from midground.errors import ConfigError, InputError


class Subset:
    """Some pairs of a collection, in a given order.

    Args:
        source: The collection.
        indices: Numbers of its pairs, from 0.

    Raises:
        ConfigError: A number names no pair.
    """

    def __init__(self, source: PairSource, indices: Sequence[int] | Int64[np.ndarray, " n"]) -> None:
        self._source = source
        self._indices = tuple(int(index) for index in indices)
        wrong = [index for index in self._indices if not 0 <= index < len(source)]
        if wrong:
            raise ConfigError(f"There is no pair {wrong[0]} in a collection of {len(source)} pairs counted from 0.")
        names, places = source.names, source.places
        self.names = tuple(names[index] for index in self._indices)
        self.places = tuple(places[index] for index in self._indices)

    def __len__(self) -> int:
        return len(self._indices)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        return self._source.hw(self._indices[index])

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it."""
        return self._source.read(self._indices[index], window)


def evenly_spread(source: PairSource, limit: int | None) -> Subset:
    """So many pairs of a collection, evenly spread, the first one among them; all if there are no more, or no limit."""
    return Subset(source, spread_indices(len(source), limit))


def spread_indices(n: int, limit: int | None) -> list[int]:
    """So many numbers from 0 to below n, evenly spread, 0 among them; all if there are no more, or no limit."""
    n_chosen = min(n, limit or n)
    return [index * n // n_chosen for index in range(n_chosen)]


def split_by_place(
    source: PairSource, validation_share: float, *, seed: int = 0, block_places: int = 1
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " m"]]:
    """Divide a collection into pairs for training and for validation that share no place.

    Places are sorted by name, numbers in names by value, and cut into blocks of neighbours; blocks drawn at random are
    held out, as many as come closest to the share, at least one and not all.

    Args:
        source: The collection.
        validation_share: Share of the blocks that is held out, between 0 and 1.
        seed: Seed of the draw.
        block_places: Places of a block. Where neighbours in name are neighbours on the ground and may overlap, a larger
            block keeps most of them on one side.

    Returns:
        Numbers of the training pairs and of the validation pairs, ascending.

    Raises:
        ConfigError: The share or the size of a block is out of range.
        InputError: There is only one block.
    """
    if not 0 < validation_share < 1:
        raise ConfigError(f"The share of validation places must lie between 0 and 1, found {validation_share}.")
    if block_places < 1:
        raise ConfigError(f"A block must have 1 place or more, found {block_places}.")
    places = sorted(set(source.places), key=_natural)
    n_blocks = -(-len(places) // block_places)
    if n_blocks < 2:
        raise InputError(
            f"The collection shows {len(places)} place(s), which is one block of up to {block_places}, so none can be "
            "held out: choose smaller blocks, or name other pairs for validation."
        )
    n_held_out = min(max(round(validation_share * n_blocks), 1), n_blocks - 1)
    drawn = set(np.random.default_rng(seed).permutation(n_blocks)[:n_held_out].tolist())
    is_held_out = {place: number // block_places in drawn for number, place in enumerate(places)}
    flags = np.array([is_held_out[place] for place in source.places])
    return np.flatnonzero(~flags), np.flatnonzero(flags)


def divide_by_place(
    places: Sequence[str], weights: Sequence[float], *, seed: int = 0
) -> tuple[Int64[np.ndarray, " n"], ...]:
    """Divide pairs into parts whose numbers of pairs stand in given proportions, and that share no place.

    All parts but the first are filled with places drawn at random, each with what still fits, so that places of few
    pairs make the numbers exact; the first part gets the rest.

    Args:
        places: Place of each pair.
        weights: Relative number of pairs of each part, more than 0.
        seed: Seed of the draw.

    Returns:
        Numbers of the pairs of each part, ascending; no part is empty.

    Raises:
        ConfigError: A weight is not positive.
        InputError: There are fewer places than parts.
    """
    if not weights or min(weights) <= 0:
        raise ConfigError(f"The parts need weights of more than 0, found {list(weights)}.")
    members: dict[str, list[int]] = {}
    for index, place in enumerate(places):
        members.setdefault(place, []).append(index)
    if len(members) < len(weights):
        raise InputError(
            f"{len(members)} place(s) cannot be divided into {len(weights)} parts that share none of them; use more "
            "pairs, or a place_pattern that tells more places apart."
        )
    names = sorted(members, key=_natural)
    left = [names[number] for number in np.random.default_rng(seed).permutation(len(names))]
    parts: list[list[str]] = []
    for number, weight in enumerate(weights[1:], start=2):
        n_wanted = round(len(places) * weight / sum(weights))
        taken: list[str] = []
        for place in left:
            n_spare = len(left) - len(taken) - (len(weights) - number + 1)
            if len(members[place]) <= n_wanted and n_spare > 0:
                taken.append(place)
                n_wanted -= len(members[place])
        taken = taken or [min(left, key=lambda place: len(members[place]))]
        gone = set(taken)
        left = [place for place in left if place not in gone]
        parts.append(taken)
    return tuple(np.sort([index for place in part for index in members[place]]) for part in (left, *parts))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Key that sorts ``tile_9`` before ``tile_10``."""
    parts = [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]
    return parts, name
