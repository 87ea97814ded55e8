"""Pairs looked at before the first step, so that what cannot be used is said then and not hours later."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from midground.datasets.base import Pair, PairSource
from midground.errors import ConfigError, InputError

_MAX_S = 60.0
"""Time for training pairs; a collection that takes longer to read is not kept waiting for."""


def check_pairs(training: Sequence[PairSource], validation: PairSource, report: Callable[[str], None]) -> None:
    """Read all validation pairs, and training pairs for a minute; the rest is read as it comes.

    Args:
        training: Unit-scaled pairs of each collection.
        validation: Likewise.
        report: Told how many were read, if not all.

    Raises:
        InputError: A pair cannot be read, or no pixel of it holds data in both images.
    """
    end = time.monotonic() + _MAX_S
    for index in range(len(validation)):
        require_common(validation.read(index))
    pairs = [(source, index) for source in training for index in range(len(source))]
    for n_read, (source, index) in enumerate(pairs):
        if time.monotonic() > end:
            report(
                f"{n_read} of {len(pairs)} pairs were looked at before the first step; 'midground data check' reads all"
            )
            return
        require_common(source.read(index))


def require_common(pair: Pair) -> None:
    """Refuse a pair that nothing can be learned from.

    Raises:
        InputError: No pixel holds data in both images.
    """
    if not (pair.sar.valid & pair.optical.valid).any():
        raise InputError(
            f"The pair '{pair.name}' has no pixel that holds data in both images; exclude the pair '{pair.name}'."
        )


def require_room(training: Sequence[PairSource], search_px: int) -> None:
    """Refuse to look for misregistrations that are as large as the images.

    Raises:
        ConfigError: They are larger than half of one.
    """
    for source in training:
        for index, name in enumerate(source.names):
            side_px = min(source.hw(index))
            if 2 * search_px > side_px:
                raise ConfigError(
                    f"realign.search_px must be at most half of a pair's side, and the pair '{name}' is {side_px} px "
                    f"wide or high; found {search_px}."
                )
