"""The optical image: reflected sunlight, shade and shadow, haze, sharpness and noise of the sensor.

Positions are exact: the sensor looks straight down. There are no clouds, and no displacement by relief.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from midground.simulate.ground import OVERSAMPLING
from midground.simulate.landscape import Landscape
from midground.simulate.materials import Cover
from midground.simulate.relief import gradient

_DIFFUSE = 0.28
"""Share of the light that comes from the sky and lights slopes and shadows alike."""
_CANOPY_OPACITY = 0.5
"""Share of a canopy's height that throws a shadow; the outermost trees are the lowest and let light through."""
_PSF_PX = 0.5
_NOISE = 0.0012
_PATH_RADIANCE = np.array([0.026, 0.015, 0.009, 0.004], np.float32)


@dataclass(frozen=True, slots=True)
class Sun:
    """Where the light comes from."""

    azimuth_deg: float
    """Direction of the sun, clockwise from north, degrees."""
    elevation_deg: float
    """Height of the sun above the horizon, degrees."""

    @property
    def towards_xy(self) -> tuple[float, float]:
        """Unit vector on the ground towards the sun, x to the east and y to the south."""
        angle = np.deg2rad(self.azimuth_deg)
        return float(np.sin(angle)), float(-np.cos(angle))


def draw_sun(rng: np.random.Generator) -> Sun:
    """The sun of a mid-morning overpass in middle northern latitudes."""
    return Sun(float(rng.uniform(140, 172)), float(rng.uniform(34, 62)))


def render_optical(
    rng: np.random.Generator, landscape: Landscape, sun: Sun, *, margin_px: int
) -> Float32[np.ndarray, "4 h w"]:
    """Render reflectance in the order of ``materials.BANDS``.

    Args:
        rng: Source of chance.
        landscape: The ground, at twice the resolution of the image.
        sun: Direction of the light.
        margin_px: Border of the landscape left out of the image, px of the image.
    """
    light = _illumination(landscape, sun)
    texture = _texture(rng, landscape)
    side = landscape.ground.side_px // OVERSAMPLING
    keep = slice(margin_px, side - margin_px)
    haze = landscape.ground.noise(rng, longest_m=12000, shortest_m=3000, slope=2.0)
    haze = np.clip(1 + 0.25 * cv2.resize(haze, (side, side), interpolation=cv2.INTER_AREA), 0.3, 2)
    haze *= np.float32(rng.uniform(0.6, 1.4))
    bands = []
    for band in range(4):
        surface = landscape.materials.reflectance[:, band][landscape.material] * texture * light
        image = cv2.resize(surface, (side, side), interpolation=cv2.INTER_AREA)
        image = cv2.GaussianBlur(image, (0, 0), _PSF_PX) + haze * _PATH_RADIANCE[band]
        image = image[keep, keep]
        spread = _NOISE + 0.008 * image
        bands.append(np.clip(image + spread * rng.standard_normal(image.shape, dtype=np.float32), 1e-4, 1.2))
    return np.stack(bands).astype(np.float32)


def _texture(rng: np.random.Generator, landscape: Landscape) -> Float32[np.ndarray, "s s"]:
    ground = landscape.ground
    patches = ground.noise(rng, longest_m=160, shortest_m=15, slope=0.8)
    grain = rng.standard_normal(patches.shape, dtype=np.float32)
    spread = landscape.materials.optical_texture[landscape.material]
    return np.asarray(np.clip(1 + spread * (0.55 * patches + 0.8 * grain), 0.3, 2.5), dtype=np.float32)


def _illumination(landscape: Landscape, sun: Sun) -> Float32[np.ndarray, "s s"]:
    """Light on each pixel relative to level ground in the sun."""
    sx, sy = sun.towards_xy
    elevation = np.deg2rad(sun.elevation_deg)
    pixel_m = landscape.ground.pixel_m
    # Tree crowns shade one another; the mean slope of a canopy edge is far gentler than the edge of its height.
    crowns = cv2.GaussianBlur(landscape.canopy_m, (0, 0), 1.0) * np.float32(0.1)
    gx, gy = gradient(landscape.terrain_m + crowns, pixel_m)
    facing = (np.sin(elevation) - np.cos(elevation) * (gx * sx + gy * sy)) / np.sqrt(1 + gx * gx + gy * gy)
    direct = np.clip(facing / np.sin(elevation), 0, 2.2)
    direct[_shadow(landscape, sun)] = 0
    light = _DIFFUSE + (1 - _DIFFUSE) * direct
    light[landscape.material == Cover.WATER] = 1
    return np.asarray(light, dtype=np.float32)


def _shadow(landscape: Landscape, sun: Sun) -> Bool[np.ndarray, "s s"]:
    """Pixels whose sun is hidden by a building or trees nearby."""
    own = np.maximum(landscape.building_m, landscape.canopy_m)
    above = np.maximum(landscape.building_m, np.float32(_CANOPY_OPACITY) * landscape.canopy_m)
    sx, sy = sun.towards_xy
    drop_m = landscape.ground.pixel_m * np.tan(np.deg2rad(sun.elevation_deg))
    reach = min(int(np.ceil(float(above.max()) / drop_m)), 12)
    shadow = np.zeros(above.shape, bool)
    for step in range(1, reach + 1):
        towards = np.array([[1, 0, step * sx], [0, 1, step * sy]])
        blocker = cv2.warpAffine(above, towards, above.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        shadow |= blocker - np.float32(step * drop_m) > own + 0.5
    return shadow
