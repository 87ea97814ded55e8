"""Held-out residuals, the jackknife, halves and coverage, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform
from midground.errors import NoConsensusError
from midground.registration.validation import (
    coverage,
    grid_xy,
    halves,
    hold_out,
    mean_distance_px,
    spatial_blocks,
    weighted_fit,
)

HW = (400, 800)
IDENTITY = Transform.identity()


def grid_matches(residual_px: np.ndarray | float = 0.0, n: int = 12) -> Correspondences:
    x, y = np.meshgrid(np.linspace(5, HW[1] - 6, n), np.linspace(5, HW[0] - 6, n))
    points = np.stack([x.ravel(), y.ravel()], axis=-1)
    offset = np.zeros_like(points)
    offset[:, 0] = residual_px
    return Correspondences(points, points + offset, np.ones(len(points)))


def always_identity(matches, kind):
    return IDENTITY


@pytest.mark.parametrize(
    ("point", "block"), [((0, 0), 0), ((799, 0), 3), ((0, 399), 12), ((799, 399), 15), ((399, 199), 5), ((-3, 900), 12)]
)
def test_blocks_are_numbered_by_row(point, block):
    assert spatial_blocks(np.array([point], dtype=np.float64), HW)[0] == block


def test_no_fold_sees_the_blocks_that_it_is_tested_on():
    matches = grid_matches()
    block = spatial_blocks(matches.moving_xy, HW)
    seen: list[set[int]] = []

    def spy(kept, kind):
        kept_blocks = set(spatial_blocks(kept.moving_xy, HW).tolist())
        # A block is kept whole or left out whole.
        assert len(kept) == np.isin(block, list(kept_blocks)).sum()
        seen.append(kept_blocks)
        return IDENTITY

    hold_out(matches, np.ones(len(matches), bool), "affine", HW, spy, threshold_px=3)
    left_out = [set(range(16)) - kept for kept in seen]
    assert len(left_out) == 5
    assert sorted(block for blocks in left_out for block in blocks) == list(range(16))


def test_every_residual_comes_from_the_fit_that_did_not_see_its_point():
    rng = np.random.default_rng(0)
    matches = grid_matches(rng.normal(0, 0.5, 144))
    block = spatial_blocks(matches.moving_xy, HW)
    shifts: dict[int, float] = {}

    def mark(kept, kind):
        missing = set(range(16)) - set(spatial_blocks(kept.moving_xy, HW).tolist())
        shift = 0.1 * (min(missing) + 1)
        shifts.update(dict.fromkeys(missing, shift))
        return Transform.translation(shift, 0)

    held = hold_out(matches, np.ones(144, bool), "translation", HW, mark, threshold_px=3)
    offset = (matches.fixed_xy - matches.moving_xy)[:, 0]
    np.testing.assert_allclose(held.residual_px, np.abs(offset - [shifts[one] for one in block]), atol=1e-9)


def test_outliers_are_not_fitted_but_are_measured():
    matches = grid_matches(np.r_[np.full(10, 40.0), np.zeros(134)])
    inliers = np.r_[np.zeros(10, bool), np.ones(134, bool)]

    def refuse_outliers(kept, kind):
        np.testing.assert_array_equal(kept.fixed_xy, kept.moving_xy)
        return IDENTITY

    held = hold_out(matches, inliers, "affine", HW, refuse_outliers, threshold_px=3)
    np.testing.assert_allclose(held.residual_px[:10], 40)
    assert held.ce90_px == held.rmse_px == 0


def test_ce90_and_rmse_have_their_known_values():
    residual = np.arange(144) / 100
    held = hold_out(grid_matches(residual), np.ones(144, bool), "affine", HW, always_identity, threshold_px=3)
    np.testing.assert_allclose(np.sort(held.residual_px), residual, atol=1e-9)
    assert held.ce90_px == pytest.approx(1.287)  # 0.9 × 143 hundredths
    assert held.rmse_px == pytest.approx(np.sqrt((residual**2).mean()))


def test_matches_beyond_twice_the_threshold_are_outliers_and_not_residuals():
    residual = np.r_[np.full(44, 1.0), np.full(50, 3.9), np.full(50, 4.1)]
    held = hold_out(grid_matches(residual), np.ones(144, bool), "affine", HW, always_identity, threshold_px=2)
    assert held.ce90_px == pytest.approx(3.9)
    assert held.rmse_px == pytest.approx(np.sqrt((44 + 50 * 3.9**2) / 94))


def test_the_jackknife_spreads_the_folds_by_its_formula():
    shifts = [(0.0, 0), (1, 0), (0, 2), (3, 1), (1, 1)]
    left = list(shifts)

    def next_shift(kept, kind):
        return Transform.translation(*map(float, left.pop()))

    held = hold_out(grid_matches(), np.ones(144, bool), "translation", HW, next_shift, threshold_px=3)
    spread = ((np.array(shifts) - np.mean(shifts, axis=0)) ** 2).sum()
    assert held.transform_std_px == pytest.approx(np.sqrt(4 / 5 * spread))


def test_the_jackknife_foretells_the_error_of_the_fit():
    fit = weighted_fit(IDENTITY, 0.01)
    errors, foretold = [], []
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 1, (144, 2))
        points = grid_matches()
        matches = Correspondences(points.moving_xy, points.fixed_xy + noise, points.score)
        whole = fit(matches, "affine")
        errors.append(np.sqrt((np.linalg.norm(whole(grid_xy(HW)) - grid_xy(HW), axis=1) ** 2).mean()))
        held = hold_out(matches, np.ones(144, bool), "affine", HW, fit, threshold_px=5)
        foretold.append(held.transform_std_px)
    assert np.sqrt(np.mean(np.square(foretold))) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.35)


def test_nothing_can_be_held_out_of_one_block():
    points = np.random.default_rng(0).uniform(0, 90, (30, 2))
    matches = Correspondences(points, points, np.ones(30))
    held = hold_out(matches, np.ones(30, bool), "translation", HW, always_identity, threshold_px=3)
    assert held.ce90_px is held.rmse_px is held.transform_std_px is None
    assert np.isinf(held.residual_px).all()


def test_nothing_can_be_held_out_of_no_matches():
    held = hold_out(Correspondences.empty(), np.zeros(0, bool), "affine", HW, always_identity, threshold_px=3)
    assert held.ce90_px is None
    assert len(held.residual_px) == 0


def test_folds_that_leave_too_few_points_or_no_fit_do_not_count():
    few = grid_matches(n=2)
    assert hold_out(few, np.ones(4, bool), "affine", HW, always_identity, threshold_px=3).ce90_px is None

    def fails(kept, kind):
        raise NoConsensusError("no")

    held = hold_out(grid_matches(), np.ones(144, bool), "homography", HW, fails, threshold_px=3)
    assert held.transform_std_px is None
    assert np.isinf(held.residual_px).all()


def test_the_weighted_fit_listens_to_confidence():
    points = grid_matches().moving_xy
    fixed = points.copy()
    fixed[::2, 0] += 2
    score = np.tile([1.0, 0.0], 72)
    fitted = weighted_fit(IDENTITY, 0.01)(Correspondences(points, fixed, score), "translation")
    assert fitted.matrix[0, 2] == pytest.approx(2 * 1.25 / 1.5)


def test_halves_are_a_chequerboard():
    centres = np.stack(np.meshgrid(np.arange(4) * 200 + 100.0, np.arange(4) * 100 + 50.0), axis=-1).reshape(-1, 2)
    first = halves(centres, HW).reshape(4, 4)
    rows, columns = np.indices((4, 4))
    np.testing.assert_array_equal(first, (rows + columns) % 2 == 0)


def test_distances_between_transforms_are_means_over_the_image():
    assert mean_distance_px(IDENTITY, Transform.translation(3, 4), HW) == pytest.approx(5)
    grid = grid_xy((101, 201), n=3)
    np.testing.assert_array_equal(grid[[0, 1, 3, 8]], [[0, 0], [100, 0], [0, 50], [200, 100]])


def test_coverage_is_the_share_of_the_overlap_near_a_point():
    overlap = np.ones((200, 200), bool)
    assert coverage(np.array([[100.0, 100.0]]), overlap, 50) == pytest.approx(np.pi * 50**2 / 200**2, rel=0.05)
    assert coverage(np.array([[100.0, 100.0]]), overlap, 300) == 1
    two = np.array([[40.0, 40.0], [160.0, 160.0]])
    assert coverage(two, overlap, 30) == pytest.approx(2 * np.pi * 30**2 / 200**2, rel=0.05)


def test_coverage_counts_the_overlap_alone():
    overlap = np.zeros((100, 300), bool)
    overlap[:, :100] = True
    everywhere = np.stack(np.meshgrid(np.arange(0, 300, 10.0), np.arange(0, 100, 10.0)), axis=-1).reshape(-1, 2)
    assert coverage(everywhere, overlap, 15) == 1
    assert coverage(everywhere[everywhere[:, 0] >= 200], overlap, 20) == 0
    # (x, y), not (row, column).
    assert coverage(np.array([[50.0, 5.0]]), overlap, 5) > 0


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.array([[-20.0, 5], [5, 400]])])
def test_points_outside_cover_nothing(points):
    assert coverage(points, np.ones((100, 100), bool), 10) == 0


def test_no_overlap_is_covered_by_nothing():
    assert coverage(np.array([[5.0, 5.0]]), np.zeros((50, 50), bool), 10) == 0
