"""The radar geometry on ground whose answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from midground.simulate.ground import Ground
from midground.simulate.landscape import Landscape
from midground.simulate.materials import Cover, make_materials
from midground.simulate.sar import Orbit, expose, render_backscatter

SIDE = 256
EAST = Orbit(True, 78.0, 39.0)
WEST = Orbit(False, 282.0, 39.0)


def flat(cover: Cover = Cover.GRASS) -> Landscape:
    """Level ground of one material."""
    zero = np.zeros((SIDE, SIDE), np.float32)
    material = np.full((SIDE, SIDE), int(cover), np.uint16)
    return Landscape(Ground(SIDE, 5.0), zero, material, zero, zero, zero, make_materials(np.random.default_rng(0)))


def decibels(landscape: Landscape, orbit: Orbit) -> np.ndarray:
    power = render_backscatter(np.random.default_rng(1), landscape, orbit)
    return 10 * np.log10(np.maximum(power, 1e-6))


def test_level_ground_has_the_backscatter_of_its_material() -> None:
    inner = decibels(flat(), EAST)[20:-20, 20:-20]
    assert inner.mean() == pytest.approx(-12, abs=2)
    assert inner.std() < 2


@pytest.mark.parametrize(("orbit", "bright"), [(EAST, "west"), (WEST, "east")])
def test_the_slope_that_faces_the_sensor_is_bright(orbit: Orbit, bright: str) -> None:
    x = np.arange(SIDE, dtype=np.float32)
    ridge = 60 * np.exp(-(((x - SIDE / 2) / 30) ** 2))
    terrain = np.tile(ridge.astype(np.float32), (SIDE, 1))
    image = decibels(dataclasses.replace(flat(), terrain_m=terrain), orbit)
    west, east = image[64:-64, 100:116].mean(), image[64:-64, 140:156].mean()
    assert (west > east + 4) == (bright == "west")
    assert (east > west + 4) == (bright == "east")


def test_terrain_correction_leaves_a_lake_on_a_plateau_in_its_place() -> None:
    lake = flat()
    material = lake.material.copy()
    material[100:150, 90:160] = Cover.WATER
    x = np.arange(SIDE, dtype=np.float32)
    rise = np.clip((x - 20) * 2, 0, 80) - np.clip((x - 190) * 2, 0, 80)
    terrain = np.tile(rise.astype(np.float32), (SIDE, 1))
    image = decibels(dataclasses.replace(lake, material=material, terrain_m=terrain), EAST)
    profile = image[110:140].mean(axis=0)
    wet = np.flatnonzero(profile[:185] < -17.0)
    # Two ground pixels are one image pixel.
    assert wet.min() == pytest.approx(90, abs=3)
    assert wet.max() == pytest.approx(159, abs=3)


def with_block(wall_gain: float) -> Landscape:
    """Level ground with one building of 20 m."""
    plain = flat()
    height, gain = plain.building_m.copy(), plain.wall_gain.copy()
    height[112:144, 120:136], gain[112:144, 120:136] = 20.0, wall_gain
    return dataclasses.replace(plain, building_m=height, wall_gain=gain)


def test_the_wall_towards_the_sensor_is_the_bright_line() -> None:
    scene = with_block(1.0)
    east, west = decibels(scene, EAST)[118:138].mean(axis=0), decibels(scene, WEST)[118:138].mean(axis=0)
    assert east[118:122].max() > 0
    assert east[118:122].max() > east[134:138].max() + 2
    assert west[134:138].max() > 0
    assert west[134:138].max() > west[118:122].max() + 2


@pytest.mark.parametrize(("orbit", "behind"), [(EAST, slice(137, 140)), (WEST, slice(116, 119))])
def test_the_ground_behind_a_building_lies_in_shadow(orbit: Orbit, behind: slice) -> None:
    rows = slice(120, 136)
    plain, built = decibels(flat(), orbit)[rows, behind], decibels(with_block(0.0), orbit)[rows, behind]
    assert built.mean() < plain.mean() - 2


def test_speckle_is_drawn_in_the_pixels_of_the_image() -> None:
    backscatter = np.full((SIDE, SIDE), 0.1, np.float32)
    matrix = np.array([[2.0, 0, 0.5], [0, 2.0, 0.5], [0, 0, 1]])
    power = expose(np.random.default_rng(0), backscatter, matrix, 128, 4.4).astype(np.float64)
    assert power.mean() == pytest.approx(0.1, rel=0.05)
    assert power.mean() ** 2 / power.var() == pytest.approx(4.4, rel=0.05)
    neighbours = np.corrcoef(power[:, 1:].ravel(), power[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.03
