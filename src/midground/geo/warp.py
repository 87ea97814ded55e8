"""Putting a correction onto a raster: by one resampling, or by changing nothing but its georeference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from midground.core.progress import Progress, silent
from midground.errors import InputError, unknown_name
from midground.geo.access import opened, quiet
from midground.geo.correction import Correction
from midground.geo.grid import Grid
from midground.geo.output import atomic_output, cast_to, creating, refuse_overwrite, scratch_of, to_cog
from midground.geo.raster import RasterInfo, open_source
from midground.geo.resample import RESAMPLINGS, Pixels, Resampler, Resampling, Tile

Onto = Literal["fixed", "own"] | Grid

_TILE_PX = 512
_MAX_MISFIT_PX = 0.05
_GEOREFERENCE = re.compile(r"<(SRS|GeoTransform|GCPList)\b.*?</\1>", re.DOTALL)
"""What a virtual raster says about its place."""
_NOT_COPIED_TAGS = ("AREA_OR_POINT",)


def apply_correction(
    info: RasterInfo,
    out: Path,
    correction: Correction,
    *,
    onto: Onto = "fixed",
    resampling: Resampling = "cubic",
    progress: Progress = silent,
) -> None:
    """Resample a raster once, so that it lies on the fixed image, and write it as a cloud-optimised GeoTIFF.

    All bands, data types, descriptions, colours, scales, units and tags are kept. Memory is bounded by tiles. What
    stands where the raster has no data: its nodata value if it has one; else NaN for floating-point types, recorded as
    nodata if any pixel needs it; else zero, under the alpha band if there is one, or under an internal mask, as zero
    may be a value. An interpolated integer that happens to equal nodata is moved by one. Classes with a colour table
    are taken from the nearest pixel.

    Args:
        info: A raster of the moving image's geometry, at any resolution.
        out: The file to write.
        correction: The result of the registration.
        onto: The fixed image's grid, the raster's own one, or any other.
        resampling: How values are interpolated.
        progress: Told about the tiles.

    Raises:
        InputError: The raster is complex, damaged, or not of the moving image's geometry.
        OutputError: The result cannot be written.
        ConfigError: The resampling is not known.
    """
    if resampling not in RESAMPLINGS:
        raise unknown_name("resampling", resampling, RESAMPLINGS)
    refuse_overwrite(out, info.path)
    if info.is_complex:
        raise InputError(
            f"{info.path}: complex pixels are not resampled, as that would disturb their phase; rewrite the "
            "georeference without resampling, or give the detected amplitude."
        )
    target = _target_grid(info, correction, onto)
    _require_placeable(info, correction)

    def source_from_target(points_xy: np.ndarray) -> np.ndarray:
        return correction.source_from_target(info.grid, target, points_xy)

    with atomic_output(out) as temporary:
        scratch = scratch_of(temporary)
        with open_source(info, range(1, info.n_bands + 1)) as source:
            method: Resampling = "nearest" if info.is_palette else resampling
            resampler = Resampler.build(source.read, source.hw, source_from_target, target.hw, method)
            _warp_into(scratch, _Output(info, target, source.dataset), resampler, progress)
        to_cog(scratch, temporary, overviews="nearest" if method == "nearest" else "average")


def rewrite_georeference(info: RasterInfo, out: Path, correction: Correction) -> Literal["geotransform", "gcps"]:
    """Correct a raster's georeference and leave its pixels as they are, to the last bit.

    Args:
        info: A raster of the moving image's geometry, at any resolution; may be complex.
        out: The file to write, a cloud-optimised GeoTIFF.
        correction: The result of the registration.

    Returns:
        ``"geotransform"`` where an affine one follows the correction to 0.05 px everywhere, else ``"gcps"``: a lattice
        of ground control points.

    Raises:
        InputError: Neither image has a georeference, or the raster is not of the moving image's geometry.
        OutputError: The result cannot be written.
    """
    refuse_overwrite(out, info.path)
    _require_placeable(info, correction)
    transform, misfit_px = correction.corrected_transform(info.grid)
    crs = correction.corrected_crs(info.grid)
    if transform is None or crs is None:
        raise InputError(
            f"{info.path}: the fixed image has no georeference, so there is none to give to this raster; resample it "
            "onto the fixed image's pixels instead."
        )
    is_affine = misfit_px <= _MAX_MISFIT_PX
    with atomic_output(out) as temporary:
        scratch = scratch_of(temporary)
        with quiet():
            # A virtual copy takes the new georeference, and GDAL then copies everything else.
            with opened(info.path) as dataset:
                rasterio.shutil.copy(dataset, scratch, driver="VRT")
            scratch.write_text(_GEOREFERENCE.sub("", scratch.read_text(encoding="utf-8")), encoding="utf-8")
            with rasterio.open(scratch, "r+") as virtual:
                if is_affine:
                    virtual.transform, virtual.crs = transform, crs
                else:
                    virtual.gcps = (correction.gcps(info.grid), rasterio.crs.CRS.from_user_input(crs))
        overviews = "nearest" if info.is_palette or info.is_complex else "average"
        to_cog(scratch, temporary, overviews=overviews, predictor="NO" if info.is_complex else "YES")
    return "geotransform" if is_affine else "gcps"


def _target_grid(info: RasterInfo, correction: Correction, onto: Onto) -> Grid:
    if isinstance(onto, Grid):
        return onto
    if onto == "fixed":
        return correction.fixed
    if onto != "own":
        raise unknown_name("target grid", str(onto), ("fixed", "own"))
    if correction.crs is None:
        raise InputError(
            f"{info.path}: without a georeference of both images there is no grid of the raster's own to put it on; "
            "put it onto the fixed image's."
        )
    return correction.grid_of(info.grid)


def _require_placeable(info: RasterInfo, correction: Correction) -> None:
    try:
        correction.grid_of(info.grid)
    except InputError as error:
        raise InputError(f"{info.path}: {error}") from error


@dataclass
class _Output:
    """What the result looks like, and how pixels without data are written."""

    info: RasterInfo
    target: Grid
    source: DatasetReader
    dtype: np.dtype = field(init=False)
    nodata: float | None = field(init=False)

    def __post_init__(self) -> None:
        self.dtype = np.result_type(*[np.dtype(name) for name in self.info.dtypes])
        stated = [value for value in self.info.nodata if value is not None]
        self.nodata = stated[0] if stated and _fits(stated[0], self.dtype) else None

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    @property
    def fill(self) -> float:
        """Value where there is no data."""
        if self.nodata is not None:
            return self.nodata
        return float("nan") if self.is_float else 0.0

    @property
    def is_masked(self) -> bool:
        """Whether pixels without data can only be told by an internal mask."""
        return self.nodata is None and not self.is_float and self.info.alpha_band is None

    def encode(self, pixels: Pixels) -> np.ndarray:
        """Bring resampled values to the type of the file."""
        values = cast_to(pixels.values, self.dtype)
        if self.nodata is not None:
            taken = values == self.dtype.type(self.nodata)
            if taken.any():
                values = np.where(taken, _neighbour(self.nodata, self.dtype), values)
        values = np.where(pixels.valid, values, self.dtype.type(self.fill))
        if self.info.alpha_band is not None:
            alpha = self.info.alpha_band - 1
            values[alpha] = np.where(pixels.valid[0], values[alpha], 0)
        return values

    def empty(self, tile: Tile) -> np.ndarray:
        """A tile without data."""
        hollow = np.zeros((self.info.n_bands, tile.height, tile.width), np.float32)
        return self.encode(Pixels(hollow, np.zeros((1, tile.height, tile.width), bool)))


def _warp_into(path: Path, output: _Output, resampler: Resampler, progress: Progress) -> None:
    tiles = list(resampler.tiles(output.target.hw, _TILE_PX))
    n_valid = 0
    complete: list[Window] = []
    with creating(
        path, output.target, n_bands=output.info.n_bands, dtype=output.dtype.name, nodata=output.nodata
    ) as target:
        _copy_looks(output.source, target)
        is_masked = False
        for done, tile in enumerate(tiles, start=1):
            window = Window(tile.left, tile.top, tile.width, tile.height)
            pixels = resampler(tile)
            target.write(output.empty(tile) if pixels is None else output.encode(pixels), window=window)
            valid = _valid_in_all(pixels, tile)
            n_valid += int(valid.sum())
            if valid.all() and not is_masked:
                complete.append(window)
            elif output.is_masked:
                is_masked = _write_mask(target, complete, window, valid)
            progress("warp", done, len(tiles))
        if n_valid == 0:
            raise InputError(
                f"{output.info.path}: no pixel of the corrected raster falls onto the grid it is to be put on; "
                "check that the transform belongs to it."
            )
        if output.nodata is None and output.is_float and n_valid < output.target.hw[0] * output.target.hw[1]:
            target.nodata = float("nan")


def _valid_in_all(pixels: Pixels | None, tile: Tile) -> np.ndarray:
    if pixels is None:
        return np.zeros((tile.height, tile.width), bool)
    return np.asarray(pixels.valid.all(axis=0))


def _write_mask(target: DatasetWriter, complete: list[Window], window: Window, valid: np.ndarray) -> bool:
    # The mask starts to exist with the first gap; the tiles written before have none.
    while complete:
        earlier = complete.pop()
        target.write_mask(np.full((int(earlier.height), int(earlier.width)), 255, np.uint8), window=earlier)
    target.write_mask(np.where(valid, np.uint8(255), np.uint8(0)), window=window)
    return True


def _copy_looks(source: DatasetReader, target: DatasetWriter) -> None:
    target.colorinterp = source.colorinterp
    target.update_tags(**_without(source.tags(), _NOT_COPIED_TAGS))
    target.scales, target.offsets, target.units = source.scales, source.offsets, _words(source.units)
    for band in source.indexes:
        target.set_band_description(band, source.descriptions[band - 1] or "")
        target.update_tags(band, **{k: v for k, v in source.tags(band).items() if not k.startswith("STATISTICS_")})
    if source.colorinterp[0] == rasterio.enums.ColorInterp.palette:
        target.write_colormap(1, source.colormap(1))


def _without(tags: dict[str, str], names: Sequence[str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key not in names}


def _words(units: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(unit or "" for unit in units)


def _fits(value: float, dtype: np.dtype) -> bool:
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return bool(np.isfinite(value) and value == int(value) and limits.min <= value <= limits.max)


def _neighbour(value: float, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return np.asarray(np.nextafter(dtype.type(value), dtype.type(0 if value else 1)))
    return np.asarray(value + 1 if value < np.iinfo(dtype).max else value - 1).astype(dtype)
