import numpy as np
import pytest

from midground.core.image import Image
from midground.core.radiometry import (
    SAR_SCALES,
    Scaling,
    detect_sar_scale,
    log_floor,
    scene_limits,
    to_log_scale,
    to_unit,
)
from midground.errors import InputError


def image(values, valid=None) -> Image:
    return Image.from_array(np.atleast_2d(np.asarray(values, np.float32)), valid)


@pytest.mark.parametrize(
    ("values", "dtype", "scale", "reason"),
    [
        ([0, 100, 255], "uint8", "8bit", "8-bit"),
        ([-18.0, -12.0, -7.0], "float32", "db", "100% of the values are negative"),
        ([0.01, 0.08, 1.9], "float32", "power", "linear power"),
        ([40.0, 120.0, 900.0], "float32", "amplitude", "median 120"),
        ([40, 120, 900], "uint16", "amplitude", "uint16 values"),
        ([0, 1, 2], "int16", "amplitude", "int16 values"),
        ([-2500, -1200, -900], "int16", "db", "negative"),
    ],
)
def test_scale_is_guessed_and_explained(values, dtype, scale, reason):
    guess = detect_sar_scale(image(values), dtype)

    assert guess.scale == scale
    assert reason in guess.reason
    assert guess.scale in SAR_SCALES


def test_a_few_negative_values_from_resampling_do_not_make_decibels():
    values = np.full(1000, 0.1)
    values[:10] = -0.001

    assert detect_sar_scale(image(values), "float32").scale == "power"


def test_invalid_pixels_have_no_say():
    values = np.array([-9999.0, -9999.0, 0.1, 0.2])

    assert detect_sar_scale(image(values, (values > 0)[None]), "float32").scale == "power"


@pytest.mark.parametrize(("scale", "expected"), [("power", [-10, 0, 10]), ("amplitude", [-20, 0, 20])])
def test_linear_values_become_decibels(scale, expected):
    np.testing.assert_allclose(to_log_scale(image([0.1, 1, 10]), scale).channels[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("scale", ["db", "8bit"])
def test_values_that_are_logarithmic_or_stretched_pass(scale):
    given = image([1, 2, 3])

    assert to_log_scale(given, scale) is given


def test_values_without_signal_become_the_smallest_positive_one():
    values = image([0.0, -1.0, 0.01, 1.0])

    np.testing.assert_allclose(to_log_scale(values, "power").channels[0, 0], [-20, -20, -20, 0], atol=1e-5)


def test_windows_share_the_floor_of_their_scene():
    scene = image([[0.0, 0.0], [0.01, 1.0]])
    floor = log_floor(scene, "power")

    assert floor == pytest.approx(0.01)
    np.testing.assert_allclose(to_log_scale(scene.crop(0, 0, 1, 2), "power", floor=floor).channels[0], [[-20, -20]])
    np.testing.assert_allclose(to_log_scale(image([1e-5, 0.1]), "power", floor=floor).channels[0, 0], [-20, -10])
    assert log_floor(scene, "db") is log_floor(scene, "8bit") is None


def test_invalid_pixels_stay_zero_in_decibels():
    values = image([0.01, 100, np.nan])

    np.testing.assert_allclose(to_log_scale(values, "power").channels[0, 0], [-20, 20, 0], atol=1e-5)


def test_linear_values_without_any_signal_are_refused():
    with pytest.raises(InputError, match="no positive value, so it cannot be power"):
        to_log_scale(image([0, -1]), "power")


def test_limits_are_percentiles_of_each_channel_over_valid_pixels():
    values = np.stack([np.arange(101), 10 * np.arange(101)]).astype(np.float32).reshape(2, 1, 101)
    valid = np.ones((1, 101), bool)
    assert scene_limits(Image.from_array(values, valid), Scaling("percentile", 1, 99)).tolist() == [[1, 99], [10, 990]]

    values[:, 0, 50:] = 1e6
    valid[:, 50:] = False
    limits = scene_limits(Image.from_array(values, valid), Scaling("percentile", 0, 100))
    assert limits.tolist() == [[0, 49], [0, 490]]


def test_fixed_limits_ignore_the_values():
    limits = scene_limits(Image.from_array(np.zeros((2, 3, 3))), Scaling("fixed", -25, 0))

    assert limits.tolist() == [[-25, 0], [-25, 0]]


def test_limits_of_a_large_scene_are_sampled_from_all_of_it():
    ramp = np.tile(np.linspace(0, 1, 2500, dtype=np.float32), (2500, 1))

    limits = scene_limits(Image.from_array(ramp), Scaling("percentile", 10, 90))

    np.testing.assert_allclose(limits, [[0.1, 0.9]], atol=2e-3)


def test_a_scene_without_data_is_refused():
    nothing = Image.from_array(np.full((3, 3), np.nan))

    with pytest.raises(InputError, match="no valid pixel"):
        scene_limits(nothing, Scaling())
    with pytest.raises(InputError, match="no valid pixel"):
        detect_sar_scale(nothing, "float32")


def test_unit_scaling_maps_limits_to_0_and_1_and_clips():
    scaled = to_unit(image([-1, 0, 5, 10, 99, np.nan]), np.array([[0.0, 10.0]]))

    np.testing.assert_allclose(scaled.channels[0, 0], [0, 0, 0.5, 1, 1, 0])
    assert scaled.channels.dtype == np.float32


def test_a_constant_image_scales_without_a_warning():
    scaled = to_unit(image([4, 4, 4]), np.array([[4.0, 4.0]]))

    assert scaled.channels[0, 0].tolist() == [0, 0, 0]
