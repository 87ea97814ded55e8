"""Simulated pairs, made once; the package is imported inside the fixtures, since shape checks hook its first import."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from midground.registration.config import RegisterConfig
    from midground.simulate.render import RenderedPair


@pytest.fixture(scope="session")
def rendered() -> Callable[..., RenderedPair]:
    """Optical and SAR images of 10 m pixels in memory; the same settings give the same pair."""
    from midground.simulate import SceneConfig, render_pair

    @cache
    def render(seed: int = 2, size_px: int = 256, shift_m: tuple[float, float] = (60.0, -40.0), **settings: Any):
        exact = {"rotation_deg": 0.0, "scale": 1.0} | settings
        return render_pair(SceneConfig(seed=seed, size_px=size_px, shift_m=shift_m, **exact))

    return render


@pytest.fixture(scope="session")
def quick() -> RegisterConfig:
    """Settings without a learned model, with windows that suit small images."""
    from midground.matching.configs import TemplateConfig
    from midground.registration.config import RegisterConfig

    template = TemplateConfig(window_px=64, max_window_px=128, spacing_px=40)
    return RegisterConfig(model=None, template=template, search_m=200.0)


@pytest.fixture(scope="session")
def corner_error_px() -> Callable[..., float]:
    """Mean distance between where two matrices put the corners of an image."""

    def distance(one: np.ndarray, other: np.ndarray, hw: tuple[int, int]) -> float:
        from midground.core.transforms import Transform, corner_error

        return corner_error(Transform(one, "homography"), Transform(other, "homography"), hw)

    return distance


@pytest.fixture(scope="session")
def textured() -> Callable[..., Any]:
    """A texture as the moving image sees it, or as the fixed one does that a transform takes the moving one onto."""

    def make(hw: tuple[int, int], fixed_from_moving: Any = None, *, n_channels: int = 2, seed: int = 0) -> Any:
        from midground.core.image import Image

        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
        points = np.stack([columns, rows], axis=-1)
        x, y = np.moveaxis(points if fixed_from_moving is None else fixed_from_moving.inverse()(points), -1, 0)
        values = np.zeros((n_channels, *hw))
        for index in range(n_channels):
            for wavelength in np.geomspace(8, 200, 30):
                angle, phase = rng.uniform(0, 2 * np.pi, 2)
                values[index] += np.cos(2 * np.pi / wavelength * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        return Image.from_array(np.clip(0.5 + values / 30, 0, 1))

    return make
