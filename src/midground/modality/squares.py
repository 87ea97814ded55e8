"""An image of any size through a network for squares of one size, which normalises by the whole of what it is given.

It runs in overlapping squares that fade into each other: there is no result for the whole image that it could equal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Protocol, runtime_checkable

import numpy as np

from midground.core.progress import Progress


@runtime_checkable
class SquareNetwork(Protocol):
    """A network in one part for squares of one size."""

    window_px: int
    """Side of the squares, px."""
    halo_px: int
    """How far neighbouring squares overlap each other on every side, px."""

    def map(self, image: np.ndarray) -> np.ndarray:
        """From (1, c, window_px, window_px) to (1, k, window_px, window_px)."""
        ...


def map_squares(
    run: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    side_px: int,
    halo_px: int,
    progress: Progress,
    stage: str,
) -> np.ndarray:
    """Map an image of any size in squares; a smaller image is mirrored up to one.

    Args:
        run: From (1, c, side_px, side_px) to (1, k, side_px, side_px).
        image: (1, c, h, w).
        side_px: Side of a square, px.
        halo_px: How far neighbours overlap each other on every side, at least, px; less than half a side.
        progress: Told how many squares are done.
        stage: What the progress is called.
    """
    height, width = image.shape[2:]
    padding = ((0, 0), (0, 0), (0, max(0, side_px - height)), (0, max(0, side_px - width)))
    padded = np.pad(image, padding, mode="symmetric")
    rows, columns = (_starts(size, side_px, side_px - 2 * halo_px) for size in padded.shape[2:])
    # A square counts the less, the nearer its border.
    fade = np.minimum(np.arange(1, side_px + 1), np.arange(side_px, 0, -1)).clip(max=2 * halo_px or 1)
    weight = np.outer(fade, fade).astype(np.float32)
    total, shared = np.zeros(padded.shape[2:], np.float32), np.zeros((1, 1, *padded.shape[2:]), np.float32)
    for done, (top, left) in enumerate(product(rows, columns), 1):
        place = (slice(top, top + side_px), slice(left, left + side_px))
        square = run(np.ascontiguousarray(padded[(..., *place)]))
        if done == 1:
            shared = np.zeros((1, square.shape[1], *padded.shape[2:]), np.float32)
        shared[(..., *place)] += square * weight
        total[place] += weight
        progress(stage, done, len(rows) * len(columns))
    return np.asarray((shared / total)[..., :height, :width])


def _starts(size_px: int, side_px: int, step_px: int) -> list[int]:
    """Where squares start that cover an axis in equal steps."""
    n_squares = 1 - (side_px - size_px) // step_px
    return [round(start) for start in np.linspace(0, size_px - side_px, n_squares)]
