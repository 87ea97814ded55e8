"""Opening raster files, with GDAL's errors put into a sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import Env
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
"""Everything that rasterio raises for GDAL."""


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warning about a missing georeference: it is normal here, and said where it matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def opened(path: Path) -> Iterator[DatasetReader]:
    """Open a raster for reading, without the warning; GDAL's errors pass."""
    # GDAL's short cut for whole PNG images takes a truncated one without an error.
    with Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"):
        with quiet():
            dataset = rasterio.open(path)
        with dataset:
            yield dataset


def brief(error: BaseException) -> str:
    """GDAL's own words in one line, with the cause that rasterio hides behind a general sentence."""
    stated = getattr(error, "strerror", None)
    words = str(stated or error.__cause__ or error).strip().rstrip(".")
    return " ".join(words.split())[:240]
