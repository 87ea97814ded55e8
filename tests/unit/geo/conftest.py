"""Rasters made by code, with everything about them in the hands of the test."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

UTM = "EPSG:32631"
MakeRaster = Callable[..., Path]


def smooth_scene(hw: tuple[int, int], n_bands: int = 1, *, scale_px: float = 17.0) -> np.ndarray:
    """A band-limited picture with values between 20 and 220, float64 of shape (c, h, w)."""
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    waves = [
        np.sin(columns / scale_px + band) * np.cos(rows / (scale_px * 1.3)) + 0.4 * np.sin((rows + columns) / scale_px)
        for band in range(n_bands)
    ]
    return 120.0 + 70.0 * np.array(waves)


@pytest.fixture
def scene() -> Callable[..., np.ndarray]:
    return smooth_scene


@pytest.fixture
def make_raster(tmp_path: Path) -> MakeRaster:
    """Write a plain GeoTIFF: array (c, h, w) and any of rasterio's options; 10 m pixels in UTM unless told."""

    def make(name: str, array: np.ndarray, **options: Any) -> Path:
        after = options.pop("after", None)
        options = {"crs": UTM, "transform": Affine(10, 0, 500000, 0, -10, 5000000), "driver": "GTiff"} | options
        options = {key: value for key, value in options.items() if value is not None}
        c, h, w = array.shape
        path = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", count=c, height=h, width=w, dtype=array.dtype, **options) as dataset:
                if after is not None:
                    after(dataset)
                dataset.write(array)
        return path

    return make
