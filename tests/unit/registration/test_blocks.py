"""Which blocks of a large scene are looked at."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from midground.geo.grid import Grid
from midground.registration.blocks import BLOCK_PX, MAX_BLOCKS, choose_blocks


def grids(height: int, width: int) -> tuple[Grid, Grid]:
    fine = Grid("EPSG:32633", Affine(10, 0, 463200, 0, -10, 5411800), (height, width))
    return fine.fitted(512), fine


@pytest.mark.parametrize(("height", "width"), [(2000, 2000), (8000, 8000), (1400, 6000), (12000, 1100), (800, 800)])
def test_blocks_spread_from_edge_to_edge(height, width):
    coarse, fine = grids(height, width)
    chosen = choose_blocks(np.ones(coarse.hw, bool), coarse, fine)
    assert 1 <= len(chosen) <= MAX_BLOCKS
    rows, columns = np.array(chosen).T
    assert (rows.min(), columns.min()) == (0, 0)
    assert rows.max() + BLOCK_PX <= height
    assert columns.max() + BLOCK_PX <= width
    assert rows.max() + BLOCK_PX == height
    assert columns.max() + BLOCK_PX == width


def test_blocks_do_not_overlap():
    coarse, fine = grids(8000, 5000)
    chosen = choose_blocks(np.ones(coarse.hw, bool), coarse, fine)
    for axis in (0, 1):
        starts = np.unique([block[axis] for block in chosen])
        assert (np.diff(starts) >= BLOCK_PX).all()


def test_a_grid_smaller_than_a_block_is_one_block():
    coarse, fine = grids(500, 600)
    assert choose_blocks(np.ones(coarse.hw, bool), coarse, fine) == [(0, 0)]


def test_blocks_without_enough_overlap_are_left_out():
    coarse, fine = grids(4000, 4000)
    overlap = np.zeros(coarse.hw, bool)
    overlap[:, : coarse.hw[1] // 2] = True
    chosen = choose_blocks(overlap, coarse, fine)
    assert chosen
    assert all(column + BLOCK_PX / 2 <= 2000 + 50 for _, column in chosen)
    assert choose_blocks(np.zeros(coarse.hw, bool), coarse, fine) == []
