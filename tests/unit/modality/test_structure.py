"""Oriented gradients: what they keep of an image and what they are blind to."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.modality.base import Mapper
from midground.modality.structure import N_ORIENTATIONS, GreyMapper, StructureMapper, fill_invalid


def blobs(hw: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    values = np.zeros(hw)
    for _ in range(40):
        x, y, size = rng.uniform(0, hw[1]), rng.uniform(0, hw[0]), rng.uniform(3, 9)
        values += rng.uniform(-1, 1) * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * size**2))
    return np.clip(0.5 + values / 4, 0, 1).astype(np.float32)


def edge(angle_deg: float, side: int = 64) -> Image:
    """A step across the middle; the angle is that of the gradient, from x towards y."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    angle = np.deg2rad(angle_deg)
    across = np.cos(angle) * columns + np.sin(angle) * rows
    return Image.from_array(np.clip(0.5 + across / 4, 0.2, 0.8))


@pytest.mark.parametrize("mapper", [StructureMapper(), GreyMapper()])
@pytest.mark.parametrize("modality", ["sar", "optical"])
def test_mappers_keep_size_and_mask_and_stay_in_the_unit_interval(mapper, modality):
    assert isinstance(mapper, Mapper)
    valid = np.ones((50, 70), bool)
    valid[10:20, 30:45] = False
    image = Image.from_array(np.stack([blobs((50, 70), seed) for seed in range(3)]), valid)
    mapped = mapper.map(image, modality)
    assert mapped.hw == (50, 70)
    assert mapped.channels.dtype == np.float32
    np.testing.assert_array_equal(mapped.valid, valid)
    assert (mapped.channels[:, ~valid] == 0).all()
    assert mapped.channels.min() >= 0
    assert mapped.channels.max() <= 1
    assert mapper.sha256 is None
    assert set(mapper.inputs) == {"sar", "optical"}


def test_opposite_contrast_gives_the_same_channels():
    image = Image.from_array(blobs((60, 80)))
    negative = Image(1 - image.channels, image.valid)
    one, other = (StructureMapper().map(each, "optical").channels for each in (image, negative))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_brightness_and_contrast_change_little():
    image = Image.from_array(blobs((60, 80)))
    dim = Image(0.1 + 0.3 * image.channels, image.valid)
    one, other = (StructureMapper().map(each, "sar").channels for each in (image, dim))
    np.testing.assert_allclose(one, other, atol=0.01)


@pytest.mark.parametrize("step", range(N_ORIENTATIONS))
def test_an_edge_shows_in_the_channel_of_its_orientation(step):
    mapped = StructureMapper().map(edge(20.0 * step), "optical")
    assert int(mapped.channels[:, 32, 32].argmax()) == step
    turned = StructureMapper().map(edge(20.0 * step + 180), "optical")
    np.testing.assert_allclose(mapped.channels, turned.channels, atol=1e-4)


def test_channels_move_with_the_image():
    image = blobs((90, 90))
    mapped = StructureMapper().map(Image.from_array(image), "optical").channels
    shifted = StructureMapper().map(Image.from_array(np.roll(image, (7, -5), (0, 1))), "optical").channels
    inner = slice(20, 70)
    np.testing.assert_allclose(shifted[:, inner, inner], mapped[:, 13:63, 25:75], atol=0.03)


def test_the_edge_of_the_data_is_not_an_edge_of_the_image():
    valid = np.ones((60, 60), bool)
    valid[:, 30:] = False
    mapped = StructureMapper().map(Image.from_array(np.full((60, 60), 0.7), valid), "sar")
    assert mapped.channels.max() == 0
    structured = Image.from_array(blobs((60, 60)), valid)
    assert StructureMapper().map(structured, "sar").channels[:, :, :20].max() > 0.3


def test_an_image_without_data_maps_to_zero():
    mapped = StructureMapper().map(Image.from_array(np.full((40, 40), np.nan)), "sar")
    assert (mapped.channels == 0).all()


def test_bands_are_averaged():
    bands = np.stack([blobs((40, 50), seed) for seed in range(3)])
    image, grey = Image.from_array(bands), Image.from_array(bands.mean(axis=0))
    np.testing.assert_allclose(GreyMapper().map(image, "optical").channels, grey.channels)
    np.testing.assert_allclose(
        StructureMapper().map(image, "optical").channels, StructureMapper().map(grey, "optical").channels, atol=1e-6
    )


def test_invalid_pixels_are_filled_with_the_mean_of_the_others():
    grey = np.array([[1.0, 3.0], [9.0, 9.0]], np.float32)
    valid = np.array([[True, True], [False, False]])
    np.testing.assert_array_equal(fill_invalid(grey, valid), [[1, 3], [2, 2]])
    np.testing.assert_array_equal(fill_invalid(grey, np.ones((2, 2), bool)), grey)
    np.testing.assert_array_equal(fill_invalid(grey, np.zeros((2, 2), bool)), grey)
