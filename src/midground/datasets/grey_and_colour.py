"""SAR as grey and optical images as colour, 8 bits each: what image translation and ordinary matchers take."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from midground.core.files import whole_file
from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow, Profile, RawPairs
from midground.datasets.radiometry import Radiometry
from midground.datasets.scaled import ScaledPairs

Georeference = tuple[str | None, tuple[float, ...]]
"""Coordinate reference system, and six coefficients from pixels to map coordinates."""
DRIVERS = {".tif": "GTiff", ".png": "PNG"}
_HIGHEST = 254


class GreyAndColour:
    """A collection brought to 8 bits: its limits become 1 and 255, and 0 is left for pixels without data.

    Args:
        source: The collection, with the bands that are wanted.
        radiometry: Its limits.
    """

    def __init__(self, source: RawPairs, radiometry: Radiometry) -> None:
        self._scaled = ScaledPairs(source, radiometry)
        self.names, self.places = source.names, source.places
        self.sar_profile = Profile(bands=source.sar_profile.bands, dtype="uint8")
        self.optical_profile = Profile(bands=source.optical_profile.bands, dtype="uint8")

    def __len__(self) -> int:
        return len(self._scaled)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        return self._scaled.hw(index)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it, with whole values from 0 to 255.

        Raises:
            InputError: It cannot be read, or the window does not lie inside.
        """
        pair = self._scaled.read(index, window)
        return Pair(pair.name, pair.place, _eight_bit(pair.sar), _eight_bit(pair.optical))


def _eight_bit(image: Image) -> Image:
    levels = np.rint(image.channels * np.float32(_HIGHEST)) + np.float32(1)
    return Image(np.where(image.valid, levels, np.float32(0)), image.valid)


def write_eight_bit(path: Path, image: Image, georeference: Georeference) -> None:
    """Write an image of whole values from 0 to 255 as GeoTIFF or, without georeference, as PNG; 0 is no data.

    The file gets its name when it is complete.

    Raises:
        OutputError: It cannot be written.
    """
    crs, transform = georeference
    options: dict[str, object] = {"nodata": 0, "dtype": "uint8", "count": image.n_channels}
    options |= {"height": image.hw[0], "width": image.hw[1], "driver": DRIVERS[path.suffix]}
    if path.suffix == ".tif":
        options |= {"compress": "deflate"}
        if crs is not None:
            options |= {"crs": crs, "transform": Affine(*transform)}
    with whole_file(path, RasterioError, CPLE_BaseError) as unfinished, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(unfinished, "w", **options) as target:
            target.write(image.channels.astype(np.uint8))
