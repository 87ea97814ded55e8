from __future__ import annotations

import numpy as np
import pytest

from midground.core.radiometry import Scaling
from midground.datasets import radiometry as radiometry_module
from midground.datasets.base import PairSource, PixelWindow
from midground.datasets.radiometry import Radiometry, estimate_radiometry
from midground.datasets.scaled import ScaledPairs
from midground.errors import ConfigError, InputError


def decibels(n_pairs: int, n_bands: int, side: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(-14 + number, 4, (n_bands, side, side)).astype(np.float32) for number in range(n_pairs)]


def digital_numbers(n_pairs: int, n_bands: int, side: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(rng.gamma(3, 400, (n_bands, side, side)) + 80 * number).astype(np.uint16) for number in range(n_pairs)]


def percentiles(arrays, low=0.5, high=99.5) -> np.ndarray:
    values = np.concatenate([array.reshape(len(array), -1) for array in arrays], axis=1).astype(np.float32)
    return np.percentile(values, [low, high], axis=1).T


def test_limits_are_percentiles_of_all_pixels_of_the_collection(array_pairs):
    sar, optical = decibels(5, 2, 40), digital_numbers(5, 3, 40)
    sar[2][:, :10] = np.nan
    found = estimate_radiometry(array_pairs(sar, optical))

    seen = [array[:, np.isfinite(array).all(axis=0)] for array in sar]
    assert found.sar_scale == "db"
    assert found.sar_floor is None
    np.testing.assert_allclose(found.sar_limits, percentiles(seen), rtol=1e-6)
    np.testing.assert_allclose(found.optical_limits, percentiles(optical), rtol=1e-6)


def test_a_large_collection_is_sampled_evenly_and_always_the_same(array_pairs, monkeypatch):
    monkeypatch.setattr(radiometry_module, "_MAX_SAMPLES", 20_000)
    sar, optical = decibels(12, 1, 128), digital_numbers(12, 2, 128)
    found = estimate_radiometry(array_pairs(sar, optical))
    again = estimate_radiometry(array_pairs(sar, optical))

    assert found == again
    # 0.5 % of 20 000 samples are 100: their spread is a tenth of the distance to the median of such a tail, at most.
    np.testing.assert_allclose(found.sar_limits, percentiles(sar), atol=0.8)
    assert found.sar_limits != tuple(map(tuple, percentiles(sar)))
    np.testing.assert_allclose(found.optical_limits, percentiles(optical), rtol=0.06, atol=30)


def test_every_pixel_has_the_same_say_whatever_the_size_of_its_image(array_pairs, monkeypatch):
    monkeypatch.setattr(radiometry_module, "_MAX_SAMPLES", 3_000)
    sar = [np.full((1, 100, 100), -20, np.float32), np.full((1, 10, 100), -10, np.float32)]
    optical = [np.full(array.shape, 100, np.uint16) for array in sar]
    scaling = Scaling("percentile", 0.0, 90.0)

    # 10 000 of the 11 000 pixels hold -20 dB: 90.9 %.
    assert estimate_radiometry(array_pairs(sar, optical), sar_scaling=scaling).sar_limits == ((-20.0, -20.0),)


def test_only_some_windows_of_large_scenes_are_read(array_pairs, monkeypatch):
    monkeypatch.setattr(radiometry_module, "_WHOLE_PX", 300 * 300)
    source = array_pairs(decibels(2, 1, 1100), digital_numbers(2, 1, 1100))
    stages = []
    found = estimate_radiometry(source, progress=lambda stage, done, total: stages.append((stage, done, total)))

    assert source.n_read == 32
    assert stages[-1] == ("measuring values", 32, 32)
    np.testing.assert_allclose(found.sar_limits, percentiles(decibels(2, 1, 1100)), atol=0.2)


def test_eight_bit_images_need_no_look_at_their_pixels(array_pairs):
    source = array_pairs([np.full((1, 4, 4), 7, np.uint8)], [np.full((3, 4, 4), 7, np.uint8)])
    found = estimate_radiometry(source)

    assert source.n_read == 0
    assert found == Radiometry(
        sar_scale="8bit", sar_floor=None, sar_limits=((0.0, 255.0),), optical_limits=((0.0, 255.0),) * 3
    )


def test_fixed_limits_are_those_given(array_pairs):
    source = array_pairs(decibels(1, 2, 8), digital_numbers(1, 1, 8))
    found = estimate_radiometry(
        source,
        sar_scale="db",
        sar_scaling=Scaling("fixed", -25.0, 0.0),
        optical_scaling=Scaling("fixed", 0.0, 4000.0),
    )

    assert source.n_read == 0
    assert (found.sar_limits, found.optical_limits) == (((-25.0, 0.0), (-25.0, 0.0)), ((0.0, 4000.0),))


@pytest.mark.parametrize(("scale", "factor"), [("power", 10), ("amplitude", 20)])
def test_decibels_of_linear_values_do_not_depend_on_the_window(array_pairs, scale, factor):
    rng = np.random.default_rng(3)
    sar = [rng.gamma(1, 0.2, (1, 16, 16)).astype(np.float32) + 0.01 for _ in range(3)]
    sar[0][0, 4, 4], sar[1][0, 7, 7], sar[2][0, 8, 8] = 0, 1e-4, -1
    source = array_pairs(sar, digital_numbers(3, 1, 16))
    found = estimate_radiometry(source, sar_scale=scale)
    pairs = ScaledPairs(source, found)

    assert found.sar_floor == pytest.approx(1e-4)
    lowest = factor * -4
    assert found.unit_sar(source.read(0).sar).channels[0, 4, 4] == pytest.approx(
        np.clip((lowest - found.sar_limits[0][0]) / np.diff(found.sar_limits[0])[0], 0, 1)
    )
    for index in range(3):
        whole, part = pairs.read(index), pairs.read(index, PixelWindow(3, 2, 6, 7))
        np.testing.assert_array_equal(part.sar.channels, whole.sar.channels[:, 3:9, 2:9])
    logs = [factor * np.log10(np.maximum(array, 1e-4)) for array in sar]
    np.testing.assert_allclose(found.sar_limits, percentiles(logs), rtol=1e-5)


def test_linear_values_are_recognised(array_pairs):
    sar = [np.random.default_rng(3).gamma(1, 0.2, (1, 16, 16)).astype(np.float32)]

    assert estimate_radiometry(array_pairs(sar, digital_numbers(1, 1, 16))).sar_scale == "power"


def test_a_window_without_data_is_scaled_to_zeros(array_pairs):
    sar = [np.random.default_rng(3).gamma(1, 0.2, (1, 16, 16)).astype(np.float32)]
    sar[0][:, :8] = np.nan
    source = array_pairs(sar, digital_numbers(1, 1, 16))
    pair = ScaledPairs(source, estimate_radiometry(source)).read(0, PixelWindow(0, 0, 8, 16))

    assert not pair.sar.valid.any()
    assert (pair.sar.channels == 0).all()


def test_scaled_values_lie_between_0_and_1(array_pairs):
    source = array_pairs(
        [np.array([[[0, 51, 255]]], np.uint8)], [np.array([[[0, 1000, 2000]]], np.uint16)], places=["north"]
    )
    found = estimate_radiometry(source, optical_scaling=Scaling("fixed", 500.0, 1500.0))
    pairs = ScaledPairs(source, found)
    pair = pairs.read(0)

    assert isinstance(pairs, PairSource)
    assert pairs.radiometry is found
    assert (pairs.names, pairs.places, pairs.hw(0), len(pairs)) == (("pair 0",), ("north",), (1, 3), 1)
    assert (pair.name, pair.place) == ("pair 0", "north")
    np.testing.assert_allclose(pair.sar.channels, [[[0, 0.2, 1]]], rtol=1e-6)
    np.testing.assert_allclose(pair.optical.channels, [[[0, 0.5, 1]]])


def test_limits_for_other_bands_are_refused(array_pairs):
    source = array_pairs(decibels(1, 2, 8), digital_numbers(1, 1, 8))
    other = estimate_radiometry(array_pairs(decibels(1, 1, 8), digital_numbers(1, 1, 8)))
    with pytest.raises(
        ConfigError, match=r"for 1 sar band\(s\), the collection has 2; choose as many with bands_sar\."
    ):
        ScaledPairs(source, other)


def test_values_that_cannot_be_linear_are_refused(array_pairs):
    sar = [np.full((1, 8, 8), -3, np.float32)]
    with pytest.raises(InputError, match="hold no positive value, so they cannot be power"):
        estimate_radiometry(array_pairs(sar, digital_numbers(1, 1, 8)), sar_scale="power")
    with pytest.raises(InputError, match="No pixel of the SAR images holds data"):
        estimate_radiometry(array_pairs([np.full((1, 8, 8), np.nan, np.float32)], digital_numbers(1, 1, 8)))
