"""AROSICS: phase correlation of one window, ``max_shift`` 5 px above the largest shift; a translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from arosics import COREG

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair) -> np.ndarray:
    """The shift of the whole image; AROSICS's own "no success" is a failure."""
    paths = str(pair.fixed_path), str(pair.moving_path)
    # Nothing is written, but the format has to be one that gdal-wheel has.
    task = COREG(*paths, max_shift=pair.max_shift_px + 5, fmt_out="GTiff", q=True, progress=False)
    task.calculate_spatial_shifts()
    if not task.success:
        raise RuntimeError("AROSICS has no success")
    return np.array([[1, 0, task.x_shift_px], [0, 1, task.y_shift_px], [0, 0, 1]])
