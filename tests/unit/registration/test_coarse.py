"""The shift between whole images: its sign, its range, and what is known about it."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import InputError
from midground.registration.coarse import MappedPair, coarse_shifts, reduce


def shift_of(coarse):
    return coarse.transform.matrix[:2, 2]


@pytest.mark.parametrize("shift_xy", [(21.0, -34.0), (-17.4, 8.6)])
@pytest.mark.parametrize("hw", [(180, 260), (240, 170)])
def test_the_shift_is_found_with_its_sign(textured, shift_xy, hw):
    pair = MappedPair("any", textured(hw), textured(hw, Transform.translation(*shift_xy)))
    (coarse,) = coarse_shifts([pair], 60)
    np.testing.assert_allclose(shift_of(coarse), shift_xy, atol=0.3)
    assert coarse.peak_ratio > 1.5
    assert not coarse.at_edge


def test_images_may_differ_in_size(textured):
    pair = MappedPair("any", textured((150, 200)), textured((220, 170), Transform.translation(25, 40)))
    np.testing.assert_allclose(shift_of(coarse_shifts([pair], 80)[0]), (25, 40), atol=0.3)


def test_shifts_that_part_the_images_are_not_searched(textured):
    pair = MappedPair("any", textured((150, 200)), textured((150, 200), Transform.translation(25, 40)))
    np.testing.assert_allclose(shift_of(coarse_shifts([pair], 1_000_000)[0]), (25, 40), atol=0.3)


def test_large_images_are_reduced_and_the_shift_stays_in_full_pixels(textured):
    pair = MappedPair(
        "any", textured((500, 1300), n_channels=1), textured((500, 1300), Transform.translation(-93, 58), n_channels=1)
    )
    np.testing.assert_allclose(shift_of(coarse_shifts([pair], 150)[0]), (-93, 58), atol=1.5)


def test_every_mapper_answers_for_itself(textured):
    hw = (160, 160)
    pairs = [
        MappedPair("one", textured(hw), textured(hw, Transform.translation(9, 4))),
        MappedPair("two", textured(hw, seed=5), textured(hw, Transform.translation(-20, 11), seed=5)),
    ]
    one, two = coarse_shifts(pairs, 40)
    np.testing.assert_allclose(shift_of(one), (9, 4), atol=0.3)
    np.testing.assert_allclose(shift_of(two), (-20, 11), atol=0.3)


def test_a_shift_at_the_end_of_the_range_is_flagged(textured):
    hw = (160, 160)
    # A gradient correlates better the farther it is moved.
    rows, columns = np.mgrid[:160, :160]
    slope = Image.from_array(rows + columns * 1.0)
    pair = MappedPair("any", slope, Image.from_array((rows + columns) * 1.0 - 60))
    assert coarse_shifts([pair], 10)[0].at_edge
    inside = MappedPair("any", textured(hw), textured(hw, Transform.translation(10, 0)))
    assert not coarse_shifts([inside], 10)[0].at_edge


def test_unrelated_images_have_no_distinct_shift(textured):
    pair = MappedPair("any", textured((200, 200)), textured((200, 200), seed=9))
    assert coarse_shifts([pair], 60)[0].peak_ratio < 1.3


@pytest.mark.parametrize("empty", ["moving", "fixed"])
def test_an_image_without_data_is_refused(textured, empty):
    images = {"moving": textured((90, 90)), "fixed": textured((90, 90))}
    images[empty] = Image.from_array(np.full((2, 90, 90), np.nan))
    with pytest.raises(InputError, match="holds no valid pixel in the overlap"):
        coarse_shifts([MappedPair("any", **images)], 20)


def test_half_an_image_without_data_does_not_change_the_shift(textured):
    hw, truth = (200, 200), Transform.translation(18, -12)
    valid = np.ones(hw, bool)
    valid[:, 100:] = False
    fixed = Image.from_array(textured(hw, truth).channels, valid)
    np.testing.assert_allclose(
        shift_of(coarse_shifts([MappedPair("any", textured(hw), fixed)], 50)[0]), (18, -12), atol=0.5
    )


def test_reducing_averages_blocks():
    image = Image.from_array(np.arange(24.0).reshape(4, 6))
    assert reduce(image, 1) is image
    np.testing.assert_allclose(reduce(image, 2).channels[0], [[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]])
    assert reduce(Image.from_array(np.ones((7, 11))), 3).hw == (2, 3)


def test_a_block_is_valid_if_half_of_it_is_and_averages_that_half():
    values = np.array([[1.0, 3, 5, 5], [np.nan, np.nan, 5, 5], [7, np.nan, 2, 4], [np.nan, np.nan, 6, 8]])
    small = reduce(Image.from_array(values), 2)
    np.testing.assert_array_equal(small.valid, [[True, True], [False, True]])
    np.testing.assert_allclose(small.channels[0], [[2, 5], [0, 5]])
