"""A point layer in a GeoPackage (OGC 12-128r16, version 1.3), by SQLite alone."""

from __future__ import annotations

import errno
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from rasterio.errors import CRSError

from midground.geo.crs import parse_crs

_APPLICATION_ID = 0x47504B47
_USER_VERSION = 10300
_LAYER = "tie_points"
_UNDEFINED_CARTESIAN = -1
_OWN_SRS = 100000
_SQL_TYPES = {bool: "BOOLEAN", int: "INTEGER", float: "REAL"}

_SCHEMA = """
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL,
  organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
  min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
  CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL,
  CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
"""


def write_point_layer(
    path: Path,
    crs: str | None,
    places: Float64[np.ndarray, "n 2"],
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    """Write points with attributes into a new GeoPackage.

    Args:
        path: A file that does not exist yet.
        crs: System of the points; None for plane coordinates without one.
        places: Map coordinates, east first.
        columns: Names of the attributes; the first one, a whole number, is the primary key.
        rows: Attributes of each point; None where there is no value.

    Raises:
        OSError: SQLite cannot write it.
    """
    try:
        # closing() ends the connection on failure too; an open one would keep the file from being removed on Windows.
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            database.execute(f"PRAGMA user_version = {_USER_VERSION}")
            database.executescript(_SCHEMA)
            srs_id = _add_systems(database, crs)
            _add_layer(database, srs_id, places, columns, rows)
    except sqlite3.Error as error:
        is_full = "full" in str(error)
        raise OSError(errno.ENOSPC if is_full else errno.EIO, f"SQLite: {error}") from error


def _add_systems(database: sqlite3.Connection, crs: str | None) -> int:
    systems: list[tuple[object, ...]] = [
        ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined Cartesian coordinate reference system"),
        ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined geographic coordinate reference system"),
        ("WGS 84 geodetic", 4326, "EPSG", 4326, _definition("EPSG:4326"), "longitude and latitude in degrees"),
    ]
    srs_id = _UNDEFINED_CARTESIAN
    if crs is not None:
        code = parse_crs(crs).to_epsg(confidence_threshold=100)
        srs_id = _OWN_SRS if code is None else int(code)
        owner = ("NONE", srs_id) if code is None else ("EPSG", srs_id)
        if srs_id != 4326:
            systems.append((crs[:60], srs_id, *owner, _definition(crs), None))
    database.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", systems)
    return srs_id


def _definition(crs: str) -> str:
    parsed = parse_crs(crs)
    try:
        return str(parsed.to_wkt(version="WKT1_GDAL"))
    except CRSError:
        # Some systems cannot be said in the older language.
        return str(parsed.to_wkt())


def _add_layer(
    database: sqlite3.Connection,
    srs_id: int,
    places: np.ndarray,
    columns: Sequence[str],
    rows: Sequence[tuple[object, ...]],
) -> None:
    key, *others = columns
    types = [_sql_type([row[index] for row in rows]) for index in range(1, len(columns))]
    fields = "".join(f', "{name}" {kind}' for name, kind in zip(others, types, strict=True))
    database.execute(
        f'CREATE TABLE "{_LAYER}" ("{key}" INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, "geom" POINT{fields})'
    )
    limits = [None] * 4 if len(places) == 0 else [*places.min(axis=0).tolist(), *places.max(axis=0).tolist()]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    database.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, 'tie points of a registration', ?, ?, ?, ?, ?, ?)",
        (_LAYER, _LAYER, now, *limits, srs_id),
    )
    database.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'POINT', ?, 0, 0)", (_LAYER, srs_id))
    marks = ", ".join("?" * (len(columns) + 1))
    database.executemany(
        f'INSERT INTO "{_LAYER}" VALUES ({marks})',
        [(row[0], _point_blob(srs_id, *place), *row[1:]) for place, row in zip(places.tolist(), rows, strict=True)],
    )


def _sql_type(values: Sequence[object]) -> str:
    for value in values:
        if value is not None:
            return _SQL_TYPES.get(type(value), "TEXT")
    return "REAL"


def _point_blob(srs_id: int, x: float, y: float) -> bytes:
    """Standard GeoPackage binary: magic, version, flags (little-endian, no envelope), system, then WKB."""
    return struct.pack("<2sBBi", b"GP", 0, 1, srs_id) + struct.pack("<BIdd", 1, 1, x, y)
