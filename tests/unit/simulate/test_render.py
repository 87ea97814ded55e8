from __future__ import annotations

import cv2
import numpy as np
import pytest

from midground.core.transforms import Transform
from midground.errors import ConfigError
from midground.simulate import RenderedPair, SceneConfig, render_pair
from midground.simulate.materials import BANDS

SIZE = 512


@pytest.fixture(scope="module")
def pair() -> RenderedPair:
    return render_pair(SceneConfig(seed=4, size_px=SIZE))


def oriented_gradients(image: np.ndarray) -> np.ndarray:
    smooth = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    angles = np.arange(9) * np.pi / 9
    channels = np.stack([cv2.GaussianBlur(np.abs(np.cos(a) * gx + np.sin(a) * gy), (0, 0), 1.2) for a in angles])
    return (channels / (np.linalg.norm(channels, axis=0) + 1e-6)).astype(np.float32)


def best_shift(moving: np.ndarray, fixed: np.ndarray, reach: int = 8) -> tuple[float, float, float]:
    """Where the SAR image lies best on the optical one, (dx, dy) in px, and the correlation there."""
    template = moving[:, reach:-reach, reach:-reach]
    surface = np.mean(
        [
            cv2.matchTemplate(np.ascontiguousarray(f), np.ascontiguousarray(t), cv2.TM_CCOEFF_NORMED)
            for f, t in zip(fixed, template, strict=True)
        ],
        axis=0,
    )
    y, x = np.unravel_index(surface.argmax(), surface.shape)
    top = surface[y, x]

    def vertex(before: float, after: float) -> float:
        return (before - after) / (2 * (before + after - 2 * top))

    dx = x - reach + vertex(surface[y, x - 1], surface[y, x + 1])
    dy = y - reach + vertex(surface[y - 1, x], surface[y + 1, x])
    return float(dx), float(dy), float(top)


def residual_shift(pair: RenderedPair) -> tuple[float, float, float]:
    decibels = 10 * np.log10(pair.sar.channels[0])
    matrix = pair.fixed_from_moving.matrix[:2]
    onto_optical = cv2.warpAffine(decibels, matrix, decibels.shape[::-1], borderMode=cv2.BORDER_REFLECT)
    inner = np.s_[:, 40:-40, 40:-40]
    grey = pair.optical.channels[:3].mean(axis=0)
    return best_shift(oriented_gradients(onto_optical)[inner], oriented_gradients(grey)[inner])


def test_both_images_show_the_same_ground_where_the_truth_says(pair: RenderedPair) -> None:
    dx, dy, correlation = residual_shift(pair)
    assert np.hypot(dx, dy) < 0.3
    assert correlation > 0.1


def test_truth_is_unbiased_over_looks_from_both_sides() -> None:
    pairs = [render_pair(SceneConfig(seed=seed, size_px=SIZE)) for seed in (0, 1, 3, 5)]
    assert len({pair.orbit.is_ascending for pair in pairs}) == 2
    shifts = np.array([residual_shift(pair)[:2] for pair in pairs])
    assert np.linalg.norm(shifts, axis=1).max() < 0.3
    assert np.linalg.norm(shifts.mean(axis=0)) < 0.15


def test_a_large_known_transform_is_the_one_between_the_images() -> None:
    pair = render_pair(SceneConfig(seed=4, size_px=SIZE, shift_m=(420.0, -310.0), rotation_deg=2.0, scale=1.01))
    dx, dy, _ = residual_shift(pair)
    assert np.hypot(dx, dy) < 0.3


def test_shift_is_by_how_much_the_centre_must_move() -> None:
    pair = render_pair(SceneConfig(seed=1, size_px=128, shift_m=(250.0, -120.0), rotation_deg=1.5, scale=1.02))
    centre = np.array([63.5, 63.5])
    assert pair.fixed_from_moving(centre) == pytest.approx(np.array([88.5, 75.5]))
    assert pair.fixed_from_moving.scale_at(centre) == pytest.approx((1.02, 1.02))
    # Clockwise on the map: a point east of the centre moves south.
    assert pair.fixed_from_moving(np.array([73.5, 63.5]))[1] > pair.fixed_from_moving(centre)[1]


def test_nothing_to_correct_is_the_identity() -> None:
    pair = render_pair(SceneConfig(seed=1, size_px=128, shift_m=(0.0, 0.0), rotation_deg=0.0, scale=1.0))
    assert np.allclose(pair.fixed_from_moving.matrix, Transform.identity().matrix, atol=1e-12)


def test_same_seed_same_values_other_seed_other_values() -> None:
    first, again, other = (render_pair(SceneConfig(seed=seed, size_px=192)) for seed in (3, 3, 5))
    assert first.optical.channels.tobytes() == again.optical.channels.tobytes()
    assert first.sar.channels.tobytes() == again.sar.channels.tobytes()
    assert np.array_equal(first.fixed_from_moving.matrix, again.fixed_from_moving.matrix)
    for here, there in ((first.optical, other.optical), (first.sar, other.sar)):
        assert abs(np.corrcoef(here.channels[0].ravel(), there.channels[0].ravel())[0, 1]) < 0.3
    assert first.shift_m != other.shift_m


def test_the_ground_does_not_depend_on_where_the_sar_image_lies() -> None:
    here, there = (
        render_pair(SceneConfig(seed=3, size_px=192, shift_m=shift)) for shift in ((0.0, 0.0), (200.0, 50.0))
    )
    assert np.array_equal(here.optical.channels, there.optical.channels)


def water(pair: RenderedPair) -> np.ndarray:
    """Pixels of open water well away from the shore, in the SAR image's geometry."""
    blue, _, _, infrared = pair.optical.channels
    wet = ((infrared < 0.6 * blue) & (infrared < 0.06)).astype(np.uint8)
    # Single bright or dark pixels of noise are not shore.
    wet = cv2.morphologyEx(wet, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    return cv2.erode(wet, np.ones((9, 9), np.uint8)).astype(bool)


@pytest.mark.parametrize("looks", [1.0, 4.4, 20.0])
def test_speckle_has_the_number_of_looks_asked_for(looks: float) -> None:
    pair = render_pair(SceneConfig(seed=0, size_px=SIZE, shift_m=(0.0, 0.0), rotation_deg=0.0, scale=1.0, looks=looks))
    power = pair.sar.channels[0][water(pair)].astype(np.float64)
    assert power.size > 800
    assert power.mean() ** 2 / power.var() == pytest.approx(looks, rel=0.15)


def test_values_are_those_of_the_sensors(pair: RenderedPair) -> None:
    assert pair.optical.channels.shape == (len(BANDS), SIZE, SIZE)
    assert pair.optical.valid.all()
    assert pair.sar.valid.all()
    low, middle, high = np.percentile(pair.optical.channels, [1, 50, 99])
    assert 0.005 < low < middle < high < 0.7
    assert pair.sar.channels.min() > 0
    assert -15 < 10 * np.log10(np.median(pair.sar.channels)) < -8


def test_progress_reaches_the_end() -> None:
    calls: list[tuple[str, int, int]] = []
    render_pair(SceneConfig(size_px=128), progress=lambda stage, done, total: calls.append((stage, done, total)))
    assert [done for _, done, _ in calls] == list(range(len(calls)))
    assert calls[-1][1] == calls[-1][2]


@pytest.mark.parametrize("gsd_m", [3.0, 30.0])
def test_other_ground_sample_distances_work(gsd_m: float) -> None:
    pair = render_pair(SceneConfig(seed=2, size_px=128, gsd_m=gsd_m))
    assert pair.optical.channels.std() > 0.005


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("seed", -1),
        ("size_px", 64),
        ("size_px", 5000),
        ("gsd_m", 0.0),
        ("gsd_m", float("nan")),
        ("looks", 0.0),
        ("rotation_deg", 45.0),
        ("scale", 0.0),
        ("shift_m", (0.0, 9999.0)),
        ("shift_m", (float("inf"), 0.0)),
    ],
)
def test_values_out_of_range_are_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        SceneConfig(**{"size_px": 256, setting: value})
