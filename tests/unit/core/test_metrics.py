import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from midground.core import metrics
from midground.core.correspondences import Correspondences
from midground.core.metrics import SsimConfig, Summary
from midground.core.transforms import Transform
from midground.errors import ConfigError

IDENTITY = Transform.identity()
INFINITY = float("inf")


def matches_off_by(*errors_px: float) -> Correspondences:
    """Matches that miss the identity by given distances, in changing directions."""
    n = len(errors_px)
    moving_xy = np.arange(2.0 * n).reshape(n, 2) * 10
    angle = np.arange(n)
    offset = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * np.reshape(errors_px, (n, 1))
    return Correspondences(moving_xy, moving_xy + offset, np.ones(n))


def picture(*, hw=(12, 17), n_channels=2, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).random((n_channels, *hw), dtype=np.float32)


def test_ace_is_the_mean_corner_distance_and_infinite_for_a_failure():
    assert metrics.ace(Transform.translation(3, 4), IDENTITY, (100, 200)) == pytest.approx(5)
    assert metrics.ace(Transform.translation(3, 4), Transform.translation(3, 4), (100, 200)) == 0
    assert metrics.ace(None, IDENTITY, (100, 200)) == INFINITY


def test_success_counts_failures_in_the_denominator():
    assert metrics.success_rate([1.0, 39.99, 40.0, INFINITY]) == Summary(0.5, 4, 4)
    assert metrics.success_rate([1.0, 4.0, INFINITY], threshold_px=3) == Summary(1 / 3, 3, 3)
    assert metrics.success_rate([]) == Summary(None, 0, 0)


@pytest.mark.parametrize(
    ("errors", "median"),
    [
        ([1.0, 2.0, 9.0], 2.0),
        ([1.0, 2.0, 4.0, 9.0], 3.0),
        ([1.0, 2.0, INFINITY], 2.0),
        ([1.0, INFINITY], INFINITY),
        ([INFINITY, INFINITY], INFINITY),
        ([], None),
    ],
)
def test_median_counts_failures_as_infinite(errors, median):
    assert metrics.median_error(errors) == Summary(median, len(errors), len(errors))


def test_mean_over_successes_says_how_many_there_were():
    assert metrics.mean_error_of_successes([10.0, 20.0, 50.0, INFINITY]) == Summary(15, 2, 4)
    assert metrics.mean_error_of_successes([50.0, INFINITY]) == Summary(None, 0, 2)


@pytest.mark.parametrize("errors", [[float("nan")], [1.0, -0.1]], ids=["nan", "negative"])
@pytest.mark.parametrize("aggregate", [metrics.success_rate, metrics.median_error, metrics.mean_error_of_successes])
def test_what_is_no_error_is_refused(aggregate, errors):
    with pytest.raises(ConfigError, match="give a failed registration an infinite one"):
        aggregate(errors)


def test_mean_of_defined_values_is_not_pulled_to_zero_by_the_others():
    """The defect of the paper's public code: one pair of 1.268 px and nine without a correct match gave 0.126 px."""
    assert metrics.mean_of_defined([1.268, *[None] * 9]) == Summary(1.268, 1, 10)
    assert metrics.mean_of_defined([None, None]) == Summary(None, 0, 2)
    assert metrics.mean_of_defined([0.0, 1.0]) == Summary(0.5, 2, 2)


def test_mma_is_the_share_of_inliers_of_the_estimate():
    matches = matches_off_by(0, 1, 2.999, 3.5)

    assert metrics.mma(matches, IDENTITY) == 0.75
    assert metrics.mma(matches, IDENTITY, threshold_px=4) == 1
    assert metrics.mma(matches, Transform.translation(100, 0)) == 0
    assert metrics.mma(matches, None) is None
    assert metrics.mma(Correspondences.empty(), IDENTITY) is None


def test_cmr_is_the_share_of_correct_matches():
    matches = matches_off_by(0, 1, 2, 30)

    assert metrics.cmr(matches, IDENTITY, threshold_px=1.5) == 0.5
    assert metrics.cmr(matches, IDENTITY, threshold_px=0) == 0.25
    assert metrics.cmr(matches_off_by(9, 9), IDENTITY, threshold_px=5) == 0
    assert metrics.cmr(Correspondences.empty(), IDENTITY, threshold_px=5) is None


def test_localization_error_is_undefined_without_a_correct_match():
    assert metrics.localization_error(matches_off_by(0, 1, 2, 30), IDENTITY, threshold_px=5) == pytest.approx(1)
    assert metrics.localization_error(matches_off_by(9, 9), IDENTITY, threshold_px=5) is None
    assert metrics.localization_error(Correspondences.empty(), IDENTITY, threshold_px=5) is None


def test_mean_point_error_is_over_all_matches():
    assert metrics.mean_point_error(matches_off_by(0, 1, 2, 30), IDENTITY) == pytest.approx(33 / 4)
    assert metrics.mean_point_error(Correspondences.empty(), IDENTITY) is None


def test_point_errors_go_from_moving_to_fixed():
    matches = Correspondences(np.array([[1.0, 2.0]]), np.array([[11.0, 2.0]]), np.ones(1))

    assert metrics.point_errors(matches, Transform.translation(10, 0)).tolist() == [0]
    assert metrics.point_errors(matches.swapped(), Transform.translation(10, 0)).tolist() == [20]


def test_ce90_is_the_90th_percentile():
    assert metrics.ce90(np.arange(11.0)) == pytest.approx(9)
    assert metrics.ce90(np.array([2.5])) == 2.5
    assert metrics.ce90(np.zeros(0)) is None


def test_rmse_and_psnr_of_a_constant_difference():
    fixed = np.full((2, 3, 4), 0.5, np.float32)
    moving = fixed + np.float32(0.1)

    assert metrics.rmse(moving, fixed) == pytest.approx(0.1)
    assert metrics.psnr(moving, fixed) == pytest.approx(20)
    assert metrics.psnr(255 * moving, 255 * fixed, data_range=255) == pytest.approx(20)
    assert metrics.rmse(fixed, fixed) == 0
    assert metrics.psnr(fixed, fixed) == INFINITY


def test_invalid_pixels_take_no_part():
    moving, fixed = picture(), picture()
    valid = np.ones((12, 17), bool)
    valid[:, 13:] = False
    moving[:, :, 13:] = 77

    assert metrics.rmse(moving, fixed, valid) == 0
    assert metrics.psnr(moving, fixed, valid) == INFINITY
    assert metrics.ssim(moving, fixed, valid) == pytest.approx(1)
    assert metrics.ssim(moving, fixed) < 0.9


def test_similarity_without_a_valid_pixel_is_undefined():
    nothing = np.zeros((12, 17), bool)

    assert metrics.rmse(picture(), picture(), nothing) is None
    assert metrics.psnr(picture(), picture(), nothing) is None
    assert metrics.ssim(picture(), picture(), nothing) is None
    assert metrics.ssim(picture(hw=(4, 30)), picture(hw=(4, 30))) is None


def test_ssim_of_one_window_follows_the_equation():
    moving, fixed = picture(hw=(5, 5), n_channels=1), picture(hw=(5, 5), n_channels=1, seed=1)
    a, b = moving.ravel().astype(float), fixed.ravel().astype(float)
    covariance = np.cov(a, b)
    c1, c2 = 0.01**2, 0.03**2
    expected = ((2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)) / (
        (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    )

    assert metrics.ssim(moving, fixed) == pytest.approx(expected, rel=1e-9)


def test_ssim_is_the_mean_over_windows_and_channels():
    moving, fixed = picture(), picture(seed=1)
    windows = [
        metrics.ssim(moving[c : c + 1, y : y + 5, x : x + 5], fixed[c : c + 1, y : y + 5, x : x + 5])
        for c in range(2)
        for y in range(8)
        for x in range(13)
    ]

    assert metrics.ssim(moving, fixed) == pytest.approx(np.mean(windows), rel=1e-9)


def test_ssim_tells_equal_from_opposite():
    fixed = picture()

    assert metrics.ssim(fixed, fixed) == pytest.approx(1)
    assert metrics.ssim(1 - fixed, fixed) < -0.5
    assert metrics.ssim(np.full_like(fixed, 0.5), np.full_like(fixed, 0.5)) == pytest.approx(1)


def test_ssim_constants_and_window_are_settings():
    moving, fixed = picture(), picture(seed=1)
    default = metrics.ssim(moving, fixed)

    assert metrics.ssim(moving, fixed, config=SsimConfig(k1=0.001, k2=0.003)) != default
    assert metrics.ssim(moving, fixed, config=SsimConfig(window_px=11)) != default
    assert metrics.ssim(255 * moving, 255 * fixed, config=SsimConfig(data_range=255)) == pytest.approx(default)


@pytest.mark.parametrize("wrong", [{"window_px": 1}, {"k1": 0}, {"k2": -1}, {"data_range": 0}])
def test_ssim_refuses_settings_out_of_range(wrong):
    with pytest.raises(ConfigError, match="ssim"):
        SsimConfig(**wrong)


@given(
    errors=arrays.arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 50)),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=50, deadline=None)
def test_metrics_do_not_depend_on_the_order_of_matches(errors, seed):
    matches = matches_off_by(*errors)
    shuffled = matches.select(np.random.default_rng(seed).permutation(len(matches)))

    for metric in (metrics.cmr, metrics.localization_error):
        assert metric(shuffled, IDENTITY, threshold_px=5) == pytest.approx(metric(matches, IDENTITY, threshold_px=5))
    assert metrics.mma(shuffled, IDENTITY) == metrics.mma(matches, IDENTITY)
    assert metrics.mean_point_error(shuffled, IDENTITY) == pytest.approx(metrics.mean_point_error(matches, IDENTITY))
    assert metrics.ce90(metrics.point_errors(shuffled, IDENTITY)) == pytest.approx(
        metrics.ce90(metrics.point_errors(matches, IDENTITY))
    )


@given(st.lists(st.one_of(st.just(INFINITY), st.floats(0, 100)), min_size=1, max_size=20), st.randoms())
@settings(max_examples=50, deadline=None)
def test_aggregates_do_not_depend_on_the_order_of_pairs(errors, random):
    shuffled = random.sample(errors, len(errors))

    assert metrics.success_rate(shuffled) == metrics.success_rate(errors)
    assert metrics.median_error(shuffled) == metrics.median_error(errors)
    mean, again = metrics.mean_error_of_successes(errors), metrics.mean_error_of_successes(shuffled)
    assert (mean.n_defined, mean.n_total) == (again.n_defined, again.n_total)
    assert mean.value is None if again.value is None else mean.value == pytest.approx(again.value)
