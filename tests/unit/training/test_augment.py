"""Random changes to training pairs."""

from __future__ import annotations

import numpy as np
import pytest

from midground.errors import ConfigError
from midground.training.augment import AugmentConfig, Placement, draw_placement, vary_optical, vary_sar

RNG = np.random.default_rng(3)
NONE = AugmentConfig(flips=False, quarter_turns=False)
EVERYTHING = AugmentConfig(
    rotation_deg=20, zoom=(0.7, 1.5), speckle=0.2, sar_gain=0.3, optical_gain=0.3, band_mixing=1, haze=0.5
)


def marked() -> np.ndarray:
    """A square with one bright pixel at row 5, column 20."""
    image = np.zeros((1, 32, 32), np.float32)
    image[0, 5, 20] = 1
    return image


def brightest(image: np.ndarray) -> tuple[int, int]:
    row, column = np.unravel_index(int(image[0].argmax()), image.shape[1:])
    return int(row), int(column)


@pytest.mark.parametrize(
    ("n_turns", "is_mirrored", "expected"),
    [(0, False, (5, 20)), (0, True, (5, 11)), (1, False, (11, 5)), (2, False, (26, 11)), (3, True, (20, 5))],
)
def test_turns_and_mirrors(n_turns: int, is_mirrored: bool, expected: tuple[int, int]) -> None:
    placed = Placement(32, 0, n_turns, is_mirrored).apply(marked(), 32)
    assert brightest(placed) == expected
    assert placed.max() == 1


def test_zoom_keeps_the_centre_where_it_is() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, None].repeat(64, axis=1)
    placed = Placement(32, 0, 0, False).apply(ramp, 64)
    middle = placed[0, 32, 31:33].mean()
    assert middle == pytest.approx(0.5, abs=1e-4)
    assert np.diff(placed[0, 32])[8:-8].mean() == pytest.approx(1 / 63 / 2, rel=0.01)


def test_rotation_is_by_the_angle_asked_for() -> None:
    image = np.zeros((1, 91, 91), np.float32)
    image[0, 45, 65] = 1
    placement = Placement(64, 30, 0, False)
    placed = placement.apply(image, 64)
    row, column = brightest(placed)
    centre = (64 - 1) / 2
    angle = np.rad2deg(np.arctan2(centre - row, column - centre))
    assert angle == pytest.approx(30, abs=3)
    assert np.hypot(row - centre, column - centre) == pytest.approx(20, abs=1)


def test_the_window_holds_the_turned_square() -> None:
    assert Placement(100, 0, 0, False).window_px == 100
    assert Placement(100, 45, 0, False).window_px == 142


def test_nothing_asked_for_changes_nothing() -> None:
    image = RNG.random((3, 32, 32)).astype(np.float32)
    placement = draw_placement(NONE, 32, (32, 32), np.random.default_rng(0))
    assert np.array_equal(placement.apply(image, 32), image)
    assert np.array_equal(vary_sar(image, NONE, np.random.default_rng(0)), image)
    assert np.array_equal(vary_optical(image, NONE, np.random.default_rng(0)), image)


@pytest.mark.parametrize("seed", range(20))
def test_a_square_never_leaves_the_image(seed: int) -> None:
    placement = draw_placement(EVERYTHING, 64, (80, 100), np.random.default_rng(seed))
    assert placement.window_px <= 80
    assert 64 / 1.5 - 1e-6 <= placement.side_px <= 80
    assert abs(placement.rotation_deg) <= 20


@pytest.mark.parametrize("vary", [vary_sar, vary_optical])
def test_values_stay_between_0_and_1_and_differ(vary: object) -> None:
    assert callable(vary)
    image = RNG.random((3, 32, 32)).astype(np.float32)
    varied = vary(image, EVERYTHING, np.random.default_rng(1))
    assert varied.dtype == np.float32
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert not np.array_equal(varied, image)
    assert np.array_equal(varied, vary(image, EVERYTHING, np.random.default_rng(1)))


def test_speckle_has_the_strength_asked_for_and_is_skewed_towards_dark() -> None:
    grey = np.full((1, 256, 256), 0.5, np.float32)
    noise = np.concatenate(
        [(vary_sar(grey, AugmentConfig(speckle=0.1), np.random.default_rng(seed)) - 0.5).ravel() for seed in range(4)]
    )
    assert 0 < noise.std() <= 0.1
    assert (noise**3).mean() < 0


def test_mixtures_keep_grey_grey() -> None:
    grey = RNG.random((1, 16, 16)).astype(np.float32).repeat(3, axis=0)
    varied = vary_optical(grey, AugmentConfig(band_mixing=1), np.random.default_rng(5))
    np.testing.assert_allclose(varied, grey, atol=1e-6)


def test_haze_only_brightens() -> None:
    dark = np.zeros((3, 32, 32), np.float32)
    veils = [vary_optical(dark, AugmentConfig(haze=0.5), np.random.default_rng(seed)) for seed in range(12)]
    assert any(veil.max() > 0.05 for veil in veils)
    assert any(veil.max() == 0 for veil in veils)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zoom": (1.2, 0.8)}, r"augment\.zoom must be two positive factors"),
        ({"speckle": -0.1}, r"augment\.speckle must be a number from 0 up"),
        ({"haze": 1.5}, r"augment\.haze must lie between 0 and 1"),
    ],
)
def test_settings_out_of_range(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        AugmentConfig(**settings)  # type: ignore[arg-type]
