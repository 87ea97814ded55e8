"""Registration of real scenes; the benchmarks print the same for all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio

from midground.core.transforms import Transform, corner_error
from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.matching.registry import build_matcher
from midground.modality.mappers import build_mapper
from midground.registration.api import register

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def known_shift(monkeypatch):
    """The benchmark as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import known_shift

    yield known_shift
    for name in ("known_shift", "pairs"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("scene", "offset_px"),
    [("222", (31.5, -38.0)), ("255", (-22.25, 17.5)), ("263", (39.0, 40.0)), ("294", (-40.0, 8.0))],
)
def test_a_moved_georeference_is_found_again(shared_data, known_shift, scene, offset_px):
    optical, sar = known_shift.us_paths(shared_data / "data", scene)
    model = "default" if scene == "263" else None
    untouched = register(optical, sar, model=model)
    with known_shift.moved_copy(sar, np.array(offset_px)) as moved:
        result = register(optical, moved, model=model)
    assert (untouched.verdict, result.verdict) == ("accept", "accept")
    assert known_shift.disagreement_px(untouched, result) < 1.5
    # The file's georeference was moved by the offset (x east, y south), so it has to move back.
    east, north = np.array(result.shift_m) - untouched.shift_m
    np.testing.assert_allclose((east, north), (-10 * offset_px[0], 10 * offset_px[1]), atol=15)


@pytest.mark.parametrize(("sar_scene", "optical_scene"), [("219", "003"), ("263", "141"), ("294", "207")])
def test_scenes_of_different_cities_are_rejected(shared_data, known_shift, sar_scene, optical_scene):
    optical, sar = (
        known_shift.us_paths(shared_data / "data", name)[i] for i, name in enumerate((optical_scene, sar_scene))
    )
    with rasterio.open(optical) as dataset, known_shift.placed_copy(sar, dataset.transform) as placed:
        result = register(optical, placed, model=None)
    assert result.verdict == "reject"
    assert result.trust < 0.1


@pytest.mark.parametrize(
    ("fixed", "moving", "has_crs"),
    [
        ("gefolki/S2_patch11.tif", "gefolki/S1_patch11.tif", True),
        ("sen1floods11/Spain_7370579_S2Hand.tif", "sen1floods11/Spain_7370579_S1Hand.tif", True),
        ("desert-dn/optical/zone_9_a_Apr_0.tif", "desert-dn/sar/zone_9_a_Apr_0.tif", False),
    ],
)
def test_aligned_pairs_of_other_kinds_are_accepted_nearly_unmoved(shared_data, fixed, moving, has_crs):
    folder = shared_data / "data" / "multispectral"
    result = register(folder / fixed, folder / moving)
    assert result.verdict == "accept"
    assert (result.shift_m is not None) == has_crs
    expected = Transform.identity()
    assert corner_error(Transform(result.fixed_from_moving), expected, result.inputs.moving.hw) < 3


def test_most_of_the_ombria_pairs_are_found(shared_data, known_shift):
    import pairs

    errors = []
    for pair in pairs.ombria_shift(shared_data / "data", n=24):
        result = register(pair.fixed, pair.moving, transform="translation", model=None)
        found = None if result.fixed_from_moving is None else Transform(result.fixed_from_moving)
        truth = Transform.translation(*pair.shift_px)
        errors.append(np.inf if found is None else corner_error(found, truth, pair.moving.shape))
    assert np.mean(np.array(errors) < 3) >= 0.85


def test_the_shipped_matcher_has_no_bias_of_its_own(shared_data):
    """The pairs are aligned to about a pixel, so it is held against where windows of the same images match."""
    pairs = open_pairs(PairsConfig(path=shared_data / "data" / "ombria" / "test", bands_sar=(1,)))
    mapper, matchers = build_mapper("structure"), [build_matcher(name) for name in ("roma-shared", "template")]
    biases_xy = []
    for index in range(0, len(pairs), 10):
        pair = pairs.read(index)
        images = mapper.map(pair.sar, "sar"), mapper.map(pair.optical, "optical")
        dense, windows = (matcher.match(*images) for matcher in matchers)
        if len(dense) > 100 and len(windows) > 10:
            shifts_xy = [np.median(found.fixed_xy - found.moving_xy, axis=0) for found in (dense, windows)]
            biases_xy.append(shifts_xy[0] - shifts_xy[1])
    assert len(biases_xy) >= 6
    assert np.abs(np.median(biases_xy, axis=0)).max() < 0.3


def test_images_of_two_places_have_no_matches_of_the_shipped_matcher(shared_data):
    pairs = open_pairs(PairsConfig(path=shared_data / "data" / "ombria" / "test", bands_sar=(1,)))
    mapper, matcher = build_mapper("structure"), build_matcher("roma-shared")
    numbers = range(0, len(pairs), 20)
    sars, opticals = (
        [mapper.map(getattr(pairs.read(index), modality), modality) for index in numbers]
        for modality in ("sar", "optical")
    )
    of_one_place = [len(matcher.match(*images)) for images in zip(sars, opticals, strict=True)]
    of_two = [len(matcher.match(*images)) for images in zip(sars, [*opticals[1:], opticals[0]], strict=True)]
    assert sum(n >= 100 for n in of_one_place) > len(of_one_place) / 2
    assert sum(n == 0 for n in of_two) >= len(of_two) - 1
