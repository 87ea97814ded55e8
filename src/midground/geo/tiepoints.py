"""Tie points, and the files that other software reads them from."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Float64

from midground.errors import InputError, unknown_name
from midground.geo.correction import Correction
from midground.geo.crs import parse_crs, to_lon_lat
from midground.geo.geopackage import write_point_layer
from midground.geo.output import atomic_output

COLUMNS = (
    "id",
    "moving_x",
    "moving_y",
    "fixed_x",
    "fixed_y",
    "score",
    "residual_px",
    "held_out_residual_px",
    "used",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiePoints:
    """Conjugate points with what the estimate says about them; full-resolution pixel centres."""

    moving_xy: Float64[np.ndarray, "n 2"]
    fixed_xy: Float64[np.ndarray, "n 2"]
    score: Float64[np.ndarray, " n"]
    """Confidence between 0 and 1."""
    residual_px: Float64[np.ndarray, " n"]
    """Distance between the transformed moving point and the fixed point, px of the fixed image."""
    held_out_residual_px: Float64[np.ndarray, " n"]
    """The same under a fit that did not see the point; infinite where none was made."""
    used: Bool[np.ndarray, " n"]
    """Whether the point took part in the fit."""

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> TiePoints:
        """No points."""
        nothing = np.zeros(0)
        return cls(
            moving_xy=np.zeros((0, 2)),
            fixed_xy=np.zeros((0, 2)),
            score=nothing,
            residual_px=nothing,
            held_out_residual_px=nothing,
            used=np.zeros(0, bool),
        )


Writer = Callable[[Path, TiePoints, Correction], None]


def write_tie_points(path: Path, points: TiePoints, correction: Correction) -> None:
    """Write tie points in the format that the suffix names: .geojson, .gpkg, .csv or .points.

    Raises:
        ConfigError: The suffix is none of these.
        OutputError: The file cannot be written.
        InputError: The format needs a georeference that the fixed image has not.
    """
    if path.suffix.lower() not in WRITERS:
        raise unknown_name("tie-point format", path.suffix or path.name, WRITERS)
    WRITERS[path.suffix.lower()](path, points, correction)


def write_geojson(path: Path, points: TiePoints, correction: Correction) -> None:
    """Write GeoJSON (RFC 7946): the fixed points in WGS 84 longitude and latitude.

    Raises:
        InputError: The fixed image has no georeference.
    """
    grid = correction.fixed
    if grid.crs is None:
        raise InputError(
            f"{path}: GeoJSON holds longitudes and latitudes, and the fixed image has no georeference; write .csv, "
            ".gpkg or .points instead."
        )
    places = to_lon_lat(grid.to_world(points.fixed_xy), grid.crs)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [round(float(value), 9) for value in place]},
            "properties": dict(zip(COLUMNS, row, strict=True)),
        }
        for place, row in zip(places, _rows(points), strict=True)
    ]
    collection = {"type": "FeatureCollection", "name": "tie_points", "features": features}
    with atomic_output(path) as temporary:
        temporary.write_text(json.dumps(collection, allow_nan=False) + "\n", encoding="utf-8")


def write_geopackage(path: Path, points: TiePoints, correction: Correction) -> None:
    """Write a GeoPackage with one layer, ``tie_points``: the fixed points in the fixed image's system.

    Without georeference, coordinates are pixels: x the column and y the negative row.
    """
    places = _places(points, correction)
    with atomic_output(path) as temporary:
        write_point_layer(temporary, correction.fixed.crs, places, COLUMNS, _rows(points))


def write_csv(path: Path, points: TiePoints, correction: Correction) -> None:
    """Write comma-separated values; the columns ``map_x`` and ``map_y`` are left out without georeference."""
    crs = correction.fixed.crs
    header = [*COLUMNS, *([] if crs is None else ["map_x", "map_y"])]
    places = _places(points, correction)
    with atomic_output(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row, place in zip(_rows(points), places, strict=True):
            cells = ["" if cell is None else int(cell) if isinstance(cell, bool) else cell for cell in row]
            writer.writerow([*cells, *([] if crs is None else [repr(float(value)) for value in place])])


def write_qgis_points(path: Path, points: TiePoints, correction: Correction) -> None:
    """Write the ground control points of QGIS's georeferencer: the moving image's pixels and where they belong.

    QGIS counts pixels from the corner of the image and rows downwards as negative; its residuals are in pixels of the
    moving image.
    """
    crs = correction.fixed.crs
    expected = correction.source_from_target(correction.moving, correction.fixed, points.fixed_xy)
    off = (expected - points.moving_xy) * [1, -1]
    places = _places(points, correction)
    with atomic_output(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        wkt = "" if crs is None else parse_crs(crs).to_wkt(version="WKT2_2019").replace("\n", "")
        file.write(f"#CRS: {wkt}\n")
        file.write("mapX,mapY,sourceX,sourceY,enable,dX,dY,residual\n")
        for place, xy, used, (dx, dy) in zip(places, points.moving_xy, points.used, off, strict=True):
            numbers = (*place, xy[0] + 0.5, -(xy[1] + 0.5))
            fields = [*(repr(float(value)) for value in numbers), str(int(used))]
            fields += [f"{value:.6f}" for value in (dx, dy, np.hypot(dx, dy))]
            file.write(",".join(fields) + "\n")


WRITERS: MappingProxyType[str, Writer] = MappingProxyType(
    {".geojson": write_geojson, ".gpkg": write_geopackage, ".csv": write_csv, ".points": write_qgis_points}
)
"""How tie points are written, by suffix."""


def _places(points: TiePoints, correction: Correction) -> Float64[np.ndarray, "n 2"]:
    grid = correction.fixed
    if grid.crs is None:
        return (points.fixed_xy + 0.5) * [1.0, -1.0]
    return grid.to_world(points.fixed_xy)


def _rows(points: TiePoints) -> list[tuple[object, ...]]:
    numbers = (points.score, points.residual_px, points.held_out_residual_px)
    columns: tuple[Sequence[object], ...] = (
        range(1, len(points) + 1),
        *points.moving_xy.T.tolist(),
        *points.fixed_xy.T.tolist(),
        *([value if np.isfinite(value) else None for value in column.tolist()] for column in numbers),
        points.used.tolist(),
    )
    return list(zip(*columns, strict=True))
