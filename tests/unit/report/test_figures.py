from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.report import figures
from midground.report.figures import (
    MAX_PREVIEW_PX,
    Stretch,
    checkerboard,
    data_uri,
    display_stretch,
    draw_matches,
    tile,
    titled,
    to_preview,
)


def ramp(height=40, width=60):
    return Image.from_array(np.tile(np.linspace(0, 1, width), (height, 1)))


def test_preview_uses_the_whole_range_and_keeps_small_images_as_they_are():
    picture = to_preview(ramp())
    assert picture.shape == (40, 60, 4)
    assert picture[..., :3].min() == 0
    assert picture[..., :3].max() == 255
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()


def test_preview_is_reduced_to_the_longest_side():
    picture = to_preview(ramp(600, 1800))
    assert picture.shape == (300, MAX_PREVIEW_PX, 4)


def test_invalid_pixels_are_transparent_and_do_not_bleed():
    values = np.full((400, 400), 0.5)
    valid = np.ones((400, 400), dtype=bool)
    valid[:, :100] = False
    picture = to_preview(Image.from_array(values, valid), stretch=Stretch(0, 1), smooth_px=2.0, max_px=100)
    assert (picture[:, :25, 3] == 0).all()
    assert (picture[:, 25:, 3] == 255).all()
    assert (picture[:, 25:, :3] == 128).all()


def test_dark_images_are_brightened_and_constant_ones_do_not_fail():
    dark = display_stretch(Image.from_array(np.linspace(0, 1, 10_000).reshape(100, 100) ** 5))
    assert dark.gamma < 1
    assert display_stretch(ramp()).gamma == 1
    assert np.isfinite(to_preview(Image.from_array(np.ones((64, 64))))).all()
    assert display_stretch(Image.from_array(np.full((64, 64), np.nan))) == Stretch(0.0, 1.0)


def test_two_or_nine_channels_are_shown_grey():
    for n_channels in (2, 9):
        image = Image.from_array(np.random.default_rng(0).random((n_channels, 30, 30)))
        picture = to_preview(image)
        assert (picture[..., 0] == picture[..., 2]).all()


def test_checkerboard_alternates_and_starts_with_the_first():
    first, second = np.zeros((80, 160, 3), np.uint8), np.full((80, 160, 3), 9, np.uint8)
    board = checkerboard(first, second, n_tiles=8)
    assert board[0, 0, 0] == 0
    assert board[0, 20, 0] == 9
    assert board[20, 0, 0] == 9
    assert board[20, 20, 0] == 0
    assert (board == 9).mean() == pytest.approx(0.5)


def test_data_uri_can_be_read_back():
    colour = np.zeros((32, 48, 4), np.uint8)
    colour[..., 0], colour[..., 3] = 200, 255
    head, body = data_uri(colour).split(",")
    assert head == "data:image/webp;base64"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(body), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == (32, 48, 3)
    assert decoded[..., 2].mean() > 180
    assert decoded[..., 0].mean() < 20


def some_matches(n):
    rng = np.random.default_rng(2)
    points_xy = rng.uniform(5, 35, (n, 2))
    return Correspondences(points_xy, points_xy.copy(), np.ones(n))


def test_matches_are_green_if_they_support_the_transform_and_red_otherwise():
    matches = some_matches(40)
    inliers = np.arange(40) % 2 == 0
    green = draw_matches(ramp(), ramp(50, 70), matches, np.ones(40, dtype=bool)).astype(int)
    red = draw_matches(ramp(), ramp(50, 70), matches, np.zeros(40, dtype=bool)).astype(int)
    both = draw_matches(ramp(), ramp(50, 70), matches, inliers)
    assert both.shape[2] == 3
    assert both.dtype == np.uint8
    assert (green[..., 1] - green[..., 0]).max() > 100
    assert (green[..., 0] - green[..., 1]).max() < 60
    assert (red[..., 0] - red[..., 1]).max() > 100


@pytest.mark.parametrize(("side_px", "shown_px"), [(70, 7 * 70), (256, 512), (300, 300), (600, 600), (1800, 900)])
def test_small_images_are_enlarged_by_a_whole_factor(side_px, shown_px):
    image = ramp(side_px, side_px)
    blank = draw_matches(image, image, Correspondences.empty(), np.zeros(0, dtype=bool))
    assert blank.shape == (30 + shown_px, 2 * shown_px + 12, 3)
    assert blank[30:, :shown_px].max() == 255


def test_a_match_is_drawn_at_its_place_in_the_enlarged_image():
    image, place = ramp(256, 256), np.array([[100.0, 60.0]])
    one = Correspondences(place, place, np.ones(1))
    blank = draw_matches(image, image, Correspondences.empty(), np.zeros(0, dtype=bool))
    drawn = draw_matches(image, image, one, np.ones(1, dtype=bool))
    rows, columns = np.nonzero((drawn[30:] != blank[30:]).any(axis=2))
    assert columns.min() + 3 == pytest.approx(2 * 100.5 - 0.5, abs=1.5)
    assert rows.mean() == pytest.approx(2 * 60.5 - 0.5, abs=1)


def test_no_matches_and_too_many_matches_are_drawn(monkeypatch):
    empty = draw_matches(ramp(), ramp(), Correspondences.empty(), np.zeros(0, dtype=bool))
    assert empty.shape[0] > 40
    many = some_matches(3000)
    monkeypatch.setattr(figures, "_MAX_LINES", 5)
    few = draw_matches(ramp(), ramp(), many, np.ones(3000, dtype=bool))
    assert np.abs(few.astype(int) - empty.astype(int)).sum() > 0


@pytest.mark.parametrize(
    ("n_inliers", "n_outliers", "expected"),
    [(750, 250, (45, 15)), (1, 999, (1, 59)), (0, 100, (0, 60)), (7, 3, (7, 3))],
)
def test_lines_are_few_in_proportion_and_spread(n_inliers, n_outliers, expected):
    points_xy = np.random.default_rng(0).uniform(0, 100, (n_inliers + n_outliers, 2))
    inliers = np.arange(len(points_xy)) < n_inliers
    drawn = figures._spread(points_xy, inliers)
    assert len(set(drawn)) == len(drawn)
    assert (inliers[drawn].sum(), (~inliers[drawn]).sum()) == expected
    shown = points_xy[drawn[: expected[0]]]
    if len(shown) > 30:
        apart = np.linalg.norm(shown[:, None] - shown[None], axis=2) + 1e9 * np.eye(len(shown))
        assert apart.min() > 8


def test_a_title_heads_both_images_and_each_is_reduced():
    image, inliers = ramp(60, 600), np.zeros(40, dtype=bool)
    plain = draw_matches(image, image, some_matches(40), inliers)
    titled = draw_matches(image, image, some_matches(40), inliers, title="sift")
    assert titled.shape == plain.shape
    assert (titled[:30] != plain[:30]).any()
    assert (titled[30:] == plain[30:]).all()
    assert draw_matches(image, image, some_matches(40), inliers, max_px=300).shape[1] == 300 + 12 + 300


@pytest.mark.parametrize("width", [120, 192, 524])
def test_a_title_fits_into_its_panel(width):
    paper = titled(np.zeros((10, width, 4), np.uint8), "")[:30].astype(int)
    for title in ("SAR", "optical, structure", "optical ROIs1158_spring_s2_1_p30 with a very long name " * 2):
        ink = np.abs(titled(np.zeros((10, width, 4), np.uint8), title)[:30] - paper).sum(axis=(0, 2))
        assert ink.any()
        assert not ink[-2:].any()


def test_a_title_fits_over_narrow_images():
    tall = ramp(600, 40)
    picture = draw_matches(tall, tall, some_matches(40), np.ones(40, dtype=bool), title="roma-shared, inliers")
    assert picture.shape[1] == 360
    assert not (picture[:30, -2:] != picture[0, 0]).any()


@pytest.mark.parametrize(
    ("n_panels", "rows_columns"),
    [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (4, (2, 2)), (5, (3, 2)), (6, (3, 2)), (8, (3, 3)), (9, (3, 3))],
)
def test_panels_fill_rows_one_after_the_other(n_panels, rows_columns):
    panels = [np.full((288, 524, 3), 100 + index, np.uint8) for index in range(n_panels)]
    whole = tile(panels)
    n_rows, n_columns = rows_columns
    assert whole.shape == (n_rows * 300 - 12, n_columns * 536 - 12, 3)
    for index, panel in enumerate(panels):
        top, left = index // n_columns * 300, index % n_columns * 536
        assert (whole[top : top + 288, left : left + 524] == panel).all()
    assert (whole[..., 0] >= 100).sum() == n_panels * 288 * 524


def test_a_picture_gets_a_title_and_panels_a_number_of_columns():
    picture = np.full((10, 40, 4), 200, np.uint8)
    headed = titled(picture, "a title")
    assert headed.shape == (10 + 30, 40, 3)
    np.testing.assert_array_equal(headed[30:], picture[..., :3])
    assert headed[:30].max() > 100
    assert tile([picture[..., :3]] * 5, n_columns=2).shape == (3 * 22 - 12, 2 * 52 - 12, 3)


def test_panels_of_several_sizes_lie_in_equal_cells():
    panels = [np.full((height, width, 3), 100, np.uint8) for height, width in ((20, 50), (30, 40), (10, 60))]
    whole = tile(panels, n_columns=2)
    assert whole.shape == (2 * 42 - 12, 2 * 72 - 12, 3)
    assert (whole[..., 0] == 100).sum() == 20 * 50 + 30 * 40 + 10 * 60
