"""Windows searched by correlation: where they are put, what they find, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import ConfigError
from midground.matching.configs import TemplateConfig
from midground.matching.template import TemplateMatcher, window_centres, window_sizes

SMALL = TemplateConfig(window_px=32, min_window_px=24, max_window_px=64, spacing_px=24, search_px=8)


def offsets(matches):
    return matches.fixed_xy - matches.moving_xy


@pytest.mark.parametrize(
    ("moving_hw", "fixed_hw", "sizes"),
    [
        ((512, 700), (600, 512), [96, 192, 256]),
        ((192, 900), (900, 900), [96, 192]),
        ((191, 191), (191, 191), [94, 190]),
        ((900, 900), (900, 100), [50, 100]),
        ((99, 99), (99, 99), [48, 98]),
        ((64, 64), (64, 64), [48, 64]),
        ((40, 300), (300, 300), [40]),
    ],
)
def test_windows_grow_while_they_fit_the_images(moving_hw, fixed_hw, sizes):
    assert window_sizes(TemplateConfig(), moving_hw, fixed_hw) == sizes


def test_windows_stop_at_the_largest_allowed():
    assert window_sizes(TemplateConfig(window_px=64, max_window_px=256), (900, 900), (900, 900)) == [64, 128, 256]
    assert window_sizes(TemplateConfig(window_px=64, max_window_px=64), (900, 900), (900, 900)) == [64]


def test_centres_cover_the_image_from_edge_to_edge():
    image = Image.from_array(np.ones((200, 300)))
    centres = window_centres(image, 32, SMALL)
    assert (centres % 1 == 0.5).all()  # between the two middle pixels of an even window
    assert centres[:, 0].min() == centres[:, 1].min() == 15.5
    assert centres[:, 0].max() == 300 - 16.5
    assert centres[:, 1].max() == 200 - 16.5
    assert len(centres) == 12 * 8


def test_spacing_grows_until_there_are_few_enough():
    image = Image.from_array(np.ones((400, 900)))
    config = TemplateConfig(window_px=32, min_window_px=24, spacing_px=8, max_points=50)
    assert 25 <= len(window_centres(image, 32, config)) <= 50


def test_small_images_get_windows_that_overlap_more():
    small = Image.from_array(np.ones((150, 150)))
    assert len(window_centres(small, 64, TemplateConfig(window_px=64, spacing_px=64))) >= 36
    assert len(window_centres(Image.from_array(np.ones((64, 64))), 64, TemplateConfig(window_px=64))) == 1


@pytest.mark.parametrize("max_points", [1, 7, 40])
def test_a_small_image_does_not_get_more_windows_than_asked_for(max_points):
    config = TemplateConfig(window_px=32, min_window_px=24, spacing_px=32, max_points=max_points)
    for hw in ((96, 96), (190, 250), (150, 400)):
        assert 1 <= len(window_centres(Image.from_array(np.ones(hw)), 32, config)) <= max_points


def test_windows_need_enough_data():
    valid = np.ones((160, 240), bool)
    valid[:, 120:] = False
    centres = window_centres(Image.from_array(np.ones((160, 240)), valid), 32, SMALL)
    assert len(centres) > 0
    # At most 40 % of the 32 columns may lie beyond the data.
    assert centres[:, 0].max() + 16 <= 120 + 0.4 * 32 + 0.5


@pytest.mark.parametrize("shift_xy", [(3.0, -5.0), (-2.5, 4.25), (6.3, 0.0)])
@pytest.mark.parametrize("hw", [(130, 180), (181, 127)])
def test_shifts_are_found_with_their_sign_and_fraction(texture, shift_xy, hw):
    moving = Image.from_array(texture(hw, n_channels=2))
    fixed = Image.from_array(texture(hw, shift_xy, n_channels=2))
    matches = TemplateMatcher(SMALL).match(moving, fixed)
    assert len(matches) >= 12
    assert np.abs(offsets(matches) - shift_xy).max() < 0.25
    np.testing.assert_allclose(offsets(matches).mean(axis=0), shift_xy, atol=0.06)
    assert ((matches.score >= 0) & (matches.score <= 1)).all()


def test_the_search_starts_where_the_first_transform_expects_the_windows(texture):
    moving, fixed = Image.from_array(texture((140, 160))), Image.from_array(texture((140, 160), (31.4, -22.7)))
    matcher = TemplateMatcher(SMALL)
    near = matcher.match_around(moving, fixed, Transform.translation(30, -25), search_px=4).matches
    assert len(near) >= 6
    assert np.abs(offsets(near) - (31.4, -22.7)).max() < 0.25
    blind = matcher.match(moving, fixed)
    assert not (np.linalg.norm(offsets(blind) - (31.4, -22.7), axis=1) < 3).any()


def test_images_of_different_sizes_are_matched(texture):
    moving, fixed = Image.from_array(texture((100, 150))), Image.from_array(texture((170, 120), (4, 5)))
    matches = TemplateMatcher(SMALL).match(moving, fixed)
    assert len(matches) >= 6
    assert np.abs(offsets(matches) - (4, 5)).max() < 0.25
    assert (matches.fixed_xy[:, 0] < 120).all()


def test_windows_whose_search_leaves_the_image_still_match(texture):
    moving, fixed = Image.from_array(texture((120, 120))), Image.from_array(texture((120, 120), (-5, -5)))
    matches = TemplateMatcher(SMALL).match(moving, fixed)
    at_corner = (matches.moving_xy == 15.5).all(axis=1)
    assert at_corner.sum() == 1
    np.testing.assert_allclose(offsets(matches)[at_corner][0], (-5, -5), atol=0.4)


def test_pixels_without_data_do_not_attract_matches(texture):
    shift = (3, 2)
    fixed = texture((160, 160), shift)
    valid = np.ones((160, 160), bool)
    rows, columns = np.mgrid[:160, :160]
    valid[rows + columns < 120] = False
    found = TemplateMatcher(SMALL).match(Image.from_array(texture((160, 160))), Image.from_array(fixed, valid))
    assert len(found) >= 8
    assert np.abs(offsets(found) - shift).max() < 0.6


@pytest.mark.parametrize("which", ["moving", "fixed"])
def test_windows_around_a_hole_are_neither_tried_nor_matched(texture, which):
    moving, fixed = (Image.from_array(texture((160, 160), shift)) for shift in ((0, 0), (3, 2)))
    whole = TemplateMatcher(SMALL).match_around(moving, fixed, Transform.identity())
    points_xy = {"moving": whole.matches.moving_xy, "fixed": whole.matches.fixed_xy}[which]
    valid = np.ones((160, 160), bool)
    for column, row in np.rint(points_xy[::3]).astype(int):
        valid[row - 4 : row + 5, column - 4 : column + 5] = False
    holed = Image.from_array({"moving": moving, "fixed": fixed}[which].channels, valid)
    pair = (holed, fixed) if which == "moving" else (moving, holed)
    found = TemplateMatcher(SMALL).match_around(*pair, Transform.identity())
    n_holes = len(points_xy[::3])
    assert len(found.matches) == len(whole.matches) - n_holes
    assert found.n_windows == whole.n_windows - n_holes
    assert np.abs(offsets(found.matches) - (3, 2)).max() < 0.6


def non_reciprocal() -> tuple[Image, Image]:
    """The moving pattern at the centre is a poor copy; 7 px lower lies a good one, of which the fixed image has one."""
    rng = np.random.default_rng(8)
    moving, fixed = rng.normal(0, 0.02, (2, 1, 64, 64))
    pattern = rng.normal(0, 1, (8, 24))
    fixed[0, 28:36, 20:44] += pattern
    moving[0, 28:36, 20:44] += pattern + rng.normal(0, 0.8, pattern.shape)
    moving[0, 40:48, 20:44] += pattern
    return Image.from_array(moving), Image.from_array(fixed)


@pytest.mark.parametrize(("max_roundtrip_px", "n_found"), [(2.0, 0), (20.0, 1)])
def test_matches_that_do_not_match_back_are_dropped(max_roundtrip_px, n_found):
    moving, fixed = non_reciprocal()
    config = TemplateConfig(
        window_px=24,
        min_window_px=24,
        max_window_px=24,
        spacing_px=64,
        max_points=1,
        search_px=14,
        max_roundtrip_px=max_roundtrip_px,
    )
    found = TemplateMatcher(config).match_around(moving, fixed, Transform.identity())
    assert found.n_windows == 1
    assert len(found.matches) == n_found
    if n_found:
        np.testing.assert_allclose(offsets(found.matches)[0], (0, 0), atol=0.5)


def test_matching_back_counts_the_fraction_of_a_pixel(texture):
    moving, fixed = (Image.from_array(texture((110, 110), each, n_channels=2)) for each in ((0, 0), (2.5, -3.4)))
    strict = TemplateConfig(window_px=32, min_window_px=24, max_window_px=32, spacing_px=32, max_roundtrip_px=0.3)
    found = TemplateMatcher(strict).match_around(moving, fixed, Transform.identity())
    assert len(found.matches) > 0.7 * found.n_windows


def repetitive(texture, shift_xy: tuple[float, float]) -> np.ndarray:
    """Stripes and dots with a period of 8 px in the middle, a texture that never repeats around it."""
    rows, columns = np.mgrid[:128, :128].astype(np.float64)
    x, y = columns - shift_xy[0], rows - shift_xy[1]
    periodic = 0.5 + 0.25 * np.cos(2 * np.pi * x / 8) + 0.25 * np.cos(2 * np.pi * y / 8)
    inside = (np.abs(x - 63.5) < 32) & (np.abs(y - 63.5) < 32)
    return np.where(inside, periodic, texture((128, 128), shift_xy)[0]).astype(np.float32)


def test_ambiguous_windows_grow(texture):
    moving, fixed = Image.from_array(repetitive(texture, (0, 0))), Image.from_array(repetitive(texture, (2, -1)))
    config = TemplateConfig(window_px=32, min_window_px=32, max_window_px=128, spacing_px=32, search_px=12)
    found = TemplateMatcher(config).match_around(moving, fixed, Transform.identity())
    in_the_middle = (np.abs(found.matches.moving_xy - 63.5) < 12).all(axis=1)
    assert in_the_middle.any()
    assert (found.window_px[in_the_middle] > 32).all()
    assert (found.window_px == 32).any()
    assert np.abs(offsets(found.matches) - (2, -1)).max() < 0.5
    assert (found.peak_ratio >= config.min_peak_ratio).all()
    np.testing.assert_allclose(found.matches.score, 1 - 1 / found.peak_ratio)

    never = TemplateConfig(window_px=32, min_window_px=32, max_window_px=32, spacing_px=32, search_px=12)
    without = TemplateMatcher(never).match_around(moving, fixed, Transform.identity())
    assert not (np.abs(without.matches.moving_xy - 63.5) < 12).all(axis=1).any()
    assert without.n_windows == found.n_windows > len(without.matches)


@pytest.mark.parametrize("which", ["moving", "fixed"])
def test_an_image_without_data_has_no_windows(texture, which):
    empty = Image.from_array(np.full((100, 100), np.nan))
    full = Image.from_array(texture((100, 100)))
    pair = (empty, full) if which == "moving" else (full, empty)
    found = TemplateMatcher(SMALL).match_around(*pair, Transform.identity())
    assert found.n_windows == 0
    assert len(found.matches) == len(found.peak_ratio) == len(found.window_px) == 0


def test_windows_without_contrast_are_tried_and_found_wanting(texture):
    flat = Image.from_array(np.full((100, 100), 0.5))
    found = TemplateMatcher(SMALL).match_around(flat, Image.from_array(texture((100, 100))), Transform.identity())
    assert found.n_windows > 0
    assert len(found.matches) == 0


def test_the_same_images_give_the_same_matches(texture):
    moving, fixed = Image.from_array(texture((120, 120))), Image.from_array(texture((120, 120), (2.2, 1.1)))
    one, other = (TemplateMatcher(SMALL).match(moving, fixed) for _ in range(2))
    np.testing.assert_array_equal(one.fixed_xy, other.fixed_xy)
    np.testing.assert_array_equal(one.score, other.score)


def test_progress_reaches_its_end(texture):
    told = []
    image = Image.from_array(texture((120, 120)))
    TemplateMatcher(SMALL).match_around(image, image, Transform.identity(), progress=lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2]
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window_px": 32}, "min_window_px <= window_px"),
        ({"max_window_px": 64}, "found 48, 96, 64"),
        ({"spacing_px": 0}, "spacing_px must be 1 or more, found 0"),
        ({"max_points": 0}, "max_points"),
        ({"search_px": 0}, "search_px"),
        ({"min_peak_ratio": 0.9}, "min_peak_ratio"),
        ({"max_roundtrip_px": 0.0}, "max_roundtrip_px must be positive"),
        ({"min_valid": 0.0}, "min_valid"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TemplateConfig(**settings)
