"""Writing files that are either complete or absent."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.env import Env
from rasterio.windows import Window

from midground.errors import ConfigError, OutputError
from midground.geo.access import GDAL_ERRORS, brief, opened, quiet
from midground.geo.grid import Grid

_SCRATCH_SUFFIX = ".work.tif"
_GDAL_SUFFIXES = ("", ".aux.xml", ".ovr", ".msk", ".ovr.tmp", ".msk.ovr", ".ovr.msk")
_SQLITE_SUFFIXES = ("-journal", "-wal", "-shm")
_FULL_BYTES = 1 << 20
_BLOCK_PX = 512
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def refuse_overwrite(out: Path, *inputs: Path) -> None:
    """Refuse to write a result over one of the files it is made from, also through a link.

    Raises:
        OutputError: The output is one of the inputs.
    """
    for path in inputs:
        is_same = out.resolve() == path.resolve() or (out.exists() and path.exists() and out.samefile(path))
        if is_same:
            raise OutputError(f"{out}: the output is also an input, which it would destroy; choose another name.")


@contextmanager
def atomic_output(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name in the same folder, and give it its name when it is complete.

    On any failure, Ctrl-C included, the temporary file and what GDAL or SQLite put beside it are removed, and an older
    file of the same name stays as it was.

    Args:
        path: Where the result shall lie.

    Yields:
        The name to write to; it has the same suffix.

    Raises:
        OutputError: The folder is missing or not writable, the path is a folder, or the disk is full.
    """
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; create it first.")
    if path.is_dir():
        raise OutputError(f"{path}: a folder has this name; name a file.")
    temporary = folder / f".{path.stem}.{secrets.token_hex(4)}{path.suffix}"
    _require_writable(path, temporary)
    try:
        yield temporary
        _adopt(temporary, path)
    except GDAL_ERRORS as error:
        raise _write_error(path, error, _left_bytes(temporary)) from error
    except OutputError:
        raise
    except OSError as error:
        raise _write_error(path, error, _left_bytes(temporary)) from error
    finally:
        _remove(temporary)


def _write_error(path: Path, error: BaseException, needed_bytes: int) -> OutputError:
    words = brief(error)
    if getattr(error, "errno", None) in _NO_SPACE or "free disk space" in words or _is_full(path.parent, needed_bytes):
        return OutputError(f"{path}: the disk is full, nothing was written; free some space and run again.")
    return OutputError(f"{path}: the file could not be written ({words}); nothing was left behind.")


def _left_bytes(temporary: Path) -> int:
    return sum(file.stat().st_size for file in (temporary, scratch_of(temporary)) if file.exists())


def _is_full(folder: Path, needed_bytes: int) -> bool:
    # GDAL says which block it could not write, not why, so the disk is asked while the unfinished files still fill it:
    # a finished file with its overviews needs up to twice what they hold.
    try:
        return shutil.disk_usage(folder).free < max(_FULL_BYTES, 2 * needed_bytes)
    except OSError:
        return False


def write_raster(
    path: Path,
    array: np.ndarray,
    grid: Grid,
    *,
    dtype: str | None = None,
    nodata: float | None = None,
    descriptions: Sequence[str | None] = (),
) -> None:
    """Write an array as a cloud-optimised GeoTIFF: tiles of 512 px, deflate, overviews for anything larger.

    Args:
        path: The file; replaced if it exists.
        array: Pixels of shape (c, h, w); pixels without data already hold the nodata value.
        grid: Where the pixels lie.
        dtype: Type in the file; the array's if omitted. Integers are rounded and clipped to the type's range.
        nodata: Value of pixels without data.
        descriptions: Names of the bands.

    Raises:
        OutputError: It cannot be written.
        ConfigError: The array does not fit the grid or the descriptions.
    """
    if array.ndim != 3 or array.shape[1:] != grid.hw:
        raise ConfigError(f"Expected an array of shape (c, {grid.hw[0]}, {grid.hw[1]}), found {array.shape}.")
    if descriptions and len(descriptions) != len(array):
        raise ConfigError(f"{len(array)} bands have {len(descriptions)} descriptions.")
    kind = np.dtype(dtype or array.dtype)
    with atomic_output(path) as temporary:
        scratch = scratch_of(temporary)
        with creating(scratch, grid, n_bands=len(array), dtype=kind.name, nodata=nodata) as dataset:
            for top in range(0, grid.hw[0], _BLOCK_PX):
                strip = cast_to(array[:, top : top + _BLOCK_PX], kind)
                dataset.write(strip, window=Window(0, top, grid.hw[1], strip.shape[1]))
            for band, description in enumerate(descriptions, start=1):
                dataset.set_band_description(band, description or "")
        to_cog(scratch, temporary)


def cast_to(array: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Convert to a type of the file; integers are rounded and clipped."""
    if array.dtype == kind or kind.kind not in "iu":
        return array.astype(kind, copy=False)
    limits = np.iinfo(kind)
    if array.dtype.kind == "f":
        array = np.rint(array)
        # The largest 64-bit integers are not representable as floats; the next float below is.
        high = np.nextafter(array.dtype.type(limits.max), 0) if kind.itemsize >= array.dtype.itemsize else limits.max
    else:
        high = limits.max
    cast: np.ndarray = np.clip(array, limits.min, high).astype(kind)
    return cast


def scratch_of(temporary: Path) -> Path:
    """Name a file for work in progress beside the file that :func:`atomic_output` gave, which removes both."""
    return Path(f"{temporary}{_SCRATCH_SUFFIX}")


@contextmanager
def creating(
    path: Path, grid: Grid, *, n_bands: int, dtype: str, nodata: float | None
) -> Iterator[rasterio.io.DatasetWriter]:
    """Open a plain tiled GeoTIFF for writing."""
    options: dict[str, object] = {"tiled": True, "blockxsize": _BLOCK_PX, "blockysize": _BLOCK_PX}
    options |= {"compress": "deflate", "zlevel": 1, "bigtiff": "if_safer", "interleave": "band"}
    if grid.crs is not None:
        options["crs"] = grid.crs
    if not grid.transform.is_identity:
        options["transform"] = grid.transform
    height, width = grid.hw
    options |= {"height": height, "width": width, "count": n_bands, "dtype": dtype, "nodata": nodata}
    with quiet(), Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "w", driver="GTiff", **options) as dataset:
        yield dataset


def to_cog(source: Path, target: Path, *, overviews: str = "average", predictor: str = "YES") -> None:
    """Copy a finished raster into a cloud-optimised GeoTIFF, and make sure that it arrived whole.

    Raises:
        OutputError: GDAL wrote less than it was given.
    """
    options = {"COMPRESS": "DEFLATE", "PREDICTOR": predictor, "BLOCKSIZE": _BLOCK_PX, "BIGTIFF": "IF_SAFER"}
    options |= {"OVERVIEW_RESAMPLING": overviews, "NUM_THREADS": "ALL_CPUS"}
    try:
        with quiet(), Env(GDAL_TIFF_INTERNAL_MASK=True):
            rasterio.shutil.copy(source, target, driver="COG", **options)
    except SystemError as error:
        # This is what rasterio raises when GDAL fails without saying why, as it does on a full disk.
        raise OSError(errno.EIO, "GDAL could not write the file") from error
    _require_whole(target)


def _require_whole(path: Path) -> None:
    # GDAL can lose a write error when it closes a file, so the last block is read back.
    with opened(path) as dataset:
        for band in dataset.indexes:
            dataset.read(band, window=Window(dataset.width - 1, dataset.height - 1, 1, 1))


def _require_writable(path: Path, temporary: Path) -> None:
    try:
        temporary.touch(exist_ok=False)
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise _write_error(path, error, 0) from error
        raise OutputError(
            f"{path}: the folder {path.parent} cannot be written to ({error.strerror}); choose another one."
        ) from error
    temporary.unlink()


def _adopt(temporary: Path, path: Path) -> None:
    temporary.replace(path)
    for suffix in (".aux.xml", ".ovr", ".msk"):
        beside, final = Path(f"{temporary}{suffix}"), Path(f"{path}{suffix}")
        if beside.exists():
            beside.replace(final)
        else:
            # Left over from an older file of this name, it would change how the new one is read.
            final.unlink(missing_ok=True)


def _remove(temporary: Path) -> None:
    scratch = scratch_of(temporary)
    names = [f"{file}{suffix}" for file in (temporary, scratch) for suffix in _GDAL_SUFFIXES]
    names += [f"{temporary}{suffix}" for suffix in _SQLITE_SUFFIXES]
    for name in names:
        Path(name).unlink(missing_ok=True)
