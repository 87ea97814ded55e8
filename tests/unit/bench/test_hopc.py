"""Histograms of oriented phase congruency: the same for both sensors' look at an edge, and found again."""

import cv2
import numpy as np
import pytest

from midground.bench.hopc import N_ORIENTATIONS, HopcMatcher, hopc
from midground.bench.methods import HopcConfig, build_method
from midground.core.image import Image
from midground.errors import ConfigError
from midground.modality.structure import GreyMapper


def ground(seed: int = 0) -> np.ndarray:
    """Blurred blocks of 12 px, 240 × 260 px, 0 to 1."""
    levels = np.kron(np.random.default_rng(seed).random((20, 22)), np.ones((12, 12)))[:, :260]
    return cv2.GaussianBlur(levels, (0, 0), 1.5)


def test_each_edge_lies_in_the_channels_of_its_direction() -> None:
    rows, columns = np.mgrid[:96, :96]
    for index in range(N_ORIENTATIONS):
        angle = index * np.pi / N_ORIENTATIONS
        across_px = np.cos(angle) * (columns - 48) + np.sin(angle) * (rows - 48)
        edge = Image.from_array(1 / (1 + np.exp(-across_px)))
        channels = hopc(edge).channels
        assert channels[:, 48, 48].argmax() == index
        assert channels[index, 48, 48] > 4 * channels[(index + 4) % N_ORIENTATIONS, 48, 48]


def test_neither_contrast_nor_which_side_is_bright_matters() -> None:
    channels = hopc(Image.from_array(ground())).channels
    assert channels.min() >= 0
    assert channels.max() <= 1
    assert channels.max() > 0.3
    for other in (1 - ground(), 0.4 + 0.05 * ground()):
        np.testing.assert_allclose(hopc(Image.from_array(other)).channels, channels, atol=0.02)


def test_what_has_no_data_or_no_contrast_has_no_direction() -> None:
    valid = np.arange(260)[None].repeat(240, 0) < 130
    mapped = hopc(Image.from_array(ground(), valid))
    assert mapped.channels[:, valid].any()
    assert not mapped.channels[:, ~valid].any()
    np.testing.assert_array_equal(mapped.valid, valid)
    assert not hopc(Image.from_array(ground(), valid & False)).channels.any()
    assert not hopc(Image.from_array(np.full((96, 96), 0.4))).channels.any()


def test_a_shift_is_found_between_negatives() -> None:
    moving, fixed = Image.from_array(ground()[9:209, 5:225]), Image.from_array(1 - ground()[3:203, 12:232])
    matches = HopcMatcher(search_px=10).match(moving, fixed)
    assert len(matches) >= 9
    np.testing.assert_allclose(matches.fixed_xy - matches.moving_xy, np.tile([-7, 6], (len(matches), 1)), atol=0.3)


def test_it_is_built_by_name() -> None:
    image = Image.from_array(ground())
    assert len(build_method(HopcConfig(search_px=8), GreyMapper(), "none").find(image, image).matches) > 0
    with pytest.raises(ConfigError, match="hopc: search_px must be 1 or more"):
        HopcConfig(search_px=0)
