"""The search for rotation and scale, on simulated pairs."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.core.transforms import Transform, corner_error
from midground.errors import ConfigError
from midground.modality.structure import StructureMapper
from midground.registration.arrays import register_arrays
from midground.registration.config import InputConfig, RegisterConfig, SimilarityConfig
from midground.registration.pair import warp_image
from midground.registration.similarity import FoundSimilarity, search_similarity

HW = (256, 256)
EIGHT_BIT = InputConfig(modality="sar", sar_scale="8bit")


def turned(rotation_deg: float, scale: float) -> Transform:
    """A rotation and scale about the middle, and a shift."""
    about = Transform.similarity(scale=scale, rotation_deg=rotation_deg, dx=127.5 + 12, dy=127.5 - 9)
    return about @ Transform.translation(-127.5, -127.5)


def unit(channels: np.ndarray) -> Image:
    """Values between 0 and 1, in decibels if they span orders of magnitude."""
    low, high = np.percentile(channels, (0.5, 99.5))
    return Image.from_array(np.clip((channels - low) / (high - low), 0, 1).astype(np.float32))


def first(mapper, moving, fixed, config) -> FoundSimilarity:
    return next(search_similarity(mapper, moving, fixed, config))


@pytest.fixture(scope="module")
def optical(rendered) -> Image:
    return unit(rendered(shift_m=(0.0, 0.0)).optical.channels[:3])


@pytest.fixture(scope="module")
def sar(rendered) -> Image:
    return unit(10 * np.log10(np.maximum(rendered(shift_m=(0.0, 0.0)).sar.channels[:1], 1e-4)))


@pytest.mark.parametrize(("rotation_deg", "scale"), [(130.0, 0.8), (-77.0, 1.3), (180.0, 1.0)])
def test_any_rotation_is_found(sar, optical, rotation_deg, scale):
    moving_from_fixed = turned(rotation_deg, scale)
    moving = warp_image(sar, moving_from_fixed, HW)
    found = first(StructureMapper(), (moving, "sar"), (optical, "optical"), SimilarityConfig())
    assert corner_error(found.transform, moving_from_fixed.inverse(), HW) < 6
    assert found.score_ratio is not None
    assert found.score_ratio > 1.25


def test_large_images_are_reduced_and_the_transform_is_not(sar, optical):
    twice = Transform.similarity(scale=2.0, rotation_deg=0.0, dx=0.5, dy=0.5)
    large = [warp_image(image, twice, (512, 512)) for image in (warp_image(sar, turned(40.0, 1.0), HW), optical)]
    found = first(StructureMapper(), (large[0], "sar"), (large[1], "optical"), SimilarityConfig())
    truth = twice @ turned(40.0, 1.0).inverse() @ twice.inverse()
    assert corner_error(found.transform, truth, (512, 512)) < 12


def test_places_that_differ_have_no_rotation_that_stands_out(sar, rendered):
    elsewhere = unit(rendered(seed=9, shift_m=(0.0, 0.0)).optical.channels[:3])
    found = first(StructureMapper(), (sar, "sar"), (elsewhere, "optical"), SimilarityConfig())
    assert found.score_ratio is not None
    assert found.score_ratio < 1.25


def test_without_a_range_only_the_shift_is_searched(sar, optical):
    only_shift = SimilarityConfig(rotation_deg=0.0, scale=(1.0, 1.0))
    found = first(StructureMapper(), (sar, "sar"), (optical, "optical"), only_shift)
    assert found.score_ratio is None
    assert corner_error(found.transform, Transform.identity(), HW) < 8


def test_dense_matches_are_the_second_candidate(sar, optical):
    moving_from_fixed = turned(130.0, 0.8)
    moving = warp_image(sar, moving_from_fixed, HW)
    found = list(search_similarity(StructureMapper(), (moving, "sar"), (optical, "optical"), SimilarityConfig()))
    assert len(found) == 2
    assert corner_error(found[1].transform, moving_from_fixed.inverse(), HW) < 3
    assert found[1].score_ratio == pytest.approx(found[0].score_ratio)


@pytest.mark.parametrize("config", [SimilarityConfig(matcher=None), SimilarityConfig(rotation_deg=20.0)])
def test_without_a_matcher_or_out_of_range_there_is_one_candidate(sar, optical, config):
    moving = warp_image(sar, turned(130.0, 0.8), HW)
    found = list(search_similarity(StructureMapper(), (moving, "sar"), (optical, "optical"), config))
    assert len(found) == 1


def test_a_turned_image_is_registered(sar, optical, quick):
    moving_from_fixed = turned(-140.0, 0.85)
    moving = warp_image(sar, moving_from_fixed, HW)
    config = RegisterConfig(model=None, template=quick.template, moving=EIGHT_BIT)
    result = register_arrays(optical, moving, config)
    assert result.verdict == "accept"
    assert corner_error(Transform(result.fixed_from_moving), moving_from_fixed.inverse(), HW) < 2
    assert any(reason.startswith("All rotations were searched") for reason in result.reasons)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotation_deg": 181.0}, "rotation_deg must lie between 0 and 180, found 181"),
        ({"scale": (1.4, 0.7)}, r"the smaller first, found \[1\.4, 0\.7\]"),
        ({"scale": (0.01, 1.0)}, "between 0.1 and 10"),
    ],
)
def test_ranges_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        SimilarityConfig(**settings)
