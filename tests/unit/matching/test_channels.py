import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import InputError
from midground.matching.channels import match_by_channel, without_repeats


def matches_at(*points: tuple[float, float, float]) -> Correspondences:
    """Matches without shift at (x, y), with a score."""
    x, y, score = np.array(points, np.float64).reshape(-1, 3).T
    points_xy = np.stack([x, y], axis=-1)
    return Correspondences(points_xy, points_xy, score)


def test_each_channel_meets_its_own_counterpart():
    moving = Image.from_array(np.arange(3.0)[:, None, None] * np.ones((3, 4, 5)))
    fixed = Image.from_array(10 + np.arange(3.0)[:, None, None] * np.ones((3, 6, 7)))
    met = []

    def match_one(moving_channel: Image, fixed_channel: Image) -> Correspondences:
        met.append((moving_channel.channels[0, 0, 0], fixed_channel.channels[0, 0, 0], fixed_channel.hw))
        return matches_at((float(len(met)), 0, 0.5))

    pooled = match_by_channel(moving, fixed, match_one)

    assert met == [(0, 10, (6, 7)), (1, 11, (6, 7)), (2, 12, (6, 7))]
    assert pooled.moving_xy[:, 0].tolist() == [1, 2, 3]


def test_channels_may_be_matched_together_the_rest_at_the_end():
    image = Image.from_array(np.arange(5.0)[:, None, None] * np.ones((5, 4, 5)))
    met = []

    def match_one(moving: Image, fixed: Image) -> Correspondences:
        met.append((moving.channels[:, 0, 0].tolist(), fixed.channels[:, 0, 0].tolist()))
        return Correspondences.empty()

    match_by_channel(image, image, match_one, n_together=3)

    assert met == [([0, 1, 2], [0, 1, 2]), ([3, 4], [3, 4])]


def test_without_data_nothing_is_matched():
    nothing, something = Image.from_array(np.full((4, 4), np.nan)), Image.from_array(np.ones((4, 4)))

    def match_one(moving: Image, fixed: Image) -> Correspondences:
        raise AssertionError("called")

    assert len(match_by_channel(nothing, something, match_one)) == 0
    assert len(match_by_channel(something, nothing, match_one)) == 0


def test_different_numbers_of_channels_are_refused():
    moving, fixed = Image.from_array(np.zeros((2, 5, 5))), Image.from_array(np.zeros((1, 5, 5)))

    with pytest.raises(InputError, match="moving image has 2 channels, the fixed one 1: bring both"):
        match_by_channel(moving, fixed, lambda *_: Correspondences.empty())


def test_of_repeats_the_best_is_kept_in_the_order_given():
    kept = without_repeats(matches_at((9, 9, 0.1), (1, 1, 0.2), (9, 9, 0.8), (0, 0, 0.5), (1, 1, 0.2)))

    assert kept.moving_xy.tolist() == [[1, 1], [9, 9], [0, 0]]
    assert kept.score.tolist() == [0.2, 0.8, 0.5]


def test_one_point_with_two_partners_is_no_repeat():
    matches = Correspondences(np.zeros((2, 2)), np.array([[0.0, 0.0], [5.0, 0.0]]), np.ones(2))

    assert len(without_repeats(matches)) == 2
    assert len(without_repeats(Correspondences.empty())) == 0
