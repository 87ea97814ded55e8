"""Robust estimation: failures with their sentences, least squares against its definition, what a prior does."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.transforms import TRANSFORM_KINDS, Transform
from midground.errors import ConfigError, NoConsensusError, TooFewMatchesError
from midground.registration.config import EstimateConfig
from midground.registration.estimate import confidence_weight, estimate_transform, fit_least_squares, residuals_px

TRUTH = {
    "translation": Transform.translation(12.5, -7.25),
    "similarity": Transform.similarity(scale=1.03, rotation_deg=4, dx=-20, dy=15),
    "affine": Transform(np.array([[1.02, 0.03, 5], [-0.01, 0.97, -9], [0, 0, 1]]), "affine"),
    "homography": Transform(np.array([[1.01, 0.02, 4], [-0.02, 0.99, 8], [3e-5, -2e-5, 1]]), "homography"),
}


def make_matches(truth: Transform, n: int = 60, n_outliers: int = 60, *, noise_px: float = 0.3, seed: int = 0):
    rng = np.random.default_rng(seed)
    moving = rng.uniform(0, 500, (n + n_outliers, 2))
    fixed = truth(moving) + rng.normal(0, noise_px, moving.shape)
    # Outliers are 20 to 200 px off, each in a direction of its own.
    angle, distance = rng.uniform(0, 2 * np.pi, n_outliers), rng.uniform(20, 200, n_outliers)
    fixed[n:] += np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[:, None]
    order = rng.permutation(len(moving))
    return Correspondences(moving[order], fixed[order], rng.uniform(0.2, 1, len(moving))), order < n


def place_error_px(one: Transform, other: Transform) -> float:
    grid = np.stack(np.meshgrid(np.linspace(0, 500, 6), np.linspace(0, 500, 6)), axis=-1).reshape(-1, 2)
    return float(np.linalg.norm(one(grid) - other(grid), axis=1).max())


@pytest.mark.parametrize("method", ["magsac", "ransac"])
@pytest.mark.parametrize("kind", TRANSFORM_KINDS)
def test_each_kind_is_recovered_among_as_many_outliers(kind, method):
    matches, is_inlier = make_matches(TRUTH[kind])
    estimate = estimate_transform(matches, kind, EstimateConfig(method=method))
    assert estimate.transform.kind == kind
    np.testing.assert_array_equal(estimate.inliers, is_inlier)
    assert place_error_px(estimate.transform, TRUTH[kind]) < 1


@pytest.mark.parametrize("kind", TRANSFORM_KINDS)
def test_the_result_depends_on_the_seed_alone(kind):
    matches, _ = make_matches(TRUTH[kind], 30, 60, noise_px=1.0)
    first = estimate_transform(matches, kind, EstimateConfig(seed=5))
    cv2.setRNGSeed(99)
    again = estimate_transform(matches, kind, EstimateConfig(seed=5))
    np.testing.assert_array_equal(first.transform.matrix, again.transform.matrix)
    np.testing.assert_array_equal(first.inliers, again.inliers)


@pytest.mark.parametrize(
    ("kind", "n", "needed"), [("translation", 0, 1), ("similarity", 1, 2), ("affine", 2, 3), ("homography", 3, 4)]
)
def test_too_few_matches_are_counted_in_the_message(kind, n, needed):
    matches, _ = make_matches(TRUTH["affine"], n, 0)
    with pytest.raises(
        TooFewMatchesError,
        match=f"^{n} match{' was' if n == 1 else 'es were'} found; .* {kind} needs at least {needed}",
    ) as found:
        estimate_transform(matches, kind)
    assert dict(found.value.diagnostics) == {"n_matches": n}


@pytest.mark.parametrize("kind", TRANSFORM_KINDS)
def test_matches_without_a_common_transform_give_no_consensus(kind):
    rng = np.random.default_rng(3)
    matches = Correspondences(rng.uniform(0, 900, (12, 2)), rng.uniform(0, 900, (12, 2)), np.ones(12))
    message = (
        rf"^12 matches were found; a transform of kind {kind} must be supported by at least 8, and the best one has"
    )
    with pytest.raises(NoConsensusError, match=message) as found:
        estimate_transform(matches, kind, EstimateConfig(min_inliers=8))
    assert found.value.diagnostics["n_matches"] == 12
    assert found.value.diagnostics["n_inliers"] < 8


@pytest.mark.parametrize("kind", ["homography", "affine"])
def test_points_on_a_line_give_no_consensus(kind):
    x = np.linspace(0, 400, 20)
    line = np.stack([x, 0.5 * x + 3], axis=-1)
    matches = Correspondences(line, line + np.array([3, 4]), np.ones(20))
    with pytest.raises(NoConsensusError):
        estimate_transform(matches, kind)


def test_the_same_point_many_times_gives_no_consensus():
    matches = Correspondences(np.full((20, 2), 7.0), np.full((20, 2), 9.0), np.ones(20))
    with pytest.raises(NoConsensusError):
        estimate_transform(matches, "affine")
    with pytest.raises(NoConsensusError):
        estimate_transform(matches, "homography")
    shift = estimate_transform(matches, "translation").transform
    np.testing.assert_allclose(shift.matrix[:2, 2], [2, 2])


def test_a_refit_never_falls_below_the_fewest_inliers_allowed():
    # All six lie within 3 px of the first, but not of their mean.
    angle = np.deg2rad([50, -50, 0, 180])
    shifts = np.zeros((6, 2))
    shifts[2:] = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * np.array([[2.9], [2.9], [2.9], [2.95]])
    moving = np.random.default_rng(0).uniform(0, 300, (6, 2))
    matches = Correspondences(moving, moving + shifts, np.full(6, 0.5))
    estimate = estimate_transform(matches, "translation", EstimateConfig(min_inliers=6))
    assert estimate.inliers.sum() >= 6


def test_the_threshold_is_in_pixels_of_the_fixed_image():
    truth = Transform.similarity(scale=4)
    matches, _ = make_matches(truth, 40, 0, noise_px=2.0)
    strict = estimate_transform(matches, "similarity", EstimateConfig(threshold_px=2, min_inliers=3))
    loose = estimate_transform(matches, "similarity", EstimateConfig(threshold_px=12))
    assert strict.inliers.sum() < 40 == loose.inliers.sum()
    np.testing.assert_array_equal(residuals_px(strict.transform, matches) <= 2, strict.inliers)


def test_refining_is_a_choice():
    matches, _ = make_matches(TRUTH["affine"], 60, 20, noise_px=0.8)
    raw = estimate_transform(matches, "affine", EstimateConfig(refine=False))
    refined = estimate_transform(matches, "affine")
    chosen = matches.select(refined.inliers)
    best = fit_least_squares(chosen, "affine", weight=confidence_weight(chosen.score))
    np.testing.assert_allclose(refined.transform.matrix, best.matrix, atol=1e-9)
    assert np.abs(raw.transform.matrix - best.matrix).max() > 1e-9


def test_a_shift_is_chosen_by_its_soft_support():
    # A tight cluster of ten outweighs a loose one of twelve.
    rng = np.random.default_rng(1)
    tight = np.array([10, 0]) + rng.normal(0, 0.1, (10, 2))
    loose = np.array([40, 0]) + rng.uniform(-2.9, 2.9, (12, 2))
    moving = rng.uniform(0, 300, (22, 2))
    matches = Correspondences(moving, moving + np.concatenate([tight, loose]), np.ones(22))
    estimate = estimate_transform(matches, "translation")
    assert estimate.inliers.nonzero()[0].tolist() == list(range(10))
    np.testing.assert_allclose(estimate.transform.matrix[:2, 2], tight.mean(axis=0))


def test_residuals_are_distances_in_the_fixed_image():
    matches = Correspondences(np.array([[0.0, 0], [10, 10]]), np.array([[8.0, 9], [15, 15]]), np.ones(2))
    np.testing.assert_allclose(residuals_px(Transform.translation(5, 5), matches), [5, 0])


def design(points_xy: np.ndarray) -> np.ndarray:
    return np.column_stack([points_xy, np.ones(len(points_xy))])


@pytest.fixture
def noisy() -> tuple[Correspondences, np.ndarray]:
    matches, _ = make_matches(TRUTH["affine"], 25, 0, noise_px=3.0, seed=8)
    return matches, np.random.default_rng(9).uniform(0.1, 2, 25)


def test_a_weighted_shift_is_the_weighted_mean(noisy):
    matches, weight = noisy
    expected = np.average(matches.fixed_xy - matches.moving_xy, axis=0, weights=weight)
    fitted = fit_least_squares(matches, "translation", weight=weight)
    np.testing.assert_allclose(fitted.matrix, [[1, 0, expected[0]], [0, 1, expected[1]], [0, 0, 1]])


def test_a_weighted_affine_fit_is_that_of_the_normal_equations(noisy):
    matches, weight = noisy
    root = np.sqrt(weight)[:, None]
    expected = np.linalg.lstsq(design(matches.moving_xy) * root, matches.fixed_xy * root, rcond=None)[0].T
    np.testing.assert_allclose(fit_least_squares(matches, "affine", weight=weight).matrix[:2], expected, atol=1e-8)


def test_a_weighted_similarity_fit_is_that_of_its_four_parameters(noisy):
    matches, weight = noisy
    (x, y), zero, one = matches.moving_xy.T, np.zeros(25), np.ones(25)
    rows = np.concatenate([np.column_stack([x, -y, one, zero]), np.column_stack([y, x, zero, one])])
    root = np.sqrt(np.concatenate([weight, weight]))
    a, b, dx, dy = np.linalg.lstsq(rows * root[:, None], matches.fixed_xy.T.ravel() * root, rcond=None)[0]
    fitted = fit_least_squares(matches, "similarity", weight=weight)
    np.testing.assert_allclose(fitted.matrix[:2], [[a, -b, dx], [b, a, dy]], atol=1e-8)


def test_a_similarity_fit_never_mirrors():
    rng = np.random.default_rng(0)
    moving = rng.uniform(0, 100, (20, 2))
    matches = Correspondences(moving, moving * (-1, 1), np.ones(20))
    assert np.linalg.det(fit_least_squares(matches, "similarity").matrix) > 0


def test_four_points_fix_a_homography():
    moving = np.array([[0.0, 0], [100, 5], [95, 110], [-5, 90]])
    fixed = np.array([[10.0, 12], [130, 2], [110, 140], [0, 100]])
    fitted = fit_least_squares(Correspondences(moving, fixed, np.ones(4)), "homography")
    expected = cv2.getPerspectiveTransform(moving.astype(np.float32), fixed.astype(np.float32))
    np.testing.assert_allclose(fitted(moving), fixed, atol=1e-6)
    np.testing.assert_allclose(fitted.matrix, expected, rtol=1e-4, atol=1e-6)


def test_memory_for_a_homography_grows_with_the_points_and_not_with_their_square():
    rng = np.random.default_rng(3)
    truth = Transform(np.array([[1.02, 0.03, 5], [-0.02, 0.98, -7], [2e-5, -3e-5, 1]]), "homography")
    moving_xy = rng.uniform(0, 1000, (1500, 2))
    tracemalloc.start()
    try:
        found = fit_least_squares(Correspondences(moving_xy, truth(moving_xy), np.ones(1500)), "homography")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(found(moving_xy), truth(moving_xy), atol=1e-6)
    assert peak < 8e6


def test_weights_decide_between_contradicting_points_of_a_homography():
    moving = np.random.default_rng(0).uniform(0, 300, (40, 2))
    truth = TRUTH["homography"]
    fixed = truth(moving)
    fixed[20:] += 4
    weight = np.r_[np.ones(20), np.full(20, 1e-6)]
    fitted = fit_least_squares(Correspondences(moving, fixed, np.ones(40)), "homography", weight=weight)
    assert np.abs(fitted(moving[:20]) - fixed[:20]).max() < 0.01


@pytest.mark.parametrize("fixed_too", [True, False])
def test_a_line_fixes_no_homography(fixed_too):
    x = np.linspace(0, 300, 10)
    line = np.stack([x, x], axis=-1)
    other = line + 5 if fixed_too else np.random.default_rng(0).uniform(0, 300, (10, 2))
    with pytest.raises(NoConsensusError, match=r"on a line or in one place"):
        fit_least_squares(Correspondences(line, other, np.ones(10)), "homography")


def test_a_prior_enters_the_normal_equations_with_its_variance(noisy):
    matches, weight = noisy
    prior, sigma = Transform(np.array([[1.1, 0.1, 0], [-0.2, 0.9, 0], [0, 0, 1]]), "affine"), 0.004
    fitted = fit_least_squares(matches, "affine", weight=weight, prior=prior, prior_sigma=sigma)
    source = matches.moving_xy - np.average(matches.moving_xy, axis=0, weights=weight)
    goal = matches.fixed_xy - np.average(matches.fixed_xy, axis=0, weights=weight)
    ridge = np.eye(2) / sigma
    rows = np.concatenate([source * np.sqrt(weight)[:, None], ridge])
    right = np.concatenate([goal * np.sqrt(weight)[:, None], ridge @ prior.matrix[:2, :2].T])
    expected = np.linalg.lstsq(rows, right, rcond=None)[0].T
    np.testing.assert_allclose(fitted.matrix[:2, :2], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("n", "spread_px", "pull"),
    [(4, 5.0, (0.8, 1.0)), (60, 5.0, (0.5, 1.0)), (4, 2000.0, (0.0, 0.01)), (200, 300.0, (0.0, 0.01))],
)
def test_a_prior_pulls_only_where_few_points_lie_close_together(n, spread_px, pull):
    rng = np.random.default_rng(4)
    moving = 500 + rng.uniform(-1, 1, (n, 2)) * spread_px
    truth, prior = Transform(np.diag([1.05, 1.0, 1.0]), "affine"), Transform.identity()
    matches = Correspondences(moving, truth(moving), np.ones(n))
    fitted = fit_least_squares(matches, "affine", prior=prior, prior_sigma=0.01)
    drawn = (1.05 - fitted.matrix[0, 0]) / 0.05
    assert pull[0] <= drawn <= pull[1]
    # Wherever it pulls, the points themselves stay where they are.
    assert np.abs(fitted(moving.mean(axis=0)) - truth(moving.mean(axis=0))).max() < 1e-9


def test_a_shift_stays_a_shift_whatever_the_prior():
    matches, _ = make_matches(TRUTH["translation"], 20, 0)
    fitted = fit_least_squares(matches, "translation", prior=TRUTH["affine"], prior_sigma=0.01)
    np.testing.assert_array_equal(fitted.matrix[:2, :2], np.eye(2))


def test_weights_rise_with_confidence_and_never_vanish():
    np.testing.assert_allclose(confidence_weight(np.array([-1, 0, 0.5, 1, 3.0])), [0.25, 0.25, 0.75, 1.25, 1.25])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"threshold_px": 0.0}, "threshold_px must be positive, found 0"),
        ({"max_iterations": 0}, "max_iterations must be 1 or more"),
        ({"confidence": 1.0}, "confidence must lie between 0 and 1, found 1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        EstimateConfig(**settings)
