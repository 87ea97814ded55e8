"""GEFolki: optical flow for SAR and optical images, with the settings of its own demonstration.

One line is repaired, without which 1.1.0 fails on every pair: scikit-image returns floats where indices are needed. The
transform is the median of the flow, or an affine one fitted to the flow, away from the borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gefolki.adapthist
import numpy as np
from gefolki import GEFolki

if TYPE_CHECKING:
    from run import Pair

_rescale = gefolki.adapthist.rescale_intensity
gefolki.adapthist.rescale_intensity = lambda image, **options: _rescale(image, **options).astype(np.uint16)


def register(pair: Pair) -> np.ndarray:
    """The transform that sums up the flow from the SAR image to the optical one."""
    moving, fixed = pair.moving.astype(np.float32), pair.grey.astype(np.float32)
    levels = 4 if min(moving.shape) < 512 else 6
    flow = np.stack(GEFolki(moving, fixed, iteration=2, radius=range(32, 4, -4), rank=4, levels=levels), axis=-1)
    margin = min(pair.max_shift_px + 4, min(moving.shape) // 4)
    inside = (slice(margin, -margin), slice(margin, -margin))
    if pair.kind == "translation":
        dx, dy = np.median(flow[inside].reshape(-1, 2), axis=0)
        return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])
    moving_xy = np.stack(np.meshgrid(*map(np.arange, moving.shape[::-1])), axis=-1)[inside].reshape(-1, 2)
    fixed_xy = moving_xy + flow[inside].reshape(-1, 2)
    rows = np.linalg.lstsq(np.c_[moving_xy, np.ones(len(moving_xy))], fixed_xy, rcond=None)[0].T
    return np.vstack([rows, [0, 0, 1]])
