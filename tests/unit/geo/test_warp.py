from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, MaskFlags

from midground.errors import ConfigError, InputError, OutputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid, map_points
from midground.geo.raster import open_raster, read_native
from midground.geo.warp import apply_correction, rewrite_georeference

UTM = "EPSG:32631"
NORTH_UP = Affine(10, 0, 500000, 0, -10, 5000000)
HW = (200, 240)
GRID = Grid(UTM, NORTH_UP, HW)


def shift_by(east_m, north_m, *, fixed=GRID, moving=GRID):
    matrix = np.array([[1.0, 0.0, east_m], [0.0, 1.0, north_m], [0.0, 0.0, 1.0]])
    return Correction.from_world(UTM, matrix, fixed=fixed, moving=moving, kind="translation")


def read(path):
    with rasterio.open(path) as dataset:
        return dataset.read(), dataset.profile, dataset


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_whole_pixels_move_without_change(make_raster, scene, tmp_path, dtype):
    array = scene(HW, 2).astype(dtype)
    info = open_raster(make_raster("a.tif", array, nodata=7))
    apply_correction(info, tmp_path / "o.tif", shift_by(30, -20))
    moved, profile, _ = read(tmp_path / "o.tif")
    assert profile["dtype"] == dtype
    assert profile["nodata"] == 7
    assert profile["transform"] == NORTH_UP
    assert profile["crs"].to_string() == UTM
    assert (moved[:, 2:, 3:] == array[:, :-2, :-3]).all()
    assert (moved[:, :2] == 7).all()
    assert (moved[:, :, :3] == 7).all()


def test_looks_are_kept(make_raster, scene, tmp_path):
    def after(dataset):
        dataset.descriptions = ("red light", "green light", "blue light")
        dataset.update_tags(SENSOR="made by code")
        dataset.update_tags(2, WAVELENGTH="560")
        dataset.scales, dataset.offsets, dataset.units = (0.5, 0.5, 0.5), (1, 1, 1), ("a", "a", "a")

    path = make_raster("a.tif", scene(HW, 3).astype("uint8"), nodata=0, photometric="rgb", after=after)
    apply_correction(open_raster(path), tmp_path / "o.tif", shift_by(4, 3))
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.descriptions == ("red light", "green light", "blue light")
        assert dataset.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        assert dataset.tags()["SENSOR"] == "made by code"
        assert dataset.tags(2)["WAVELENGTH"] == "560"
        assert dataset.scales == (0.5, 0.5, 0.5)
        assert dataset.units == ("a", "a", "a")
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_large_result_has_overviews_and_tiles(make_raster, tmp_path):
    grid = Grid(UTM, NORTH_UP, (1100, 1300))
    info = open_raster(make_raster("a.tif", np.full((1, 1100, 1300), 9, "uint8"), nodata=0))
    calls = []
    apply_correction(
        info, tmp_path / "o.tif", shift_by(5, 5, fixed=grid, moving=grid), progress=lambda *call: calls.append(call)
    )
    with rasterio.open(tmp_path / "o.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
        assert dataset.block_shapes == [(512, 512)]
    assert calls[-1] == ("warp", 9, 9)


class TestEmptyPixels:
    def test_float_without_nodata_gets_nan(self, make_raster, scene, tmp_path):
        info = open_raster(make_raster("a.tif", scene(HW).astype("float32")))
        apply_correction(info, tmp_path / "o.tif", shift_by(30, 0))
        moved, profile, _ = read(tmp_path / "o.tif")
        assert np.isnan(profile["nodata"])
        assert np.isnan(moved[0, :, :3]).all()
        assert np.isfinite(moved[0, :, 3:]).all()

    def test_float_without_gaps_needs_none(self, make_raster, scene, tmp_path):
        info = open_raster(make_raster("a.tif", scene(HW).astype("float32")))
        apply_correction(info, tmp_path / "o.tif", shift_by(0, 0))
        assert read(tmp_path / "o.tif")[1]["nodata"] is None

    def test_integer_without_nodata_gets_a_mask(self, make_raster, scene, tmp_path):
        array = scene((700, 1300)).astype("uint8")
        array[0, 300:320, 300:320] = 0
        grid = Grid(UTM, NORTH_UP, (700, 1300))
        info = open_raster(make_raster("a.tif", array))
        # The gap is in the last tiles, so the mask starts after others are written.
        apply_correction(info, tmp_path / "o.tif", shift_by(-40, 0, fixed=grid, moving=grid))
        with rasterio.open(tmp_path / "o.tif") as dataset:
            assert dataset.nodata is None
            assert dataset.mask_flag_enums == ([MaskFlags.per_dataset],)
            mask = dataset.read_masks(1) > 0
            assert mask[:, :-4].all()
            assert not mask[:, -4:].any()
            assert (dataset.read()[:, :, :-4] == array[:, :, 4:]).all()
        assert (read_native(open_raster(tmp_path / "o.tif"), [1]).valid == mask).all()

    def test_integer_without_gaps_needs_no_mask(self, make_raster, scene, tmp_path):
        info = open_raster(make_raster("a.tif", scene(HW).astype("uint8")))
        apply_correction(info, tmp_path / "o.tif", shift_by(0, 0))
        with rasterio.open(tmp_path / "o.tif") as dataset:
            assert dataset.mask_flag_enums == ([MaskFlags.all_valid],)

    def test_alpha_band_is_empty_there(self, make_raster, scene, tmp_path):
        array = scene(HW, 4).astype("uint8")
        array[3] = 255

        def after(dataset):
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)

        info = open_raster(make_raster("a.tif", array, after=after))
        apply_correction(info, tmp_path / "o.tif", shift_by(30, 0))
        with rasterio.open(tmp_path / "o.tif") as dataset:
            assert dataset.colorinterp[3] == ColorInterp.alpha
            alpha = dataset.read(4)
        assert (alpha[:, :3] == 0).all()
        assert (alpha[:, 3:] == 255).all()

    def test_values_that_become_nodata_are_moved_aside(self, make_raster, tmp_path):
        array = np.full((1, *HW), 1, "uint8")
        array[:, :, ::2] = 3
        info = open_raster(make_raster("a.tif", array, nodata=2))
        apply_correction(info, tmp_path / "o.tif", shift_by(5, 0))
        moved = read(tmp_path / "o.tif")[0]
        assert (moved[0, :, 1:] != 2).all()

    def test_holes_of_one_band_stay_in_it(self, make_raster, scene, tmp_path):
        array = scene(HW, 2).astype("float32")
        array[1, 50:60, 50:60] = np.nan
        info = open_raster(make_raster("a.tif", array, nodata=float("nan")))
        apply_correction(info, tmp_path / "o.tif", shift_by(20, 0))
        moved = read(tmp_path / "o.tif")[0]
        assert np.isfinite(moved[0, :, 2:]).all()
        assert np.isnan(moved[1, 50:60, 52:62]).all()
        assert np.isnan(moved[1, :, 2:]).sum() == 100


class TestOnto:
    def test_own_grid(self, make_raster, scene, tmp_path):
        moving = Grid(UTM, Affine(20, 0, 500100, 0, -20, 4999900), (90, 80))
        array = scene(moving.hw).astype("uint16")
        info = open_raster(make_raster("a.tif", array, nodata=0, transform=moving.transform))
        apply_correction(info, tmp_path / "o.tif", shift_by(40, 0, moving=moving), onto="own")
        moved, profile, _ = read(tmp_path / "o.tif")
        assert profile["transform"] == moving.transform
        assert (moved[0, :, 2:] == array[0, :, :-2]).all()

    def test_any_grid(self, make_raster, tmp_path):
        info = open_raster(make_raster("a.tif", np.full((1, *HW), 50, "uint8"), nodata=0))
        target = Grid("EPSG:4326", Affine(1e-4, 0, 3.005, 0, -1e-4, 45.148), (70, 80))
        apply_correction(info, tmp_path / "o.tif", shift_by(40, 0), onto=target)
        moved, profile, _ = read(tmp_path / "o.tif")
        assert profile["crs"].to_epsg() == 4326
        assert (moved == 50).mean() > 0.9

    def test_unknown_names(self, make_raster, tmp_path):
        info = open_raster(make_raster("a.tif", np.full((1, *HW), 50, "uint8")))
        # Under test the annotations are checked too, and would refuse the name first.
        unchecked = getattr(apply_correction, "__wrapped__", apply_correction)
        with pytest.raises(ConfigError, match="Did you mean 'cubic'"):
            unchecked(info, tmp_path / "o.tif", shift_by(0, 0), resampling="cubik")

    def test_other_place(self, make_raster, tmp_path):
        info = open_raster(make_raster("a.tif", np.full((1, *HW), 50, "uint8")))
        elsewhere = Grid(UTM, Affine(10, 0, 600000, 0, -10, 5000000), HW)
        with pytest.raises(InputError, match=r"a\.tif: no pixel of the corrected raster falls"):
            apply_correction(info, tmp_path / "o.tif", shift_by(0, 0), onto=elsewhere)
        with pytest.raises(InputError, match=r"a\.tif: .*another place"):
            apply_correction(info, tmp_path / "o.tif", shift_by(0, 0, moving=elsewhere, fixed=elsewhere))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"]

    def test_input_is_not_overwritten(self, make_raster):
        path = make_raster("a.tif", np.full((1, *HW), 50, "uint8"))
        for write in (apply_correction, rewrite_georeference):
            with pytest.raises(OutputError, match="also an input"):
                write(open_raster(path), path, shift_by(0, 0))

    def test_complex(self, make_raster, tmp_path):
        path = make_raster("slc.tif", np.full((1, *HW), 3 + 4j, "complex64"))
        info = open_raster(path, is_complex_allowed=True)
        with pytest.raises(InputError, match="complex pixels are not resampled"):
            apply_correction(info, tmp_path / "o.tif", shift_by(10, 0))
        assert rewrite_georeference(info, tmp_path / "o.tif", shift_by(10, 0)) == "geotransform"
        moved, profile, _ = read(tmp_path / "o.tif")
        assert (moved == 3 + 4j).all()
        assert profile["transform"].c == 500010

    def test_ctrl_c_leaves_nothing(self, make_raster, tmp_path):
        info = open_raster(make_raster("a.tif", np.full((1, *HW), 50, "uint8")))

        def interrupt(stage, done, total):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            apply_correction(info, tmp_path / "o.tif", shift_by(10, 0), progress=interrupt)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif"]


class TestSameGeometry:
    """One correction, other bands: the same landscape at another resolution must land on the same place."""

    @pytest.mark.parametrize("has_crs", [True, False])
    @pytest.mark.parametrize("reduction", [2, 4])
    def test_coarser_band(self, make_raster, scene, tmp_path, has_crs, reduction):
        hw = (480, 480)
        moving = Grid(UTM, NORTH_UP, hw)
        fine = scene(hw, scale_px=40).astype("float32")
        small = moving.resized((hw[0] // reduction, hw[1] // reduction))
        coarse = fine.reshape(1, small.hw[0], reduction, small.hw[1], reduction).mean((2, 4)).astype("float32")
        place = {"crs": UTM, "transform": small.transform} if has_crs else {"crs": None, "transform": None}
        correction = shift_by(37, -21, fixed=moving, moving=moving)
        apply_correction(open_raster(make_raster("fine.tif", fine)), tmp_path / "f.tif", correction)
        apply_correction(open_raster(make_raster("coarse.tif", coarse, **place)), tmp_path / "c.tif", correction)
        one, other = read(tmp_path / "f.tif")[0], read(tmp_path / "c.tif")[0]
        assert np.abs(one - other)[0, 30:-30, 30:-30].max() < 1.0

    def test_pixels_without_georeference(self, make_raster, scene, tmp_path):
        plain = Grid.without_georeference(HW)
        correction = Correction.from_pixels(np.array([[1.0, 0, 6], [0, 1, 4], [0, 0, 1]]), fixed=plain, moving=plain)
        array = scene(HW).astype("uint8")
        info = open_raster(make_raster("a.tif", array, crs=None, transform=None))
        apply_correction(info, tmp_path / "o.tif", correction)
        with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
            moved = read(tmp_path / "o.tif")[0]
        assert (moved[0, 4:, 6:] == array[0, :-4, :-6]).all()
        with pytest.raises(InputError, match="no grid of the raster's own"):
            apply_correction(info, tmp_path / "o2.tif", correction, onto="own")
        with pytest.raises(InputError, match="fixed image has no georeference"):
            rewrite_georeference(info, tmp_path / "o2.tif", correction)


def test_homography_is_followed_exactly(make_raster, tmp_path):
    """A ramp keeps its values at the places that the homography names."""
    homography = np.array([[1.02, 0.03, -4.0], [-0.02, 0.98, 5.0], [2e-4, -1e-4, 1.0]])
    plain = Grid.without_georeference(HW)
    correction = Correction.from_pixels(homography, fixed=plain, moving=plain, kind="homography")
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    ramp = np.stack([columns, rows]).astype("float32")
    apply_correction(
        open_raster(make_raster("a.tif", ramp, crs=None, transform=None, nodata=-1)), tmp_path / "o.tif", correction
    )
    with pytest.warns(rasterio.errors.NotGeoreferencedWarning):
        moved = read(tmp_path / "o.tif")[0]
    height, width = HW
    fixed = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
    moving = np.linalg.inv(homography) @ fixed
    expected = (moving[:2] / moving[2]).reshape(2, height, width)
    inside = (expected > 2).all(axis=0) & (expected[0] < width - 3) & (expected[1] < height - 3)
    assert inside.mean() > 0.7
    assert np.abs(moved - expected)[:, inside].max() < 0.02


class TestRewrite:
    def test_only_the_geotransform_changes(self, make_raster, scene, tmp_path):
        array = scene((700, 600), 3).astype("uint8")
        path = make_raster("a.tif", array, photometric="ycbcr", compress="jpeg", tiled=True)
        info = open_raster(path)
        grid = info.grid
        correction = shift_by(37, -21, fixed=grid, moving=grid)
        assert rewrite_georeference(info, tmp_path / "o.tif", correction) == "geotransform"
        before, was, _ = read(path)
        after, profile, _ = read(tmp_path / "o.tif")
        assert (before == after).all()
        assert profile["transform"] == Affine(10, 0, 500037, 0, -10, 4999979)
        assert profile["crs"] == was["crs"]
        assert sorted(file.name for file in tmp_path.iterdir()) == ["a.tif", "o.tif"]
        with rasterio.open(tmp_path / "o.tif") as dataset:
            assert dataset.overviews(1) == [2]

    def test_nodata_and_mask_are_kept(self, make_raster, scene, tmp_path):
        path = make_raster("a.tif", scene(HW).astype("int16"), nodata=-5)
        rewrite_georeference(open_raster(path), tmp_path / "o.tif", shift_by(10, 0))
        assert read(tmp_path / "o.tif")[1]["nodata"] == -5
        path = make_raster("b.tif", scene(HW).astype("int16"))
        mask = np.full(HW, 255, "uint8")
        mask[:50] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
        rewrite_georeference(open_raster(path), tmp_path / "p.tif", shift_by(10, 0))
        with rasterio.open(tmp_path / "p.tif") as dataset:
            assert (dataset.read_masks(1) == mask).all()

    def test_homography_becomes_control_points(self, make_raster, scene, tmp_path, caplog):
        move = np.eye(3)
        move[:2, 2] = 501000, 4999000
        world = move @ np.array([[1, 0, 30], [0, 1, 10], [3e-5, 0, 1.0]]) @ np.linalg.inv(move)
        correction = Correction.from_world(UTM, world, fixed=GRID, moving=GRID, kind="homography")
        path = make_raster("a.tif", scene(HW).astype("uint8"))
        assert rewrite_georeference(open_raster(path), tmp_path / "o.tif", correction) == "gcps"
        with rasterio.open(tmp_path / "o.tif") as dataset:
            points, crs = dataset.gcps
            assert (dataset.read() == read(path)[0]).all()
        assert crs.to_string() == UTM
        assert len(points) == 64
        assert [record for record in caplog.records if record.name.startswith("rasterio")] == []
        for point in points[::9]:
            world_xy = correction.corrected_world(GRID, np.array([[point.col - 0.5, point.row - 0.5]]))[0]
            assert (point.x, point.y) == pytest.approx(tuple(world_xy), abs=1e-6)

    def test_image_without_georeference_gets_the_fixed_images(self, make_raster, scene, tmp_path):
        plain = Grid.without_georeference(HW)
        correction = Correction.from_pixels(np.array([[1.0, 0, 6], [0, 1, 4], [0, 0, 1]]), fixed=GRID, moving=plain)
        path = make_raster("a.tif", scene(HW).astype("uint8"), crs=None, transform=None)
        rewrite_georeference(open_raster(path), tmp_path / "o.tif", correction)
        profile = read(tmp_path / "o.tif")[1]
        assert profile["crs"].to_string() == UTM
        assert profile["transform"] == Affine(10, 0, 500060, 0, -10, 4999960)

    def test_geographic_raster_keeps_its_system(self, make_raster, scene, tmp_path):
        degrees = Grid("EPSG:4326", Affine(1e-4, 0, 3.002, 0, -1e-4, 45.15), HW)
        correction = shift_by(40, -25, moving=degrees)
        path = make_raster("a.tif", scene(HW).astype("uint8"), crs="EPSG:4326", transform=degrees.transform)
        assert rewrite_georeference(open_raster(path), tmp_path / "o.tif", correction) == "geotransform"
        after = open_raster(tmp_path / "o.tif").grid
        assert after.crs == "EPSG:4326"
        centre = degrees.centre_xy[None]
        moved = map_points(centre, after, GRID) - map_points(centre, degrees, GRID)
        assert moved[0] == pytest.approx([4.0, 2.5], abs=0.01)

    def test_control_points_of_the_file_give_way(self, make_raster, scene, tmp_path):
        points = [
            rasterio.control.GroundControlPoint(row=r, col=c, x=500000 + 10 * c, y=5000000 - 10 * r)
            for r in (0, HW[0])
            for c in (0, HW[1])
        ]
        path = make_raster("grd.tif", scene(HW).astype("uint16"), transform=None, gcps=points)
        info = open_raster(path)
        rewrite_georeference(info, tmp_path / "o.tif", shift_by(30, 0, moving=info.grid))
        with rasterio.open(tmp_path / "o.tif") as dataset:
            assert dataset.gcps[0] == []
            assert dataset.transform.c == pytest.approx(500030)


def test_sentinel_1_style_control_points_are_used(make_raster, tmp_path):
    points = [
        rasterio.control.GroundControlPoint(row=r, col=c, x=500000 + 10 * c, y=5000000 - 10 * r)
        for r in (0, HW[0])
        for c in (0, HW[1])
    ]
    array = np.arange(HW[0] * HW[1]).reshape(1, *HW).astype("int32")
    info = open_raster(make_raster("grd.tif", array, transform=None, gcps=points))
    apply_correction(info, tmp_path / "o.tif", shift_by(0, 0, moving=info.grid))
    assert (read(tmp_path / "o.tif")[0] == array).all()


def test_bright_targets_leave_no_black_specks(make_raster, tmp_path):
    power = np.full((1, *HW), 0.01, np.float32)
    power[0, 40::37, 50::41] = 30.0
    info = open_raster(make_raster("sar.tif", power, nodata=0))
    apply_correction(info, tmp_path / "o.tif", shift_by(3.7, -4.1))
    moved, _, _ = read(tmp_path / "o.tif")
    inner = moved[0, 4:-4, 4:-4]
    assert inner.min() >= 0.009
    assert inner.max() > 10
