"""Textures with a value at every position, so that a shift by any fraction of a pixel involves no interpolation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

Texture = Callable[..., np.ndarray]


def evaluate_texture(
    hw: tuple[int, int], shift_xy: tuple[float, float] = (0.0, 0.0), *, n_channels: int = 1, seed: int = 0
) -> np.ndarray:
    """Waves with wavelengths of 6 to 60 px, float32 (c, h, w) between 0 and 1, moved right and down by the shift."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    x, y = columns - shift_xy[0], rows - shift_xy[1]
    values = np.zeros((n_channels, *hw))
    for index in range(n_channels):
        for wavelength in np.geomspace(6, 60, 30):
            angle, phase = rng.uniform(0, 2 * np.pi, 2)
            values[index] += np.cos(2 * np.pi / wavelength * (np.cos(angle) * x + np.sin(angle) * y) + phase)
    return np.clip(0.5 + values / 30, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def texture() -> Texture:
    return evaluate_texture
