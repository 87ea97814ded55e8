"""Images in files: what their headers say, and windows of their pixels with the mask of those that hold data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from jaxtyping import Bool, Float32
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.env import Env
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from midground.core.image import Image
from midground.datasets.base import PixelWindow
from midground.errors import InputError

_GDAL_ERRORS = (RasterioError, CPLE_BaseError)
_SAME_GRID_PX = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterHeader:
    """What a file says about its image."""

    path: Path
    hw: tuple[int, int]
    """Height and width, px."""
    dtype: str
    """Data type of its values."""
    descriptions: tuple[str | None, ...]
    """Name of each band, an alpha band included."""
    alpha_band: int | None
    """Band that holds transparency, counted from 1."""
    has_mask: bool
    """Whether a nodata value, a mask or an alpha band tells which pixels hold data."""
    crs: str | None
    """Coordinate reference system."""
    transform: tuple[float, ...]
    """Six coefficients from pixels to map coordinates."""

    @property
    def data_bands(self) -> tuple[int, ...]:
        """All bands but the alpha band, counted from 1."""
        return tuple(band for band in range(1, len(self.descriptions) + 1) if band != self.alpha_band)

    def band_name(self, band: int) -> str:
        """What the file calls a band, or its number."""
        return self.descriptions[band - 1] or f"band {band}"

    def is_on_grid_of(self, other: RasterHeader) -> bool:
        """Whether pixels of both lie at the same places; a file without georeference states none to contradict."""
        if self.hw != other.hw:
            return False
        if self.crs is None or other.crs is None:
            return True
        if self.crs != other.crs:
            return False
        own, others = _matrix(self.transform), _matrix(other.transform)
        if np.linalg.det(own) == 0:
            return bool((own == others).all())
        height, width = self.hw
        corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1]], np.float64).T
        return float(np.abs(np.linalg.solve(own, others @ corners) - corners).max()) <= _SAME_GRID_PX


def _matrix(transform: tuple[float, ...]) -> np.ndarray:
    return np.array([*transform[:6], 0, 0, 1], np.float64).reshape(3, 3)


def read_header(path: Path) -> RasterHeader:
    """Look at a file without reading pixels.

    Raises:
        InputError: It is missing, no image, complex, or holds classes of a colour table.
    """
    with _opened(path) as dataset:
        if dataset.count == 0:
            raise InputError(f"{path}: the file has no image band; give one image a file.")
        meanings = dataset.colorinterp
        if ColorInterp.palette in meanings:
            raise InputError(f"{path}: the values are numbers of a colour table; save the image as grey or colour.")
        if any(dtype.startswith("complex") for dtype in dataset.dtypes):
            raise InputError(f"{path}: the pixels are complex, as in single-look complex SAR; save their amplitude.")
        is_alpha = [meaning == ColorInterp.alpha for meaning in meanings]
        alpha = is_alpha.index(True) + 1 if any(is_alpha) and dataset.count > 1 else None
        return RasterHeader(
            path=path,
            hw=(dataset.height, dataset.width),
            dtype=str(np.result_type(*dataset.dtypes)),
            descriptions=tuple(dataset.descriptions),
            alpha_band=alpha,
            has_mask=alpha is not None or any(MaskFlags.all_valid not in flags for flags in dataset.mask_flag_enums),
            crs=dataset.crs.to_string() if dataset.crs else None,
            transform=tuple(dataset.transform)[:6],
        )


def read_raster(
    header: RasterHeader, bands: Sequence[int], window: PixelWindow, *, is_black_missing: bool = False
) -> Image:
    """Read bands of a window; pixels that are not finite, masked, transparent or nodata are invalid.

    Args:
        header: The file.
        bands: Bands, counted from 1.
        window: Must lie inside the image.
        is_black_missing: Whether pixels that are zero in all bands of the file are invalid too.

    Raises:
        InputError: The file is damaged, or has changed since its header was read.
    """
    area = Window(window.left, window.top, window.width, window.height)
    wanted = list(header.data_bands if is_black_missing else bands)
    with _opened(header.path) as dataset:
        if (dataset.height, dataset.width) != header.hw or dataset.count != len(header.descriptions):
            raise InputError(f"{header.path}: the image has changed since the collection was opened; open it again.")
        values = dataset.read(wanted, window=area)
        valid = _masked_in(dataset, header, list(bands), area)
    if is_black_missing:
        valid &= (values != 0).any(axis=0)
        values = values[[wanted.index(band) for band in bands]]
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and so invalid
        channels = values.astype(np.float32)
    return masked(channels, valid & np.isfinite(channels).all(axis=0))


def masked(channels: Float32[np.ndarray, "c h w"], valid: Bool[np.ndarray, "h w"]) -> Image:
    """An image with zeros where it is invalid."""
    return Image(channels if valid.all() else np.where(valid, channels, np.float32(0)), valid)


def read_mask(header: RasterHeader, window: PixelWindow) -> Bool[np.ndarray, "h w"]:
    """Read an image whose zeros mark pixels without data.

    Raises:
        InputError: The file is damaged.
    """
    area = Window(window.left, window.top, window.width, window.height)
    with _opened(header.path) as dataset:
        return np.asarray(dataset.read(1, window=area) != 0)


def _masked_in(dataset: DatasetReader, header: RasterHeader, bands: list[int], area: Window) -> np.ndarray:
    valid = np.ones((int(area.height), int(area.width)), bool)
    if header.has_mask:
        valid &= (dataset.read_masks(bands, window=area) > 0).all(axis=0)
    if header.alpha_band is not None:
        valid &= dataset.read(header.alpha_band, window=area) > 0
    return valid


@contextmanager
def _opened(path: Path) -> Iterator[DatasetReader]:
    """Open a file, with GDAL's errors, those of reading included, put into a sentence."""
    try:
        # GDAL's short cut for whole PNG images takes a truncated one without an error.
        with Env(GDAL_PNG_WHOLE_IMAGE_OPTIM="NO"):
            with warnings.catch_warnings():
                # Most collections are cut into files without georeference.
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                dataset = rasterio.open(path)
            with dataset:
                yield dataset
    except _GDAL_ERRORS as error:
        if not path.exists():
            what = f"is a link to {path.readlink()}, and there is" if path.is_symlink() else "there is"
            raise InputError(f"{path}: {what} no such file.") from error
        words = " ".join(str(error.__cause__ or error).split()).rstrip(".")[:240]
        raise InputError(
            f"{path}: is no image that GDAL reads, or is damaged ({words}); fetch or convert it again, or exclude it."
        ) from error
