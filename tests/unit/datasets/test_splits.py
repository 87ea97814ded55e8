from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from midground.datasets.base import Pair, PairSource, PixelWindow
from midground.datasets.splits import Subset, divide_by_place, evenly_spread, split_by_place, spread_indices
from midground.errors import ConfigError, InputError


class Places:
    """A collection that is asked for its places alone."""

    def __init__(self, places: list[str]) -> None:
        self.places = tuple(places)
        self.names = tuple(f"{place} {number}" for number, place in enumerate(places))

    def __len__(self) -> int:
        return len(self.places)

    def hw(self, index: int) -> tuple[int, int]:
        raise AssertionError(f"the size of pair {index} was asked for")

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        raise AssertionError(f"pair {index} was read")


@seed(5)
@settings(max_examples=100, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 300), min_size=1, max_size=60),
    share=st.floats(0.01, 0.99),
    draw_seed=st.integers(0, 2**32 - 1),
    block_places=st.integers(1, 8),
)
def test_no_place_is_in_both_parts_and_no_pair_in_none(numbers, share, draw_seed, block_places):
    source = Places([f"tile_{number}" for number in numbers])
    ordered = sorted(set(numbers))
    n_blocks = -(-len(ordered) // block_places)
    if n_blocks < 2:
        with pytest.raises(InputError, match="none can be held out"):
            split_by_place(source, share, seed=draw_seed, block_places=block_places)
        return
    training, validation = split_by_place(source, share, seed=draw_seed, block_places=block_places)
    again = split_by_place(source, share, seed=draw_seed, block_places=block_places)

    assert sorted([*training, *validation]) == list(range(len(numbers)))
    held_out = {numbers[index] for index in validation}
    assert not held_out & {numbers[index] for index in training}
    blocks = {ordered.index(number) // block_places for number in held_out}
    assert len(blocks) == min(max(round(share * n_blocks), 1), n_blocks - 1)
    assert held_out == {number for place, number in enumerate(ordered) if place // block_places in blocks}
    np.testing.assert_array_equal(training, again[0])
    np.testing.assert_array_equal(validation, again[1])


def test_seeds_hold_out_different_places():
    source = Places([f"{number:04d}" for number in range(200)])
    drawn = {tuple(split_by_place(source, 0.1, seed=number)[1]) for number in range(5)}

    assert len(drawn) == 5
    assert all(len(validation) == 20 for validation in drawn)


def test_a_share_or_block_out_of_range_is_refused():
    with pytest.raises(ConfigError, match=r"between 0 and 1, found 1\.0"):
        split_by_place(Places(["a", "b"]), 1.0)
    with pytest.raises(ConfigError, match="1 place or more, found 0"):
        split_by_place(Places(["a", "b"]), 0.5, block_places=0)


def test_a_subset_is_some_pairs_in_the_order_given(array_pairs):
    images = [np.full((1, 4 + number, 4), number, np.uint8) for number in range(4)]
    source = array_pairs(images, images, places=["a", "b", "c", "d"])
    part = Subset(source, np.array([3, 1]))

    assert isinstance(part, PairSource)
    assert (part.names, part.places, len(part)) == (("pair 3", "pair 1"), ("d", "b"), 2)
    assert [part.hw(index) for index in range(2)] == [(7, 4), (5, 4)]
    assert part.read(0).name == "pair 3"
    assert part.read(1, PixelWindow(0, 0, 2, 2)).sar.channels.tolist() == [[[1, 1], [1, 1]]]
    with pytest.raises(ConfigError, match="There is no pair 4 in a collection of 4 pairs"):
        Subset(source, [0, 4])


def test_the_paper_division_of_the_full_set_is_exact():
    rng = np.random.default_rng(0)
    # 72 019 pairs of 8157 places, some of which were seen once only.
    sizes = 1 + rng.multinomial(72_019 - 8157, rng.dirichlet(np.full(8157, 2.0)))
    places = [f"place_{number}" for number, size in enumerate(sizes) for _ in range(size)]
    parts = divide_by_place(places, (46_092, 11_522, 14_405))

    assert [len(part) for part in parts] == [46_092, 11_522, 14_405]
    shown = [{places[index] for index in part} for part in parts]
    assert sum(map(len, shown)) == len(set.union(*shown)) == 8157
    assert sorted(np.concatenate(parts).tolist()) == list(range(72_019))


@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=12),
    weights=st.tuples(*[st.integers(1, 100)] * 3),
    draw=st.integers(0, 5),
)
@seed(3)
@settings(max_examples=60, deadline=None)
def test_parts_share_no_place_and_none_is_empty(sizes, weights, draw):
    places = [f"place_{number}" for number, size in enumerate(sizes) for _ in range(size)]
    parts = divide_by_place(places, weights, seed=draw)

    shown = [{places[index] for index in part} for part in parts]
    assert all(shown)
    assert sum(map(len, shown)) == len(set.union(*shown)) == len(sizes)
    assert sorted(np.concatenate(parts).tolist()) == list(range(sum(sizes)))
    for part, again in zip(parts, divide_by_place(places, weights, seed=draw), strict=True):
        np.testing.assert_array_equal(part, again)


def test_what_cannot_be_divided():
    with pytest.raises(InputError, match=r"2 place\(s\) cannot be divided into 3 parts that share none"):
        divide_by_place(["a", "a", "b"], (2, 1, 1))
    with pytest.raises(ConfigError, match=r"weights of more than 0, found \[1, 0\]"):
        divide_by_place(["a", "b"], (1, 0))


@pytest.mark.parametrize(
    ("n", "limit", "chosen"),
    [(10, 4, [0, 2, 5, 7]), (10, 1, [0]), (3, 3, [0, 1, 2]), (3, 5, [0, 1, 2]), (3, None, [0, 1, 2]), (0, 2, [])],
)
def test_numbers_are_spread_evenly(n, limit, chosen):
    assert spread_indices(n, limit) == chosen
    source = Places([str(index) for index in range(n)])
    assert evenly_spread(source, limit).places == tuple(map(str, chosen))
