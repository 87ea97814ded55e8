"""Images as a network takes them."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.modality.padding import pad_to_stride


@pytest.mark.parametrize(("hw", "padded"), [((8, 8), (8, 8)), ((9, 16), (16, 16)), ((1, 1), (8, 8)), ((3, 7), (8, 8))])
def test_sides_become_multiples_of_the_stride(hw: tuple[int, int], padded: tuple[int, int]) -> None:
    image = Image.from_array(np.random.default_rng(0).random((2, *hw), np.float32))
    batch = pad_to_stride(image, 8)
    assert batch.shape == (1, 2, *padded)
    assert batch.dtype == np.float32
    assert np.array_equal(batch[0, :, : hw[0], : hw[1]], image.channels)


def test_the_image_is_mirrored_below_and_to_the_right() -> None:
    image = Image.from_array(np.arange(12, dtype=np.float32).reshape(1, 3, 4) / 12)
    batch = 12 * pad_to_stride(image, 5)[0, 0]
    np.testing.assert_allclose(batch[:, 3], [3, 7, 11, 7, 3], atol=1e-5)
    np.testing.assert_allclose(batch[0], [0, 1, 2, 3, 2], atol=1e-5)


def test_what_holds_no_data_is_the_mean_of_the_rest_of_its_band() -> None:
    channels = np.array([[[0.1, 0.3, 0.9]], [[0.2, 0.6, 0.9]]], np.float32)
    batch = pad_to_stride(Image(channels, np.array([[True, True, False]])), 1)
    np.testing.assert_allclose(batch[0, :, 0, 2], [0.2, 0.4], atol=1e-6)
    np.testing.assert_allclose(batch[0, :, 0, :2], channels[:, 0, :2])


def test_without_gaps_and_without_need_nothing_changes() -> None:
    image = Image.from_array(np.random.default_rng(1).random((3, 16, 8), np.float32))
    assert np.array_equal(pad_to_stride(image, 8)[0], image.channels)
