"""Raster files: what they are, and their pixels as they are or on another grid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import CRSError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from midground.core.image import Image
from midground.errors import InputError
from midground.geo.access import GDAL_ERRORS, brief, opened
from midground.geo.crs import convert_xy, local_metric_crs, to_lon_lat
from midground.geo.grid import CORNER_FROM_CENTRE, Grid, map_points
from midground.geo.output import atomic_output, refuse_overwrite, write_raster
from midground.geo.resample import Pixels, PointMap, Resampler, Resampling
from midground.geo.source import Source

__all__ = [
    "RasterInfo",
    "atomic_output",
    "is_gdal_name",
    "open_raster",
    "open_source",
    "read_native",
    "read_on_grid",
    "refuse_overwrite",
    "write_raster",
]

MIN_SIDE_PX = 64
_GDAL_NAME = re.compile(r"/vsi|\w{2,}:")
_MIN_GCPS = 3
_TILE_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class RasterInfo:
    """What a raster file holds."""

    path: Path
    grid: Grid
    """Where its pixels lie; fitted to the ground control points where the file has nothing else."""
    n_bands: int
    """Number of bands, an alpha band included."""
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    descriptions: tuple[str | None, ...]
    is_complex: bool
    """Whether a band is complex (single-look complex SAR), which is read as its amplitude."""
    alpha_band: int | None = None
    """Band that holds transparency, counted from 1."""
    is_palette: bool = False
    """Whether values are classes with a colour table, so that they must not be interpolated."""
    gcp_misfit_m: float | None = None
    """Root mean square distance of the ground control points from the fitted grid, m; None if the grid is stated."""

    @property
    def data_bands(self) -> tuple[int, ...]:
        """All bands but the alpha band, counted from 1."""
        return tuple(band for band in range(1, self.n_bands + 1) if band != self.alpha_band)


def open_raster(path: Path | str, *, is_complex_allowed: bool = False, min_side_px: int = MIN_SIDE_PX) -> RasterInfo:
    """Look at a raster file, and make sure that it can be read to its end.

    A file whose only georeference are ground control points, as Sentinel-1 GRD has, gets the affine grid in its UTM
    zone that fits them best; ``gcp_misfit_m`` says how well. Rational polynomial coefficients are not used.

    Args:
        path: The file.
        is_complex_allowed: Whether complex pixels are accepted; they are then read as amplitude.
        min_side_px: Smallest height and width that is accepted, px.

    Raises:
        InputError: The file is missing, no raster, truncated, empty, too small or complex.
    """
    path = Path(path)
    _require_file(path)
    try:
        with opened(path) as dataset:
            _require_pixels(dataset, path, min_side_px)
            info = _describe(dataset, path)
            _read_tail(dataset)
    except GDAL_ERRORS as error:
        raise _unreadable(path, error) from error
    if info.is_complex and not is_complex_allowed:
        raise InputError(
            f"{path}: the pixels are complex ({info.dtypes[0]}), a single-look complex SAR image; save its amplitude, "
            "the absolute value of each pixel, as a raster of real numbers, and give that instead."
        )
    return info


def read_native(info: RasterInfo, bands: Sequence[int], *, max_hw: int | None = None) -> Image:
    """Read bands as they are, without resampling.

    Args:
        info: The raster.
        bands: Bands, counted from 1.
        max_hw: Longest side of the result, px: a larger image is averaged down to ``info.grid.fitted(max_hw)``.

    Raises:
        InputError: A band does not exist, or the file is damaged.
    """
    bands = checked_bands(info, bands)
    small = info.grid if max_hw is None else info.grid.fitted(max_hw)
    if small.hw != info.grid.hw:
        return _resampled(info, bands, small, "cubic", pixel_scaling(small.hw, info.grid.hw))
    with open_source(info, bands) as source:
        return _as_image(source.read(0, 0, *source.hw))


def read_on_grid(info: RasterInfo, bands: Sequence[int], grid: Grid, *, resampling: Resampling = "cubic") -> Image:
    """Bring bands onto another grid: raw values, float32.

    Reads only the windows that the grid needs. Where a pixel of the grid spans 1.5 pixels of the file or more, values
    are averaged over it (unless by nearest neighbour). Pixels without data (nodata, mask, transparent, NaN, infinite,
    empty border) take no part: a pixel of the result is valid if at least half of its weight holds data in all bands.

    Args:
        info: The raster.
        bands: Bands, counted from 1.
        grid: The lattice of the result.
        resampling: How values are interpolated.

    Raises:
        InputError: A band does not exist, the file is damaged, or only one of the two has a georeference.
    """
    bands = checked_bands(info, bands)

    def source_from_target(points_xy: np.ndarray) -> np.ndarray:
        return map_points(points_xy, grid, info.grid)

    return _resampled(info, bands, grid, resampling, source_from_target)


def _resampled(
    info: RasterInfo, bands: tuple[int, ...], grid: Grid, resampling: Resampling, source_from_target: PointMap
) -> Image:
    channels = np.zeros((len(bands), *grid.hw), np.float32)
    valid = np.zeros(grid.hw, bool)
    with open_source(info, bands) as source:
        method: Resampling = "nearest" if info.is_palette else resampling
        resampler = Resampler.build(source.read, source.hw, source_from_target, grid.hw, method)
        for tile in resampler.tiles(grid.hw, _TILE_PX):
            pixels = resampler(tile)
            if pixels is not None:
                part = _as_image(pixels)
                place = np.s_[tile.top : tile.top + tile.height, tile.left : tile.left + tile.width]
                channels[:, *place], valid[place] = part.channels, part.valid
    return Image(channels, valid)


def _as_image(pixels: Pixels) -> Image:
    channels = pixels.values.astype(np.float32, copy=False)
    valid = np.asarray(pixels.valid.all(axis=0) & np.isfinite(channels).all(axis=0))
    return Image(np.where(valid, channels, np.float32(0)), valid)


@contextmanager
def open_source(info: RasterInfo, bands: Sequence[int]) -> Iterator[Source]:
    """Open bands of a raster for reading by window, each with the mask of pixels that hold data."""
    with ExitStack() as stack:
        # What the caller does while the file is open may fail for reasons of its own, so only opening is guarded.
        try:
            dataset = stack.enter_context(opened(info.path))
        except GDAL_ERRORS as error:
            raise _unreadable(info.path, error) from error
        yield Source(dataset, info.path, tuple(bands), info.alpha_band)


def checked_bands(info: RasterInfo, bands: Sequence[int]) -> tuple[int, ...]:
    """Make sure that bands exist.

    Raises:
        InputError: One does not.
    """
    missing = [band for band in bands if not 1 <= band <= info.n_bands]
    if missing or not bands:
        raise InputError(
            f"{info.path}: band {missing[0] if missing else 'list'} does not exist; the file has bands 1 to "
            f"{info.n_bands}, choose among them."
        )
    return tuple(bands)


def pixel_scaling(source_hw: tuple[int, int], target_hw: tuple[int, int]) -> PointMap:
    """Map pixel centres between two rasters of one footprint but different numbers of pixels."""
    factor = np.array([target_hw[1] / source_hw[1], target_hw[0] / source_hw[0]])

    def target_from_source(points_xy: np.ndarray) -> np.ndarray:
        mapped: np.ndarray = (points_xy + 0.5) * factor - 0.5
        return mapped

    return target_from_source


def is_gdal_name(path: Path) -> bool:
    """Whether GDAL opens this though it is no file: a virtual path, or a subdataset such as NETCDF:file.nc:name."""
    return _GDAL_NAME.match(str(path)) is not None


def _require_file(path: Path) -> None:
    if is_gdal_name(path):
        return
    if not path.exists():
        raise InputError(f"{path}: the file does not exist; check the name.")
    if path.is_dir():
        raise InputError(f"{path}: this is a folder, not a raster file; name the image inside it.")


def _unreadable(path: Path, error: BaseException) -> InputError:
    words = brief(error)
    if "not recognized" in words:
        return InputError(f"{path}: this is not a raster that GDAL can read; give a GeoTIFF or another image file.")
    if "bands on VRTDataset" in words:
        return InputError(f"{path}: the file has no raster band; give an image.")
    if "ermission denied" in words:
        return InputError(f"{path}: the file may not be read (permission denied); change its permissions.")
    return InputError(f"{path}: the raster cannot be read, it is truncated or damaged ({words}); fetch it again.")


def _require_pixels(dataset: DatasetReader, path: Path, min_side_px: int) -> None:
    if dataset.count == 0:
        parts = dataset.subdatasets
        hint = f"it has {len(parts)} subdatasets, name one, for instance {parts[0]}" if parts else "give an image"
        raise InputError(f"{path}: the file has no raster band; {hint}.")
    if min(dataset.width, dataset.height) < min_side_px:
        raise InputError(
            f"{path}: the image has {dataset.width} × {dataset.height} px; at least {min_side_px} px along each side "
            "are needed: give a larger part of the scene."
        )


def _describe(dataset: DatasetReader, path: Path) -> RasterInfo:
    grid, misfit = _grid_of(dataset, path)
    interpretations = dataset.colorinterp
    alpha = [band for band, meaning in enumerate(interpretations, start=1) if meaning == ColorInterp.alpha]
    return RasterInfo(
        path=path,
        grid=grid,
        n_bands=dataset.count,
        dtypes=tuple(dataset.dtypes),
        nodata=tuple(None if value is None else float(value) for value in dataset.nodatavals),
        descriptions=tuple(dataset.descriptions),
        is_complex=any(name.startswith("complex") for name in dataset.dtypes),
        alpha_band=alpha[0] if alpha and dataset.count > 1 else None,
        is_palette=ColorInterp.palette in interpretations,
        gcp_misfit_m=misfit,
    )


def _grid_of(dataset: DatasetReader, path: Path) -> tuple[Grid, float | None]:
    hw = (dataset.height, dataset.width)
    crs = _usable_crs(dataset.crs)
    points, points_crs = dataset.gcps
    if crs is None and len(points) >= _MIN_GCPS and (points_crs := _usable_crs(points_crs)) is not None:
        return fit_gcps(points, points_crs, hw)
    try:
        return Grid(crs, dataset.transform, hw), None
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _usable_crs(crs: CRS | None) -> str | None:
    # A local engineering system says nothing about the place on the Earth.
    if not crs or not (crs.is_geographic or crs.is_projected):
        return None
    try:
        return str(crs.to_string())
    except CRSError:
        return None


def fit_gcps(points: Sequence[GroundControlPoint], crs: str, hw: tuple[int, int]) -> tuple[Grid, float]:
    """Fit the affine grid, in the local UTM zone, to ground control points by least squares.

    Args:
        points: Three or more, not on one line; rows and columns count from pixel corners, as in GDAL.
        crs: System of their coordinates.
        hw: Size of the raster, px.

    Returns:
        The grid, and the root mean square distance of the points from it, m.

    Raises:
        InputError: The points lie on one line.
    """
    world = np.array([[point.x, point.y] for point in points], dtype=np.float64)
    corners = np.array([[point.col, point.row, 1.0] for point in points], dtype=np.float64)
    lon_lat = to_lon_lat(world, crs)
    # About the first point, so that the mean of points on both sides of the antimeridian lies between them.
    about = float(lon_lat[np.isfinite(lon_lat[:, 0]), 0][:1].sum())
    longitude = np.nanmean((lon_lat[:, 0] - about + 180) % 360) - 180 + about
    metric = local_metric_crs(float(longitude), float(np.nanmean(lon_lat[:, 1])))
    metres = convert_xy(world, crs, metric)
    usable = np.isfinite(metres).all(axis=1)
    origin = metres[usable].mean(axis=0)
    solution, _, rank, _ = np.linalg.lstsq(corners[usable], metres[usable] - origin, rcond=None)
    if rank < 3:
        raise InputError("The ground control points lie on one line and give the image no place; add others.")
    misfit = np.linalg.norm(corners[usable] @ solution + origin - metres[usable], axis=1)
    matrix = np.eye(3)
    matrix[:2] = solution.T
    matrix[:2, 2] += origin
    grid = Grid.from_matrix(metric, matrix @ CORNER_FROM_CENTRE, hw)
    return grid, float(np.sqrt((misfit**2).mean()))


def _read_tail(dataset: DatasetReader) -> None:
    block_h, block_w = dataset.block_shapes[-1]
    top = (dataset.height - 1) // block_h * block_h
    left = (dataset.width - 1) // block_w * block_w
    for band in {1, dataset.count}:
        dataset.read(band, window=Window(left, top, dataset.width - left, dataset.height - top))
