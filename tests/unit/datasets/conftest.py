"""Small collections: image files written for a test, and arrays that act as a collection."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow, Profile, checked_window

DRIVERS = {".tif": "GTiff", ".png": "PNG", ".webp": "WEBP"}
NAMES = ("0001_after", "0001_before", "0002_after", "0003_after", "0010_before")
HW = (20, 24)


def save_image(
    path: Path,
    array: np.ndarray,
    *,
    nodata: float | None = None,
    crs: str | None = None,
    origin: tuple[float, float] = (500_000.0, 5_000_000.0),
    descriptions: Sequence[str] = (),
    **options: object,
) -> Path:
    """Write bands (c, h, w), with 10 m pixels if there is a reference system."""
    where = {} if crs is None else {"crs": crs, "transform": Affine(10, 0, origin[0], 0, -10, origin[1])}
    count, height, width = array.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path,
            "w",
            driver=DRIVERS[path.suffix],
            count=count,
            height=height,
            width=width,
            dtype=array.dtype.name,
            nodata=nodata,
            **where,
            **options,
        ) as target:
            target.write(array)
            for band, text in enumerate(descriptions, start=1):
                target.set_band_description(band, text)
    return path


class ArrayPairs:
    """Arrays that act as a raw collection."""

    def __init__(
        self,
        sar: Sequence[np.ndarray],
        optical: Sequence[np.ndarray],
        *,
        names: Sequence[str] | None = None,
        places: Sequence[str] | None = None,
    ) -> None:
        self._images = [
            (Image.from_array(one), Image.from_array(other)) for one, other in zip(sar, optical, strict=True)
        ]
        self.names = tuple(names or [f"pair {number}" for number in range(len(sar))])
        self.places = tuple(places or self.names)
        self.sar_profile = Profile(bands=tuple(f"s{band}" for band in range(len(sar[0]))), dtype=sar[0].dtype.name)
        self.optical_profile = Profile(
            bands=tuple(f"o{band}" for band in range(len(optical[0]))), dtype=optical[0].dtype.name
        )
        self.n_read = 0

    def __len__(self) -> int:
        return len(self._images)

    def hw(self, index: int) -> tuple[int, int]:
        return self._images[index][0].hw

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        self.n_read += 1
        area = checked_window(self.names[index], self.hw(index), window)
        sar, optical = (image.crop(*area) for image in self._images[index])
        return Pair(self.names[index], self.places[index], sar, optical)


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """``write_image(path, bands, nodata=..., crs=...)``."""
    return save_image


@pytest.fixture
def array_pairs() -> type[ArrayPairs]:
    """``array_pairs(sar_arrays, optical_arrays)``."""
    return ArrayPairs


@pytest.fixture
def pairs_folder(tmp_path: Path) -> Path:
    """Five pairs of four places: one SAR band and three optical bands of 8 bits, 20 × 24 px, no zeros."""
    rng = np.random.default_rng(4)
    root = tmp_path / "pairs"
    for name in NAMES:
        save_image(root / "sar" / f"{name}.png", rng.integers(1, 256, (1, *HW), dtype=np.uint8))
        save_image(root / "optical" / f"{name}.tif", rng.integers(1, 256, (3, *HW), dtype=np.uint8))
    return root


def pixels(path: Path) -> np.ndarray:
    """All bands of a file, read without midground."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path) as source:
            return np.asarray(source.read())


@pytest.fixture
def read_pixels() -> Callable[[Path], np.ndarray]:
    """``read_pixels(path)``: all bands, read without midground."""
    return pixels
