"""Known warps."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.transforms import Transform
from midground.evaluation.config import WarpConfig
from midground.evaluation.warps import draw_warp

HW = (101, 201)
MIDDLE = np.array([[100.0, 50.0]])
CONFIG = WarpConfig(shift_px=5, rotation_deg=10, scale=(0.8, 1.25), seed=3)


def scale_and_rotation_deg(warp: Transform) -> tuple[float, float]:
    (a, _), (b, _) = warp.matrix[:2, :2]
    return float(np.hypot(a, b)), float(np.degrees(np.arctan2(b, a)))


def test_no_range_is_the_identity() -> None:
    assert np.array_equal(draw_warp(WarpConfig(), 7, HW).matrix, np.eye(3))


def test_rotation_and_scale_are_about_the_middle() -> None:
    turned = draw_warp(WarpConfig(rotation_deg=30, scale=(0.5, 2.0)), 0, HW)
    assert not np.allclose(turned.matrix, np.eye(3), atol=0.1)
    np.testing.assert_allclose(turned(MIDDLE), MIDDLE, atol=1e-9)


def test_draws_stay_within_their_ranges_and_fill_them() -> None:
    warps = [draw_warp(CONFIG, index, HW) for index in range(300)]
    shifts = np.array([warp(MIDDLE)[0] - MIDDLE[0] for warp in warps])
    scales, rotations = np.array([scale_and_rotation_deg(warp) for warp in warps]).T
    for drawn, low, high in ((shifts, -5, 5), (rotations, -10, 10), (np.log(scales), np.log(0.8), np.log(1.25))):
        assert low <= drawn.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < drawn.max() <= high


def test_every_pair_and_every_seed_has_its_own() -> None:
    first = draw_warp(CONFIG, 0, HW).matrix
    assert np.array_equal(first, draw_warp(CONFIG, 0, HW).matrix)
    assert not np.allclose(first, draw_warp(CONFIG, 1, HW).matrix)
    assert not np.allclose(first, draw_warp(WarpConfig(shift_px=5, rotation_deg=10, seed=4), 0, HW).matrix)


@pytest.mark.parametrize("index", range(3))
def test_the_inverse_brings_the_image_back(index: int) -> None:
    warp = draw_warp(CONFIG, index, HW)
    corners = np.array([[0.0, 0.0], [200, 0], [0, 100], [200, 100]])
    np.testing.assert_allclose(warp.inverse()(warp(corners)), corners, atol=1e-9)
