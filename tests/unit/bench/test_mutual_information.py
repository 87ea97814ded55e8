"""Mutual information finds what correlation does not: another look of the same ground."""

import cv2
import numpy as np
import pytest

from midground.bench.methods import MutualInformationConfig, build_method
from midground.bench.mutual_information import MutualInformationMatcher
from midground.core.image import Image
from midground.errors import ConfigError
from midground.modality.structure import GreyMapper


def blocks(seed: int = 0) -> np.ndarray:
    return np.kron(np.random.default_rng(seed).random((20, 22)), np.ones((8, 8)))


def test_a_shift_is_found_although_bright_is_dark_and_dark_is_bright() -> None:
    ground = blocks()
    moving = Image.from_array(ground[6:150, 4:160])
    fixed = Image.from_array(np.abs(ground[:144, :156] - 0.5))
    matches = MutualInformationMatcher(window_px=64, spacing_px=16, search_px=10).match(moving, fixed)
    assert len(matches) >= 12
    np.testing.assert_allclose(matches.fixed_xy - matches.moving_xy, np.tile([4, 6], (len(matches), 1)), atol=0.15)
    assert 0.4 < matches.score.min() <= matches.score.max() <= 1


def test_a_shift_is_found_to_a_fraction_of_a_pixel() -> None:
    fine = cv2.GaussianBlur(np.random.default_rng(3).random((600, 640)), (0, 0), 6)
    fine = (fine - fine.min()) / np.ptp(fine)
    # Means of 4 × 4 px: one more or less is a quarter of a pixel.
    moving, fixed = (
        cv2.resize(fine[top:, left:][:560, :600], (150, 140), interpolation=cv2.INTER_AREA)
        for top, left in ((10, 14), (4, 4))
    )
    matcher = MutualInformationMatcher(window_px=64, spacing_px=16, search_px=6)
    matches = matcher.match(Image.from_array(moving), Image.from_array(1 - fixed))
    errors = matches.fixed_xy - matches.moving_xy - [2.5, 1.5]
    assert len(matches) >= 12
    assert np.abs(errors).max() < 0.25


def test_windows_without_data_are_left_out() -> None:
    ground = blocks()
    valid = np.arange(ground.shape[1])[None].repeat(len(ground), 0) < 60
    matcher = MutualInformationMatcher(window_px=64, spacing_px=16, search_px=10)
    assert len(matcher.match(Image.from_array(ground, valid), Image.from_array(ground))) == 5
    assert len(matcher.match(Image.from_array(ground, valid & False), Image.from_array(ground))) == 0
    nothing = matcher.match(Image.from_array(ground), Image.from_array(ground, valid & False))
    assert not nothing.score.any()


def test_it_is_built_by_name() -> None:
    method = build_method(MutualInformationConfig(window_px=64), GreyMapper(), "none")
    image = Image.from_array(blocks())
    assert len(method.find(image, image).matches) > 0
    with pytest.raises(ConfigError, match="mutual-information: window_px must be 8 or more"):
        MutualInformationConfig(window_px=4)
