"""A procedural landscape: relief, water, farmland, woods, roads and settlements on one ground grid."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt16

from midground.core.progress import Progress, silent
from midground.simulate.buildings import put_up
from midground.simulate.ground import Ground, smoothstep
from midground.simulate.materials import Cover, Materials, make_materials
from midground.simulate.parcels import Parcels, make_parcels
from midground.simulate.relief import Relief, make_relief
from midground.simulate.settlements import settle

_STEPS = 4


@dataclass(frozen=True, slots=True)
class Landscape:
    """What stands where; both sensors look at this."""

    ground: Ground
    """The grid."""
    terrain_m: Float32[np.ndarray, "s s"]
    """Height of the bare ground, m."""
    material: UInt16[np.ndarray, "s s"]
    """Index into ``materials``."""
    canopy_m: Float32[np.ndarray, "s s"]
    """Height of trees above the ground, m."""
    building_m: Float32[np.ndarray, "s s"]
    """Height of buildings above the ground, m."""
    wall_gain: Float32[np.ndarray, "s s"]
    """How strongly the walls of a building reflect a radar wave; 0 without a building."""
    materials: Materials
    """Colour and backscatter of each material."""


def make_landscape(rng: np.random.Generator, ground: Ground, *, progress: Progress = silent) -> Landscape:
    """Make a landscape; equal generators make equal landscapes."""
    materials = make_materials(rng)
    relief = make_relief(rng, ground)
    progress("landscape", 1, _STEPS)
    material = _land_cover(rng, ground, relief, make_parcels(rng, ground))
    progress("landscape", 2, _STEPS)
    towns = settle(rng, ground, relief, material)
    progress("landscape", 3, _STEPS)
    buildings = put_up(rng, ground, towns, material)
    canopy_m = _canopy(rng, ground, material)
    progress("landscape", 4, _STEPS)
    return Landscape(ground, relief.terrain_m, material, canopy_m, buildings.height_m, buildings.wall_gain, materials)


def _land_cover(
    rng: np.random.Generator, ground: Ground, relief: Relief, parcels: Parcels
) -> UInt16[np.ndarray, "s s"]:
    """Fields on level ground; woods, scrub, grass and rock where it is steep; water and its banks."""
    material = parcels.material.copy()
    fine = ground.noise(rng, longest_m=250, shortest_m=25, slope=1.2)
    kind = ground.noise(rng, longest_m=3500, shortest_m=120, slope=1.6) + np.float32(0.15) * fine
    slope = relief.slope + np.float32(0.012) * fine
    steep = slope > rng.uniform(0.09, 0.13)
    material[steep] = Cover.GRASS
    material[steep & (kind > rng.uniform(-0.7, 0.6))] = Cover.SCRUB
    material[parcels.track & ~steep] = Cover.TRACK
    material[parcels.hedge & ~steep] = Cover.HEDGE
    wooded = rng.uniform(0.5, 1.5)
    forest = ground.noise(rng, longest_m=2200, shortest_m=80, slope=1.7) + np.float32(0.12) * fine
    forest += np.float32(1.6) * smoothstep(relief.slope, 0.05, 0.25)
    woodlot = (parcels.material % 29 == 0) & ~steep
    wood = (forest > wooded + 0.35) | woodlot
    material[wood] = Cover.FOREST
    stands = parcels.material % 4 + 0.8 * kind
    material[wood & (stands > rng.uniform(1.2, 4.5))] = Cover.CONIFER
    material[(relief.slope > 0.42) & (fine > 0.2)] = Cover.ROCK
    bank = (relief.river_distance_m < 14 + 10 * fine) & ~relief.water
    material[bank] = Cover.BANK
    material[bank & (kind > 0.9)] = Cover.SAND
    riparian = (relief.river_distance_m < 45 + 35 * kind) & ~relief.water & (fine > 0.1)
    material[riparian] = Cover.FOREST
    material[relief.water] = Cover.WATER
    return material


def _canopy(
    rng: np.random.Generator, ground: Ground, material: UInt16[np.ndarray, "s s"]
) -> Float32[np.ndarray, "s s"]:
    height_by_cover = np.zeros(int(material.max()) + 1, np.float32)
    trees_m = rng.uniform(11, 19)
    tall = [Cover.FOREST, Cover.CONIFER, Cover.HEDGE, Cover.SCRUB, Cover.PARK]
    height_by_cover[tall] = trees_m, 1.2 * trees_m, 5, 1.5, 4
    stand = 1 + 0.2 * ground.noise(rng, longest_m=300, shortest_m=20, slope=0.6)
    canopy = height_by_cover[material] * np.clip(stand, 0.3, 1.7)
    return cv2.blur(np.asarray(canopy, dtype=np.float32), (3, 3))
