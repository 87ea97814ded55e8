"""Robust, seeded estimation of a transform from matches with outliers."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64

from midground.core.correspondences import Correspondences
from midground.core.transforms import MIN_MATCHES, Transform, TransformKind
from midground.errors import NoConsensusError, TooFewMatchesError
from midground.registration.config import EstimateConfig

_DEGENERATE = 1e-9
_DEFAULTS = EstimateConfig()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A transform and the matches that support it."""

    transform: Transform
    """Fixed from moving."""
    inliers: Bool[np.ndarray, " n"]
    """In the order of the matches given."""


def estimate_transform(
    matches: Correspondences, kind: TransformKind = "affine", config: EstimateConfig = _DEFAULTS
) -> Estimate:
    """Fit the transform that takes moving points onto fixed points, ignoring outliers.

    Deterministic for a given ``config.seed``. The threshold is in pixels of the *fixed* image.

    Args:
        matches: Putative matches; may contain any share of outliers.
        kind: Model to fit.
        config: Method, threshold, confidence and seed.

    Returns:
        The transform and the inlier mask in the order of ``matches``.

    Raises:
        TooFewMatchesError: Fewer matches than the model needs.
        NoConsensusError: No model reached ``config.min_inliers``.

    Source:
        Paper, section 4.5 (RANSAC, 3 px, 2000 iterations) for ``method="ransac"``.
    """
    if len(matches) < MIN_MATCHES[kind]:
        raise TooFewMatchesError(
            f"{_counted(len(matches))} found; a transform of kind {kind} needs at least {MIN_MATCHES[kind]}.",
            diagnostics={"n_matches": len(matches)},
        )
    transform = _sample(matches, kind, config)
    inliers = residuals_px(transform, matches) <= config.threshold_px if transform else np.zeros(len(matches), bool)
    needed = max(config.min_inliers, MIN_MATCHES[kind])
    if transform is None or int(inliers.sum()) < needed:
        raise NoConsensusError(
            f"{_counted(len(matches))} found; a transform of kind {kind} must be supported by at least {needed}, and "
            f"the best one has {int(inliers.sum())} within {config.threshold_px:g} px.",
            diagnostics={"n_matches": len(matches), "n_inliers": int(inliers.sum())},
        )
    if config.refine:
        transform, inliers = _refine(transform, inliers, matches, kind, config)
    return Estimate(transform, inliers)


def residuals_px(transform: Transform, matches: Correspondences) -> Float64[np.ndarray, " n"]:
    """Distance in the fixed image between each fixed point and its transformed moving point, px."""
    distance: np.ndarray = np.linalg.norm(transform(matches.moving_xy) - matches.fixed_xy, axis=1)
    return distance


def fit_least_squares(
    matches: Correspondences,
    kind: TransformKind,
    *,
    weight: Float64[np.ndarray, " n"] | None = None,
    prior: Transform | None = None,
    prior_sigma: float = np.inf,
) -> Transform:
    """Weighted least squares; an affine fit can be drawn towards the linear part of a prior transform.

    The prior says that each entry of the linear part differs from the prior's by ``prior_sigma`` (one standard
    deviation) when the tie points have a standard deviation of one pixel. It matters where few points lie close
    together, and is negligible where many cover a scene.

    Args:
        matches: Points without outliers.
        kind: Model to fit.
        weight: Weight of each match; equal if omitted.
        prior: Expected transform.
        prior_sigma: Standard deviation of the linear part, dimensionless.

    Raises:
        NoConsensusError: The matches do not fix a transform of this kind.
    """
    weight = np.ones(len(matches)) if weight is None else np.maximum(weight, 1e-6)
    if kind == "homography":
        return _fit_homography(matches, weight)
    centre = np.average(matches.moving_xy, axis=0, weights=weight)
    target = np.average(matches.fixed_xy, axis=0, weights=weight)
    source, goal = matches.moving_xy - centre, matches.fixed_xy - target
    if kind == "translation":
        linear = np.eye(2)
    elif kind == "similarity":
        linear = _fit_similarity(source, goal, weight)
    else:
        linear = _fit_affine(source, goal, weight, prior, prior_sigma)
    if abs(np.linalg.det(linear)) < _DEGENERATE:
        raise NoConsensusError(f"The matches lie on a line or in one place, which fixes no {kind} transform.")
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = target - linear @ centre
    return Transform(matrix, kind)


def confidence_weight(score: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Weights from scores: proportional, with a floor so that no inlier is ignored."""
    weight: np.ndarray = 0.25 + np.clip(score, 0, 1)
    return weight


def _counted(n_matches: int) -> str:
    return "1 match was" if n_matches == 1 else f"{n_matches} matches were"


def _sample(matches: Correspondences, kind: TransformKind, config: EstimateConfig) -> Transform | None:
    if kind == "translation":
        return _sample_translation(matches, config)
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(matches))
    moving, fixed = matches.moving_xy[order], matches.fixed_xy[order]
    cv2.setRNGSeed(config.seed)
    flag = cv2.USAC_MAGSAC if config.method == "magsac" else cv2.RANSAC
    limit, tries, confidence = config.threshold_px, config.max_iterations, config.confidence
    if kind == "homography":
        matrix, _ = cv2.findHomography(
            moving, fixed, method=flag, ransacReprojThreshold=limit, maxIters=tries, confidence=confidence
        )
        if matrix is None or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < _DEGENERATE:
            return None
        return Transform(np.asarray(matrix), kind)
    if kind == "similarity":
        # OpenCV has no MAGSAC for similarities.
        linear, _ = cv2.estimateAffinePartial2D(
            moving, fixed, method=cv2.RANSAC, ransacReprojThreshold=limit, maxIters=tries, confidence=confidence
        )
    else:
        linear, _ = cv2.estimateAffine2D(
            moving, fixed, method=flag, ransacReprojThreshold=limit, maxIters=tries, confidence=confidence
        )
    if linear is None or not np.isfinite(linear).all() or abs(np.linalg.det(linear[:, :2])) < _DEGENERATE:
        return None
    return Transform(np.vstack([linear, [0, 0, 1]]), kind)


def _sample_translation(matches: Correspondences, config: EstimateConfig) -> Transform:
    """The shift with the largest soft support, among those of all matches, or of ``max_iterations`` drawn from them."""
    shifts = matches.fixed_xy - matches.moving_xy
    rng = np.random.default_rng(config.seed)
    n_candidates = min(len(shifts), config.max_iterations)
    candidates = rng.permutation(len(shifts))[:n_candidates]
    distance = np.linalg.norm(shifts[candidates, None] - shifts[None], axis=2)
    weight = confidence_weight(matches.score)
    support = (weight * np.maximum(1 - (distance / config.threshold_px) ** 2, 0)).sum(axis=1)
    dx, dy = shifts[candidates[int(support.argmax())]]
    return Transform.translation(float(dx), float(dy))


def _refine(
    transform: Transform,
    inliers: np.ndarray,
    matches: Correspondences,
    kind: TransformKind,
    config: EstimateConfig,
) -> tuple[Transform, np.ndarray]:
    """Refit the inliers until they no longer change; never accept a refit that loses support."""
    for _ in range(10):
        chosen = matches.select(inliers)
        refined = fit_least_squares(chosen, kind, weight=confidence_weight(chosen.score), prior=transform)
        now = residuals_px(refined, matches) <= config.threshold_px
        if int(now.sum()) < max(MIN_MATCHES[kind], config.min_inliers, int(0.9 * inliers.sum())):
            break
        settled = bool((now == inliers).all())
        transform, inliers = refined, now
        if settled:
            break
    return transform, inliers


def _fit_affine(
    source: np.ndarray, goal: np.ndarray, weight: np.ndarray, prior: Transform | None, prior_sigma: float
) -> np.ndarray:
    expected = np.eye(2) if prior is None else prior.matrix[:2, :2]
    strength = 0.0 if np.isinf(prior_sigma) else 1.0 / prior_sigma**2
    normal = (source * weight[:, None]).T @ source + strength * np.eye(2)
    right = (source * weight[:, None]).T @ goal + strength * expected.T
    linear: np.ndarray = np.linalg.lstsq(normal, right, rcond=None)[0].T
    return linear


def _fit_similarity(source: np.ndarray, goal: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Umeyama 1991, with weights and without reflection."""
    u, spread, vt = np.linalg.svd((goal * weight[:, None]).T @ source)
    sign = np.array([1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    variance = float((weight[:, None] * source**2).sum())
    scale = float((spread * sign).sum()) / max(variance, 1e-12)
    linear: np.ndarray = scale * u @ np.diag(sign) @ vt
    return linear


def _fit_homography(matches: Correspondences, weight: np.ndarray) -> Transform:
    """Normalised direct linear transform (Hartley 1997), each match weighted."""
    from_moving, moving = _normalise(matches.moving_xy)
    from_fixed, fixed = _normalise(matches.fixed_xy)
    x, y = moving.T
    u, v = fixed.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    rows_u = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y, -u], axis=1)
    rows_v = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y, -v], axis=1)
    root = np.sqrt(weight)[:, None]
    # The triangle has the same singular values and right vectors, and at most nine rows. Its basis is whole: four
    # points give eight rows, and the solution is the ninth vector.
    triangle = np.linalg.qr(np.vstack([rows_u * root, rows_v * root]), mode="r")
    _, spread, basis = np.linalg.svd(triangle)
    matrix = np.linalg.inv(from_fixed) @ basis[-1].reshape(3, 3) @ from_moving
    # A second direction without constraint, the eighth of nine, leaves the solution open.
    is_open = spread[7] < 1e-7 * spread[0]
    if is_open or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < _DEGENERATE * abs(matrix[2, 2]) ** 3:
        raise NoConsensusError("The matches lie on a line or in one place, which fixes no homography.")
    return Transform(matrix, "homography")


def _normalise(points_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix that moves points to mean 0 and mean distance √2, and the moved points."""
    centre = points_xy.mean(axis=0)
    scale = np.sqrt(2) / max(float(np.linalg.norm(points_xy - centre, axis=1).mean()), 1e-9)
    matrix = np.array([[scale, 0, -scale * centre[0]], [0, scale, -scale * centre[1]], [0, 0, 1]])
    return matrix, (points_xy - centre) * scale
