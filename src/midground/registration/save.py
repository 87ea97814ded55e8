"""Writing what a registration found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from midground.core.files import make_folder
from midground.core.progress import Progress, silent
from midground.errors import unknown_name
from midground.geo.correction import Correction
from midground.geo.raster import atomic_output, open_raster
from midground.geo.resample import Resampling
from midground.geo.tiepoints import write_tie_points
from midground.geo.warp import apply_correction, rewrite_georeference

if TYPE_CHECKING:
    from midground.registration.result import Registration

Onto = Literal["fixed", "own", "georeference"]
ONTO: tuple[Onto, ...] = get_args(Onto)
_NAMES = ("result.json", "tie_points.gpkg", "tie_points.csv", "transform.json", "aligned.tif")


def save_result(
    result: Registration, folder: Path, *, onto: Onto = "fixed", resampling: Resampling = "cubic", force: bool = False
) -> tuple[Path, ...]:
    """Write everything that a registration of two files found into a folder, which is created.

    Args:
        result: The registration.
        folder: Gets result.json, tie_points.gpkg, tie_points.csv, transform.json and aligned.tif.
        onto: Where aligned.tif goes, see :func:`write_aligned`.
        resampling: How aligned.tif is interpolated.
        force: Whether a rejected result gets its transform and aligned raster all the same.

    Returns:
        The files written: a rejected result has no aligned raster and no transform, arrays have no aligned raster.

    What an earlier result left there under these names, and this one does not write, is removed.

    Raises:
        ConfigError: ``onto`` does not exist.
        OutputError: A file cannot be written.
    """
    if onto not in ONTO:
        raise unknown_name("target grid", onto, ONTO)
    make_folder(folder)
    written = _write_all(result, folder, onto=onto, resampling=resampling, force=force)
    for path in {folder / name for name in _NAMES} - set(written):
        path.unlink(missing_ok=True)
    return written


def _write_all(
    result: Registration, folder: Path, *, onto: Onto, resampling: Resampling, force: bool
) -> tuple[Path, ...]:
    written = [folder / "result.json"]
    with atomic_output(written[0]) as temporary:
        temporary.write_text(as_json(result.to_dict()) + "\n", encoding="utf-8")
    if result.correction is None:
        return tuple(written)
    for name in ("tie_points.gpkg", "tie_points.csv"):
        written.append(folder / name)
        write_tie_points(written[-1], result.tie_points, result.correction)
    if result.verdict == "reject" and not force:
        return tuple(written)
    written.append(folder / "transform.json")
    result.correction.save(written[-1])
    if result.inputs.moving.path is not None:
        written.append(folder / "aligned.tif")
        write_aligned(Path(result.inputs.moving.path), written[-1], result.correction, onto=onto, resampling=resampling)
    return tuple(written)


def write_aligned(
    raster: Path,
    out: Path,
    correction: Correction,
    *,
    onto: Onto = "fixed",
    resampling: Resampling = "cubic",
    progress: Progress = silent,
) -> str:
    """Put a correction onto a raster.

    Args:
        raster: Any raster of the moving image's geometry.
        out: The file to write.
        correction: The result of a registration.
        onto: ``fixed`` and ``own`` resample once onto that image's grid; ``georeference`` keeps the pixels and corrects
            the geotransform, or gives ground control points where no geotransform can say it.
        resampling: How values are interpolated.
        progress: Told how far it has come.

    Returns:
        What was done, as the end of a sentence.

    Raises:
        ConfigError: ``onto`` is none of these.
        InputError: The raster cannot be used.
        OutputError: The file cannot be written.
    """
    if onto not in ONTO:
        raise unknown_name("target grid", onto, ONTO)
    if onto == "georeference":
        how = rewrite_georeference(open_raster(raster, is_complex_allowed=True, min_side_px=1), out, correction)
        means = {"geotransform": "the geotransform corrected", "gcps": "the position given by ground control points"}
        return f"pixels as they were, {means[how]}"
    info = open_raster(raster, min_side_px=1)
    apply_correction(info, out, correction, onto=onto, resampling=resampling, progress=progress)
    grid = "the fixed image's grid" if onto == "fixed" else "its own grid"
    return f"resampled once ({resampling}) onto {grid}"


def as_json(values: object) -> str:
    """Strict JSON: no NaN, which JSON has no word for."""
    return json.dumps(values, indent=2, allow_nan=False)
