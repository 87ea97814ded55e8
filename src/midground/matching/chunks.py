"""Large images for a dense matcher, which reduces what it is given to one size: matched whole, then in windows.

The matches of the reduced images say which window of the fixed image shows the same ground as a window of the moving
one. Nothing is assumed about how the images lie to each other.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.tiling import Window, windows
from midground.core.transforms import Transform, corners_xy
from midground.errors import ConfigError

DenseMatch = Callable[[Image, Image], Correspondences]
"""Matches two images of any size, whole (moving, fixed)."""

_THRESHOLD_PX = 3.0
_MIN_INLIERS = 20
_MAX_SCALE = 4.0
_HALO_SHARE = 8


def match_in_chunks(moving: Image, fixed: Image, match: DenseMatch, chunk_px: int | None) -> Correspondences:
    """Match two images whole, and again window by window if a side is longer than a window.

    An affine fit of the first matches pairs the windows; a window keeps the matches of its core, so that none is found
    twice. The first matches stand where they fit no plausible transform, or where no window has a match.

    Args:
        moving: Image that is cut into windows.
        fixed: Image in which the windows that correspond are cut out, as large as the fit says.
        match: Matcher of whole images.
        chunk_px: Longest side of a window in the image of more pixels for the same ground; None for whole images.
    """
    coarse = match(moving, fixed)
    longest_px = max(*moving.hw, *fixed.hw)
    if chunk_px is None or longest_px <= chunk_px:
        return coarse
    fixed_from_moving = _robust_affine(coarse, _THRESHOLD_PX * longest_px / chunk_px)
    if fixed_from_moving is None:
        return coarse
    _, magnification = fixed_from_moving.scale_at(np.zeros(2))
    outer_px = round(chunk_px / max(1.0, magnification))
    halo_px = outer_px // _HALO_SHARE
    fine = Correspondences.concatenate(
        _match_window(moving, fixed, match, fixed_from_moving, window)
        for window in windows(moving.hw, outer_px - 2 * halo_px, halo_px)
    )
    return fine if len(fine) else coarse


def _robust_affine(matches: Correspondences, threshold_px: float) -> Transform | None:
    """Fixed from moving, or None where too few matches agree, or on a scale that no two images are matched at."""
    if len(matches) < _MIN_INLIERS:
        return None
    # OpenCV's plain RANSAC draws from a generator of its own, always the same.
    matrix, inliers = cv2.estimateAffine2D(
        matches.moving_xy, matches.fixed_xy, method=cv2.RANSAC, ransacReprojThreshold=threshold_px
    )
    if matrix is None or int(inliers.sum()) < _MIN_INLIERS:
        return None
    try:
        transform = Transform(np.vstack([matrix, [0.0, 0.0, 1.0]]))
    except ConfigError:
        return None
    smallest, largest = transform.scale_at(np.zeros(2))
    return transform if smallest >= 1 / _MAX_SCALE and largest <= _MAX_SCALE else None


def _match_window(
    moving: Image, fixed: Image, match: DenseMatch, fixed_from_moving: Transform, window: Window
) -> Correspondences:
    """Matches of the core of one window, in the coordinates of the whole images."""
    here = Image(moving.channels[:, *window.outer], moving.valid[window.outer])
    left_top = np.array([window.columns.outer_start, window.rows.outer_start])
    corners_there_xy = fixed_from_moving(corners_xy(here.hw) + left_top)
    start = np.floor(corners_there_xy.min(axis=0)).astype(int)
    width, height = (np.ceil(corners_there_xy.max(axis=0)).astype(int) + 1 - start).tolist()
    # Padded, not cut short: both windows are to show the same ground at the same proportions.
    there = fixed.crop_padded(int(start[1]), int(start[0]), height, width)
    if not (here.valid.any() and there.valid.any()):
        return Correspondences.empty()
    found = match(here, there)
    matches = Correspondences(found.moving_xy + left_top, found.fixed_xy + start, found.score)
    return matches.select(_in_core(matches.moving_xy, window))


def _in_core(points_xy: Float64[np.ndarray, "n 2"], window: Window) -> Bool[np.ndarray, " n"]:
    start = np.array([window.columns.start, window.rows.start]) - 0.5
    stop = np.array([window.columns.stop, window.rows.stop]) - 0.5
    return np.asarray(((points_xy >= start) & (points_xy < stop)).all(axis=1))
