from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from midground.errors import InputError
from midground.geo.grid import Grid, common_grid, map_points, working_crs

UTM = "EPSG:32631"
NORTH_UP = Affine(10, 0, 500000, 0, -10, 5000000)


def test_first_pixel_centre_lies_half_a_pixel_inside_the_corner():
    grid = Grid(UTM, NORTH_UP, (100, 200))
    assert grid.to_world(np.array([[0.0, 0.0], [199.0, 99.0]])).tolist() == [[500005, 4999995], [501995, 4999005]]
    assert np.allclose(grid.pixel_from_world() @ grid.world_from_pixel(), np.eye(3), atol=1e-6)
    assert Grid.from_matrix(UTM, grid.world_from_pixel(), grid.hw) == grid


@pytest.mark.parametrize(
    ("crs", "transform", "gsd_m"),
    [
        (UTM, NORTH_UP, 10.0),
        (UTM, Affine(10, 0, 500000, 0, 10, 4990000), 10.0),
        (UTM, Affine(8, 6, 500000, 6, -8, 5000000), 10.0),
        ("EPSG:3395", Affine(10, 0, 0, 0, -10, 8000000), 10.0),
        ("EPSG:2263", Affine(10, 0, 900000, 0, -10, 200000), 3.048006096),
        # At latitude 60 on WGS 84 a degree of longitude is 55 800 m and one of latitude 111 412 m.
        ("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 60.005), 7.8846),
        (None, NORTH_UP, None),
    ],
)
def test_ground_sample_distance(crs, transform, gsd_m):
    found = Grid(crs, transform, (100, 100)).gsd_m
    assert found == (None if gsd_m is None else pytest.approx(gsd_m, rel=1e-4))


@pytest.mark.parametrize(
    ("crs", "transform", "ground_gsd_m"),
    [
        (UTM, Affine(8, 6, 500000, 6, -8, 5000000), 10.0),
        # A system's own metres where they are those of the ground to 1 %, far from the middle of its zone too.
        (UTM, Affine(10, 0, 100000, 0, -10, 5000000), 10.0),
        ("EPSG:3035", Affine(10, 0, 4321000, 0, -10, 3210000), 10.0),
        ("EPSG:2263", Affine(10, 0, 900000, 0, -10, 200000), 3.048006096),
        # At latitude 60 Mercator stretches the ground by 1 / cos(60°) on a sphere, by 0.25 % less on WGS 84.
        ("EPSG:3857", Affine(10, 0, 0, 0, -10, 8399738), 5.0),
        ("EPSG:3395", Affine(10, 0, 0, 0, -10, 8362699), 5.0),
        # At the pole itself, where longitude means nothing; true at 71 degrees north, 0.9728 there.
        ("EPSG:3995", Affine(100, 0, -5000, 0, -100, 5000), 102.3),
        ("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 60.005), 7.8846),
        (None, NORTH_UP, None),
    ],
)
def test_size_of_a_pixel_on_the_ground(crs, transform, ground_gsd_m):
    found = Grid(crs, transform, (100, 100)).ground_gsd_m
    assert found == (None if ground_gsd_m is None else pytest.approx(ground_gsd_m, rel=5e-3))


def test_metres_that_are_nearly_those_of_the_ground_are_taken_at_their_word():
    assert Grid(UTM, Affine(10, 0, 100000, 0, -10, 5000000), (100, 100)).ground_gsd_m == 10.0


def test_gsd_of_degrees_agrees_with_utm():
    degrees = Grid("EPSG:4326", Affine(1e-4, 0, 3.0, 0, -1e-4, 45.0), (100, 100))
    middle = map_points(np.array([[50.0, 50.0], [51.0, 50.0], [50.0, 51.0]]), degrees, Grid(UTM, NORTH_UP, (100, 100)))
    sides = np.linalg.norm(middle[1:] - middle[0], axis=1) * 10 / 0.9996
    assert degrees.gsd_m == pytest.approx(float(np.sqrt(sides.prod())), rel=1e-4)


def test_degenerate_transform_is_refused():
    with pytest.raises(InputError, match="degenerate"):
        Grid(UTM, Affine(10, 0, 0, 0, 0, 0), (10, 10))


def test_resized_keeps_the_footprint():
    grid = Grid(UTM, Affine(8, 6, 500000, 6, -8, 5000000), (120, 60))
    small = grid.resized((40, 30))
    corners = np.array([[-0.5, -0.5], [59.5, 119.5]])
    assert np.allclose(small.to_world(np.array([[-0.5, -0.5], [29.5, 39.5]])), grid.to_world(corners))
    assert grid.scaled(0.5).hw == (60, 30)
    assert grid.fitted(60).hw == (60, 30)
    assert grid.fitted(500) is grid


def test_geographic_axes_are_longitude_first():
    paris = Grid("EPSG:4326", Affine(0.001, 0, 2.0, 0, -0.001, 49.0), (1000, 1000))
    utm = Grid(UTM, Affine(1, 0, 0, 0, -1, 0), (1, 1))
    world = utm.to_world(map_points(np.array([[499.5, 499.5]]), paris, utm))
    # 2.5° east, 48.5° north: 0.5° west of zone 31's central meridian.
    assert world[0] == pytest.approx([463064, 5371910], abs=200)
    assert world[0, 0] < 500000


def test_points_between_images_without_georeference_are_the_same():
    points = np.array([[3.0, 4.0]])
    one, other = Grid.without_georeference((10, 10)), Grid(None, NORTH_UP, (20, 20))
    assert map_points(points, one, other).tolist() == points.tolist()
    with pytest.raises(InputError, match="no coordinate reference system"):
        map_points(points, one, Grid(UTM, NORTH_UP, (20, 20)))


def test_working_system():
    assert working_crs(Grid("EPSG:3395", NORTH_UP, (10, 10))) == "EPSG:3395"
    assert working_crs(Grid("EPSG:4326", Affine(1e-4, 0, 2, 0, -1e-4, 48), (10, 10))) == UTM
    assert working_crs(Grid("EPSG:4326", Affine(1e-4, 0, 2, 0, -1e-4, -48), (10, 10))) == "EPSG:32731"
    assert working_crs(Grid("EPSG:2263", Affine(10, 0, 900000, 0, -10, 200000), (10, 10))) == "EPSG:32618"
    with pytest.raises(InputError, match="fixed image has no coordinate"):
        working_crs(Grid.without_georeference((10, 10)))


def test_common_grid_is_the_fixed_grid_where_the_images_coincide():
    fixed = Grid(UTM, Affine(10, 0, 500003, 0, -10, 5000007), (300, 200))
    assert common_grid(fixed, fixed, gsd_m=10, margin_m=500) == fixed


def test_common_grid_grows_by_the_margin_and_stops_at_the_fixed_image():
    fixed = Grid(UTM, NORTH_UP, (400, 400))
    moving = Grid(UTM, Affine(10, 0, 502000, 0, -10, 5001000), (400, 400))
    grid = common_grid(fixed, moving, gsd_m=20, margin_m=200)
    assert grid.transform == Affine(20, 0, 501800, 0, -20, 5000000)
    assert grid.hw == ((3000 + 200) // 20, (2000 + 200) // 20)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:2263"])
def test_common_grid_of_other_systems_is_in_utm(crs):
    transform = Affine(1e-4, 0, 2, 0, -1e-4, 48) if crs == "EPSG:4326" else Affine(30, 0, 900000, 0, -30, 200000)
    fixed = Grid(crs, transform, (400, 400))
    grid = common_grid(fixed, fixed, gsd_m=10, margin_m=0)
    assert grid.crs != crs
    assert (grid.transform.b, grid.transform.d) == (0, 0)
    assert grid.transform.a > 0 > grid.transform.e
    outline = map_points(fixed.outline_xy(), fixed, grid)
    assert outline.min() >= -0.6
    assert (outline.max(axis=0) <= np.array(grid.hw[::-1]) + 0.6).all()


def test_common_grid_of_a_south_up_moving_image():
    fixed = Grid(UTM, NORTH_UP, (300, 300))
    moving = Grid(UTM, Affine(10, 0, 500000, 0, 10, 4997000), (300, 300))
    assert common_grid(fixed, moving, gsd_m=10, margin_m=0) == fixed


def test_footprints_that_touch_along_an_edge_do_not_overlap():
    # Found by hypothesis: in single precision these two shared a sliver, and then, grown by nothing, no place.
    fixed = Grid(
        UTM,
        Affine(2.998172481057287, -0.1046984901075029, 500000, 0.1046984901075029, 2.998172481057287, 5e6),
        (300, 466),
    )
    moving = Grid(
        UTM,
        Affine(0.9998476951563913, 0.01745240643728351, 500000, 0.01745240643728351, -0.9998476951563913, 5e6),
        (300, 300),
    )
    with pytest.raises(InputError, match=r"do not overlap"):
        common_grid(fixed, moving, gsd_m=10, margin_m=0)


def test_no_overlap_says_how_far_and_where():
    fixed = Grid(UTM, NORTH_UP, (100, 100))
    moving = Grid(UTM, Affine(10, 0, 520000, 0, -10, 4995000), (100, 100))
    with pytest.raises(InputError, match=r"do not overlap.*20\.0 km east and 5\.0 km south"):
        common_grid(fixed, moving, gsd_m=10, margin_m=500)


def test_small_overlap_says_how_small():
    fixed = Grid(UTM, NORTH_UP, (100, 100))
    moving = Grid(UTM, Affine(10, 0, 500400, 0, -10, 5000000), (100, 100))
    with pytest.raises(InputError, match="overlap by only 60 px of 10 m"):
        common_grid(fixed, moving, gsd_m=10, margin_m=500)


def test_grid_survives_json():
    grid = Grid(UTM, Affine(10, 0.1, 500000.123456789, 0.2, -10, 5000000), (10, 20))
    assert Grid.from_dict(grid.to_dict()) == grid
    with pytest.raises(InputError, match="six numbers"):
        Grid.from_dict({"crs": UTM, "transform": [1, 2], "hw": [1, 1]})
