import numpy as np
import pytest

from midground.core.image import Image, three_channels
from midground.errors import InputError


def test_a_plane_becomes_one_channel():
    image = Image.from_array(np.arange(6).reshape(2, 3))

    assert image.n_channels == 1
    assert image.hw == (2, 3)
    assert image.channels.dtype == np.float32
    assert image.valid.all()


@pytest.mark.parametrize(
    ("shape", "n_channels", "hw"),
    [
        ((3, 7, 8), 3, (7, 8)),
        ((7, 8, 3), 3, (7, 8)),
        ((7, 8, 4), 4, (7, 8)),
        ((13, 7, 8), 13, (7, 8)),
        ((3, 8, 4), 3, (8, 4)),
        ((2, 7, 3), 2, (7, 3)),
    ],
    ids=str,
)
def test_channels_are_found_first_or_last(shape, n_channels, hw):
    image = Image.from_array(np.zeros(shape))

    assert (image.n_channels, image.hw) == (n_channels, hw)


def test_values_that_are_not_finite_become_invalid_and_zero():
    array = np.ones((2, 2, 3))
    array[0, 0, 0], array[1, 1, 2] = np.nan, -np.inf

    image = Image.from_array(array)

    assert image.valid.tolist() == [[False, True, True], [True, True, False]]
    assert (image.channels[:, ~image.valid] == 0).all()
    assert (image.channels[:, image.valid] == 1).all()


def test_values_too_large_for_float32_become_invalid():
    with np.errstate(over="ignore"):
        assert not Image.from_array(np.full((2, 2), 1e300)).valid.any()


def test_the_given_mask_is_joined_with_the_finite_pixels_and_not_changed():
    mask = np.array([[True, False], [True, True]])

    image = Image.from_array(np.array([[1.0, 1.0], [np.nan, 1.0]]), mask)

    assert image.valid.tolist() == [[True, False], [False, True]]
    assert image.channels[0].tolist() == [[1, 0], [0, 1]]
    assert mask.tolist() == [[True, False], [True, True]]


def test_a_complex_array_asks_for_the_amplitude():
    with pytest.raises(InputError, match=r"single-look complex.*numpy\.abs"):
        Image.from_array(np.zeros((4, 4), np.complex64))


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4), (0, 4), (3, 0, 4)], ids=str)
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match="Expected an array of shape"):
        Image.from_array(np.zeros(shape))


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"mask has shape \(4, 5\), the image \(5, 4\)"):
        Image.from_array(np.zeros((5, 4)), np.ones((4, 5), bool))


def test_crop_cuts_channels_and_mask_alike():
    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    part = Image.from_array(values, values != 7).crop(1, 2, 2, 3)

    assert part.channels[0].tolist() == [[0, 8, 9], [12, 13, 14]]
    assert part.valid.tolist() == [[False, True, True], [True, True, True]]


def test_a_window_may_reach_beyond_the_image():
    image = Image.from_array(np.arange(1, 7, dtype=np.float32).reshape(2, 3))
    inside = image.crop_padded(0, 1, 2, 2)
    np.testing.assert_array_equal(inside.channels, image.crop(0, 1, 2, 2).channels)
    around = image.crop_padded(-1, 1, 2, 4)
    np.testing.assert_array_equal(around.channels, [[[0, 0, 0, 0], [2, 3, 0, 0]]])
    np.testing.assert_array_equal(around.valid, [[False] * 4, [True, True, False, False]])
    for top, left in ((5, 0), (0, -9), (-3, 7)):
        outside = image.crop_padded(top, left, 2, 2)
        assert outside.hw == (2, 2)
        assert not outside.valid.any()


@pytest.mark.parametrize(("n_channels", "chosen"), [(1, [0]), (3, [0, 1, 2]), (4, [0, 1, 2]), (9, [0, 3, 6])])
def test_three_channels_are_chosen_evenly(n_channels, chosen):
    image = Image.from_array(np.arange(n_channels, dtype=np.float32)[:, None, None] * np.ones((2, 5), np.float32))

    assert three_channels(image).channels[:, 0, 0].tolist() == chosen
