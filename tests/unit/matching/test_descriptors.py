import tracemalloc

import numpy as np
import pytest

from midground.matching import descriptors
from midground.matching.descriptors import dual_softmax, mutual_nearest


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def random_rows(n: int, length: int, *, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(n, length)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pairs(matches: descriptors.DescriptorMatches) -> list[tuple[int, int]]:
    return list(zip(matches.moving_index.tolist(), matches.fixed_index.tolist(), strict=True))


@pytest.fixture
def in_small_blocks(monkeypatch):
    monkeypatch.setattr(descriptors, "_BLOCK_ROWS", 7)


def test_nearest_neighbours_are_paired():
    moving, fixed = rows([0, 0], [10, 0], [0, 10]), rows([0, 9], [1, 0], [10, 3], [50, 50])

    matches = mutual_nearest(moving, fixed)

    assert pairs(matches) == [(0, 1), (1, 2), (2, 0)]
    np.testing.assert_allclose(matches.distance, [1, 3, 1])
    assert matches.distance.dtype == matches.confidence.dtype == np.float64


def test_only_mutual_neighbours_are_kept():
    """Rows 0 and 1 both want fixed row 0, which wants row 1."""
    assert pairs(mutual_nearest(rows([2.0], [1.0]), rows([0.0], [9.0]))) == [(1, 0)]


@pytest.mark.parametrize(("ratio", "n_kept"), [(0.49, 0), (0.5, 0), (0.51, 1), (None, 1)])
def test_ratio_test_is_strict(ratio, n_kept):
    matches = mutual_nearest(rows([0.0]), rows([1.0], [-2.0]), ratio=ratio)

    assert len(matches.moving_index) == n_kept
    assert matches.confidence.tolist() == [0.5] * n_kept


def test_a_lone_neighbour_has_no_second_and_is_refused_by_the_ratio_test():
    moving, fixed = rows([0.0], [5.0]), rows([0.0])

    assert pairs(mutual_nearest(moving, fixed, ratio=0.75)) == []
    assert pairs(mutual_nearest(moving, fixed, ratio=1.0)) == []
    unchecked = mutual_nearest(moving, fixed)
    assert pairs(unchecked) == [(0, 0)]
    assert unchecked.confidence.tolist() == [0]


def test_a_lone_moving_descriptor_can_pass():
    assert pairs(mutual_nearest(rows([0.0]), rows([0.1], [5.0]), ratio=0.75)) == [(0, 0)]


def test_identical_candidates_are_ambiguous():
    moving, fixed = rows([3.0, 4.0]), rows([3.0, 4.0], [3.0, 4.0])

    assert pairs(mutual_nearest(moving, fixed, ratio=0.75)) == []
    unchecked = mutual_nearest(moving, fixed)
    assert pairs(unchecked) == [(0, 0)]
    assert unchecked.confidence.tolist() == [0]


def test_an_exact_match_is_certain():
    matches = mutual_nearest(rows([3.0, 4.0]), rows([9.0, 9.0], [3.0, 4.0]), ratio=0.75)

    assert pairs(matches) == [(0, 1)]
    assert matches.distance.tolist() == [0]
    assert matches.confidence.tolist() == [1]


@pytest.mark.parametrize(("n_moving", "n_fixed"), [(0, 5), (5, 0), (0, 0)])
@pytest.mark.parametrize("match", [mutual_nearest, dual_softmax])
def test_no_descriptors_give_no_matches(match, n_moving, n_fixed):
    matches = match(np.zeros((n_moving, 8), np.float32), np.zeros((n_fixed, 8), np.float32))

    assert len(matches.moving_index) == len(matches.distance) == 0
    assert matches.moving_index.dtype == np.int64


@pytest.mark.usefixtures("in_small_blocks")
def test_blocks_give_what_the_whole_matrix_gives():
    moving, fixed = random_rows(50, 16, seed=0), random_rows(40, 16, seed=1)
    distance = np.linalg.norm(moving[:, None].astype(float) - fixed, axis=2)
    nearest, nearest_back = distance.argmin(axis=1), distance.argmin(axis=0)
    expected = [(i, j) for i, j in enumerate(nearest) if nearest_back[j] == i]
    two_smallest = np.sort(distance, axis=1)[:, :2]

    matches = mutual_nearest(moving, fixed)

    assert pairs(matches) == expected
    quotient = two_smallest[matches.moving_index, 0] / two_smallest[matches.moving_index, 1]
    np.testing.assert_allclose(matches.confidence, 1 - quotient, atol=1e-6)


@pytest.mark.usefixtures("in_small_blocks")
def test_of_equally_near_rows_the_first_is_taken_across_blocks():
    moving, fixed = np.ones((20, 2), np.float32), np.ones((3, 2), np.float32)

    assert pairs(mutual_nearest(moving, fixed)) == [(0, 0)]
    assert pairs(dual_softmax(moving, fixed, min_confidence=0)) == [(0, 0)]


@pytest.mark.parametrize("match", [mutual_nearest, dual_softmax])
def test_memory_is_bounded(match):
    """The full matrix of 4096×4096 similarities in float64 alone would take 134 MB."""
    moving, fixed = random_rows(4096, 128, seed=0), random_rows(4096, 128, seed=1)
    tracemalloc.start()
    match(moving, fixed)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 70e6


@pytest.mark.usefixtures("in_small_blocks")
def test_dual_softmax_follows_its_equation():
    moving, fixed = random_rows(30, 8, seed=0), random_rows(20, 8, seed=1)
    exponential = np.exp(20 * (moving @ fixed.T).astype(float))
    product = exponential / exponential.sum(axis=0) * (exponential / exponential.sum(axis=1, keepdims=True))
    expected = [
        (i, j)
        for i in range(30)
        for j in range(20)
        if product[i, j] == product[i].max() == product[:, j].max() and product[i, j] >= 0.01
    ]

    matches = dual_softmax(moving, fixed)

    assert pairs(matches) == expected
    np.testing.assert_allclose(matches.confidence, [product[pair] for pair in expected], rtol=1e-5)
    np.testing.assert_allclose(
        matches.distance, np.linalg.norm(moving[matches.moving_index] - fixed[matches.fixed_index], axis=1), rtol=1e-5
    )


def test_dual_softmax_is_certain_of_distinct_pairs_and_stable_for_large_factors():
    unit = np.eye(4, dtype=np.float32)

    matches = dual_softmax(unit, unit[[2, 0, 3, 1]], inverse_temperature=5000)

    assert pairs(matches) == [(0, 1), (1, 3), (2, 0), (3, 2)]
    np.testing.assert_allclose(matches.confidence, 1)


def test_dual_softmax_drops_what_is_below_the_least_confidence():
    ambiguous = np.ones((3, 4), np.float32) / 2

    assert dual_softmax(ambiguous, ambiguous, min_confidence=0.1).confidence.tolist() == pytest.approx([1 / 9])
    assert len(dual_softmax(ambiguous, ambiguous, min_confidence=0.2).confidence) == 0
