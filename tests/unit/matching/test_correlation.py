"""Correlation against its definition, evaluated pixel by pixel, and peaks of surfaces with known maxima."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.matching.correlation import correlation_surface, find_peak, shift_surface


def normalised(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Zero-mean normalised cross-correlation over the weighted pixels, channels together."""
    a, b = a[:, weight].astype(np.float64), b[:, weight].astype(np.float64)
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()))


def quadratic(hw: tuple[int, int], peak_xy: tuple[float, float], hxx: float, hyy: float, hxy: float = 0) -> np.ndarray:
    rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    x, y = columns - peak_xy[0], rows - peak_xy[1]
    return (0.9 - (hxx * x**2 + 2 * hxy * x * y + hyy * y**2) / 2).astype(np.float32)


def bumps(hw: tuple[int, int], peaks: list[tuple[float, float, float]], sigma: float = 2.0) -> np.ndarray:
    rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    total = np.zeros(hw)
    for x, y, height in peaks:
        total += height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return total.astype(np.float32)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_surface_is_the_normalised_correlation_of_every_window(n_channels):
    rng = np.random.default_rng(1)
    search = Image.from_array(rng.random((n_channels, 15, 19)) + 3)
    template = Image.from_array(rng.random((n_channels, 6, 9)))
    surface = correlation_surface(template, search)
    assert surface.shape == (10, 11)
    whole = np.ones((6, 9), bool)
    expected = [
        [normalised(template.channels, search.channels[:, row : row + 6, col : col + 9], whole) for col in range(11)]
        for row in range(10)
    ]
    np.testing.assert_allclose(surface, expected, atol=2e-4)


def test_a_masked_template_is_correlated_over_its_valid_pixels_alone():
    rng = np.random.default_rng(2)
    search = Image.from_array(rng.random((2, 14, 16)))
    valid = rng.random((7, 8)) < 0.7
    template = Image.from_array(rng.random((2, 7, 8)), valid)
    expected = [
        [normalised(template.channels, search.channels[:, row : row + 7, col : col + 8], valid) for col in range(9)]
        for row in range(8)
    ]
    np.testing.assert_allclose(correlation_surface(template, search), expected, atol=2e-4)


def test_an_equal_window_gives_one_and_its_negative_minus_one():
    search = Image.from_array(np.random.default_rng(3).random((1, 30, 40)))
    template = search.crop(11, 17, 12, 10)
    surface = correlation_surface(template, search)
    assert np.unravel_index(surface.argmax(), surface.shape) == (11, 17)
    assert surface.max() == pytest.approx(1, abs=1e-4)
    negative = Image(1 - template.channels, template.valid)
    assert correlation_surface(negative, search)[11, 17] == pytest.approx(-1, abs=1e-4)


def test_correlation_ignores_what_lies_under_invalid_pixels(texture):
    search = Image.from_array(texture((60, 70)))
    template_valid, search_valid = np.ones((24, 20), bool), np.ones((60, 70), bool)
    template_valid[:5, :8] = False
    search_valid[30:, 50:] = False
    template = search.crop(15, 21, 24, 20)
    clean = correlation_surface(
        Image.from_array(template.channels, template_valid), Image.from_array(search.channels, search_valid)
    )
    rubbish = correlation_surface(
        Image(np.where(template_valid, template.channels, np.float32(50)), template_valid),
        Image(np.where(search_valid, search.channels, np.float32(-70)), search_valid),
    )
    np.testing.assert_allclose(clean, rubbish, atol=1e-6)


def test_a_partly_hidden_window_is_correlated_over_what_both_show():
    rng = np.random.default_rng(5)
    search_valid = np.ones((14, 16), bool)
    search_valid[:, :5] = False
    search_valid[6, 9] = False
    search = Image.from_array(rng.random((2, 14, 16)), search_valid)
    template_valid = rng.random((6, 7)) < 0.8
    for valid in (template_valid, np.ones((6, 7), bool)):
        template = Image.from_array(rng.random((2, 6, 7)), valid)
        surface = correlation_surface(template, search, min_valid=0.3)
        for row, col in [(0, 3), (3, 2), (5, 9), (8, 4), (1, 6)]:
            common = valid & search_valid[row : row + 6, col : col + 7]
            expected = normalised(template.channels, search.channels[:, row : row + 6, col : col + 7], common)
            assert surface[row, col] == pytest.approx(expected, abs=2e-4)


def test_peak_stays_where_it_is_when_part_of_the_window_has_no_data(texture):
    search = texture((70, 80))
    template = Image.from_array(search[:, 20:52, 24:56])
    valid = np.ones((70, 80), bool)
    valid[40:, :] = False
    surface = correlation_surface(template, Image.from_array(search, valid), min_valid=0.5)
    peak = find_peak(surface)
    assert (peak.x, peak.y) == pytest.approx((24, 20), abs=0.2)
    assert not peak.at_edge


def test_windows_with_too_little_data_are_rejected(texture):
    search = texture((40, 40))
    valid = np.ones((40, 40), bool)
    valid[:, 20:] = False
    surface = correlation_surface(Image.from_array(search[:, :10, :10]), Image.from_array(search, valid), min_valid=0.5)
    assert (surface[:, 16:] == -1).all()
    assert (surface[:, :15] > -1).all()


def test_a_template_with_too_little_data_is_rejected_everywhere(texture):
    search = Image.from_array(texture((40, 40)))
    valid = np.zeros((10, 10), bool)
    valid[:4] = True
    template = Image.from_array(search.channels[:, :10, :10], valid)
    assert (correlation_surface(template, search, min_valid=0.5) == -1).all()
    assert (correlation_surface(template, search, min_valid=0.3) > -1).all()


def test_windows_without_contrast_correlate_with_nothing(texture):
    scene, flat = texture((40, 40)), np.full((1, 40, 40), 0.4, np.float32)
    assert (correlation_surface(Image.from_array(scene[:, :10, :10]), Image.from_array(flat)) == 0).all()
    assert np.abs(correlation_surface(Image.from_array(flat[:, :10, :10]), Image.from_array(scene))).max() < 1e-3


@pytest.mark.parametrize(("dx", "dy"), [(5, -3), (-4, 6), (0, 0), (7, 0), (0, -8)])
def test_shift_surface_says_where_moving_pixels_lie_in_the_fixed_image(texture, dx, dy):
    moving, fixed = texture((48, 70), (0, 0)), texture((60, 64), (dx, dy))
    surface = shift_surface(Image.from_array(moving), Image.from_array(fixed), 10)
    assert surface.shape == (21, 21)
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    assert (column - 10, row - 10) == (dx, dy)


def test_shift_surface_has_the_values_of_its_definition():
    rng = np.random.default_rng(4)
    a, b = rng.random((2, 9, 14)).astype(np.float32), rng.random((2, 12, 11)).astype(np.float32)
    valid_a, valid_b = rng.random((9, 14)) < 0.9, rng.random((12, 11)) < 0.9
    surface = shift_surface(Image.from_array(a, valid_a), Image.from_array(b, valid_b), 3, min_overlap=0)
    a = a - a[:, valid_a].mean(axis=1)[:, None, None]
    b = b - b[:, valid_b].mean(axis=1)[:, None, None]
    for dx, dy in [(0, 0), (3, -3), (-2, 1), (1, 2)]:
        top, left = max(0, dy), max(0, dx)
        bottom, right = min(12, 9 + dy), min(11, 14 + dx)
        common = valid_b[top:bottom, left:right] & valid_a[top - dy : bottom - dy, left - dx : right - dx]
        one = a[:, top - dy : bottom - dy, left - dx : right - dx][:, common]
        other = b[:, top:bottom, left:right][:, common]
        expected = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())
        assert surface[dy + 3, dx + 3] == pytest.approx(expected, abs=2e-4)


def test_shift_surface_rejects_shifts_with_too_little_in_common(texture):
    image = Image.from_array(texture((40, 40)))
    surface = shift_surface(image, image, 35, min_overlap=0.25)
    assert surface[35, 35] == pytest.approx(1, abs=1e-4)
    assert (surface[35, [0, 1, 69, 70]] == -1).all()
    assert surface[35, 35 + 29] > -1
    assert surface[35, 35 + 31] == -1


def test_shift_surface_does_not_wrap_around_when_the_search_exceeds_the_images(texture):
    image = Image.from_array(texture((20, 24)))
    surface = shift_surface(image, image, 60, min_overlap=0.2)
    assert np.unravel_index(surface.argmax(), surface.shape) == (60, 60)
    assert (surface[:40] == -1).all()
    assert (surface[:, -35:] == -1).all()


def test_shift_surface_ignores_what_has_no_data(texture):
    moving, fixed = texture((60, 60)), texture((60, 60), (4, -6))
    valid = np.ones((60, 60), bool)
    valid[:, 35:] = False
    bright = np.where(valid, moving, np.float32(90))
    surface = shift_surface(Image(bright, valid), Image.from_array(fixed), 10)
    row, column = np.unravel_index(surface.argmax(), surface.shape)
    assert (column - 10, row - 10) == (4, -6)


@pytest.mark.parametrize("peak_xy", [(9.0, 7.0), (9.3, 6.6), (8.51, 7.49), (9.45, 6.55)])
def test_the_peak_of_a_quadratic_is_exact(peak_xy):
    peak = find_peak(quadratic((15, 20), peak_xy, 0.02, 0.05, 0.01))
    assert (peak.x, peak.y) == pytest.approx(peak_xy, abs=1e-4)
    assert peak.curvature == pytest.approx(np.linalg.eigvalsh([[0.02, 0.01], [0.01, 0.05]])[0], rel=1e-3)
    assert not peak.at_edge


@pytest.mark.parametrize("shift_xy", [(0.0, 0.0), (0.25, -0.4), (2.5, -3.5), (-1.3, 0.7), (0.1, 4.9)])
def test_sub_pixel_shifts_of_a_texture_are_found(texture, shift_xy):
    template = Image.from_array(texture((64, 48), n_channels=2)[:, 8:-8, 8:-8])
    search = Image.from_array(texture((64, 48), shift_xy, n_channels=2))
    peak = find_peak(correlation_surface(template, search))
    assert (peak.x - 8, peak.y - 8) == pytest.approx(shift_xy, abs=0.08)
    assert peak.value > 0.95


def test_ratio_compares_the_peak_with_its_best_rival_above_the_level_of_the_surface():
    surface = bumps((60, 80), [(20, 30, 0.8), (60, 15, 0.4)])
    assert find_peak(surface).ratio == pytest.approx(2, rel=0.02)
    assert find_peak(surface + np.float32(0.1)).ratio == pytest.approx(2, rel=0.02)
    assert find_peak(bumps((60, 80), [(20, 30, 0.8), (60, 15, 0.8)])).ratio == pytest.approx(1, rel=0.02)


def test_rivals_inside_the_exclusion_belong_to_the_peak():
    surface = bumps((60, 80), [(30, 30, 0.8), (36, 30, 0.7)], sigma=1.0)
    assert find_peak(surface, exclusion_px=5).ratio == pytest.approx(0.8 / 0.7, rel=0.03)
    assert find_peak(surface, exclusion_px=12).ratio > 50


@pytest.mark.parametrize(("row", "column"), [(0, 7), (14, 7), (6, 0), (6, 19)])
def test_a_peak_on_the_border_is_flagged_and_not_refined(row, column):
    surface = bumps((15, 20), [(column, row, 0.9)])
    peak = find_peak(surface)
    assert peak.at_edge
    assert (peak.x, peak.y) == (column, row)
    assert peak.curvature == 0


def test_a_peak_beside_rejected_positions_is_an_edge_too():
    surface = quadratic((15, 20), (9.2, 7.3), 0.02, 0.02)
    surface[8:, 10:] = -1
    peak = find_peak(surface)
    assert peak.at_edge
    assert (peak.x, peak.y) == (9, 7)
    assert peak.curvature == 0


def test_a_ridge_has_no_curvature_along_it():
    rows, _ = np.mgrid[:15, :20]
    ridge = (0.8 - 0.01 * (rows - 7.0) ** 2).astype(np.float32)
    ridge[7, 9] += 1e-6
    assert find_peak(ridge).curvature == pytest.approx(0, abs=1e-5)


def test_a_surface_without_any_scored_shift_has_no_peak():
    peak = find_peak(np.full((9, 9), -1, np.float32))
    assert peak.value == -1
    assert peak.ratio == 0
