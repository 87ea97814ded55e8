from __future__ import annotations

import csv
import json
import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest
from affine import Affine

from midground.errors import ConfigError, InputError, OutputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid
from midground.geo.tiepoints import COLUMNS, TiePoints, write_tie_points

UTM = "EPSG:32631"
GRID = Grid(UTM, Affine(10, 0, 500000, 0, -10, 5000000), (600, 600))
CORRECTION = Correction.from_pixels(np.array([[1.0, 0, 2], [0, 1, 3], [0, 0, 1]]), fixed=GRID, moving=GRID)
PLAIN = Correction.from_pixels(
    CORRECTION.fixed_from_moving, fixed=Grid.without_georeference((9, 9)), moving=Grid.without_georeference((9, 9))
)
POINTS = TiePoints(
    moving_xy=np.array([[10.0, 20.0], [30.25, 40.5]]),
    fixed_xy=np.array([[12.0, 23.0], [33.25, 39.5]]),
    score=np.array([0.9, 0.5]),
    residual_px=np.array([0.0, np.hypot(1, 4)]),
    held_out_residual_px=np.array([0.1, np.nan]),
    used=np.array([True, False]),
)


def test_geojson_is_longitude_and_latitude(tmp_path):
    write_tie_points(tmp_path / "t.geojson", POINTS, CORRECTION)
    collection = json.loads((tmp_path / "t.geojson").read_text())
    assert collection["type"] == "FeatureCollection"
    first, second = collection["features"]
    # The central meridian of zone 31 is 3° east.
    assert first["geometry"]["coordinates"] == pytest.approx([3.00159, 45.1512], abs=2e-4)
    assert first["properties"] == {
        "id": 1, "moving_x": 10, "moving_y": 20, "fixed_x": 12, "fixed_y": 23, "score": 0.9, "residual_px": 0,
        "held_out_residual_px": 0.1, "used": True,
    }  # fmt: skip
    assert second["properties"]["held_out_residual_px"] is None


def test_geojson_needs_a_georeference(tmp_path):
    with pytest.raises(InputError, match="holds longitudes and latitudes"):
        write_tie_points(tmp_path / "t.geojson", POINTS, PLAIN)
    assert list(tmp_path.iterdir()) == []


def test_csv(tmp_path):
    write_tie_points(tmp_path / "t.csv", POINTS, CORRECTION)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [*COLUMNS, "map_x", "map_y"]
    assert (float(rows[0]["map_x"]), float(rows[0]["map_y"])) == (500125, 4999765)
    assert (rows[0]["used"], rows[1]["used"], rows[1]["held_out_residual_px"]) == ("1", "0", "")
    write_tie_points(tmp_path / "plain.csv", POINTS, PLAIN)
    assert (tmp_path / "plain.csv").read_text().splitlines()[0] == ",".join(COLUMNS)


def test_qgis_points(tmp_path):
    write_tie_points(tmp_path / "t.points", POINTS, CORRECTION)
    lines = (tmp_path / "t.points").read_text().splitlines()
    assert lines[0].startswith("#CRS: PROJCRS[")
    assert lines[1] == "mapX,mapY,sourceX,sourceY,enable,dX,dY,residual"
    first, second = ([float(value) for value in line.split(",")] for line in lines[2:])
    assert first == [500125, 4999765, 10.5, -20.5, 1, 0, 0, 0]
    # The fixed point belongs to (31.25, 36.5) of the moving image: 1 px right and 4 px up from where it was found.
    assert second == pytest.approx([500337.5, 4999600, 30.75, -41, 0, 1, 4, np.hypot(1, 4)], abs=1e-6)


def test_qgis_points_without_georeference(tmp_path):
    write_tie_points(tmp_path / "t.points", POINTS, PLAIN)
    lines = (tmp_path / "t.points").read_text().splitlines()
    assert lines[0] == "#CRS: "
    assert lines[2].startswith("12.5,-23.5,10.5,-20.5,1,")


class TestGeoPackage:
    """Against the requirements of OGC 12-128r16 (GeoPackage 1.3)."""

    @pytest.fixture
    def database(self, tmp_path):
        write_tie_points(tmp_path / "t.gpkg", POINTS, CORRECTION)
        assert [path.name for path in tmp_path.iterdir()] == ["t.gpkg"]
        with closing(sqlite3.connect(tmp_path / "t.gpkg")) as database:
            yield database

    def test_file_header(self, database, tmp_path):
        header = (tmp_path / "t.gpkg").read_bytes()[:100]
        assert header.startswith(b"SQLite format 3\0")
        assert header[68:72] == b"GPKG"
        assert struct.unpack(">I", header[60:64]) == (10300,)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []

    def test_reference_systems(self, database):
        rows = database.execute(
            "SELECT srs_id, organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys"
        )
        systems = {row[0]: row[1:] for row in rows}
        assert set(systems) == {-1, 0, 4326, 32631}
        assert systems[-1] == ("NONE", -1, "undefined")
        assert systems[32631][:2] == ("EPSG", 32631)
        assert systems[32631][2].startswith("PROJCS[")
        assert systems[4326][2].startswith("GEOGCS[")

    def test_layer(self, database):
        assert database.execute(
            "SELECT table_name, data_type, identifier, min_x, min_y, max_x, max_y, srs_id FROM gpkg_contents"
        ).fetchall() == [("tie_points", "features", "tie_points", 500125, 4999600, 500337.5, 4999765, 32631)]
        assert database.execute("SELECT * FROM gpkg_geometry_columns").fetchall() == [
            ("tie_points", "geom", "POINT", 32631, 0, 0)
        ]
        columns = {row[1]: (row[2], row[5]) for row in database.execute("PRAGMA table_info(tie_points)")}
        assert columns["id"] == ("INTEGER", 1)
        assert columns["geom"] == ("POINT", 0)
        assert columns["used"] == ("BOOLEAN", 0)
        assert columns["score"] == ("REAL", 0)
        change = database.execute("SELECT last_change FROM gpkg_contents").fetchone()[0]
        assert len(change) == 24
        assert change.endswith("Z")

    def test_geometry(self, database):
        rows = database.execute("SELECT id, geom, used, held_out_residual_px FROM tie_points").fetchall()
        assert [(row[0], row[2], row[3]) for row in rows] == [(1, 1, 0.1), (2, 0, None)]
        magic, version, flags, srs_id = struct.unpack("<2sBBi", rows[0][1][:8])
        assert (magic, version, flags, srs_id) == (b"GP", 0, 1, 32631)
        assert struct.unpack("<BIdd", rows[0][1][8:]) == (1, 1, 500125, 4999765)

    def test_without_georeference_and_empty(self, tmp_path):
        write_tie_points(tmp_path / "t.gpkg", TiePoints.empty(), PLAIN)
        with closing(sqlite3.connect(tmp_path / "t.gpkg")) as database:
            assert database.execute("SELECT srs_id, min_x FROM gpkg_contents").fetchall() == [(-1, None)]
            assert database.execute("SELECT count(*) FROM tie_points").fetchone() == (0,)

    def test_system_without_a_code(self, tmp_path):
        from midground.geo.crs import parse_crs

        wkt = parse_crs("+proj=laea +lat_0=47 +lon_0=5 +ellps=GRS80 +units=m").to_wkt()
        grid = Grid(wkt, GRID.transform, GRID.hw)
        write_tie_points(tmp_path / "t.gpkg", POINTS, Correction.from_pixels(np.eye(3), fixed=grid, moving=grid))
        with closing(sqlite3.connect(tmp_path / "t.gpkg")) as database:
            row = database.execute(
                "SELECT organization, organization_coordsys_id, definition FROM gpkg_spatial_ref_sys "
                "WHERE srs_id = 100000"
            ).fetchone()
        assert row[:2] == ("NONE", 100000)
        assert "Lambert_Azimuthal" in row[2]

    def test_failure_leaves_nothing(self, tmp_path, monkeypatch):
        def fail(*_, **__):
            raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr("midground.geo.geopackage._add_layer", fail)
        with pytest.raises(OutputError, match=r"t\.gpkg: the disk is full"):
            write_tie_points(tmp_path / "t.gpkg", POINTS, CORRECTION)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".csv", ".points"])
def test_no_points(tmp_path, suffix):
    write_tie_points(tmp_path / f"t{suffix}", TiePoints.empty(), CORRECTION)
    assert (tmp_path / f"t{suffix}").stat().st_size > 0


def test_unknown_format(tmp_path):
    with pytest.raises(ConfigError, match=r"Unknown tie-point format '\.geojsn'\. Did you mean '\.geojson'"):
        write_tie_points(tmp_path / "t.geojsn", POINTS, CORRECTION)
