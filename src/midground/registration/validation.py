"""How good a fitted transform is, judged by tie points that were not used to fit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.metrics import ce90
from midground.core.transforms import MIN_MATCHES, Transform, TransformKind
from midground.errors import NoConsensusError
from midground.registration.estimate import confidence_weight, fit_least_squares, residuals_px

Fit = Callable[[Correspondences, TransformKind], Transform]
N_BLOCKS_PER_SIDE = 4
N_FOLDS = 5
_SPARE_FACTOR = 2.0
"""Points farther than this multiple of the threshold from a held-out fit are outliers, not residuals."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Residuals of every tie point under the fit that did not see its neighbourhood."""

    residual_px: Float64[np.ndarray, " n"]
    """One per match; infinite where too few points remained to fit."""
    ce90_px: float | None
    """90th percentile of the radial residuals of supporting matches; None if nothing could be held out."""
    rmse_px: float | None
    """Root mean square of the same residuals."""
    transform_std_px: float | None
    """Jackknife standard deviation of the transform over the image, px; None if nothing could be held out."""


def spatial_blocks(points_xy: Float64[np.ndarray, "n 2"], hw: tuple[int, int]) -> Int64[np.ndarray, " n"]:
    """Number the block of a 4 × 4 partition of the image that each point lies in."""
    height, width = hw
    column = np.clip(points_xy[:, 0] * N_BLOCKS_PER_SIDE / max(width, 1), 0, N_BLOCKS_PER_SIDE - 1).astype(np.int64)
    row = np.clip(points_xy[:, 1] * N_BLOCKS_PER_SIDE / max(height, 1), 0, N_BLOCKS_PER_SIDE - 1).astype(np.int64)
    return row * N_BLOCKS_PER_SIDE + column


def hold_out(
    matches: Correspondences,
    inliers: Bool[np.ndarray, " n"],
    kind: TransformKind,
    hw: tuple[int, int],
    fit: Fit,
    *,
    threshold_px: float,
) -> HeldOut:
    """Leave out one group of spatial blocks at a time, fit the rest, and measure what was left out.

    Blocks, not single points, are left out: neighbouring windows overlap, so a point's neighbours would give it away.

    Args:
        matches: All matches of the last search, outliers included.
        inliers: The matches that support the reported transform.
        kind: Model fitted.
        hw: Size of the moving image.
        fit: Fits a model to inliers.
        threshold_px: Largest residual of an inlier; matches beyond twice this under the held-out fit are outliers.
    """
    residual = np.full(len(matches), np.inf)
    transforms: list[Transform] = []
    fold = _folds(spatial_blocks(matches.moving_xy, hw), inliers)
    for index in range(int(fold.max(initial=-1)) + 1):
        left_out = fold == index
        kept = matches.select(inliers & ~left_out)
        if len(kept) < MIN_MATCHES[kind] + 2:
            continue
        try:
            transform = fit(kept, kind)
        except NoConsensusError:
            continue
        transforms.append(transform)
        residual[left_out] = residuals_px(transform, matches.select(left_out))
    supporting = residual[residual <= _SPARE_FACTOR * threshold_px]
    if len(transforms) < 2 or len(supporting) < 3:
        return HeldOut(residual, None, None, None)
    return HeldOut(
        residual,
        ce90(supporting),
        float(np.sqrt((supporting**2).mean())),
        _jackknife_std_px(transforms, hw),
    )


def weighted_fit(prior: Transform, prior_sigma: float) -> Fit:
    """The fit of the reported transform: weighted by confidence, drawn towards the linear part of the first one."""

    def fit(matches: Correspondences, kind: TransformKind) -> Transform:
        weight = confidence_weight(matches.score)
        return fit_least_squares(matches, kind, weight=weight, prior=prior, prior_sigma=prior_sigma)

    return fit


def halves(points_xy: Float64[np.ndarray, "n 2"], hw: tuple[int, int]) -> Bool[np.ndarray, " n"]:
    """Split points into two disjoint halves by a chequerboard of blocks; True for one half."""
    block = spatial_blocks(points_xy, hw)
    return np.asarray((block // N_BLOCKS_PER_SIDE + block % N_BLOCKS_PER_SIDE) % 2 == 0)


def mean_distance_px(one: Transform, other: Transform, hw: tuple[int, int]) -> float:
    """Mean distance between where two transforms put the pixels of an image, px."""
    grid = grid_xy(hw)
    return float(np.linalg.norm(one(grid) - other(grid), axis=1).mean())


def grid_xy(hw: tuple[int, int], n: int = 9) -> Float64[np.ndarray, "k 2"]:
    """A regular grid of n × n points that spans an image."""
    height, width = hw
    x, y = np.meshgrid(np.linspace(0, width - 1, n), np.linspace(0, height - 1, n))
    return np.stack([x.ravel(), y.ravel()], axis=-1)


def coverage(points_xy: Float64[np.ndarray, "n 2"], overlap: Bool[np.ndarray, "h w"], reach_px: float) -> float:
    """Share of the overlap that lies within ``reach_px`` of a point.

    Args:
        points_xy: Tie points in the pixels of ``overlap``.
        overlap: True where both images hold data.
        reach_px: How far a tie point vouches for its surroundings.
    """
    if not overlap.any() or len(points_xy) == 0:
        return 0.0
    far = np.ones_like(overlap, dtype=np.uint8)
    nearest = np.rint(points_xy).astype(int)
    columns, rows = nearest[:, 0], nearest[:, 1]
    height, width = overlap.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    far[rows[inside], columns[inside]] = 0
    if far.all():
        return 0.0
    distance = cv2.distanceTransform(far, cv2.DIST_L2, 5)
    return float((distance[overlap] <= reach_px).mean())


def _folds(block: Int64[np.ndarray, " n"], inliers: Bool[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Deal the blocks that hold points to folds so that each fold gets blocks from all over the image."""
    occupied = np.unique(block[inliers]) if inliers.any() else np.unique(block)
    n_folds = min(N_FOLDS, len(occupied))
    if n_folds < 2:
        return np.zeros(len(block), np.int64)
    lookup = np.arange(N_BLOCKS_PER_SIDE**2) % n_folds
    lookup[occupied] = np.arange(len(occupied)) % n_folds
    return np.asarray(lookup[block])


def _jackknife_std_px(transforms: list[Transform], hw: tuple[int, int]) -> float:
    """Delete-a-group jackknife of the transformed image grid: root mean square over the grid."""
    n = len(transforms)
    placed = np.stack([transform(grid_xy(hw)) for transform in transforms])
    variance = (n - 1) / n * ((placed - placed.mean(axis=0)) ** 2).sum(axis=0).sum(axis=1)
    return float(np.sqrt(variance.mean()))
