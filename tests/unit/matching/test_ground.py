import numpy as np

from midground.core.image import Image
from midground.matching.ground import clearance_px, fill_from_nearest, filled_rgb, on_valid_pixels, standardised


def test_invalid_pixels_take_the_nearest_valid_value():
    image = Image.from_array(np.array([[1, np.nan, np.nan, np.nan, 5]] * 3, np.float32))

    (filled,) = fill_from_nearest(image)

    assert filled[:, [0, 1, 3, 4]].tolist() == [[1, 1, 5, 5]] * 3
    assert np.isin(filled[:, 2], [1, 5]).all()


def test_valid_pixels_are_left_alone():
    values = np.random.default_rng(0).random((20, 30), dtype=np.float32)
    valid = np.random.default_rng(1).random((20, 30)) > 0.5
    image = Image.from_array(values, valid)

    np.testing.assert_array_equal(fill_from_nearest(image)[0][valid], values[valid])
    np.testing.assert_array_equal(fill_from_nearest(Image.from_array(values)), values[None])


def test_each_channel_is_filled_by_its_own_values():
    image = Image.from_array(np.array([[[1, np.nan]], [[7, np.nan]]], np.float32))

    assert fill_from_nearest(image).tolist() == [[[1, 1]], [[7, 7]]]


def test_an_image_without_data_is_left_as_it_is():
    image = Image.from_array(np.full((2, 3), 0.5), np.zeros((2, 3), bool))

    np.testing.assert_array_equal(fill_from_nearest(image), image.channels)


def test_standardising_looks_at_valid_pixels_alone() -> None:
    channels = np.array([[[1.0, 3.0, 9.0]], [[5.0, 5.0, 9.0]]], np.float32)
    found = standardised(Image.from_array(channels, np.array([[True, True, False]])))
    np.testing.assert_array_equal(found, [[[-1, 1, 0]], [[0, 0, 0]]])


def test_clearance_is_the_distance_to_the_nearest_invalid_pixel():
    valid = np.ones((9, 20), bool)
    valid[:, 5] = False
    points_xy = np.array([[5.0, 4.0], [5.4, 4.0], [6.0, 4.0], [15.0, 0.0], [0.0, 8.0]])

    np.testing.assert_allclose(clearance_px(points_xy, valid), [0, 0, 1, 10, 5], atol=0.1)


def test_clearance_of_an_image_without_invalid_pixels_is_large():
    assert clearance_px(np.array([[1.0, 1.0]]), np.ones((4, 4), bool))[0] > 1e6
    assert clearance_px(np.zeros((0, 2)), np.ones((4, 4), bool)).shape == (0,)


def test_points_are_valid_on_the_pixel_that_they_lie_on():
    valid = np.array([[True, True, False], [True, True, True]])
    image = Image.from_array(np.ones((2, 3)), valid)
    points_xy = np.array(
        [[0.0, 0.0], [1.4, 0.0], [1.6, 0.0], [2.0, 0.6], [2.0, 1.0], [-0.1, 0.0], [2.1, 1.0], [0.0, 1.1]]
    )

    assert on_valid_pixels(points_xy, image).tolist() == [True, True, False, True, True, False, False, False]


def test_channels_as_a_photograph():
    valid = np.array([[True, False]])
    image = Image.from_array(np.array([[[1.0, 9.0]], [[2.0, 9.0]], [[3.0, 9.0]]]), valid)

    for n_channels, colours in ((1, [1, 1, 1]), (2, [1, 2, 2]), (3, [1, 2, 3])):
        filled = filled_rgb(Image(image.channels[:n_channels], valid))
        assert filled.tolist() == [[[colour, colour]] for colour in colours]
