"""Squares that hold data everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair
from midground.errors import InputError
from midground.evaluation.config import WarpConfig
from midground.evaluation.cuts import largest_square, random_square, warped

VALID = np.zeros((40, 60), bool)
VALID[3:24, 10:41] = True
VALID[20:40, 50:55] = True
KNOWN_WARP = WarpConfig(shift_px=30, rotation_deg=30, scale=(0.9, 1.1), seed=2)


def ramps(side_px: int = 200) -> Pair:
    """SAR holds the column, optical the row, from 1 up, so that nothing is like what lies outside."""
    rows, columns = np.mgrid[1 : side_px + 1, 1 : side_px + 1].astype(np.float32)
    return Pair("one", "here", Image.from_array(columns), Image.from_array(rows))


def test_the_largest_square() -> None:
    top, left, height, width = largest_square(VALID)
    assert (top, height, width) == (3, 21, 21)
    assert 10 <= left <= 20


def test_the_largest_square_of_no_data_is_one_pixel() -> None:
    assert largest_square(np.zeros((5, 5), bool))[2:] == (1, 1)


def test_random_squares_hold_data_and_differ() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_square(VALID, (5, 15), rng) for _ in range(200)]
    for top, left, height, width in drawn:
        assert VALID[top : top + height, left : left + width].all()
        assert height == width
    assert {window.height for window in drawn} == {5, 7, 9, 11, 13, 15}
    assert len(set(drawn)) > 150


def test_a_random_square_is_the_largest_where_smaller_is_not_allowed() -> None:
    assert random_square(VALID, (30, 50), np.random.default_rng(0)).height == 21


def test_a_random_square_of_no_data_is_one_pixel() -> None:
    window = random_square(np.zeros((5, 5), bool), (30, 50), np.random.default_rng(0))
    assert window[2:] == (1, 1)
    assert 0 <= min(window[:2]) <= max(window[:2]) < 5


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("config", [WarpConfig(), WarpConfig(shift_px=12, seed=1), KNOWN_WARP])
def test_warped_images_hold_data_everywhere_and_the_truth_fits(config: WarpConfig, index: int) -> None:
    pair = ramps()
    moving, fixed, truth = warped(pair, config, index)
    assert moving.valid.all()
    assert fixed.valid.all()
    # Bilinear resampling of a ramp is exact: the value of a pixel is the column that it came from.
    rows, columns = np.mgrid[: moving.hw[0], : moving.hw[1]].astype(np.float64)
    x = truth(np.stack([columns, rows], axis=-1).reshape(-1, 2))[:, 0]
    margin = (pair.sar.hw[1] - fixed.hw[1]) // 2
    np.testing.assert_allclose(moving.channels[0].ravel(), x + 1 + margin, atol=0.05)


def test_too_small_images_are_refused() -> None:
    with pytest.raises(InputError, match=r"'one' has 50 × 50 px with data, .* less than 32 px are left .* 12 px"):
        warped(ramps(50), WarpConfig(shift_px=12), 0)
