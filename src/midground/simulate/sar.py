"""The SAR image: backscatter, slopes, layover, shadow, double bounce, resolution, noise floor and speckle.

The image is terrain-corrected, as ground range products brought to a map are. Each piece of ground is first put where
the radar sees it, towards the sensor by its height over the tangent of the incidence angle, where the power of all
ground at the same range adds up; every map pixel then takes the power found at its own range. Positions are therefore
right, while steep slopes keep the marks of the detour: smeared and bright towards the sensor, dark away from it. The
elevation model of the correction knows no buildings, so roofs lie over the ground before them, and it is slightly
wrong, by a smooth error of zero mean. Trees have bright edges towards the sensor, but are neither displaced nor cast
shadow: both would move the edges of woods against the optical image. What remains (bright walls and edges on the side
of the sensor) pulls a gradient correlation of whole scenes of 1024 px towards the sensor, by 0.13 px on average and
0.23 px at most over the seeds 20 to 31. The pull turns round with the side that the radar looks from.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from midground.simulate.ground import OVERSAMPLING, Ground
from midground.simulate.landscape import Landscape
from midground.simulate.materials import Cover
from midground.simulate.relief import gradient

MAX_DISPLACEMENT_PX = 0.3
"""Largest error of position that the terrain correction leaves, image px."""
_DISPLACEMENT_PX = 0.12
_CANOPY_EDGE = 0.01
"""Echo of the edge of a canopy relative to that of a wall of the same height."""
_FAR_SIDE = 0.5
"""Echo of a building's far side, by ridges, parapets and other walls nearby, relative to the wall in front.

Chosen so that towns do not pull the image towards the sensor by more than 0.3 px; without it, some do by 0.4 px.
"""
_LOW_CANOPY_M = 5.0
"""Height below which there are no trees."""
_ROOF_SHARE = 0.6
"""Height within a building that the echo of its roof and walls seems to come from."""
_RANGE_BLUR_PX = 0.35
_BLUR_PX = 0.72
_WALL_POWER = 1.2
_MAX_POWER = 300.0
_NOISE_FLOOR_DB = -25.0


@dataclass(frozen=True, slots=True)
class Orbit:
    """How the radar looks at the scene."""

    is_ascending: bool
    """Looking east, in the evening; otherwise west, in the morning."""
    look_azimuth_deg: float
    """Direction in which the pulses travel over the ground, clockwise from north, degrees."""
    incidence_deg: float
    """Angle between the pulses and the vertical, degrees."""

    @property
    def look_xy(self) -> tuple[float, float]:
        """Unit vector on the ground away from the sensor, x to the east and y to the south."""
        angle = np.deg2rad(self.look_azimuth_deg)
        return float(np.sin(angle)), float(-np.cos(angle))


def draw_orbit(rng: np.random.Generator) -> Orbit:
    """An orbit like Sentinel-1's over middle latitudes, looking to the right."""
    is_ascending = bool(rng.integers(2))
    tilt_deg = float(rng.uniform(9, 14))
    return Orbit(is_ascending, (90 - tilt_deg) if is_ascending else (270 + tilt_deg), float(rng.uniform(33, 43)))


def render_backscatter(rng: np.random.Generator, landscape: Landscape, orbit: Orbit) -> Float32[np.ndarray, "s s"]:
    """Render sigma nought without speckle on the landscape's own grid, in linear power.

    Args:
        rng: Source of chance.
        landscape: The ground.
        orbit: Where the radar looks from.
    """
    power = _slopes(landscape, orbit) * _surface(rng, landscape)
    power = _through_radar(rng, landscape, orbit, power) + _walls(landscape, orbit)
    power = cv2.GaussianBlur(power, (0, 0), _BLUR_PX * OVERSAMPLING)
    return np.asarray(np.clip(power, 0, _MAX_POWER), dtype=np.float32)


def expose(
    rng: np.random.Generator,
    backscatter: Float32[np.ndarray, "s s"],
    ground_from_pixel: Float64[np.ndarray, "3 3"],
    side_px: int,
    looks: float,
) -> Float32[np.ndarray, "h h"]:
    """Resample onto the SAR image's own pixels, once, and add the noise floor and speckle there.

    Args:
        rng: Source of chance.
        backscatter: Sigma nought on the landscape's grid.
        ground_from_pixel: From pixel centres of the SAR image to those of the landscape's grid.
        side_px: Side of the SAR image, px.
        looks: Equivalent number of looks; the larger, the smoother.
    """
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    matrix = np.ascontiguousarray(ground_from_pixel[:2])
    power = cv2.warpAffine(backscatter, matrix, (side_px, side_px), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    power = np.maximum(power, 0) + np.float32(10 ** (_NOISE_FLOOR_DB / 10))
    speckle = rng.standard_gamma(looks, power.shape) / looks
    # The smallest positive value keeps a valid pixel apart from nodata, which is zero.
    return np.maximum(power * speckle, 1e-7).astype(np.float32)


def _surface(rng: np.random.Generator, landscape: Landscape) -> Float32[np.ndarray, "s s"]:
    """Backscatter of level ground with the texture of its material and the moisture of the soil."""
    ground, material = landscape.ground, landscape.material
    patches = ground.noise(rng, longest_m=220, shortest_m=25, slope=0.7)
    moisture = ground.noise(rng, longest_m=5000, shortest_m=800, slope=1.5)
    texture_db = landscape.materials.sar_texture_db[material] * patches + np.float32(0.6) * moisture * (
        material != Cover.WATER
    )
    return np.asarray(landscape.materials.backscatter[material] * np.exp(np.float32(0.2303) * texture_db), np.float32)


def _slopes(landscape: Landscape, orbit: Orbit) -> Float32[np.ndarray, "s s"]:
    """Backscatter of sloping ground relative to level ground, by the local incidence angle and the tilted area."""
    gx, gy = gradient(cv2.GaussianBlur(landscape.terrain_m, (0, 0), 1.5), landscape.ground.pixel_m)
    lx, ly = orbit.look_xy
    tangent = np.tan(np.deg2rad(orbit.incidence_deg))
    area = np.sqrt(1 + gx * gx + gy * gy)
    facing = np.clip((1 + tangent * (gx * lx + gy * ly)) / area, 0.05, 2)
    return np.asarray(facing**1.3 * area, dtype=np.float32)


def _walls(landscape: Landscape, orbit: Orbit) -> Float32[np.ndarray, "s s"]:
    """Double bounce between the ground and what stands upright on it, strongest where it faces the sensor squarely.

    Ground and wall form a corner that echoes from the foot of the wall, so nothing is displaced.
    """
    banks = np.isin(landscape.material, (Cover.WATER, Cover.ROAD))
    height = landscape.building_m * landscape.wall_gain - np.float32(0.35) * banks
    corners = _facing(height.astype(np.float32), landscape.ground, orbit)
    behind = _facing(-landscape.building_m * landscape.wall_gain, landscape.ground, orbit)
    corners += np.float32(_FAR_SIDE) * behind
    # The outermost trees echo, not the ground before them.
    edges = _facing(landscape.canopy_m, landscape.ground, orbit) * (landscape.canopy_m > _LOW_CANOPY_M)
    return np.asarray(_WALL_POWER * (corners + np.float32(_CANOPY_EDGE) * edges), dtype=np.float32)


def _facing(height_m: Float32[np.ndarray, "s s"], ground: Ground, orbit: Orbit) -> Float32[np.ndarray, "s s"]:
    """Steepness of what rises towards the sensor, less where it stands askew."""
    gx, gy = gradient(cv2.GaussianBlur(height_m, (0, 0), 0.6), ground.pixel_m)
    lx, ly = orbit.look_xy
    rise = np.maximum(gx * lx + gy * ly, 0)
    return np.asarray(rise * (rise / (np.hypot(gx, gy) + 1e-6)) ** 3, dtype=np.float32)


def _through_radar(
    rng: np.random.Generator, landscape: Landscape, orbit: Orbit, power: Float32[np.ndarray, "s s"]
) -> Float32[np.ndarray, "s s"]:
    """Project power to ground range, where layover adds up and shadow is empty, and back by terrain correction."""
    ground = landscape.ground
    frame = _RangeFrame.of(ground, orbit)
    dem = frame.enter(landscape.terrain_m)
    buildings = frame.enter(landscape.building_m)
    seen = frame.enter(power) * _lit(dem + buildings, frame.step_m, orbit)
    surface = dem + np.float32(_ROOF_SHARE) * buildings
    per_metre = 1 / (frame.step_m * np.tan(np.deg2rad(orbit.incidence_deg)))
    columns = np.arange(seen.shape[1], dtype=np.float32)[None]
    base = np.float32(np.median(dem))
    received = _accumulate(columns - (surface - base) * np.float32(per_metre), seen)
    received = cv2.GaussianBlur(received, (0, 0), sigmaX=_RANGE_BLUR_PX * OVERSAMPLING, sigmaY=0.01)
    at = columns - (dem - base) * np.float32(per_metre) + frame.enter(_displacement(rng, ground))
    rows = np.broadcast_to(np.arange(seen.shape[0], dtype=np.float32)[:, None], seen.shape)
    corrected = cv2.remap(received, at, np.ascontiguousarray(rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return frame.leave(corrected)


def _displacement(rng: np.random.Generator, ground: Ground) -> Float32[np.ndarray, "s s"]:
    """What errors of the elevation model leave, along range, px of the landscape's grid."""
    error = _DISPLACEMENT_PX * ground.noise(rng, longest_m=2500, shortest_m=400, slope=1.5)
    return np.asarray(np.clip(error, -MAX_DISPLACEMENT_PX, MAX_DISPLACEMENT_PX) * OVERSAMPLING, dtype=np.float32)


def _lit(surface: Float32[np.ndarray, "r c"], step_m: float, orbit: Orbit) -> Float32[np.ndarray, "r c"]:
    """1 where the pulse reaches the surface, 0 behind what is higher; range runs along the rows."""
    fall = np.float32(step_m / np.tan(np.deg2rad(orbit.incidence_deg)))
    above_ray = surface + np.arange(surface.shape[1], dtype=np.float32)[None] * fall
    is_lit = above_ray >= np.maximum.accumulate(above_ray, axis=1) - 0.5
    return np.asarray(is_lit, dtype=np.float32)


def _accumulate(at: Float32[np.ndarray, "r c"], power: Float32[np.ndarray, "r c"]) -> Float32[np.ndarray, "r c"]:
    """Add power up at fractional columns, shared between the two nearest."""
    height, width = at.shape
    at = np.clip(at, 0, width - 1.001)
    left = at.astype(np.int32)
    share = at - left
    index = left + np.arange(height, dtype=np.int32)[:, None] * np.int32(width)
    total = np.bincount(index.ravel(), (power * (1 - share)).ravel(), minlength=height * width)
    total += np.bincount(index.ravel() + 1, (power * share).ravel(), minlength=height * width)
    return total.reshape(height, width).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _RangeFrame:
    """The ground grid sheared so that range runs along its rows, away from the sensor."""

    side_px: int
    is_flipped: bool
    tilt: float
    """Rows by which a ray climbs per column."""
    step_m: float
    """Ground range between neighbouring columns, m."""

    @classmethod
    def of(cls, ground: Ground, orbit: Orbit) -> _RangeFrame:
        lx, ly = orbit.look_xy
        return cls(ground.side_px, lx < 0, ly / abs(lx), ground.pixel_m / abs(lx))

    def enter(self, layer: Float32[np.ndarray, "s s"]) -> Float32[np.ndarray, "r s"]:
        """Bring a layer into the frame."""
        layer = np.ascontiguousarray(layer[:, ::-1] if self.is_flipped else layer)
        n_rows = self.side_px + int(np.ceil(abs(self.tilt) * self.side_px))
        return self._shear(layer, self.tilt, -max(self.tilt, 0) * self.side_px, n_rows)

    def leave(self, layer: Float32[np.ndarray, "r s"]) -> Float32[np.ndarray, "s s"]:
        """Bring a layer back to the ground grid."""
        layer = self._shear(layer, -self.tilt, max(self.tilt, 0) * self.side_px, self.side_px)
        return np.ascontiguousarray(layer[:, ::-1] if self.is_flipped else layer)

    def _shear(self, layer: np.ndarray, tilt: float, start: float, n_rows: int) -> Float32[np.ndarray, "q s"]:
        matrix = np.array([[1, 0, 0], [tilt, 1, start]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        sheared = cv2.warpAffine(layer, matrix, (self.side_px, n_rows), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(sheared, dtype=np.float32)
