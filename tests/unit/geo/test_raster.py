from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from midground.errors import InputError
from midground.geo.crs import convert_xy
from midground.geo.grid import Grid, map_points
from midground.geo.raster import open_raster, open_source, read_native, read_on_grid

UTM = "EPSG:32631"
NORTH_UP = Affine(10, 0, 500000, 0, -10, 5000000)


def shifted(grid: Grid, dx_px: float, dy_px: float) -> Grid:
    t = grid.transform
    return Grid(grid.crs, Affine(t.a, t.b, t.c + dx_px * t.a, t.d, t.e, t.f + dy_px * t.e), grid.hw)


def test_describes_a_file(make_raster, scene):
    path = make_raster("a.tif", scene((80, 90), 2).astype("uint16"), nodata=7)
    info = open_raster(path)
    assert info.grid == Grid(UTM, NORTH_UP, (80, 90))
    assert (info.n_bands, info.dtypes, info.nodata) == (2, ("uint16", "uint16"), (7.0, 7.0))
    assert (info.is_complex, info.alpha_band, info.gcp_misfit_m) == (False, None, None)


class TestBadFiles:
    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match=r"nothing\.tif: the file does not exist"):
            open_raster(tmp_path / "nothing.tif")

    def test_folder(self, tmp_path):
        with pytest.raises(InputError, match="folder, not a raster"):
            open_raster(tmp_path)

    def test_not_a_raster(self, tmp_path):
        (tmp_path / "a.tif").write_text("hello")
        with pytest.raises(InputError, match="not a raster"):
            open_raster(tmp_path / "a.tif")

    def test_empty_file(self, tmp_path):
        (tmp_path / "a.tif").touch()
        with pytest.raises(InputError, match="not a raster"):
            open_raster(tmp_path / "a.tif")

    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_truncated(self, make_raster, share):
        noise = np.random.default_rng(0).integers(0, 255, (1, 512, 512)).astype("uint8")
        path = make_raster("a.tif", noise, compress="deflate", tiled=True, blockxsize=128, blockysize=128)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match="truncated or damaged"):
            open_raster(path)

    @pytest.mark.parametrize("share", [0.3, 0.9])
    @pytest.mark.parametrize("driver", ["PNG", "JPEG"])
    @pytest.mark.parametrize("n_bands", [1, 3])
    def test_truncated_picture(self, make_raster, driver, n_bands, share):
        noise = np.random.default_rng(0).integers(0, 255, (n_bands, 200, 200)).astype("uint8")
        path = make_raster("a.img", noise, driver=driver)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(InputError, match=r"a\.img: the raster cannot be read, it is truncated or damaged"):
            open_raster(path)

    def test_damaged_in_the_middle(self, make_raster):
        noise = np.random.default_rng(0).integers(0, 255, (1, 512, 512)).astype("uint8")
        path = make_raster("a.tif", noise, compress="deflate", tiled=True, blockxsize=128, blockysize=128)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
        path.write_bytes(content)
        info = open_raster(path)
        with pytest.raises(InputError, match=r"a\.tif: the pixels at column .* cannot be read"):
            read_native(info, [1])

    @pytest.mark.parametrize("hw", [(1, 1), (63, 200), (200, 63)])
    def test_too_small(self, make_raster, hw):
        path = make_raster("a.tif", np.ones((1, *hw), "uint8"))
        with pytest.raises(InputError, match=f"{hw[1]} × {hw[0]} px; at least 64"):
            open_raster(path)
        assert open_raster(path, min_side_px=1).grid.hw == hw

    def test_no_band(self, tmp_path):
        vrt = tmp_path / "a.vrt"
        vrt.write_text('<VRTDataset rasterXSize="100" rasterYSize="100"></VRTDataset>')
        with pytest.raises(InputError, match="no raster band"):
            open_raster(vrt)

    def test_several_images_in_one_file(self, tmp_path):
        path = tmp_path / "two.gpkg"
        for table, append in (("one", "NO"), ("two", "YES")):
            with rasterio.open(
                path,
                "w",
                driver="GPKG",
                count=1,
                height=256,
                width=256,
                dtype="uint8",
                crs=UTM,
                transform=NORTH_UP,
                RASTER_TABLE=table,
                APPEND_SUBDATASET=append,
            ) as dataset:
                dataset.write(np.full((1, 256, 256), 7, "uint8"))
        with pytest.raises(InputError, match=r"no raster band; it has 2 subdatasets, name one, for instance GPKG:"):
            open_raster(path)
        assert open_raster(f"GPKG:{path}:two").n_bands >= 1

    def test_complex(self, make_raster):
        path = make_raster("slc.tif", np.full((1, 70, 70), 3 + 4j, "complex64"))
        with pytest.raises(InputError, match=r"single-look complex .*the absolute value of each pixel"):
            open_raster(path)
        info = open_raster(path, is_complex_allowed=True)
        assert info.is_complex
        assert (read_native(info, [1]).channels == 5).all()

    def test_missing_band(self, make_raster):
        info = open_raster(make_raster("a.tif", np.ones((1, 70, 70), "uint8")))
        with pytest.raises(InputError, match="band 2 does not exist"):
            read_native(info, [2])


class TestGeoreference:
    def test_none(self, make_raster):
        info = open_raster(make_raster("a.tif", np.ones((1, 70, 70), "uint8"), crs=None, transform=None))
        assert info.grid == Grid.without_georeference((70, 70))

    def test_transform_without_crs(self, make_raster):
        info = open_raster(make_raster("a.tif", np.ones((1, 70, 70), "uint8"), crs=None))
        assert info.grid == Grid(None, NORTH_UP, (70, 70))

    def test_ground_control_points(self, make_raster):
        truth = Grid(UTM, Affine(9.5, 1.5, 500000, 1.2, -9.8, 5000000), (200, 300))
        places = np.array([[x, y] for x in (0, 150, 300) for y in (0, 100, 200)], float)
        world = convert_xy(truth.to_world(places - 0.5), UTM, "EPSG:4326")
        points = [
            GroundControlPoint(row=y, col=x, x=east, y=north, z=100.0)
            for (x, y), (east, north) in zip(places, world, strict=True)
        ]
        path = make_raster("grd.tif", np.ones((1, 200, 300), "uint16"), crs="EPSG:4326", transform=None, gcps=points)
        info = open_raster(path)
        assert info.grid.crs == UTM
        assert info.gcp_misfit_m == pytest.approx(0, abs=0.01)
        corner = np.array([[-0.5, -0.5], [299.5, 199.5]])
        assert np.allclose(info.grid.to_world(corner), truth.to_world(corner), atol=0.01)

    def test_ground_control_points_on_both_sides_of_the_antimeridian(self, make_raster):
        points = [
            GroundControlPoint(row=row, col=column, x=(179.95 + column * 1e-3 + 180) % 360 - 180, y=-17 - row * 1e-3)
            for row in (0, 100)
            for column in (0, 100)
        ]
        path = make_raster("fiji.tif", np.ones((1, 100, 100), "uint16"), crs="EPSG:4326", transform=None, gcps=points)
        info = open_raster(path)
        assert info.grid.crs in ("EPSG:32760", "EPSG:32701")
        assert info.gcp_misfit_m < 5
        assert info.grid.gsd_m == pytest.approx(109, abs=3)

    def test_misfit_of_ground_control_points_is_reported(self, make_raster):
        points = [
            GroundControlPoint(row=r, col=c, x=500000 + 10 * c + (40 if r == c == 100 else 0), y=5000000 - 10 * r)
            for r in (0, 100)
            for c in (0, 100)
        ]
        path = make_raster("grd.tif", np.ones((1, 100, 100), "uint16"), transform=None, gcps=points)
        assert open_raster(path).gcp_misfit_m == pytest.approx(10.0, abs=0.01)


class TestValidity:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
    def test_nodata_value(self, make_raster, scene, dtype):
        array = scene((70, 70)).astype(dtype)
        array[0, 10:20, 30:40] = 9
        image = read_native(open_raster(make_raster("a.tif", array, nodata=9)), [1])
        assert image.channels.dtype == np.float32
        assert (image.valid == (array[0] != 9)).all()
        assert (image.channels[0][~image.valid] == 0).all()

    @pytest.mark.parametrize("nodata", [None, -9999.0, float("nan")])
    def test_values_that_are_not_finite(self, make_raster, scene, nodata):
        array = scene((70, 70)).astype("float32")
        array[0, 5, 5], array[0, 6, 6], array[0, 7, 7] = np.nan, np.inf, -np.inf
        image = read_native(open_raster(make_raster("a.tif", array, nodata=nodata)), [1])
        assert np.argwhere(~image.valid).tolist() == [[5, 5], [6, 6], [7, 7]]

    def test_mask_of_the_dataset(self, make_raster, scene):
        path = make_raster("a.tif", scene((70, 70)).astype("uint8"))
        mask = np.full((70, 70), 255, "uint8")
        mask[:, :9] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
        assert (read_native(open_raster(path), [1]).valid == (mask > 0)).all()

    def test_alpha_band(self, make_raster, scene):
        array = scene((70, 70), 4).astype("uint8")
        array[3], array[3, :, :9] = 255, 0

        def after(dataset):
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)

        info = open_raster(make_raster("a.tif", array, after=after))
        assert info.alpha_band == 4
        assert info.data_bands == (1, 2, 3)
        assert (read_native(info, [2]).valid == (array[3] > 0)).all()

    def test_black_border_is_empty_and_black_lakes_are_not(self, make_raster, scene):
        array = scene((300, 300), 2).astype("uint16")
        array[:, :40, :] = 0
        array[:, 150:170, 150:170] = 0
        array[0, 250:, 250:] = 0
        array[:, 120, 0] = 0
        valid = read_native(open_raster(make_raster("a.tif", array)), [1]).valid
        assert not valid[:40].any()
        assert valid[40:].all()

    @pytest.mark.parametrize(
        ("dtype", "fill"),
        [("float32", -9999), ("float32", np.finfo("float32").min), ("int16", -32768), ("uint16", 65535)],
    )
    def test_a_border_of_a_common_fill_value_is_empty(self, make_raster, scene, dtype, fill):
        array = scene((300, 300), 2).astype(dtype)
        array[:, :40, :] = fill
        array[:, :, 280:] = 0
        array[:, 150:170, 150:170] = fill
        info = open_raster(make_raster("a.tif", array))
        expected = np.ones((300, 300), bool)
        expected[:40], expected[:, 280:] = False, False
        assert (read_native(info, [1]).valid == expected).all()
        with open_source(info, [1]) as source:
            assert sorted(source.border_fills) == sorted([0, float(fill)])

    def test_zero_is_data_where_the_file_states_nodata(self, make_raster, scene):
        array = scene((300, 300)).astype("uint16")
        array[:, :40, :] = 0
        assert read_native(open_raster(make_raster("a.tif", array, nodata=65535)), [1]).valid.all()

    def test_black_border_of_a_large_file_in_blocks(self, make_raster):
        array = np.full((1, 2100, 4200), 50, "uint8")
        array[:, :, :101] = 0
        valid = read_native(open_raster(make_raster("a.tif", array, compress="deflate")), [1]).valid
        assert (valid == (array[0] > 0)).all()


class TestOnGrid:
    def test_own_grid_gives_the_same_pixels(self, make_raster, scene):
        array = scene((130, 97), 2).astype("float32")
        info = open_raster(make_raster("a.tif", array))
        image = read_on_grid(info, [2, 1], info.grid)
        assert image.valid.all()
        assert (image.channels == array[::-1]).all()

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
    def test_half_a_pixel(self, make_raster, dtype):
        rows, columns = np.mgrid[:80, :80]
        array = (2 * columns + rows)[None].astype(dtype)
        info = open_raster(make_raster("a.tif", array, nodata=255 if dtype == "uint8" else None))
        image = read_on_grid(info, [1], shifted(info.grid, 0.5, 0.25))
        # Cubic convolution reproduces a plane exactly.
        expected = 2 * (columns + 0.5) + rows + 0.25
        assert np.allclose(image.channels[0, 2:-3, 2:-3], expected[2:-3, 2:-3], atol=1e-3)

    def test_exact_for_any_fraction(self, make_raster, scene):
        array = scene((100, 100))
        info = open_raster(make_raster("a.tif", array))
        dx, dy = 0.37, -0.81
        image = read_on_grid(info, [1], shifted(info.grid, dx, dy))
        rows, columns = np.mgrid[:100, :100].astype(float)
        x, y = columns + dx, rows + dy
        expected = 120 + 70 * (np.sin(x / 17) * np.cos(y / 22.1) + 0.4 * np.sin((x + y) / 17))
        assert np.abs(image.channels[0] - expected)[3:-3, 3:-3].max() < 0.02

    def test_holes_do_not_bleed(self, make_raster):
        array = np.full((1, 100, 100), 100, "float32")
        array[0, 40:60, 40:60] = -9999
        array[0, 10, 10] = np.inf
        info = open_raster(make_raster("a.tif", array, nodata=-9999))
        image = read_on_grid(info, [1], shifted(info.grid, 0.3, 0.3))
        assert np.allclose(image.channels[0][image.valid], 100, atol=1e-3)
        assert not image.valid[40:59, 40:59].any()
        assert image.valid[:39].sum() >= 39 * 100 - 101

    def test_area_average(self, make_raster):
        array = np.random.default_rng(0).random((1, 128, 128)).astype("float32")
        info = open_raster(make_raster("a.tif", array))
        image = read_on_grid(info, [1], info.grid.resized((32, 32)))
        assert np.allclose(image.channels[0], array[0].reshape(32, 4, 32, 4).mean((1, 3)), atol=1e-6)
        assert np.allclose(read_native(info, [1], max_hw=32).channels, image.channels)

    def test_area_average_leaves_holes_out(self, make_raster):
        array = np.full((1, 128, 128), 8, "uint8")
        array[0, :2, :4], array[0, :4, 8:11] = 0, 0
        info = open_raster(make_raster("a.tif", array, nodata=0))
        image = read_on_grid(info, [1], info.grid.resized((32, 32)))
        assert image.valid[0, :4].tolist() == [True, True, False, True]
        assert (image.channels[0][image.valid] == 8).all()

    def test_uneven_reduction_keeps_the_mean(self, make_raster, scene):
        array = scene((300, 300)).astype("float32")
        info = open_raster(make_raster("a.tif", array))
        small = read_on_grid(info, [1], info.grid.resized((111, 111)))
        back = read_on_grid(info, [1], info.grid.resized((111, 111)), resampling="nearest")
        assert small.channels.mean() == pytest.approx(array.mean(), abs=0.05)
        assert np.abs(small.channels - back.channels).max() < 12

    @pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
    def test_outside_is_invalid(self, make_raster, resampling):
        info = open_raster(make_raster("a.tif", np.full((1, 100, 100), 5, "int16")))
        image = read_on_grid(info, [1], shifted(info.grid, 30, -20), resampling=resampling)
        expected = np.zeros((100, 100), bool)
        expected[20:, :70] = True
        assert (image.valid == expected).all()
        far = read_on_grid(info, [1], shifted(info.grid, 3000, 0))
        assert not far.valid.any()

    def test_power_stays_positive_beside_a_bright_target(self, make_raster):
        array = np.full((1, 80, 80), 0.01, "float32")
        array[0, 40, 40] = 500
        info = open_raster(make_raster("a.tif", array))
        assert read_on_grid(info, [1], shifted(info.grid, 0.5, 0.5)).channels.min() >= 0

    @pytest.mark.parametrize(
        ("crs", "transform"),
        [
            (UTM, Affine(10, 0, 500000, 0, 10, 4997000)),
            (UTM, Affine(8, 6, 500000, 6, -8, 4999000)),
            (UTM, Affine(0, 10, 500000, 10, 0, 4997000)),
            ("EPSG:4326", Affine(1.2e-4, 0, 3.0, 0, -0.9e-4, 45.15)),
            ("EPSG:3395", Affine(14, 0, 333958, 0, -14, 5615500)),
        ],
    )
    def test_any_orientation_and_system_shows_the_same_place(self, make_raster, crs, transform):
        """A picture that is a function of UTM coordinates comes back as that function."""
        source = Grid(crs, transform, (300, 300))
        target = Grid(UTM, Affine(10, 0, 500400, 0, -10, 4999500), (200, 200))

        def field(world_xy):
            return 100 + 40 * np.sin(world_xy[:, 0] / 150) * np.cos(world_xy[:, 1] / 190)

        def picture(grid):
            height, width = grid.hw
            rows, columns = np.mgrid[:height, :width]
            pixels = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(float)
            return field(convert_xy(grid.to_world(pixels), grid.crs, UTM)).reshape(height, width)

        info = open_raster(make_raster("a.tif", picture(source)[None].astype("float32"), crs=crs, transform=transform))
        middle = map_points(target.centre_xy[None], target, source)[0]
        inside = (middle > 0).all() and (middle < 300).all()
        image = read_on_grid(info, [1], target)
        assert inside == bool(image.valid[100, 100])
        assert image.valid.mean() > 0.05
        assert np.abs(image.channels[0] - picture(target))[image.valid].max() < 0.6
        assert np.median(np.abs(image.channels[0] - picture(target))[image.valid]) < 0.02

    def test_reads_only_what_it_needs(self, make_raster, monkeypatch):
        info = open_raster(make_raster("a.tif", np.full((1, 3000, 3000), 5, "uint8"), nodata=0, compress="deflate"))
        from midground.geo.source import Source

        n_read = []
        original = Source.read

        def counting(self, top, left, height, width):
            n_read.append(height * width)
            return original(self, top, left, height, width)

        monkeypatch.setattr(Source, "read", counting)
        grid = Grid(UTM, Affine(10, 0, 510000, 0, -10, 4990000), (100, 100))
        assert read_on_grid(info, [1], grid).valid.all()
        assert sum(n_read) < 120 * 120

    def test_classes_are_never_mixed(self, make_raster):
        array = np.random.default_rng(0).integers(0, 3, (1, 90, 90)).astype("uint8") * 100

        def after(dataset):
            dataset.write_colormap(1, {0: (0, 0, 0, 255), 100: (9, 9, 9, 255), 200: (8, 8, 8, 255)})

        info = open_raster(make_raster("a.tif", array, nodata=255, photometric="palette", after=after))
        assert info.is_palette
        assert set(np.unique(read_on_grid(info, [1], shifted(info.grid, 0.4, 0.4)).channels)) == {0, 100, 200}

    def test_one_image_without_georeference(self, make_raster):
        info = open_raster(make_raster("a.tif", np.ones((1, 70, 70), "uint8"), crs=None, transform=None))
        with pytest.raises(InputError, match="no coordinate reference system"):
            read_on_grid(info, [1], Grid(UTM, NORTH_UP, (70, 70)))
