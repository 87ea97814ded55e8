"""Reading windows of a raster file together with the mask of pixels that hold data."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from midground.errors import InputError
from midground.geo.access import GDAL_ERRORS, brief
from midground.geo.resample import Pixels

_COLLAR_SIDE = 2048
_MIN_COLLAR_SHARE = 0.0005
_STRIP_PX = 1 << 22
_REMEMBERED = 8
_COMMON_FILLS = (0, -9999, -32768, 65535)
"""What programs commonly write where there is no data; the least and the greatest single-precision number, too."""


@dataclass(frozen=True, slots=True)
class Collar:
    """Where fill values are taken for the empty border of an image."""

    step_px: int
    blocks: Bool[np.ndarray, "h w"]
    fills: np.ndarray
    """The values, of the file's data type."""

    def window(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The blocks of a window, one entry per pixel."""
        rows = np.arange(top, top + height) // self.step_px
        columns = np.arange(left, left + width) // self.step_px
        return self.blocks[rows[:, None], columns[None, :]]


class Source:
    """Some bands of an open raster, read by window.

    A pixel holds data if it is finite, is not the nodata value, is not masked and is not fully transparent. A file that
    says nothing about missing data (no nodata value, mask or alpha band) may still have an empty border, as radar
    scenes do: zeros, or another common fill value such as -9999, in all bands that form a solid area at the edge of the
    image, at least 0.05 % of it, hold no data either. Only exact values count, so a border that lossy compression has
    disturbed is kept as data.
    """

    def __init__(self, dataset: DatasetReader, path: Path, bands: tuple[int, ...], alpha_band: int | None) -> None:
        self._dataset = dataset
        self._path = path
        self._bands = list(bands)
        self._alpha_band = alpha_band
        flags = dataset.mask_flag_enums
        self._is_masked = any(MaskFlags.all_valid not in flags[band - 1] for band in bands)
        kinds = {np.dtype(_numpy_dtype(dataset.dtypes[band - 1])) for band in bands}
        is_wide = any(np.result_type(_real(kind), np.float32) != np.float32 for kind in kinds)
        self.dtype = np.dtype(np.float64 if is_wide else np.float32)
        is_silent = not self._is_masked and alpha_band is None
        self._collar = _remembered_collar(self, path) if is_silent else None

    @property
    def dataset(self) -> DatasetReader:
        """The open file."""
        return self._dataset

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width, px."""
        return (self._dataset.height, self._dataset.width)

    def read(self, top: int, left: int, height: int, width: int) -> Pixels:
        """Read a window that lies inside the raster; float32 unless the file's type needs float64.

        Raises:
            InputError: The file is damaged there.
        """
        window = Window(left, top, width, height)
        raw = self._read(self._bands, window)
        values = (np.abs(raw) if np.iscomplexobj(raw) else raw).astype(self.dtype)
        valid = np.isfinite(values)
        if self._is_masked:
            valid &= self._read(self._bands, window, masks=True) > 0
        if self._alpha_band is not None:
            valid &= self._read([self._alpha_band], window) > 0
        if self._collar is not None:
            empty = self._collar.window(top, left, height, width)
            if empty.any():
                valid &= ~(empty & np.isin(raw, self._collar.fills).all(axis=0))
        if bool((valid == valid[:1]).all()):
            valid = valid[:1]
        return Pixels(np.where(valid, values, 0).astype(self.dtype, copy=False), valid)

    @property
    def border_fills(self) -> tuple[float, ...]:
        """Values that are taken for the empty border of a file which states nothing about missing data."""
        return () if self._collar is None else tuple(float(fill.real) for fill in self._collar.fills)

    def filled(self, band: int, window: Window, fills: np.ndarray) -> np.ndarray:
        """Where one band has a fill value."""
        return np.isin(self._read([band], window)[0], fills)

    def edge_fills(self) -> np.ndarray:
        """The common fill values that stand at the edge of the first band."""
        height, width = self.hw
        lines = ((0, 0, width, 1), (0, height - 1, width, 1), (0, 0, 1, height), (width - 1, 0, 1, height))
        edge = np.concatenate([self._read([1], Window(*line)).ravel() for line in lines])
        limits = np.finfo(np.float32)
        return np.array([fill for fill in (*_COMMON_FILLS, limits.min, limits.max) if fill in edge], edge.dtype)

    def _read(self, bands: list[int], window: Window, *, masks: bool = False) -> np.ndarray:
        try:
            read = self._dataset.read_masks if masks else self._dataset.read
            return np.asarray(read(bands, window=window))
        except GDAL_ERRORS as error:
            raise InputError(
                f"{self._path}: the pixels at column {window.col_off}, row {window.row_off} cannot be read "
                f"({brief(error)}): the file is damaged or incomplete; fetch it again."
            ) from error


_collars: OrderedDict[tuple[str, int, int], Collar | None] = OrderedDict()


def _remembered_collar(source: Source, path: Path) -> Collar | None:
    """Find the empty border of a file once, as it takes a pass over it."""
    try:
        status = path.stat()
    except OSError:
        return find_collar(source)
    key = (str(path), status.st_mtime_ns, status.st_size)
    if key not in _collars:
        _collars[key] = find_collar(source)
        while len(_collars) > _REMEMBERED:
            _collars.popitem(last=False)
    return _collars[key]


def find_collar(source: Source) -> Collar | None:
    """Find solid areas of fill values at the edge of an image; None if there are none.

    Works on blocks of pixels so that large scenes need little memory; up to 2048 px a block is a pixel.
    """
    fills = source.edge_fills()
    if not fills.size:
        return None
    height, width = source.hw
    step = -(-max(height, width) // _COLLAR_SIDE)
    blocks = np.ones((-(-height // step), -(-width // step)), dtype=bool)
    for band in range(1, source.dataset.count + 1):
        _keep_filled_blocks(source, band, fills, step, blocks)
        edges = (blocks[0], blocks[-1], blocks[:, 0], blocks[:, -1])
        if not any(edge.any() for edge in edges):
            return None
    solid = cv2.morphologyEx(
        np.pad(blocks, 1, constant_values=True).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)
    )[1:-1, 1:-1]
    n_labels, labels, statistics, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(solid), connectivity=4)
    at_edge = np.zeros(n_labels, dtype=bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        at_edge[np.unique(edge)] = True
    at_edge &= statistics[:, cv2.CC_STAT_AREA] >= max(64, _MIN_COLLAR_SHARE * blocks.size)
    at_edge[0] = False
    if not at_edge.any():
        return None
    empty = cv2.dilate(at_edge[labels].astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return Collar(step, empty, fills)


def _keep_filled_blocks(source: Source, band: int, fills: np.ndarray, step: int, blocks: np.ndarray) -> None:
    height, width = source.hw
    rows_at_once = max(1, _STRIP_PX // (width * step)) * step
    for top in range(0, height, rows_at_once):
        rows = min(rows_at_once, height - top)
        filled = source.filled(band, Window(0, top, width, rows), fills)
        padded = np.pad(filled, ((0, -rows % step), (0, -width % step)), constant_values=True)
        grouped = padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
        reduced = np.asarray(grouped.all(axis=(1, 3)))
        first = top // step
        blocks[first : first + len(reduced)] &= reduced


def _numpy_dtype(name: str) -> str:
    return {"complex_int16": "complex64", "complex_int32": "complex128"}.get(name, name)


def _real(kind: np.dtype) -> np.dtype:
    return np.empty(0, kind).real.dtype
