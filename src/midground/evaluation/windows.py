"""Windows of one mapped image, searched in the other."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.matching.correlation import correlation_surface, find_peak


def window_errors_px(
    moving: Image, fixed: Image, truth: Transform, *, window_px: int, search_px: int, per_side: int = 1
) -> Float64[np.ndarray, " n"]:
    """Distance between where each window was found and where it belongs; infinite where it holds too little data.

    Args:
        moving: Image that windows are cut from.
        fixed: Image that they are searched in, of the same size.
        truth: Fixed from moving.
        window_px: Side of a window.
        search_px: Largest shift in x and y; what lies outside the fixed image is invalid.
        per_side: Windows along each side, placed so that the search of all of them fits inside, if it can.
    """
    shifts = window_shifts_px(moving, fixed, truth, window_px=window_px, search_px=search_px, per_side=per_side)
    return np.linalg.norm(shifts, axis=1).astype(np.float64)


def window_shifts_px(
    moving: Image, fixed: Image, expected: Transform, *, window_px: int, search_px: int, per_side: int = 1
) -> Float64[np.ndarray, "n 2"]:
    """Vector (x, y) from where each window is expected to where it was found; infinite without enough data.

    Args:
        moving: Image that windows are cut from.
        fixed: Image that they are searched in, of the same size.
        expected: Fixed from moving.
        window_px: Side of a window.
        search_px: Largest shift in x and y from the same place.
        per_side: Windows along each side.
    """
    area_px = window_px + 2 * search_px
    shifts = []
    for top in _starts(moving.hw[0], window_px, search_px, per_side):
        for left in _starts(moving.hw[1], window_px, search_px, per_side):
            template = moving.crop_padded(top, left, window_px, window_px)
            area = fixed.crop_padded(top - search_px, left - search_px, area_px, area_px)
            surface = correlation_surface(template, area)
            if surface.max() <= -1:
                shifts.append(np.full(2, np.inf))
                continue
            peak = find_peak(surface)
            middle = np.array([left, top]) + (window_px - 1) / 2
            shifts.append(middle + np.array([peak.x, peak.y]) - search_px - expected(middle))
    return np.array(shifts, np.float64)


def _starts(length: int, window_px: int, search_px: int, n: int) -> list[int]:
    slack = max(length - window_px - 2 * search_px, 0)
    middle = (length - window_px) // 2
    if n == 1:
        return [middle]
    return [middle - slack // 2 + round(slack * index / (n - 1)) for index in range(n)]
