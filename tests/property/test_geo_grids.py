"""Points keep their place through pixels, maps, projections and corrections."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from midground.errors import InputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid, common_grid, map_points
from midground.geo.resample import Pixels, Resampler

SYSTEMS = {
    "EPSG:32631": (500000.0, 5000000.0, 1.0),
    "EPSG:32632": (30000.0, 5010000.0, 1.0),
    "EPSG:3395": (333958.0, 5615000.0, 1.0),
    "EPSG:4326": (3.0, 45.15, 1 / 100000),
}


@st.composite
def grids(draw, systems=tuple(SYSTEMS), max_angle_deg=180.0, min_side=1):
    """A grid near 3° east, 45° north: any rotation, either handedness, 0.5 to 60 m."""
    crs = draw(st.sampled_from(systems))
    east, north, unit = SYSTEMS[crs]
    gsd = draw(st.floats(0.5, 60)) * unit
    stretch = draw(st.floats(0.5, 2))
    angle = np.deg2rad(draw(st.floats(-max_angle_deg, max_angle_deg)))
    hand = draw(st.sampled_from([1, -1]))
    c, s = np.cos(angle), np.sin(angle)
    offset = [draw(st.floats(-500, 500)) * unit for _ in range(2)]
    transform = Affine(
        gsd * c, -gsd * stretch * s * hand, east + offset[0], gsd * s, gsd * stretch * c * hand, north + offset[1]
    )
    return Grid(crs, transform, (draw(st.integers(min_side, 3000)), draw(st.integers(min_side, 3000))))


def points_of(grid: Grid, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, np.array(grid.hw[::-1]) - 0.5, (20, 2))


@given(grids(), st.integers(0, 2**32 - 1))
def test_pixel_to_world_and_back(grid, seed):
    points = points_of(grid, seed)
    assert np.allclose(grid.to_pixel(grid.to_world(points)), points, atol=1e-6)
    homogeneous = np.column_stack([points, np.ones(20)])
    assert np.allclose((homogeneous @ grid.world_from_pixel().T)[:, :2], grid.to_world(points), rtol=1e-12)
    assert Grid.from_dict(grid.to_dict()) == grid


@given(grids(), grids(), st.integers(0, 2**32 - 1))
def test_map_points_and_back(source, target, seed):
    points = points_of(source, seed)
    there = map_points(points, source, target)
    assert np.isfinite(there).all()
    assert np.allclose(map_points(there, target, source), points, atol=1e-4)


@given(grids(), st.integers(1, 500), st.integers(1, 500))
def test_resizing_keeps_the_corners(grid, height, width):
    other = grid.resized((height, width))
    corners = np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    expected = np.array([[-0.5, -0.5], [grid.hw[1] - 0.5, grid.hw[0] - 0.5]])
    assert np.allclose(grid.to_pixel(other.to_world(corners)), expected, atol=1e-5)


@given(grids(min_side=300), grids(min_side=300), st.floats(0, 500))
def test_common_grid_lies_on_both(fixed, moving, margin_m):
    gsd_m = 10.0
    try:
        grid = common_grid(fixed, moving, gsd_m=gsd_m, margin_m=margin_m)
    except InputError:
        # Some of these grids share no place.
        with pytest.raises(InputError, match="overlap"):
            common_grid(fixed, moving, gsd_m=gsd_m, margin_m=margin_m)
        return
    assert (grid.transform.b, grid.transform.d) == (0, 0)
    assert grid.transform.a > 0 > grid.transform.e
    assert grid.gsd_m == pytest.approx(gsd_m)
    # The hull is sampled along straight edges, so a curved edge may be off by a fraction of a pixel.
    outline = map_points(fixed.outline_xy(), fixed, grid)
    low, high = outline.min(axis=0), outline.max(axis=0)
    assert low.min() <= 0.6
    assert (np.array(grid.hw[::-1]) - 0.5 <= high + 1.6).all()


@st.composite
def corrections(draw):
    fixed, moving = draw(grids()), draw(grids())
    centre = map_points(moving.centre_xy[None], moving, Grid("EPSG:32631", Affine.identity(), (1, 1)))[0] + 0.5
    angle = np.deg2rad(draw(st.floats(-5, 5)))
    scale = draw(st.floats(0.97, 1.03))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    shift = [draw(st.floats(-300, 300)) for _ in range(2)]
    tilt = [draw(st.floats(-1e-7, 1e-7)) for _ in range(2)]
    local = np.array([[c, -s, shift[0]], [s, c, shift[1]], [*tilt, 1.0]])
    move = np.eye(3)
    move[:2, 2] = centre
    world = move @ local @ np.linalg.inv(move)
    return Correction.from_world("EPSG:32631", world, fixed=fixed, moving=moving, kind="homography")


@settings(max_examples=50)
@given(corrections(), st.integers(0, 2**32 - 1))
def test_correction_and_back(correction, seed):
    points = points_of(correction.moving, seed)
    fixed_px = correction.to_fixed_px(correction.moving, points)
    assert np.allclose(correction.source_from_target(correction.moving, correction.fixed, fixed_px), points, atol=2e-3)
    assert Correction.from_dict(correction.to_dict()).to_dict() == correction.to_dict()


@settings(max_examples=50)
@given(corrections(), st.sampled_from([0.5, 2.0, 3.0]), st.integers(0, 2**32 - 1))
def test_correction_means_the_same_at_every_resolution(correction, factor, seed):
    moving = correction.moving
    assume(min(moving.hw) >= 64)
    other = moving.scaled(factor)
    world = moving.to_world(points_of(moving, seed))
    one = correction.to_fixed_px(moving, moving.to_pixel(world))
    two = correction.to_fixed_px(other, other.to_pixel(world))
    assert np.allclose(one, two, atol=1e-4)


@settings(max_examples=60)
@given(
    st.sampled_from(["nearest", "bilinear", "cubic"]),
    st.floats(-20, 20),
    st.floats(-20, 20),
    st.floats(0.4, 3.5),
    st.floats(-180, 180),
    st.integers(0, 2**32 - 1),
)
def test_constant_image_stays_constant_whatever_is_missing(method, dx, dy, scale, angle_deg, seed):
    rng = np.random.default_rng(seed)
    valid = rng.random((1, 60, 50)) < 0.9
    pixels = Pixels(np.where(valid, np.float32(7), np.float32(0)), valid)
    angle = np.deg2rad(angle_deg)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])

    def read(top, left, height, width):
        window = np.s_[:, top : top + height, left : left + width]
        return Pixels(pixels.values[window], pixels.valid[window])

    def source_from_target(points_xy):
        return (points_xy - 20) @ linear.T + [25 + dx, 30 + dy]

    resampler = Resampler.build(read, (60, 50), source_from_target, (40, 40), method)
    for tile in resampler.tiles((40, 40), 16):
        result = resampler(tile)
        if result is not None:
            assert result.values.shape == (1, tile.height, tile.width)
            assert np.allclose(result.values[result.valid], 7, atol=1e-3)
            assert (result.values[~result.valid] == 0).all()
