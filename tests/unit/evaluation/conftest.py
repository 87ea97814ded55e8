"""Textures, and pairs of them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow, checked_window


def texture(seed: int, hw: tuple[int, int] = (128, 128), *, n_channels: int = 1) -> np.ndarray:
    """Smooth noise (c, h, w) between 0 and 1 that looks like itself at one place alone."""
    rng = np.random.default_rng(seed)
    channels = np.stack([cv2.GaussianBlur(rng.random(hw), (0, 0), 2.0) for _ in range(n_channels)])
    return ((channels - channels.min()) / np.ptp(channels)).astype(np.float32)


class Textures:
    """Pairs of images in memory."""

    def __init__(self, pairs: Sequence[tuple[Image, Image]]) -> None:
        self._pairs = list(pairs)
        self.names = self.places = tuple(f"pair {index}" for index in range(len(pairs)))

    def __len__(self) -> int:
        return len(self._pairs)

    def hw(self, index: int) -> tuple[int, int]:
        return self._pairs[index][0].hw

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        area = checked_window(self.names[index], self.hw(index), window)
        sar, optical = (image.crop(*area) for image in self._pairs[index])
        return Pair(self.names[index], self.places[index], sar, optical)


@pytest.fixture
def make_texture():
    """``make_texture(seed, hw)``."""
    return texture


@pytest.fixture
def make_pairs() -> type[Textures]:
    """``make_pairs([(sar, optical), ...])``."""
    return Textures
