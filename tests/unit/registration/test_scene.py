"""Two raster files: where their georeference says they lie, and where they do."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio import warp
from rasterio.errors import NotGeoreferencedWarning

from midground.errors import InputError
from midground.geo.correction import Correction
from midground.geo.grid import map_points
from midground.registration import blocks, scene
from midground.registration.api import register
from midground.registration.config import RegisterConfig
from midground.registration.scene import register_files

UTM = "EPSG:32633"
DEGREES = "EPSG:4326"
WEST, NORTH, GSD = 463200.0, 5411800.0, 10.0
OFF = (70.0, -50.0)
"""How far the moving image's georeference is off, m (east, north)."""


def shifted(transform: Affine, east: float, north: float) -> Affine:
    a, b, c, d, e, f = tuple(transform)[:6]
    return Affine(a, b, c + east, d, e, f + north)


UPRIGHT = Affine(GSD, 0, WEST, 0, -GSD, NORTH)


def write(path: Path, array: np.ndarray, transform: Affine | None, crs: str | None = UTM, **options) -> Path:
    count, height, width = array.shape
    profile = {"nodata": 0, "dtype": array.dtype} | options
    if crs is not None:
        profile |= {"crs": crs, "transform": transform}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path, "w", "GTiff", width, height, count, **profile)
    with dataset:
        dataset.write(array)
        names = ("VV",) if count == 1 else ("B02", "B03", "B04")
        for band, name in enumerate(names, start=1):
            dataset.set_band_description(band, name)
    return path


def in_degrees(array: np.ndarray, transform: Affine) -> tuple[np.ndarray, Affine]:
    """Resample an image onto a grid in degrees that holds all of it."""
    height, width = array.shape[1:]
    corners = [(transform.c + x * width * GSD, transform.f - y * height * GSD) for x in (0, 1) for y in (0, 1)]
    longitude, latitude = (np.array(values) for values in warp.transform(UTM, DEGREES, *zip(*corners, strict=True)))
    across, down = np.ptp(longitude) / width, np.ptp(latitude) / height
    target = Affine(across, 0, longitude.min(), 0, -down, latitude.max())
    out = np.zeros_like(array)
    warp.reproject(
        array,
        out,
        src_transform=transform,
        src_crs=UTM,
        dst_transform=target,
        dst_crs=DEGREES,
        src_nodata=0,
        dst_nodata=0,
        resampling=warp.Resampling.bilinear,
    )
    return out, target


@pytest.fixture(scope="module")
def aligned(rendered) -> tuple[np.ndarray, np.ndarray]:
    """Optical and SAR pixels that show the same ground at the same pixel."""
    pair = rendered(shift_m=(0.0, 0.0))
    return np.rint(pair.optical.channels[:3] * 10_000).clip(1).astype(np.uint16), pair.sar.channels


@pytest.fixture
def fixed(aligned, tmp_path) -> Path:
    return write(tmp_path / "optical.tif", aligned[0], UPRIGHT)


@pytest.fixture
def moving(aligned, tmp_path) -> Path:
    return write(tmp_path / "sar.tif", aligned[1], shifted(UPRIGHT, *OFF))


def assert_lies_where_it_should(result, expected_off=OFF, *, atol_m: float = 6.0, verdicts=("accept",)):
    """The correction undoes the offset, in metres and in pixels alike."""
    assert result.verdict in verdicts
    np.testing.assert_allclose(result.shift_m, (-expected_off[0], -expected_off[1]), atol=atol_m)
    correction = result.correction
    # Corners of the moving image, put where the ground truly is, are pixels of the fixed image.
    corners = np.array([[0, 0], [0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]) * (
        correction.moving.hw[1],
        correction.moving.hw[0],
    )
    shift = correction.shift_m(correction.moving)
    assert shift == result.shift_m
    linear = np.abs(np.linalg.norm(result.fixed_from_moving[:2, 0]))
    by_matrix = corners @ result.fixed_from_moving[:2, :2].T + result.fixed_from_moving[:2, 2]
    weights = corners @ result.fixed_from_moving[2, :2] + 1
    np.testing.assert_allclose(
        by_matrix / weights[:, None], correction.to_fixed_px(correction.moving, corners), atol=0.05 * max(linear, 1)
    )
    claimed = map_points(corners, correction.moving, correction.fixed)
    fixed_gsd_m = correction.fixed.gsd_m
    moved_m = (correction.to_fixed_px(correction.moving, corners) - claimed) * fixed_gsd_m
    distance = np.linalg.norm(moved_m, axis=1)
    np.testing.assert_allclose(distance, np.hypot(*expected_off), atol=2.5 * atol_m)


def test_the_shift_in_metres_undoes_the_error_of_the_georeference(fixed, moving, quick):
    stages = []
    result = register_files(fixed, moving, quick, progress=lambda *step: stages.append(step))
    assert_lies_where_it_should(result)
    np.testing.assert_allclose(result.fixed_from_moving, np.eye(3), atol=0.7)
    assert result.correction.crs == UTM
    assert result.inputs.moving.path == str(moving)
    assert {"opening", "reading and mapping", "matching", "total"} <= set(result.timings_s)
    assert stages[-1][1] == stages[-1][2]


def test_tie_points_lie_in_the_pixels_of_their_own_images(fixed, moving, quick):
    result = register_files(fixed, moving, quick)
    points = result.tie_points
    # Both rasters show the same ground at the same pixel, whatever they claim.
    used = points.used
    assert np.abs(points.moving_xy[used] - points.fixed_xy[used]).mean() < 1
    mapped = result.correction.to_fixed_px(result.correction.moving, points.moving_xy)
    np.testing.assert_allclose(points.residual_px, np.linalg.norm(mapped - points.fixed_xy, axis=1), atol=1e-9)
    previews = result.previews
    assert previews.gsd_m == pytest.approx(GSD)
    placed = previews.preview_from_fixed @ np.r_[points.fixed_xy[0], 1]
    assert 0 <= placed[0] < previews.fixed.hw[1]
    assert 0 <= placed[1] < previews.fixed.hw[0]


@pytest.mark.parametrize("kind", ["translation", "similarity", "homography", "auto"])
def test_every_model_says_the_same_in_metres(fixed, moving, quick, kind):
    result = register_files(fixed, moving, replace(quick, transform=kind))
    assert_lies_where_it_should(result, atol_m=8)
    assert kind in (result.transform, "auto")


def test_the_moving_image_may_be_in_degrees(aligned, fixed, tmp_path, quick):
    degrees, transform = in_degrees(aligned[1], shifted(UPRIGHT, *OFF))
    result = register_files(fixed, write(tmp_path / "deg.tif", degrees, transform, DEGREES), quick)
    assert result.correction.crs == UTM
    assert_lies_where_it_should(result, atol_m=8)


def test_the_fixed_image_may_be_in_degrees(aligned, moving, tmp_path, quick):
    degrees, transform = in_degrees(aligned[0], UPRIGHT)
    result = register_files(write(tmp_path / "deg.tif", degrees, transform, DEGREES), moving, quick)
    assert result.correction.crs == UTM  # its UTM zone
    assert result.verdict == "accept"
    np.testing.assert_allclose(result.shift_m, (-OFF[0], -OFF[1]), atol=8)


def test_images_may_differ_in_resolution(aligned, fixed, tmp_path, quick):
    coarse = aligned[1].reshape(1, 128, 2, 128, 2).mean(axis=(2, 4), dtype=np.float32)
    transform = shifted(Affine(20, 0, WEST, 0, -20, NORTH), *OFF)
    config = replace(quick, template=replace(quick.template, window_px=48))
    result = register_files(fixed, write(tmp_path / "coarse.tif", coarse, transform), config)
    assert_lies_where_it_should(result, atol_m=12, verdicts=("accept", "suspect"))
    assert result.tie_points.moving_xy.max() < 128
    assert result.tie_points.fixed_xy.max() > 150
    np.testing.assert_allclose(np.diag(result.fixed_from_moving), [2, 2, 1], atol=0.05)
    # Two pixels of the fixed image are one working pixel.
    assert result.expected_error_px >= 2 * 0.5


@pytest.mark.parametrize(
    ("turn", "transform"),
    [
        (lambda array: array[:, ::-1], Affine(GSD, 0, WEST, 0, GSD, NORTH - 256 * GSD)),
        (lambda array: np.rot90(array, 1, (1, 2)), Affine(0, -GSD, WEST + 256 * GSD, -GSD, 0, NORTH)),
        (lambda array: np.rot90(array, 2, (1, 2)), Affine(-GSD, 0, WEST + 256 * GSD, 0, GSD, NORTH - 256 * GSD)),
    ],
    ids=["south-up", "turned 90", "turned 180"],
)
def test_geotransforms_may_be_turned(aligned, fixed, tmp_path, quick, turn, transform):
    turned = np.ascontiguousarray(turn(aligned[1]))
    result = register_files(fixed, write(tmp_path / "turned.tif", turned, shifted(transform, *OFF)), quick)
    assert_lies_where_it_should(result)


def test_a_skewed_geotransform_is_undone(aligned, fixed, tmp_path, quick):
    angle = np.deg2rad(20)
    c, s = np.cos(angle) * GSD, np.sin(angle) * GSD
    # A raster turned by 20 degrees about the scene's centre, filled from the upright one.
    centre = (WEST + 1280, NORTH - 1280)
    transform = Affine(c, s, centre[0] - 90 * c - 90 * s, s, -c, centre[1] - 90 * s + 90 * c)
    turned = np.zeros((1, 180, 180), np.float32)
    warp.reproject(
        aligned[1],
        turned,
        src_transform=UPRIGHT,
        src_crs=UTM,
        dst_transform=transform,
        dst_crs=UTM,
        resampling=warp.Resampling.bilinear,
    )
    result = register_files(fixed, write(tmp_path / "skewed.tif", turned, shifted(transform, *OFF)), quick)
    assert_lies_where_it_should(result, atol_m=8, verdicts=("accept", "suspect"))


def test_half_of_the_moving_image_may_be_without_data(aligned, fixed, tmp_path, quick):
    half = aligned[1].copy()
    half[:, :, 128:] = 0
    result = register_files(fixed, write(tmp_path / "half.tif", half, shifted(UPRIGHT, *OFF)), quick)
    assert result.verdict != "reject"
    np.testing.assert_allclose(result.shift_m, (-OFF[0], -OFF[1]), atol=12)


def test_partial_overlap_is_enough(aligned, tmp_path, quick):
    fixed = write(tmp_path / "west.tif", aligned[0][:, :, :190], UPRIGHT)
    moving = write(tmp_path / "east.tif", aligned[1][:, :, 40:], shifted(UPRIGHT, OFF[0] + 400, OFF[1]))
    result = register_files(fixed, moving, quick)
    assert result.verdict != "reject"
    np.testing.assert_allclose(result.shift_m, (-OFF[0], -OFF[1]), atol=12)


@pytest.mark.parametrize("without", ["fixed", "moving"])
def test_one_image_without_a_coordinate_system_is_refused(aligned, tmp_path, quick, without):
    fixed = write(tmp_path / "optical.tif", aligned[0], UPRIGHT, None if without == "fixed" else UTM)
    moving = write(tmp_path / "sar.tif", aligned[1], UPRIGHT, None if without == "moving" else UTM)
    name = "optical" if without == "fixed" else "sar"
    with pytest.raises(InputError, match=rf"{name}\.tif: the image has no coordinate reference system.*--ignore-geo"):
        register_files(fixed, moving, quick)


def test_two_images_without_a_coordinate_system_are_registered_by_content(aligned, tmp_path, quick):
    fixed = write(tmp_path / "optical.tif", aligned[0], None, None)
    moving = write(tmp_path / "sar.tif", aligned[1][:, 12:, 7:], None, None)
    result = register_files(fixed, moving, quick)
    assert result.verdict == "accept"
    assert result.shift_m is result.correction.crs is None
    np.testing.assert_allclose(result.fixed_from_moving[:2, 2], (7, 12), atol=1.2)


@pytest.mark.parametrize("without", ["fixed", "moving"])
def test_a_georeference_of_one_image_alone_tells_no_scale(aligned, tmp_path, quick, without):
    fixed = write(tmp_path / "optical.tif", aligned[0], UPRIGHT, None if without == "fixed" else UTM)
    moving = write(tmp_path / "sar.tif", aligned[1][:, 12:, 7:], UPRIGHT, None if without == "moving" else UTM)
    result = register_files(fixed, moving, replace(quick, georeference="ignore"))
    assert result.verdict == "accept"
    np.testing.assert_allclose(result.fixed_from_moving[:2, 2], (7, 12), atol=1.2)


def test_a_georeference_may_be_ignored(aligned, fixed, tmp_path, quick):
    elsewhere = write(tmp_path / "sar.tif", aligned[1][:, 12:, 7:], shifted(UPRIGHT, 500_000, 0))
    result = register_files(fixed, elsewhere, replace(quick, georeference="ignore"))
    assert result.verdict == "accept"
    assert result.shift_m is result.correction.crs is None
    np.testing.assert_allclose(result.fixed_from_moving[:2, 2], (7, 12), atol=1.2)
    with pytest.raises(InputError, match=r"do not overlap: .* 500\.\d km east"):
        register_files(fixed, elsewhere, quick)


def test_ignoring_the_georeference_keeps_the_scale_it_suggests(aligned, fixed, tmp_path, quick):
    coarse = aligned[1].reshape(1, 128, 2, 128, 2).mean(axis=(2, 4), dtype=np.float32)
    moving = write(tmp_path / "coarse.tif", coarse, Affine(20, 0, WEST + 90_000, 0, -20, NORTH))
    result = register_files(fixed, moving, replace(quick, georeference="ignore"))
    assert result.verdict != "reject"
    np.testing.assert_allclose(np.diag(result.fixed_from_moving), [2, 2, 1], atol=0.06)
    np.testing.assert_allclose(result.fixed_from_moving[:2, 2], (0.5, 0.5), atol=2)


def test_images_of_different_places_are_rejected(fixed, rendered, tmp_path, quick):
    other = write(tmp_path / "other.tif", rendered(seed=1, shift_m=(0.0, 0.0)).sar.channels, UPRIGHT)
    result = register(fixed, other, config=quick)
    assert result.verdict == "reject"


def test_the_search_range_is_in_metres(fixed, moving, quick):
    near = register_files(fixed, moving, replace(quick, search_m=30.0))
    # 70 m cannot be found within 30 m; whatever the windows add is at most their own search.
    assert near.verdict != "accept" or abs(near.shift_m[0]) < 30 + 160
    far = register_files(fixed, moving, replace(quick, search_m=400.0))
    np.testing.assert_allclose(far.shift_m, (-OFF[0], -OFF[1]), atol=8)


def test_the_working_distance_may_be_named(fixed, moving, quick):
    config = replace(quick, gsd_m=20.0, template=replace(quick.template, window_px=48))
    result = register_files(fixed, moving, config)
    assert result.previews.gsd_m == pytest.approx(20)
    assert result.verdict != "reject"
    np.testing.assert_allclose(result.shift_m, (-OFF[0], -OFF[1]), atol=15)
    # Full-resolution pixels, not working ones.
    assert result.tie_points.fixed_xy.max() > 160
    assert result.ce90_px == pytest.approx(2 * result.evidence.ce90_px)


@pytest.fixture(scope="module")
def large(rendered, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("large")
    pair = rendered(seed=4, size_px=448, shift_m=(0.0, 0.0), rotation_deg=0.2, scale=1.001)
    optical = np.rint(pair.optical.channels[:3] * 10_000).clip(1).astype(np.uint16)
    return (
        write(folder / "optical.tif", optical, UPRIGHT),
        write(folder / "sar.tif", pair.sar.channels, shifted(UPRIGHT, *OFF)),
    )


@pytest.fixture(scope="module")
def whole(large, quick):
    return register_files(*large, quick)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(scene, "BLOCKWISE_ABOVE_PX", 300)
    monkeypatch.setattr(scene, "_OVERVIEW_PX", 240)
    monkeypatch.setattr(blocks, "BLOCK_PX", 192)


def test_blocks_give_what_the_whole_scene_gives(large, whole, quick, small_blocks, corner_error_px, monkeypatch):
    assert whole.verdict == "accept"
    attempts = []

    def refine(run, coarse_grid, grid, best):
        attempts.append(best)
        return blocks.refine_in_blocks(run, coarse_grid, grid, best)

    monkeypatch.setattr(scene, "refine_in_blocks", refine)
    in_blocks = register_files(*large, quick)
    # Blocks are searched around a transform: they cannot testify how it was found.
    assert in_blocks.trust == attempts[0].judgement.trust
    assert in_blocks.evidence.search == attempts[0].evidence.search
    assert in_blocks.evidence.n_blocks > 1
    assert whole.evidence.n_blocks is None
    assert in_blocks.evidence.n_matches == len(in_blocks.tie_points.score)
    assert in_blocks.evidence.coverage != attempts[0].evidence.coverage
    assert in_blocks.verdict == "accept"
    assert "refining in blocks" in in_blocks.timings_s
    assert "refining in blocks" not in whole.timings_s
    assert corner_error_px(in_blocks.fixed_from_moving, whole.fixed_from_moving, (448, 448)) < 0.5
    np.testing.assert_allclose(in_blocks.shift_m, whole.shift_m, atol=5)
    assert in_blocks.evidence.deviation.kind == "affine"
    # Tie points of several blocks, in pixels of the whole images.
    assert np.ptp(in_blocks.tie_points.fixed_xy, axis=0).min() > 250
    used = in_blocks.tie_points.used
    assert np.abs(in_blocks.tie_points.moving_xy - in_blocks.tie_points.fixed_xy)[used].mean() < 2
    assert in_blocks.previews.gsd_m > whole.previews.gsd_m


def test_blocks_that_find_no_support_leave_the_coarse_result(large, whole, quick, small_blocks, monkeypatch):
    monkeypatch.setattr(blocks, "_MIN_SUPPORT", 1.1)
    coarse = register_files(*large, quick)
    assert coarse.verdict != "reject"
    np.testing.assert_allclose(coarse.shift_m, whole.shift_m, atol=12)


def test_a_saved_result_says_the_same(fixed, moving, quick, tmp_path):
    result = register_files(fixed, moving, quick)
    written = result.save(tmp_path / "out")
    assert sorted(path.name for path in written) == [
        "aligned.tif",
        "result.json",
        "tie_points.csv",
        "tie_points.gpkg",
        "transform.json",
    ]
    values = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(values["fixed_from_moving"], result.fixed_from_moving)
    np.testing.assert_array_equal(values["shift_m"], result.shift_m)
    loaded = Correction.load(tmp_path / "out" / "transform.json")
    np.testing.assert_array_equal(loaded.fixed_from_moving, result.fixed_from_moving)
    points = np.array([[10.0, 20.0], [200, 130]])
    np.testing.assert_allclose(
        loaded.to_fixed_px(loaded.moving, points), result.correction.to_fixed_px(result.correction.moving, points)
    )
    with rasterio.open(tmp_path / "out" / "aligned.tif") as dataset, rasterio.open(fixed) as reference:
        assert dataset.transform == reference.transform
        assert dataset.shape == reference.shape
        aligned_pixels = dataset.read(1)
    replace(result, verdict="reject").save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "result.json",
        "tie_points.csv",
        "tie_points.gpkg",
    ]
    result.save(tmp_path / "out")
    # The aligned raster registers onto the fixed one without any further shift.
    again = register_files(fixed, tmp_path / "out" / "aligned.tif", quick)
    assert np.hypot(*again.shift_m) < 5
    assert (aligned_pixels > 0).mean() > 0.9


def test_a_rejected_result_saves_no_transform(fixed, rendered, tmp_path, quick):
    other = write(tmp_path / "other.tif", rendered(seed=1, shift_m=(0.0, 0.0)).sar.channels, UPRIGHT)
    result = register_files(fixed, other, quick)
    written = {path.name for path in result.save(tmp_path / "out")}
    assert "transform.json" not in written
    assert "aligned.tif" not in written
    assert "result.json" in written


def test_files_are_named_by_text_too(fixed, moving, quick):
    assert register(str(fixed), str(moving), config=quick).verdict == "accept"


def test_the_default_settings_need_no_more_than_two_files(fixed, moving):
    config = RegisterConfig(model=None)
    assert_lies_where_it_should(register_files(fixed, moving, config), atol_m=10, verdicts=("accept", "suspect"))
