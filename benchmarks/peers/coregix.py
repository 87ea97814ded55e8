"""coregix: elastix, mutual information of edge proxies, translation and then rigid; its defaults.

It returns no transform, so that coordinates lie in two further bands of the moving file, and an affine transform is
fitted to where they come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import rasterio
from coregix import align_image_pair

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair) -> np.ndarray:
    """The transform that the warped coordinates tell."""
    height, width = pair.moving.shape
    y, x = np.mgrid[1 : height + 1, 1 : width + 1].astype(np.float32)  # 0 is nodata
    moving, aligned = str(pair.scratch / "moving.tif"), str(pair.scratch / "aligned.tif")
    with rasterio.open(pair.moving_path) as source:
        profile = source.profile | {"count": 3, "dtype": "float32"}
    with rasterio.open(moving, "w", **profile) as file:
        file.write(np.stack([pair.moving.astype(np.float32), x, y]))
    align_image_pair(moving, str(pair.fixed_path), aligned)
    with rasterio.open(aligned) as file:
        _, moving_x, moving_y = file.read()
    is_inside = (moving_x > 1) & (moving_x < width) & (moving_y > 1) & (moving_y < height)
    moving_xy1 = np.stack([moving_x[is_inside] - 1, moving_y[is_inside] - 1, np.ones(is_inside.sum())], axis=1)
    fixed_xy = np.stack([x[is_inside] - 1, y[is_inside] - 1], axis=1)
    rows = np.linalg.lstsq(moving_xy1, fixed_xy, rcond=None)[0].T
    return np.vstack([rows, [0, 0, 1]])
