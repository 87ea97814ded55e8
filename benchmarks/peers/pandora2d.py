"""pandora2d: integer local shifts by mutual information, windows of 49 px, searched 3 px beyond the largest shift.

A transform is not its job. A translation is the mean of the largest cluster of local shifts (within 1.5 px), taken
every 24 px. An affine transform is fitted by RANSAC at 3 px to those every 48 px, as its time grows with the number of
places and the square of the search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pandora2d import run_pandora2d
from pandora2d.check_configuration import check_conf
from pandora2d.state_machine import Pandora2DMachine
from skimage.measure import ransac
from skimage.transform import AffineTransform

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair) -> np.ndarray:
    """The transform that sums up the local shifts from the SAR image to the optical one."""
    moving_xy, shift_xy = local_shifts(pair)
    if pair.kind == "translation":
        distance = np.linalg.norm(shift_xy[:, None] - shift_xy[None], axis=2)
        largest = (distance <= 1.5)[(distance <= 1.5).sum(axis=1).argmax()]
        dx, dy = shift_xy[largest].mean(axis=0)
        return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])
    model, _ = ransac((moving_xy, moving_xy + shift_xy), AffineTransform, 3, 3.0, max_trials=2000, rng=0)
    if model is None:
        raise RuntimeError("no affine transform fits the local shifts")
    return model.params


def local_shifts(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Places in the moving image, and where each lies in the fixed one, relative to that."""
    shifts = {"init": 0, "range": pair.max_shift_px + 3}
    step_px = 24 if pair.kind == "translation" else 48
    settings = {
        "input": {
            "left": {"img": str(pair.moving_path), "nodata": -9999 if pair.valid.all() else 0},
            "right": {"img": str(pair.fixed_path), "nodata": -9999},
            "col_disparity": shifts,
            "row_disparity": dict(shifts),
        },
        "pipeline": {
            "matching_cost": {"matching_cost_method": "mutual_information", "window_size": 49, "step": [step_px] * 2},
            "disparity": {"disparity_method": "wta", "invalid_disparity": "NaN"},
        },
        "output": {"path": str(pair.scratch)},
    }
    machine = Pandora2DMachine()
    check_conf(settings, machine)
    maps, _ = run_pandora2d(machine, settings)
    xy = np.stack(np.meshgrid(maps["col"], maps["row"]), axis=-1)
    shift_xy = np.stack([maps["col_map"].data, maps["row_map"].data], axis=-1)
    is_found = np.isfinite(shift_xy).all(axis=-1)
    return xy[is_found].astype(float), shift_xy[is_found].astype(float)
