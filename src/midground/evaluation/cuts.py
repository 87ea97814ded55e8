"""Squares cut out of warped images, so that no outline is left.

What a warp brings into a frame from outside holds no data, and its outline tells the warp to whatever sees it: a
network that is trained, or measured, on such images finds the outline and not the ground.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.datasets.base import Pair, PixelWindow
from midground.errors import InputError
from midground.evaluation.config import WarpConfig
from midground.evaluation.warps import draw_warp
from midground.registration.pair import warp_image

_SMALLEST_PX = 32
"""Side below which nothing can be matched, px."""


def largest_square(valid: Bool[np.ndarray, "h w"]) -> PixelWindow:
    """The largest square, of an odd side, whose pixels all hold data; of one pixel if none does."""
    reach = _reach_px(valid)
    row, column = np.unravel_index(int(reach.argmax()), reach.shape)
    return _square(int(row), int(column), int(reach[row, column]) - 1)


def random_square(valid: Bool[np.ndarray, "h w"], sides_px: tuple[int, int], rng: np.random.Generator) -> PixelWindow:
    """A square, of an odd side, whose pixels all hold data: the side is drawn first, then the place.

    Args:
        valid: Which pixels hold data.
        sides_px: Smallest and largest side; the largest square that there is, if that is smaller.
        rng: What draws.
    """
    reach = _reach_px(valid)
    halves = [min((side_px - 1) // 2, int(reach.max()) - 1) for side_px in sides_px]
    half = int(rng.integers(max(halves[0], 0), max(halves[1], 0) + 1))
    rows, columns = np.nonzero(reach > half) if half else np.nonzero(reach == reach.max())
    chosen = int(rng.integers(len(rows)))
    return _square(int(rows[chosen]), int(columns[chosen]), half)


def warped(pair: Pair, config: WarpConfig, index: int) -> tuple[Image, Image, Transform]:
    """The SAR image under its warp, the optical image, and the truth, fixed from moving.

    Both hold data everywhere, as far as the pair does. Where images are only shifted, both lose a margin; else the
    largest square with data is cut out of the SAR image.

    Args:
        pair: The images.
        config: Ranges and seed.
        index: Number of the pair.

    Raises:
        InputError: Too little is left.
    """
    if config.is_identity:
        return pair.sar, pair.optical, Transform.identity()
    height, width = pair.sar.hw
    warp = draw_warp(config, index, (height, width))
    moving = warp_image(pair.sar, warp, (height, width))
    if config.is_shift:
        margin = math.ceil(config.shift_px) + 1
        of_moving = of_fixed = PixelWindow(margin, margin, height - 2 * margin, width - 2 * margin)
    else:
        of_moving, of_fixed = largest_square(moving.valid), PixelWindow(0, 0, height, width)
    if min(of_moving.height, of_moving.width) < _SMALLEST_PX:
        raise InputError(
            f"The pair '{pair.name}' has {height} × {width} px with data, of which less than {_SMALLEST_PX} px are "
            f"left under shifts of up to {config.shift_px:g} px: choose larger images, or smaller warps."
        )
    return cut_out(moving, pair.optical, (of_moving, of_fixed), warp.inverse())


def cut_out(
    moving: Image, fixed: Image, windows: tuple[PixelWindow, PixelWindow], fixed_from_moving: Transform
) -> tuple[Image, Image, Transform]:
    """A window of each of two images, and the transform between the windows.

    Args:
        moving: One image.
        fixed: The other one.
        windows: Of each, inside it.
        fixed_from_moving: Between the whole images.
    """
    to_moving, to_fixed = (Transform.translation(window.left, window.top) for window in windows)
    return moving.crop(*windows[0]), fixed.crop(*windows[1]), to_fixed.inverse() @ fixed_from_moving @ to_moving


def _reach_px(valid: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """How far the nearest pixel without data, or outside, lies in rows or columns; 0 on such pixels."""
    padded = np.pad(valid, 1).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(padded, cv2.DIST_C, cv2.DIST_MASK_3)[1:-1, 1:-1], np.float32)


def _square(row: int, column: int, half: int) -> PixelWindow:
    half = max(half, 0)
    return PixelWindow(row - half, column - half, 2 * half + 1, 2 * half + 1)
