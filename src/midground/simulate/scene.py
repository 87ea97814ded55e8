"""A simulated pair of scenes as files, with the truth beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from jaxtyping import Shaped
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from midground.core.files import whole_file, write_text
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.errors import OutputError
from midground.simulate.config import SceneConfig
from midground.simulate.materials import BANDS
from midground.simulate.render import RenderedPair, render_pair
from midground.simulate.sar import MAX_DISPLACEMENT_PX

TRUTH_SCHEMA = "midground/truth/1"
_CRS = "EPSG:32633"
_WEST_M, _NORTH_M = 463_200.0, 5_411_800.0
_REFLECTANCE_SCALE = 10_000


@dataclass(frozen=True, slots=True)
class SimulatedPair:
    """Two images of one landscape on disk."""

    optical: Path
    """GeoTIFF, reflectance times 10 000 as uint16; georeferenced rightly."""
    sar: Path
    """GeoTIFF, sigma nought in VV as linear power; georeferenced wrongly."""
    truth: Path
    """JSON with what follows and the parameters of the scene."""
    fixed_from_moving: Transform
    """From pixel centres of the SAR file to those of the optical file."""
    shift_m: tuple[float, float]
    """By how much the SAR file's georeference must move at its centre, (east, north) in metres."""


def simulate_scene_pair(  # noqa: PLR0913  (the options of a scene, each a plain name for callers)
    out_dir: Path,
    *,
    seed: int = 0,
    size_px: int = 1024,
    gsd_m: float = 10.0,
    shift_m: tuple[float, float] | None = None,
    rotation_deg: float | None = None,
    scale: float | None = None,
    looks: float = 4.4,
    progress: Progress = silent,
) -> SimulatedPair:
    """Simulate an optical and a SAR scene that do not line up, and write them with the truth.

    Writes ``optical.tif``, ``sar.tif`` and ``truth.json``, replacing files of these names. Both images claim the same
    grid in EPSG:32633. The optical one is right; the SAR pixel (x, y) in fact shows the ground at pixel
    ``fixed_from_moving @ (x, y, 1)`` of the optical image.

    Args:
        out_dir: Folder to write to; made if missing.
        seed: Seed of the landscape, the sensors and the noise.
        size_px: Side of both images, 128 to 2048 px.
        gsd_m: Ground sample distance, 3 to 30 m.
        shift_m: East and north shift that the SAR georeference lacks at its centre; random within 300 m if omitted.
        rotation_deg: Clockwise rotation that it lacks; random within 0.3 degrees if omitted.
        scale: Scale that it lacks; random within 0.2 % of 1 if omitted.
        looks: Equivalent number of looks of the SAR image.
        progress: Told of each finished step.

    Raises:
        ConfigError: A value is out of range.
        OutputError: A file cannot be written; no half-written file remains.
    """
    config = SceneConfig(
        seed=seed,
        size_px=size_px,
        gsd_m=gsd_m,
        shift_m=shift_m,
        rotation_deg=rotation_deg,
        scale=scale,
        looks=looks,
    )
    out_dir = Path(out_dir)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out_dir}: cannot make this folder ({error.strerror}); choose another.") from error
    pair = render_pair(config, progress=progress)
    optical, sar, truth = out_dir / "optical.tif", out_dir / "sar.tif", out_dir / "truth.json"
    grid = Affine(gsd_m, 0, _WEST_M, 0, -gsd_m, _NORTH_M)
    reflectance = np.clip(np.rint(pair.optical.channels * _REFLECTANCE_SCALE), 1, 65_535).astype(np.uint16)
    progress("write", 0, 3)
    with whole_file(optical, RasterioError, CPLE_BaseError) as unfinished:
        _write_raster(unfinished, reflectance, grid, BANDS)
    progress("write", 1, 3)
    with whole_file(sar, RasterioError, CPLE_BaseError) as unfinished:
        _write_raster(unfinished, pair.sar.channels, grid, ("VV",))
    progress("write", 2, 3)
    write_text(truth, json.dumps(_describe(pair), indent=2) + "\n")
    progress("write", 3, 3)
    return SimulatedPair(optical, sar, truth, pair.fixed_from_moving, pair.shift_m)


def _describe(pair: RenderedPair) -> dict[str, object]:
    """The content of ``truth.json``; the package's docstring explains its keys."""
    return {
        "schema": TRUTH_SCHEMA,
        "fixed": "optical.tif",
        "moving": "sar.tif",
        "fixed_from_moving": pair.fixed_from_moving.matrix.tolist(),
        "shift_m": list(pair.shift_m),
        "rotation_deg": pair.rotation_deg,
        "scale": pair.scale,
        "seed": pair.config.seed,
        "size_px": pair.config.size_px,
        "gsd_m": pair.config.gsd_m,
        "looks": pair.config.looks,
        "crs": _CRS,
        "sun": asdict(pair.sun),
        "orbit": asdict(pair.orbit),
        "max_local_displacement_px": MAX_DISPLACEMENT_PX,
    }


def _write_raster(path: Path, array: Shaped[np.ndarray, "c h w"], grid: Affine, names: tuple[str, ...]) -> None:
    profile = {
        "driver": "COG",
        "count": array.shape[0],
        "height": array.shape[1],
        "width": array.shape[2],
        "dtype": array.dtype.name,
        "crs": _CRS,
        "transform": grid,
        "nodata": 0,
        "compress": "DEFLATE",
        "predictor": "YES",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(array)
        for band, name in enumerate(names, start=1):
            target.set_band_description(band, name)
