from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from midground.errors import ConfigError, OutputError
from midground.geo import output
from midground.geo.grid import Grid
from midground.geo.output import atomic_output, cast_to, refuse_overwrite, write_raster

GRID = Grid("EPSG:32631", Affine(10, 0, 500000, 0, -10, 5000000), (700, 600))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestAtomicOutput:
    def test_appears_when_complete(self, tmp_path):
        with atomic_output(tmp_path / "a.txt") as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".txt"
            temporary.write_text("new")
            assert not (tmp_path / "a.txt").exists()
        assert files(tmp_path) == ["a.txt"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
    def test_nothing_remains_after_a_failure(self, tmp_path, error):
        (tmp_path / "a.tif").write_text("old")

        def write_some():
            with atomic_output(tmp_path / "a.tif") as temporary:
                for suffix in ("", ".aux.xml", ".ovr", ".msk", ".work.tif", ".work.tif.aux.xml", "-journal"):
                    Path(f"{temporary}{suffix}").write_text("half")
                raise error

        with pytest.raises(error):
            write_some()
        assert files(tmp_path) == ["a.tif"]
        assert (tmp_path / "a.tif").read_text() == "old"

    def test_side_files_come_along_and_old_ones_go(self, tmp_path):
        (tmp_path / "a.tif.aux.xml").write_text("old")
        with atomic_output(tmp_path / "a.tif") as temporary:
            temporary.write_text("new")
            Path(f"{temporary}.ovr").write_text("overviews")
        assert files(tmp_path) == ["a.tif", "a.tif.ovr"]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(OutputError, match=r"the folder .*none does not exist"), atomic_output(tmp_path / "none/a"):
            pytest.fail("must not be entered")

    def test_folder_of_that_name(self, tmp_path):
        (tmp_path / "a.tif").mkdir()
        with pytest.raises(OutputError, match="a folder has this name"), atomic_output(tmp_path / "a.tif"):
            pytest.fail("must not be entered")

    def test_unwritable_folder(self, tmp_path, monkeypatch):
        def refuse(self, *_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

        monkeypatch.setattr(Path, "touch", refuse)
        with pytest.raises(OutputError, match="cannot be written to"), atomic_output(tmp_path / "a.tif"):
            pytest.fail("must not be entered")

    def test_disk_full(self, tmp_path):
        def write_some():
            with atomic_output(tmp_path / "a.json") as temporary:
                temporary.write_text("half")
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.raises(OutputError, match=r"a\.json: the disk is full"):
            write_some()
        assert files(tmp_path) == []

    def test_full_disk_that_gdal_does_not_name(self, tmp_path, monkeypatch):
        monkeypatch.setattr(output.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))

        def fail(*_, **__):
            raise SystemError("Unknown GDAL Error")

        monkeypatch.setattr(output.rasterio.shutil, "copy", fail)
        with pytest.raises(OutputError, match="the disk is full"):
            write_raster(tmp_path / "a.tif", np.zeros((1, *GRID.hw), np.uint8), GRID)
        assert files(tmp_path) == []


@pytest.mark.parametrize("limit_bytes", [50_000, 500_000, 900_000])
def test_file_that_may_not_grow(tmp_path, limit_bytes):
    """A real failing write, at several points of the file: the system stops it at a size."""
    code = f"""
import resource, signal, sys
import numpy as np
from pathlib import Path
from affine import Affine
from midground.errors import OutputError
from midground.geo.grid import Grid
from midground.geo.raster import write_raster
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes}, {limit_bytes}))
noise = np.random.default_rng(0).integers(0, 255, (1, 900, 900)).astype("uint8")
try:
    write_raster(Path(sys.argv[1]), noise, Grid("EPSG:32631", Affine(10, 0, 5e5, 0, -10, 5e6), (900, 900)))
except OutputError as error:
    print("OutputError", error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.startswith("OutputError")
    assert "a.tif: " in run.stdout
    assert files(tmp_path) == []


def test_refuses_to_write_over_an_input(tmp_path):
    (tmp_path / "a.tif").write_text("a")
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.tif")
    (tmp_path / "hard.tif").hardlink_to(tmp_path / "a.tif")
    refuse_overwrite(tmp_path / "b.tif", tmp_path / "a.tif")
    for name in ("a.tif", "link.tif", "hard.tif", "../" + tmp_path.name + "/a.tif"):
        with pytest.raises(OutputError, match="also an input"):
            refuse_overwrite(tmp_path / name, tmp_path / "x.tif", tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_written_file_holds_what_was_given(tmp_path, scene, dtype):
    array = scene(GRID.hw, 2).astype(dtype)
    write_raster(tmp_path / "a.tif", array, GRID, nodata=3, descriptions=("VV", None))
    assert files(tmp_path) == ["a.tif"]
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert (dataset.read() == array).all()
        assert dataset.dtypes == (dtype, dtype)
        assert dataset.crs.to_string() == GRID.crs
        assert dataset.transform == GRID.transform
        assert dataset.nodata == 3
        assert dataset.descriptions == ("VV", None)
        assert dataset.block_shapes == [(512, 512), (512, 512)]
        assert dataset.overviews(1) == [2]
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.compression.value == "DEFLATE"


def test_image_without_georeference(tmp_path):
    write_raster(tmp_path / "a.tif", np.zeros((1, 70, 80), np.uint8), Grid.without_georeference((70, 80)))
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        dataset = rasterio.open(tmp_path / "a.tif")
    with dataset:
        assert dataset.crs is None
        assert dataset.transform == Affine.identity()


def test_array_must_fit():
    with pytest.raises(ConfigError, match=r"Expected an array of shape \(c, 700, 600\)"):
        write_raster(Path("a.tif"), np.zeros((1, 10, 10)), GRID)
    with pytest.raises(ConfigError, match="2 bands have 1 descriptions"):
        write_raster(Path("a.tif"), np.zeros((2, *GRID.hw)), GRID, descriptions=("a",))


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([-3.6, 0.5, 1.5, 254.6, 300.0], "uint8", [0, 0, 2, 255, 255]),
        ([-40000.0, 2.4, 40000.0], "int16", [-32768, 2, 32767]),
        ([-1e12, 1e12], "int32", [-(2**31), 2**31 - 1]),
        ([0.25, 1e9], "float32", [0.25, 1e9]),
    ],
)
def test_cast_rounds_and_clips(values, kind, expected):
    for given in (np.float32, np.float64):
        found = cast_to(np.array(values, given), np.dtype(kind))
        assert found.dtype == kind
        assert np.allclose(found.astype(float), expected, rtol=1e-7)
