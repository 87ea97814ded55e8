"""What the ground is made of: colour and radar backscatter of each surface."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Float32

BANDS = ("B02", "B03", "B04", "B08")
"""Blue, green, red and near infrared, by Sentinel-2's names."""
N_PARCELS = 1024
N_ROOFS = 96


class Cover(IntEnum):
    """Surfaces that occur once in the table of materials."""

    GRASS = 0
    SCRUB = 1
    FOREST = 2
    ROCK = 3
    WATER = 4
    BANK = 5
    ROAD = 6
    TRACK = 7
    HEDGE = 8
    YARD = 9
    PARK = 10
    LOT = 11
    CONIFER = 12
    SAND = 13


FIRST_PARCEL = 16
FIRST_ROOF = FIRST_PARCEL + N_PARCELS
N_MATERIALS = FIRST_ROOF + N_ROOFS

# Reflectance in blue, green, red, near infrared; sigma nought in VV at 39° incidence, dB; texture in both.
_COVERS: dict[Cover, tuple[tuple[float, float, float, float], float, float, float]] = {
    Cover.GRASS: ((0.050, 0.078, 0.068, 0.290), -12.0, 0.10, 0.8),
    Cover.SCRUB: ((0.052, 0.072, 0.070, 0.220), -10.3, 0.18, 1.2),
    Cover.FOREST: ((0.029, 0.052, 0.033, 0.310), -8.6, 0.16, 1.0),
    Cover.ROCK: ((0.115, 0.135, 0.155, 0.215), -11.0, 0.15, 1.6),
    Cover.WATER: ((0.062, 0.058, 0.042, 0.020), -22.0, 0.02, 0.0),
    Cover.BANK: ((0.110, 0.135, 0.150, 0.230), -12.5, 0.14, 1.0),
    Cover.ROAD: ((0.105, 0.115, 0.120, 0.140), -15.5, 0.08, 0.5),
    Cover.TRACK: ((0.125, 0.155, 0.190, 0.260), -14.0, 0.10, 0.8),
    Cover.HEDGE: ((0.032, 0.055, 0.037, 0.300), -9.0, 0.20, 1.5),
    Cover.YARD: ((0.066, 0.086, 0.080, 0.240), -9.5, 0.28, 2.2),
    Cover.PARK: ((0.040, 0.068, 0.048, 0.330), -10.0, 0.15, 1.5),
    Cover.LOT: ((0.120, 0.126, 0.130, 0.165), -12.0, 0.15, 2.0),
    Cover.CONIFER: ((0.022, 0.034, 0.023, 0.190), -9.2, 0.14, 0.9),
    Cover.SAND: ((0.150, 0.180, 0.205, 0.270), -14.5, 0.12, 1.0),
}

# The same for crops, with the spread of the backscatter between parcels in dB.
_CROPS: tuple[tuple[tuple[float, float, float, float], float, float], ...] = (
    ((0.086, 0.108, 0.135, 0.205), -14.0, 1.8),  # bare soil
    ((0.060, 0.092, 0.082, 0.310), -12.6, 1.5),  # young crop
    ((0.034, 0.070, 0.034, 0.440), -11.0, 1.8),  # mature crop
    ((0.085, 0.130, 0.170, 0.310), -11.8, 2.0),  # ripe cereal
    ((0.046, 0.082, 0.058, 0.350), -12.3, 1.0),  # meadow
    ((0.100, 0.130, 0.165, 0.260), -13.2, 1.4),  # stubble
    ((0.040, 0.085, 0.045, 0.400), -8.8, 1.0),  # root crop, orchard
)
_ROOFS: tuple[tuple[float, float, float, float], ...] = (
    (0.085, 0.105, 0.165, 0.220),  # tile
    (0.145, 0.155, 0.165, 0.190),  # concrete
    (0.290, 0.300, 0.310, 0.330),  # bright metal
    (0.070, 0.075, 0.080, 0.095),  # slate
)


@dataclass(frozen=True, slots=True)
class Materials:
    """Properties of every material, by its index in the landscape."""

    reflectance: Float32[np.ndarray, "k 4"]
    """Surface reflectance in the order of ``BANDS``, 0 to 1."""
    backscatter: Float32[np.ndarray, " k"]
    """Sigma nought at the scene's incidence angle, linear power."""
    optical_texture: Float32[np.ndarray, " k"]
    """Relative spread of the reflectance within the material."""
    sar_texture_db: Float32[np.ndarray, " k"]
    """Spread of the backscatter within the material, dB."""


def make_materials(rng: np.random.Generator) -> Materials:
    """Draw the colours of one season and place: dryness, crops in the field, soil, water and roofs."""
    reflectance = np.zeros((N_MATERIALS, 4))
    backscatter_db = np.full(N_MATERIALS, -11.0)
    optical_texture = np.full(N_MATERIALS, 0.07)
    sar_texture_db = np.full(N_MATERIALS, 0.7)
    for cover, (colour, sigma_db, spread, spread_db) in _COVERS.items():
        reflectance[cover] = colour
        backscatter_db[cover] = sigma_db + rng.normal(0, 0.5)
        optical_texture[cover], sar_texture_db[cover] = spread, spread_db
    parcels = slice(FIRST_PARCEL, FIRST_ROOF)
    reflectance[parcels], backscatter_db[parcels] = _parcels(rng)
    optical_texture[parcels] = rng.uniform(0.03, 0.10, N_PARCELS)
    roofs = slice(FIRST_ROOF, N_MATERIALS)
    kinds = rng.choice(len(_ROOFS), N_ROOFS, p=rng.dirichlet([3.0, 2.0, 1.0, 1.0]))
    reflectance[roofs] = np.array(_ROOFS)[kinds] * rng.uniform(0.8, 1.25, (N_ROOFS, 1))
    backscatter_db[roofs] = rng.normal(-8, 2.5, N_ROOFS)
    # Turbid water is brighter in green and red; calm or windy water differs by a few decibels.
    reflectance[Cover.WATER] += rng.uniform(0, 1) * np.array([0.005, 0.025, 0.030, 0.008])
    backscatter_db[Cover.WATER] = rng.normal(-22, 0.7)
    dryness = rng.beta(1.2, 1.8)
    wild = [Cover.GRASS, Cover.SCRUB, Cover.YARD, Cover.PARK]
    dry = np.array([0.088, 0.112, 0.138, 0.225])
    reflectance[wild] += 0.75 * dryness * (dry - reflectance[wild])
    reflectance[Cover.FOREST] *= 1 + 0.5 * dryness * np.array([0.3, 0.2, 0.6, -0.3])
    return Materials(
        reflectance.astype(np.float32),
        (10 ** (backscatter_db / 10)).astype(np.float32),
        optical_texture.astype(np.float32),
        sar_texture_db.astype(np.float32),
    )


def _parcels(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    # Few kinds dominate in a given place and month.
    crops = rng.choice(len(_CROPS), N_PARCELS, p=rng.dirichlet(np.full(len(_CROPS), 0.9)))
    colour = np.array([crop[0] for crop in _CROPS])[crops]
    soil = np.array(_CROPS[0][0]) * rng.uniform(0.75, 1.5) * np.array([1.0, 1.0, rng.uniform(0.85, 1.2), 1.0])
    bareness = rng.beta(1.2, 3.0, (N_PARCELS, 1))
    colour = colour + bareness * (soil - colour)
    colour = colour * rng.lognormal(0, 0.10, (N_PARCELS, 1)) * rng.lognormal(0, 0.03, (N_PARCELS, 4))
    level = np.array([crop[1] for crop in _CROPS])[crops]
    spread = np.array([crop[2] for crop in _CROPS])[crops]
    # Radar tells fields apart better in some weeks than in others.
    contrast = rng.uniform(0.35, 0.9)
    return colour, level.mean() + contrast * (level - level.mean() + spread * rng.standard_normal(N_PARCELS))
