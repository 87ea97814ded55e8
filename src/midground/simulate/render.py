"""A pair of images of one simulated landscape in memory, and how they truly lie to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform, corners_xy
from midground.simulate.config import SceneConfig
from midground.simulate.ground import OVERSAMPLING, Ground
from midground.simulate.landscape import make_landscape
from midground.simulate.optical import Sun, draw_sun, render_optical
from midground.simulate.sar import Orbit, draw_orbit, expose, render_backscatter

_RANDOM_SHIFT_M = 300.0
_RANDOM_ROTATION_DEG = 0.3
_RANDOM_SCALE = 0.002
_MARGIN_STEP_PX = 64
_SPARE_PX = 8
_STEPS = 4


@dataclass(frozen=True, slots=True)
class RenderedPair:
    """Two images of one landscape in memory."""

    optical: Image
    """Reflectance, 0 to 1, in the order of ``materials.BANDS``."""
    sar: Image
    """Sigma nought in VV, linear power, one channel."""
    fixed_from_moving: Transform
    """From pixel centres of the SAR image to those of the optical image."""
    shift_m: tuple[float, float]
    """By how much the SAR image must move at its centre, (east, north) in metres, if both claim the same grid."""
    rotation_deg: float
    """Clockwise rotation that the SAR image must undergo, degrees."""
    scale: float
    """Factor by which the SAR image must grow."""
    sun: Sun
    """Light of the optical image."""
    orbit: Orbit
    """View of the SAR image."""
    config: SceneConfig
    """What was asked for."""


def render_pair(config: SceneConfig | None = None, *, progress: Progress = silent) -> RenderedPair:
    """Simulate a landscape and what the two sensors see of it, in memory.

    The same config gives the same values. The landscape depends on the seed, the size and the ground sample distance,
    and not on shift, rotation, scale and looks, unless the images lie so far apart that more ground is needed.

    Args:
        config: What to simulate; the defaults if omitted.
        progress: Told of each finished step.
    """
    config = config or SceneConfig()
    of_place, of_ground, of_optical, of_sar = (np.random.default_rng([config.seed, part]) for part in range(4))
    shift_m, rotation_deg, scale = _place(of_place, config)
    truth = _truth(config, shift_m, rotation_deg, scale)
    margin_px = _margin(config, truth)
    ground = Ground(OVERSAMPLING * (config.size_px + 2 * margin_px), config.gsd_m / OVERSAMPLING)
    progress("simulate", 0, _STEPS)
    landscape = make_landscape(of_ground, ground)
    progress("simulate", 1, _STEPS)
    sun = draw_sun(of_optical)
    optical = render_optical(of_optical, landscape, sun, margin_px=margin_px)
    progress("simulate", 2, _STEPS)
    orbit = draw_orbit(of_sar)
    backscatter = render_backscatter(of_sar, landscape, orbit)
    progress("simulate", 3, _STEPS)
    # Centre of an image pixel among the ground pixels that it covers.
    offset = OVERSAMPLING * margin_px + (OVERSAMPLING - 1) / 2
    ground_from_fixed = Transform.similarity(scale=OVERSAMPLING, dx=offset, dy=offset)
    sar = expose(of_sar, backscatter, (ground_from_fixed @ truth).matrix, config.size_px, config.looks)
    progress("simulate", 4, _STEPS)
    return RenderedPair(
        Image.from_array(optical), Image.from_array(sar), truth, shift_m, rotation_deg, scale, sun, orbit, config
    )


def _place(rng: np.random.Generator, config: SceneConfig) -> tuple[tuple[float, float], float, float]:
    """Shift (east, north) in metres, clockwise rotation in degrees and scale: given, or else drawn."""
    # A quarter of a small scene is the most that leaves enough overlap to register it.
    reach_m = min(_RANDOM_SHIFT_M, config.size_px * config.gsd_m / 4)
    east, north, turn, growth = (float(value) for value in rng.uniform(-1, 1, 4))
    shift_m = (east * reach_m, north * reach_m) if config.shift_m is None else config.shift_m
    rotation_deg = turn * _RANDOM_ROTATION_DEG if config.rotation_deg is None else config.rotation_deg
    scale = 1 + growth * _RANDOM_SCALE if config.scale is None else config.scale
    return (float(shift_m[0]), float(shift_m[1])), float(rotation_deg), float(scale)


def _truth(config: SceneConfig, shift_m: tuple[float, float], rotation_deg: float, scale: float) -> Transform:
    centre = (config.size_px - 1) / 2
    to_origin = Transform.translation(-centre, -centre)
    back = Transform.translation(centre + shift_m[0] / config.gsd_m, centre - shift_m[1] / config.gsd_m)
    return back @ Transform.similarity(scale=scale, rotation_deg=rotation_deg) @ to_origin


def _margin(config: SceneConfig, truth: Transform) -> int:
    """Ground needed around the optical image so that the SAR image is filled, px of the images."""
    corners = truth(corners_xy((config.size_px, config.size_px)))
    beyond = max(-float(corners.min()), float(corners.max()) - (config.size_px - 1))
    # Whole steps keep the landscape the same for most transforms.
    return _MARGIN_STEP_PX * max(1, int(np.ceil((beyond + _SPARE_PX) / _MARGIN_STEP_PX)))
