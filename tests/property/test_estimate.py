"""Robust estimation recovers any plausible model at 50 % outliers, and does not care in which order matches come."""

from __future__ import annotations

import numpy as np
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform
from midground.registration.config import EstimateConfig
from midground.registration.estimate import estimate_transform, fit_least_squares

SIDE_PX = 600


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False, width=32)


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    kind = draw(st.sampled_from(["translation", "similarity", "affine", "homography"]))
    dx, dy = draw(numbers(-300, 300)), draw(numbers(-300, 300))
    if kind == "translation":
        return Transform.translation(dx, dy)
    turned = Transform.similarity(scale=draw(numbers(0.75, 1.5)), rotation_deg=draw(numbers(-180, 180)), dx=dx, dy=dy)
    if kind == "similarity":
        return turned
    skew = np.eye(3)
    skew[0, 1], skew[1, 1] = draw(numbers(-0.25, 0.25)), draw(numbers(0.75, 1.25))
    if kind == "homography":
        skew[2, :2] = draw(numbers(-1, 1)) * 2e-4, draw(numbers(-1, 1)) * 2e-4
    return Transform(turned.matrix @ skew, kind)


def half_outliers(
    truth: Transform, n: int, draw_seed: int, noise_px: float = 0.2
) -> tuple[Correspondences, np.ndarray]:
    rng = np.random.default_rng(draw_seed)
    moving = rng.uniform(0, SIDE_PX, (2 * n, 2))
    fixed = truth(moving) + rng.normal(0, noise_px, moving.shape)
    angle, distance = rng.uniform(0, 2 * np.pi, n), rng.uniform(15, 400, n)
    fixed[n:] += np.stack([np.cos(angle), np.sin(angle)], axis=-1) * distance[:, None]
    return Correspondences(moving, fixed, rng.uniform(0, 1, 2 * n)), np.arange(2 * n) < n


def place_error_px(one: Transform, other: Transform) -> float:
    axis = np.linspace(0, SIDE_PX, 5)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    return float(np.linalg.norm(one(grid) - other(grid), axis=1).max())


@seed(20)
@settings(max_examples=60)
@given(truth=transforms(), n=st.integers(30, 80), draw_seed=st.integers(0, 2**16))
def test_a_model_is_recovered_at_half_outliers(truth, n, draw_seed):
    matches, is_inlier = half_outliers(truth, n, draw_seed)
    estimate = estimate_transform(matches, truth.kind)
    assert (estimate.inliers & is_inlier).sum() >= 0.97 * n
    assert (estimate.inliers & ~is_inlier).sum() <= 0.05 * n + 1
    assert place_error_px(estimate.transform, truth) < 2.0


@seed(21)
@settings(max_examples=40)
@given(truth=transforms(), draw_seed=st.integers(0, 2**16), order_seed=st.integers(0, 2**16))
def test_the_order_of_the_matches_does_not_matter(truth, draw_seed, order_seed):
    matches, _ = half_outliers(truth, 40, draw_seed)
    order = np.random.default_rng(order_seed).permutation(len(matches))
    one, other = (estimate_transform(each, truth.kind) for each in (matches, matches.select(order)))
    assert place_error_px(one.transform, other.transform) < 0.5
    assert (one.inliers[order] != other.inliers).sum() <= 2


@seed(22)
@settings(max_examples=40)
@given(truth=transforms(), draw_seed=st.integers(0, 2**16), config_seed=st.integers(0, 2**31 - 1))
def test_one_seed_gives_one_answer(truth, draw_seed, config_seed):
    matches, _ = half_outliers(truth, 20, draw_seed)
    config = EstimateConfig(seed=config_seed)
    one, other = (estimate_transform(matches, truth.kind, config) for _ in range(2))
    np.testing.assert_array_equal(one.transform.matrix, other.transform.matrix)
    np.testing.assert_array_equal(one.inliers, other.inliers)


@seed(23)
@settings(max_examples=60)
@given(truth=transforms(), draw_seed=st.integers(0, 2**16))
def test_least_squares_is_exact_on_exact_matches(truth, draw_seed):
    rng = np.random.default_rng(draw_seed)
    moving = rng.uniform(0, SIDE_PX, (30, 2))
    matches = Correspondences(moving, truth(moving), np.ones(30))
    fitted = fit_least_squares(matches, truth.kind, weight=rng.uniform(0.1, 2, 30))
    assert place_error_px(fitted, truth) < 1e-4
