"""Every unusable input ends in one sentence that names the file, the right exit code, and no output."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

CRS = "EPSG:32633"
ORIGIN = (463_200.0, 5_411_800.0)


def write_tif(
    path: Path,
    array: np.ndarray,
    *,
    crs: str | None = CRS,
    origin: tuple[float, float] = ORIGIN,
    nodata: float | None = None,
) -> Path:
    """Write bands (c, h, w) with 10 m pixels."""
    where = {} if crs is None else {"crs": crs, "transform": Affine(10, 0, origin[0], 0, -10, origin[1])}
    profile = {"driver": "GTiff", "count": array.shape[0], "height": array.shape[1], "width": array.shape[2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", dtype=array.dtype.name, nodata=nodata, **profile, **where) as target:
            target.write(array)
    return path


def textured(n_bands: int = 1, side: int = 256) -> np.ndarray:
    noise = np.random.default_rng(5).gamma(4.0, 0.25, (n_bands, side, side))
    return noise.astype(np.float32)


def missing(folder: Path) -> Path:
    return folder / "missing.tif"


def not_a_raster(folder: Path) -> Path:
    path = folder / "notes.tif"
    path.write_text("these are notes\n" * 50, encoding="utf-8")
    return path


def truncated(folder: Path) -> Path:
    return half_of(write_tif(folder / "whole.tif", textured()), folder)


def truncated_png(folder: Path) -> Path:
    return half_of(write_picture(folder / "whole.png", textured()), folder)


def truncated_jpeg(folder: Path) -> Path:
    return half_of(write_picture(folder / "whole.jpg", textured()), folder)


def write_picture(path: Path, array: np.ndarray) -> Path:
    cv2.imwrite(str(path), cv2.normalize(array[0], None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U))
    return path


def half_of(whole: Path, folder: Path) -> Path:
    path = folder / f"truncated{whole.suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return path


def zero_bands(folder: Path) -> Path:
    # A GeoPackage with two rasters is a raster file without a band of its own.
    path = folder / "two.gpkg"
    profile = {"driver": "GPKG", "width": 256, "height": 256, "count": 1, "dtype": "uint8", "crs": CRS}
    where = Affine(10, 0, ORIGIN[0], 0, -10, ORIGIN[1])
    for table, options in (("first", {}), ("second", {"APPEND_SUBDATASET": "YES"})):
        with rasterio.open(path, "w", transform=where, RASTER_TABLE=table, **profile, **options) as target:
            target.write(np.ones((1, 256, 256), np.uint8))
    return path


def all_nodata(folder: Path) -> Path:
    return write_tif(folder / "nodata.tif", np.full((1, 256, 256), -9999, np.float32), nodata=-9999)


def all_nan(folder: Path) -> Path:
    return write_tif(folder / "nan.tif", np.full((1, 256, 256), np.nan, np.float32))


def constant(folder: Path) -> Path:
    return write_tif(folder / "constant.tif", np.full((1, 256, 256), 0.25, np.float32))


def complex_slc(folder: Path) -> Path:
    return write_tif(folder / "slc.tif", textured().astype(np.complex64))


def one_pixel(folder: Path) -> Path:
    return write_tif(folder / "pixel.tif", np.ones((1, 1, 1), np.float32))


def without_crs(folder: Path) -> Path:
    return write_tif(folder / "nowhere.tif", textured(), crs=None)


def far_away(folder: Path) -> Path:
    return write_tif(folder / "far.tif", textured(), origin=(ORIGIN[0] + 200_000, ORIGIN[1]))


def barely_touching(folder: Path) -> Path:
    return write_tif(folder / "edge.tif", textured(side=512), origin=(ORIGIN[0] + 4820, ORIGIN[1]))


Make = Callable[[Path], Path]
UNUSABLE_ALONE: list[tuple[Make, str]] = [
    (missing, "no such file|does not exist"),
    (not_a_raster, "not a raster|no raster"),
    (truncated, "truncated|cannot be read|damaged|incomplete"),
    (truncated_png, "truncated|cannot be read|damaged|incomplete"),
    (truncated_jpeg, "truncated|cannot be read|damaged|incomplete"),
    (zero_bands, "no raster band"),
    (all_nodata, "no valid pixel|holds no data|no pixel"),
    (all_nan, "no valid pixel|holds no data|no pixel"),
    (constant, "constant|same value|one value"),
    (complex_slc, "amplitude"),
    (one_pixel, "1 × 1"),
]
UNUSABLE = [
    *UNUSABLE_ALONE,
    (without_crs, "no coordinate reference system"),
]
UNUSABLE_TOGETHER: list[tuple[Make, str]] = [
    (far_away, "The images do not overlap: the moving image's centre lies 198.7 km"),
    (barely_touching, "The images overlap by only 30 px of 10 m; at least 64 px"),
]


@pytest.mark.parametrize(("make", "message"), UNUSABLE, ids=[make.__name__ for make, _ in UNUSABLE])
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_register_refuses(cli, tmp_path: Path, scene_pair, role: str, make: Make, message: str) -> None:
    bad = make(tmp_path)
    fixed, moving = (bad, scene_pair.sar) if role == "fixed" else (scene_pair.optical, bad)
    out = tmp_path / "out"
    modalities = ("--fixed-modality", "optical", "--moving-modality", "sar")
    line = cli.fails("register", fixed, moving, *modalities, "--out-dir", out)
    assert re.search(message, line)
    assert bad.name in line
    assert not out.exists()


@pytest.mark.parametrize(("make", "message"), UNUSABLE_TOGETHER, ids=[make.__name__ for make, _ in UNUSABLE_TOGETHER])
@pytest.mark.parametrize("role", ["fixed", "moving"])
def test_register_refuses_images_of_two_places(
    cli, tmp_path: Path, scene_pair, role: str, make: Make, message: str
) -> None:
    other = make(tmp_path)
    fixed, moving = (other, scene_pair.sar) if role == "fixed" else (scene_pair.optical, other)
    out = tmp_path / "out"
    modalities = ("--fixed-modality", "optical", "--moving-modality", "sar")
    assert message in cli.fails("register", fixed, moving, *modalities, "--out-dir", out)
    assert not out.exists()


@pytest.mark.parametrize(("make", "message"), UNUSABLE_ALONE, ids=[make.__name__ for make, _ in UNUSABLE_ALONE])
def test_map_refuses(cli, tmp_path: Path, make: Make, message: str) -> None:
    bad = make(tmp_path)
    out = tmp_path / "shared.tif"
    line = cli.fails("map", bad, "--modality", "sar", "-o", out)
    assert re.search(message, line)
    assert bad.name in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--moving-modality", "sarr"), "Did you mean 'sar'"),
        (("--fixed-modality", "sar"), "optical.tif.*(optical|sar)"),
        (("--transform", "afine"), "Did you mean 'affine'"),
        (("--onto", "fixt"), "Did you mean 'fixed'"),
        (("--resampling", "bicubic"), "Did you mean 'cubic'"),
        (("--model", "sar-rgb"), "Did you mean 'sar1-rgb'"),
        (("--set", "template.windowpx=3"), "Did you mean 'window_px'"),
        (("--bands-fixed", "9"), "optical.tif: --bands-fixed asks for band 9"),
        (("--bands-moving", "9"), "sar.tif: --bands-moving asks for band 9"),
        (("--tie-points", "points.geojsn"), "Did you mean '.geojson'"),
        (("--search", "900", "--ignore-georeference"), "give one of both"),
        (("-o", "aligned.png"), r"aligned\.png: rasters are written as GeoTIFF"),
    ],
)
def test_wrong_option_values(cli, tmp_path: Path, scene_pair, words: tuple[str, ...], message: str) -> None:
    out = tmp_path / "out"
    line = cli.fails("register", scene_pair.optical, scene_pair.sar, *words, "--out-dir", out)
    assert re.search(message, line)
    assert not out.exists()


def test_unknown_matcher(cli, scene_pair) -> None:
    line = cli.fails("match", scene_pair.optical, scene_pair.sar, "--matcher", "shift")
    assert "Did you mean 'sift'?" in line


def test_bands_are_asked_for_by_an_option_of_the_command(cli, tmp_path: Path, scene_pair) -> None:
    line = cli.fails("map", scene_pair.sar, "--modality", "sar", "--bands", "9", "-o", tmp_path / "x.tif")
    assert "sar.tif: --bands asks for band 9" in line
    five = write_tif(tmp_path / "five.tif", textured(5))
    line = cli.fails("match", five, scene_pair.sar, "--matcher", "sift", "--fixed-modality", "optical")
    assert "which of its 5 bands" in line
    assert "name them with --bands-fixed" in line


def test_rasters_are_named_as_what_they_are(cli, tmp_path: Path, scene_pair) -> None:
    assert "GeoTIFF" in cli.fails("map", scene_pair.sar, "--modality", "sar", "-o", tmp_path / "x.png")
    assert "GeoTIFF" in cli.fails("apply", tmp_path / "transform.json", scene_pair.sar, "-o", tmp_path / "x.img")
    assert list(tmp_path.iterdir()) == []


def test_unknown_modality_of_map(cli, tmp_path: Path, scene_pair) -> None:
    line = cli.fails("map", scene_pair.sar, "--modality", "opticle", "-o", tmp_path / "x.tif")
    assert "Did you mean 'optical'?" in line


@pytest.mark.parametrize("option", ["-o", "--json", "--report", "--save-transform"])
def test_output_equal_to_input(cli, tmp_path: Path, scene_pair, option: str) -> None:
    moving = tmp_path / "sar.tif"
    shutil.copy(scene_pair.sar, moving)
    before = moving.read_bytes()
    line = cli.fails("register", scene_pair.optical, moving, option, moving)
    assert str(moving) in line
    assert "input" in line
    assert moving.read_bytes() == before


def test_output_folder_missing(cli, tmp_path: Path, scene_pair) -> None:
    out = tmp_path / "missing" / "aligned.tif"
    line = cli.fails("register", scene_pair.optical, scene_pair.sar, "-o", out)
    assert "does not exist; create it first" in line
    assert not out.parent.exists()


def test_output_folder_is_a_file(cli, tmp_path: Path, scene_pair) -> None:
    (tmp_path / "out").touch()
    line = cli.fails("register", scene_pair.optical, scene_pair.sar, "--out-dir", tmp_path / "out")
    assert "the output folder cannot be created" in line


def test_output_folder_unwritable(cli, tmp_path: Path, scene_pair) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.access(locked, os.W_OK):
        pytest.skip("this user, root, may write to any folder")
    line = cli.fails("register", scene_pair.optical, scene_pair.sar, "-o", locked / "aligned.tif")
    assert "no permission to write" in line


def test_corrupted_bundle(cli, tmp_path: Path, scene_pair) -> None:
    from midground.modality.catalogue import DEFAULT_MODEL, find_bundle

    bundle = tmp_path / "bundle"
    shutil.copytree(find_bundle(DEFAULT_MODEL).folder, bundle)
    content = bytearray((bundle / "sar.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / "sar.onnx").write_bytes(content)
    line = cli.fails("register", scene_pair.optical, scene_pair.sar, "--model", bundle, "--out-dir", tmp_path / "out")
    assert "sar.onnx" in line
    assert "sha256" in line
    assert not (tmp_path / "out").exists()


# A process started in the background ignores Ctrl-C unless told otherwise.
RUN = """
import resource, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from midground.cli.app import main
limit_bytes, *words = sys.argv[1:]
if int(limit_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit_bytes), int(limit_bytes)))
sys.exit(main(words))
"""


def start(*words: object, limit_bytes: int = 0) -> subprocess.Popen[str]:
    """Run a command in a process of its own, optionally unable to write files beyond a size."""
    command = [sys.executable, "-c", RUN, str(limit_bytes), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_disk_full(tmp_path: Path, scene_pair) -> None:
    # The limit lets small results through, so that the aligned raster is what fails, after others were written.
    out = tmp_path / "out"
    process = start("register", scene_pair.optical, scene_pair.sar, "--out-dir", out, "-q", limit_bytes=200_000)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    (line,) = err.splitlines()
    assert "disk is full" in line
    assert ".part" not in line
    assert not out.exists()


def test_disk_full_leaves_an_older_result(tmp_path: Path, scene_pair) -> None:
    older = tmp_path / "aligned.tif"
    older.write_bytes(b"older")
    process = start("register", scene_pair.optical, scene_pair.sar, "-o", older, "-q", limit_bytes=200_000)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert older.read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["aligned.tif"]


def test_interrupted(tmp_path: Path, scene_pair) -> None:
    out = tmp_path / "out"
    process = start("register", scene_pair.optical, scene_pair.sar, "--out-dir", out)
    deadline = time.monotonic() + 60
    while not out.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    stdout, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert stdout == ""
    assert err == "midground: Interrupted: nothing half-written remains.\n"
    assert not out.exists()
