"""Images as arrays of their own data type, whether they lie in memory or in a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from midground.core.image import Image
from midground.datasets.base import PixelWindow

_EXACT_IN_FLOAT32 = frozenset({"uint8", "int8", "uint16", "int16", "float16", "float32"})


def stored_dtype(dtype: str) -> np.dtype:
    """The smallest type that keeps what :class:`Image` (float32) holds of values of a type, little-endian."""
    return np.dtype(dtype if dtype in _EXACT_IN_FLOAT32 else "float32").newbyteorder("<")


def cut(
    values: np.ndarray, valid: np.ndarray | None, window: PixelWindow, *, bands: Sequence[int] | None = None
) -> Image:
    """A window of stored arrays as an image.

    Args:
        values: (c, h, w), zero where there is no data.
        valid: (h, w), or None where every pixel holds data.
        window: Must lie inside.
        bands: Positions of the channels wanted, from 0; all if omitted.
    """
    top, left, height, width = window
    part = np.s_[top : top + height, left : left + width]
    mask = np.ones((height, width), bool) if valid is None else np.array(valid[part], dtype=bool)
    pixels = values[:, *part]
    return Image((pixels if bands is None else pixels[list(bands)]).astype(np.float32), mask)
