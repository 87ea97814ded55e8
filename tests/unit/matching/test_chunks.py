"""Large images in windows, matched by a dense matcher that is written down: it knows the truth, but sees no detail."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.transforms import Transform
from midground.matching.chunks import match_in_chunks

STEP_PX, NETWORK_PX = 16, 256


class Dense:
    """Reads where it is from two channels that hold the position, and rounds what it says like a small network.

    The images hold the x and y of the moving frame; so a place of a crop is found in another crop by its values alone.
    """

    def __init__(self, fixed_from_moving: Transform, *, share_wrong: float = 0.0) -> None:
        self.fixed_from_moving, self.share_wrong = fixed_from_moving, share_wrong
        self.seen_hw: list[tuple[tuple[int, int], tuple[int, int]]] = []

    def __call__(self, moving: Image, fixed: Image) -> Correspondences:
        self.seen_hw.append((moving.hw, fixed.hw))
        rows, columns = (axis.ravel() for axis in np.mgrid[: moving.hw[0] : STEP_PX, : moving.hw[1] : STEP_PX])
        moving_xy = np.stack([columns, rows], axis=1).astype(np.float64)
        whole_xy = moving.channels[:, rows, columns].T.astype(np.float64)
        valid_rows, valid_columns = np.nonzero(fixed.valid)
        # Where the crop of the fixed image lies: its first valid pixel holds its own position.
        first = np.array([valid_columns[0], valid_rows[0]])
        origin_xy = fixed.channels[:, valid_rows[0], valid_columns[0]] - first
        fixed_xy = self.fixed_from_moving(whole_xy) - origin_xy
        cell_px = max(*moving.hw, *fixed.hw, NETWORK_PX) / NETWORK_PX
        fixed_xy = np.round(fixed_xy / cell_px) * cell_px
        inside = ((fixed_xy >= 0) & (fixed_xy <= np.array(fixed.hw[::-1]) - 1)).all(axis=1)
        rng = np.random.default_rng(0)
        wrong = rng.random(len(fixed_xy)) < self.share_wrong
        fixed_xy[wrong] = rng.uniform(0, np.array(fixed.hw[::-1]) - 1, (int(wrong.sum()), 2))
        return Correspondences(moving_xy, fixed_xy, np.ones(len(fixed_xy))).select(inside)


def positions(hw: tuple[int, int]) -> Image:
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    return Image.from_array(np.stack([columns, rows]))


WARPS = {
    "shift": Transform.translation(130.0, -70.0),
    "turned": Transform.similarity(rotation_deg=35, dx=300, dy=-120),
    "upside down": Transform.similarity(rotation_deg=180, dx=1000, dy=800),
    "twice the size": Transform.similarity(scale=2.0, dx=-300, dy=-300),
    "half the size": Transform.similarity(scale=0.5, dx=200, dy=100),
}


def errors_px(matches: Correspondences, truth: Transform) -> np.ndarray:
    return np.linalg.norm(truth(matches.moving_xy) - matches.fixed_xy, axis=1)


@pytest.mark.parametrize("warp", WARPS)
def test_windows_find_the_same_ground_at_full_resolution(warp: str) -> None:
    truth = WARPS[warp]
    moving, fixed = positions((800, 1000)), positions((900, 1100))
    dense = Dense(truth)
    whole = dense(moving, fixed)
    found = match_in_chunks(moving, fixed, dense, NETWORK_PX)
    # The network's cells are 4.3 px wide in the whole images, and at most 1.5 in windows of which one is turned.
    assert np.median(errors_px(whole, truth)) > 1.2
    assert errors_px(found, truth).max() < 1.1
    # Nothing that was seen whole is lost, but for what lies at the edge of a window.
    assert len(found) > 0.9 * len(whole)


def test_no_place_is_matched_twice_and_none_is_left_out() -> None:
    moving = positions((640, 640))
    found = match_in_chunks(moving, moving, Dense(Transform.identity()), NETWORK_PX)
    order = np.unique(found.moving_xy, axis=0, return_index=True)[1]
    assert len(order) == len(found)
    per_block = np.histogram2d(*found.moving_xy.T, bins=8, range=[[0, 640], [0, 640]])[0]
    assert per_block.min() >= 12


@pytest.mark.parametrize("warp", WARPS)
def test_no_window_is_larger_than_asked_for(warp: str) -> None:
    dense = Dense(WARPS[warp])
    match_in_chunks(positions((800, 1000)), positions((900, 1100)), dense, NETWORK_PX)
    (_, *windows) = dense.seen_hw
    assert len(windows) >= 9
    # A window that is turned has a larger rectangle around it.
    longest = NETWORK_PX * (1.42 if warp == "turned" else 1.02)
    assert all(max(*moving_hw, *fixed_hw) <= longest for moving_hw, fixed_hw in windows)


def test_small_images_are_matched_once() -> None:
    for chunk_px, hw in ((256, (200, 256)), (None, (300, 700))):
        dense = Dense(Transform.identity())
        found = match_in_chunks(positions(hw), positions(hw), dense, chunk_px)
        assert dense.seen_hw == [(hw, hw)]
        assert len(found) == len(range(0, hw[0], STEP_PX)) * len(range(0, hw[1], STEP_PX))


def test_wrong_matches_do_not_move_the_windows() -> None:
    truth = WARPS["turned"]
    found = match_in_chunks(positions((800, 1000)), positions((900, 1100)), Dense(truth, share_wrong=0.5), NETWORK_PX)
    assert 0.4 < np.mean(errors_px(found, truth) < 1.1) < 0.6


@pytest.mark.parametrize("kind", ["too few", "no consensus", "one line", "eight times the size"])
def test_without_a_plausible_fit_the_first_matches_stand(kind: str) -> None:
    rng = np.random.default_rng(0)
    points_xy = rng.uniform(0, 600, (400, 2))
    line_xy = np.repeat(points_xy[:, :1], 2, axis=1)
    first = {
        "too few": Correspondences(points_xy[:19], points_xy[:19], np.ones(19)),
        "no consensus": Correspondences(points_xy, rng.uniform(0, 600, (400, 2)), np.ones(400)),
        "one line": Correspondences(line_xy, line_xy, np.ones(400)),
        "eight times the size": Correspondences(points_xy / 8, points_xy, np.ones(400)),
    }[kind]
    calls = []

    def dense(moving: Image, fixed: Image) -> Correspondences:
        calls.append(moving.hw)
        return first

    found = match_in_chunks(positions((600, 600)), positions((600, 600)), dense, NETWORK_PX)
    np.testing.assert_array_equal(found.moving_xy, first.moving_xy)
    assert calls == [(600, 600)]


def test_windows_without_matches_leave_the_first_ones() -> None:
    whole = positions((600, 600))
    first = Dense(Transform.identity())(whole, whole)

    def dense(moving: Image, fixed: Image) -> Correspondences:
        return first if moving.hw == (600, 600) else Correspondences.empty()

    np.testing.assert_array_equal(match_in_chunks(whole, whole, dense, NETWORK_PX).moving_xy, first.moving_xy)


def test_the_same_whatever_opencv_drew_before() -> None:
    truth, moving, fixed = WARPS["turned"], positions((800, 1000)), positions((900, 1100))
    found = []
    for seed in (1, 2):
        cv2.setRNGSeed(seed)
        before = cv2.randu(np.zeros(4), 0, 1)
        cv2.setRNGSeed(seed)
        found.append(match_in_chunks(moving, fixed, Dense(truth, share_wrong=0.5), NETWORK_PX))
        np.testing.assert_array_equal(cv2.randu(np.zeros(4), 0, 1), before)
    np.testing.assert_array_equal(found[0].fixed_xy, found[1].fixed_xy)
