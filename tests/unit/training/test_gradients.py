"""Oriented gradients as a layer, against known edges and the mapper ``structure``; needs torch."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.modality.structure import N_ORIENTATIONS, StructureMapper

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.gradients import OrientedGradients  # noqa: E402

pytestmark = pytest.mark.extras


def gradients_of(grey: np.ndarray, n_orientations: int = N_ORIENTATIONS) -> np.ndarray:
    with torch.inference_mode():
        found: np.ndarray = OrientedGradients(n_orientations)(torch.from_numpy(grey.astype(np.float32))[None, None])[0]
    return np.asarray(found)


def smooth_noise(hw: tuple[int, int], sigma_px: float, seed: int = 0) -> np.ndarray:
    """Between 0 and 1."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).random(hw, np.float32), (0, 0), sigma_px)
    return np.asarray((noise - noise.min()) / np.ptp(noise))


def test_a_step_answers_alike_on_both_sides_and_in_both_directions() -> None:
    step = np.zeros((32, 40))
    step[:, 20:] = 0.5
    found = gradients_of(step)
    # The edge lies between columns 19 and 20.
    assert np.abs(found - found[:, :, ::-1]).max() < 1e-5
    assert np.abs(found - gradients_of(0.5 - step)).max() < 1e-5
    assert np.abs(found - found[:, :1]).max() < 1e-5
    assert found[0, 16, 19] == pytest.approx(found[0, 16].max(), abs=1e-5)
    assert found[:, :, :10].max() < 1e-5


@pytest.mark.parametrize("n_orientations", [4, 9])
def test_channels_are_orientations(n_orientations: int) -> None:
    """On a slope along one orientation, every channel holds the cosine of its angle to it."""
    rows, columns = np.mgrid[:48, :48].astype(float)
    angles = np.arange(n_orientations) * math.pi / n_orientations
    for angle in angles:
        slope = 0.02 * (math.cos(angle) * columns + math.sin(angle) * rows)
        centre = gradients_of(slope, n_orientations)[:, 24, 24]
        strength = 0.02 * np.abs(np.cos(angles - angle))
        assert centre == pytest.approx(strength / (np.linalg.norm(strength) + 0.005), abs=1e-4)


def test_it_is_the_mapper_structure_up_to_the_floor() -> None:
    """The contrast is chosen such that the mapper's floor, a share of the scene's mean, is the fixed one here."""
    image = smooth_noise((160, 200), 4.0)
    slope = np.hypot(*np.gradient(cv2.GaussianBlur(image, (0, 0), 1.0))).mean()
    image *= np.float32(0.005 / (0.2 * math.sqrt(N_ORIENTATIONS / 2) * slope))
    expected = StructureMapper().map(Image.from_array(image[None]), "sar").channels
    found = gradients_of(image)
    for one, other in zip(found, expected, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.998
    assert np.abs(found - expected)[:, 8:-8, 8:-8].max() < 0.03


def test_size_and_range() -> None:
    image = torch.rand(2, 3, 33, 50, generator=torch.Generator().manual_seed(0))
    found = OrientedGradients(5)(image)
    assert found.shape == (2, 5, 33, 50)
    assert found.min() >= 0
    assert torch.linalg.vector_norm(found, dim=1).max() < 1


def test_bands_are_averaged() -> None:
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    layer = OrientedGradients(4)
    assert torch.allclose(layer(image), layer(image.mean(dim=1, keepdim=True)), atol=1e-6)


def test_brightness_does_not_matter_and_contrast_hardly() -> None:
    image = smooth_noise((64, 64), 1.5)
    found = gradients_of(0.5 * image)
    assert np.abs(found - gradients_of(0.5 * image + 0.5)).max() < 1e-4
    assert np.corrcoef(found.ravel(), gradients_of(image).ravel())[0, 1] > 0.98


def test_a_constant_image_has_no_gradients() -> None:
    assert np.abs(gradients_of(np.full((20, 20), 0.7))).max() < 1e-4


def test_noise_below_the_floor_is_not_blown_up() -> None:
    noise = np.random.default_rng(0).standard_normal((64, 64))
    assert gradients_of(0.5 + 1e-4 * noise).max() < 0.05


def test_nothing_is_trained_or_stored() -> None:
    layer = OrientedGradients(9)
    assert not list(layer.parameters())
    assert not layer.state_dict()
