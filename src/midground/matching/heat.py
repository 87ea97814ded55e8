"""Key points of networks that make a map of heat: where it peaks on valid ground."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64

from midground.matching.ground import clearance_px

RADIUS_PX = 2
"""Peaks are the largest of a square that reaches so far, px."""

_MARGIN_PX = 4.0


def heat_peaks(
    heat: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], *, min_heat: float = 0.0
) -> Int64[np.ndarray, "n 2"]:
    """Pixels (x, y) where the heat is the largest of its neighbourhood, away from the edges and from invalid pixels.

    Args:
        heat: Larger where a key point is more likely.
        valid: Pixels that hold data.
        min_heat: Heat that a peak must exceed.
    """
    height, width = heat.shape
    largest = cv2.dilate(heat, np.ones((2 * RADIUS_PX + 1, 2 * RADIUS_PX + 1), np.uint8))
    pixels_xy = np.argwhere((heat == largest) & (heat > min_heat))[:, ::-1].astype(np.int64)
    inside = (pixels_xy >= RADIUS_PX) & (pixels_xy < np.array([width, height]) - RADIUS_PX)
    clear = clearance_px(pixels_xy.astype(np.float64), valid) >= _MARGIN_PX
    return pixels_xy[inside.all(axis=1) & clear]
