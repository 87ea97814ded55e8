"""Windows whose place is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.evaluation.windows import window_errors_px, window_shifts_px

IDENTITY = Transform.identity()


def shifted(channels: np.ndarray, dx: float, dy: float) -> Image:
    """The same image, moved to the right and down."""
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    size = channels.shape[:0:-1]
    moved = [
        cv2.warpAffine(one, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT) for one in channels
    ]
    return Image.from_array(np.stack(moved))


@pytest.mark.parametrize("shift_xy", [(0.0, 0.0), (5.0, -9.0), (2.5, 0.25), (-3.3, 7.8)])
def test_shifts_are_found_with_sign_and_fraction(make_texture, shift_xy: tuple[float, float]) -> None:
    moving = make_texture(1)
    (found,) = window_shifts_px(
        Image.from_array(moving), shifted(moving, *shift_xy), IDENTITY, window_px=48, search_px=12
    )
    np.testing.assert_allclose(found, shift_xy, atol=0.12)


def test_errors_count_from_the_true_place(make_texture) -> None:
    moving = make_texture(2)
    images = (Image.from_array(moving), shifted(moving, 6, -8))
    sizes = {"window_px": 48, "search_px": 12}
    assert window_errors_px(*images, IDENTITY, **sizes) == pytest.approx([10], abs=0.1)
    assert window_errors_px(*images, Transform.translation(6, -8), **sizes) == pytest.approx([0], abs=0.1)
    assert window_errors_px(*images, Transform.translation(3, -8), **sizes) == pytest.approx([3], abs=0.1)


def test_what_lies_beyond_the_search_is_not_found(make_texture) -> None:
    moving = make_texture(3)
    errors = window_errors_px(
        Image.from_array(moving), shifted(moving, 20, 0), Transform.translation(20, 0), window_px=48, search_px=8
    )
    assert errors[0] > 8


def test_windows_are_spread_so_that_their_search_fits(make_texture) -> None:
    same = Image.from_array(make_texture(4, (100, 140)))
    # Every window is found where it is; where it is expected, eleven times as far out, tells where that was.
    far_out = Transform(np.diag([11.0, 11.0, 1.0]), "affine")
    shifts = window_shifts_px(same, same, far_out, window_px=24, search_px=10, per_side=3)
    # 24 px and the search on both sides fit if the first row is 10 to 66, the first column 10 to 106.
    expected = [(left + 11.5, top + 11.5) for top in (10, 38, 66) for left in (10, 58, 106)]
    np.testing.assert_allclose(-shifts / 10, expected, atol=0.05)


def test_windows_that_do_not_fit_lie_in_the_middle(make_texture) -> None:
    same = Image.from_array(make_texture(4, (60, 60)))
    far_out = Transform(np.diag([11.0, 11.0, 1.0]), "affine")
    shifts = window_shifts_px(same, same, far_out, window_px=40, search_px=16, per_side=2)
    np.testing.assert_allclose(-shifts / 10, np.full((4, 2), 29.5), atol=0.05)


def test_a_single_window_lies_in_the_middle(make_texture) -> None:
    pixels = make_texture(5)
    valid = np.zeros((128, 128), bool)
    valid[40:88, 40:88] = True
    masked = Image(np.where(valid, pixels, np.float32(0)), valid)
    assert window_errors_px(masked, Image.from_array(pixels), IDENTITY, window_px=48, search_px=8)[0] < 0.1


def test_a_search_may_reach_beyond_the_image(make_texture) -> None:
    moving = make_texture(6, (64, 64))
    errors = window_errors_px(
        Image.from_array(moving), shifted(moving, 4, 3), Transform.translation(4, 3), window_px=48, search_px=40
    )
    assert errors[0] < 0.2


def test_without_enough_data_a_window_is_infinitely_far_off(make_texture) -> None:
    pixels = make_texture(7)
    whole = Image.from_array(pixels)
    valid = np.ones((128, 128), bool)
    valid[:, :66] = False
    half = Image(np.where(valid, pixels, np.float32(0)), valid)
    assert window_errors_px(half, whole, IDENTITY, window_px=48, search_px=8).tolist() == [np.inf]
    nothing = Image(np.zeros_like(pixels), np.zeros((128, 128), bool))
    assert window_errors_px(whole, nothing, IDENTITY, window_px=48, search_px=8).tolist() == [np.inf]


def test_a_window_larger_than_the_image_has_too_little_data(make_texture) -> None:
    small = Image.from_array(make_texture(8, (32, 32)))
    assert window_errors_px(small, small, IDENTITY, window_px=96, search_px=8, per_side=2).tolist() == [np.inf] * 4
