import numpy as np
import pytest

from midground.core.correspondences import Correspondences


@pytest.fixture
def three() -> Correspondences:
    return Correspondences(
        np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]),
        np.array([[10.0, 11.0], [12.0, 13.0], [14.0, 15.0]]),
        np.array([0.1, 0.2, 0.3]),
    )


def test_length_is_the_number_of_matches(three):
    assert len(three) == 3
    assert len(Correspondences.empty()) == 0


def test_empty_has_the_usual_shapes():
    empty = Correspondences.empty()

    assert empty.moving_xy.shape == empty.fixed_xy.shape == (0, 2)
    assert empty.score.shape == (0,)


@pytest.mark.parametrize("which", [np.array([True, False, True]), np.array([0, 2])], ids=["mask", "index"])
def test_select_keeps_points_and_scores_together(three, which):
    kept = three.select(which)

    assert kept.moving_xy.tolist() == [[0, 1], [4, 5]]
    assert kept.fixed_xy.tolist() == [[10, 11], [14, 15]]
    assert kept.score.tolist() == [0.1, 0.3]


def test_select_follows_the_order_of_an_index(three):
    assert three.select(np.array([2, 0])).score.tolist() == [0.3, 0.1]


def test_swapped_exchanges_the_roles(three):
    swapped = three.swapped()

    assert swapped.moving_xy is three.fixed_xy
    assert swapped.fixed_xy is three.moving_xy
    assert swapped.score is three.score


def test_concatenate_keeps_the_order(three):
    pooled = Correspondences.concatenate([three, Correspondences.empty(), three.swapped()])

    assert len(pooled) == 6
    assert pooled.moving_xy[[0, 3]].tolist() == [[0, 1], [10, 11]]
    assert pooled.score.tolist() == [0.1, 0.2, 0.3] * 2


def test_concatenating_nothing_is_empty():
    assert len(Correspondences.concatenate([])) == 0
    assert len(Correspondences.concatenate(part for part in ())) == 0
