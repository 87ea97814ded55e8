"""Buildings: rows of houses along the streets of towns, halls, and farmsteads among the fields."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt16

from midground.simulate.ground import Ground
from midground.simulate.materials import FIRST_PARCEL, FIRST_ROOF, N_ROOFS, Cover
from midground.simulate.settlements import Town

_STREET_M = 8.0
_FARMS_PER_KM2 = 2.0
_HIGHEST_M = 35.0


@dataclass(frozen=True, slots=True)
class Buildings:
    """Buildings on the ground grid."""

    height_m: Float32[np.ndarray, "s s"]
    """Height above the ground, m; 0 where there is none."""
    wall_gain: Float32[np.ndarray, "s s"]
    """How strongly the building's walls reflect a radar wave; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class _Lots:
    """Rectangles with a direction, in metres from the scene's corner."""

    centre_m: Float64[np.ndarray, "n 2"]
    half_m: Float64[np.ndarray, "n 2"]
    angle: Float64[np.ndarray, " n"]
    height_m: Float64[np.ndarray, " n"]

    def corners_m(self) -> Float64[np.ndarray, "n 4 2"]:
        c, s = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        u, v = (self.half_m[:, None] * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])).transpose(2, 0, 1)
        offset: np.ndarray = np.stack([c * u - s * v, s * u + c * v], axis=-1)
        return np.asarray(self.centre_m[:, None] + offset)


def put_up(
    rng: np.random.Generator, ground: Ground, towns: list[Town], material: UInt16[np.ndarray, "s s"]
) -> Buildings:
    """Put up buildings, drawing their roofs into the land cover.

    Args:
        rng: Source of chance.
        ground: The grid.
        towns: Where streets run.
        material: Land cover with streets; changed in place.
    """
    farms = _farmsteads(rng, ground)
    _farmyards(ground, farms, material)
    lots = [_rows(rng, ground, town) for town in towns] + [farms]
    centre = np.concatenate([part.centre_m for part in lots])
    x, y = np.clip(centre / ground.pixel_m, 0, ground.side_px - 1).astype(int).T
    inside = ((centre > 0) & (centre < ground.side_m)).all(axis=1)
    allowed = inside & np.isin(material[y, x], [Cover.YARD, Cover.LOT, Cover.PARK])
    corners = np.concatenate([part.corners_m() for part in lots])[allowed]
    height = np.concatenate([part.height_m for part in lots])[allowed]
    number = np.zeros(material.shape, np.int32)
    # Pixel centres are integers in OpenCV, and the corner of the scene lies half a pixel before the first one.
    points = np.round((corners / ground.pixel_m - 0.5) * 16).astype(np.int32)
    for index, corner in enumerate(points, start=1):
        cv2.fillConvexPoly(number, corner, index, shift=4)
    roof = FIRST_ROOF + rng.integers(0, N_ROOFS, len(height))
    gain = rng.lognormal(0, 0.9, len(height))
    drawn = number > 0
    material[drawn] = roof.astype(np.uint16)[number[drawn] - 1]
    by_number = np.concatenate([np.zeros((1, 2)), np.stack([height, gain], axis=1)]).astype(np.float32)
    return Buildings(by_number[:, 0][number], by_number[:, 1][number])


def _rows(rng: np.random.Generator, ground: Ground, town: Town) -> _Lots:
    """Two rows of buildings in every block, denser and higher towards the centre of the town."""
    block_u, block_v = town.block_m
    n_u, n_v = int(town.radius_m * 1.3 / town.lot_m) + 1, int(town.radius_m * 1.3 / block_v) + 1
    i, j, row = (a.ravel() for a in np.meshgrid(np.arange(-n_u, n_u), np.arange(-n_v, n_v), [0, 1], indexing="ij"))
    depth = block_v - _STREET_M
    u = (i + 0.5) * town.lot_m + rng.normal(0, 1.5, i.size)
    v = j * block_v + _STREET_M + np.where(row == 0, 0.27, 0.73) * depth + rng.normal(0, 1.5, i.size)
    radius = np.hypot(u, v)
    in_block = u % block_u
    clear = (in_block > _STREET_M + 0.35 * town.lot_m) & (in_block < block_u - 0.3 * town.lot_m)
    keep = clear & (radius < town.radius_m * rng.uniform(0.55, 1.2, i.size)) & (rng.random(i.size) < 0.85)
    u, v, radius = u[keep], v[keep], radius[keep]
    half_u = 0.5 * town.lot_m * rng.uniform(0.45, 0.9, u.size)
    half_v = np.minimum(half_u * rng.uniform(0.5, 1.1, u.size), 0.24 * depth)
    height = town.height_m * rng.lognormal(0, 0.3, u.size) * (1 + 0.6 * np.exp(-radius / (0.4 * town.radius_m)))
    c, s = np.cos(town.angle), np.sin(town.angle)
    centre = (town.centre_px + 0.5) * ground.pixel_m + np.stack([c * u - s * v, s * u + c * v], axis=1)
    angle = np.full(u.size, town.angle)
    return _Lots(centre, np.stack([half_u, half_v], axis=1), angle, np.minimum(height, _HIGHEST_M))


def _farmsteads(rng: np.random.Generator, ground: Ground) -> _Lots:
    n = max(1, round((ground.side_m / 1000) ** 2 * _FARMS_PER_KM2))
    centre = (rng.uniform(0, ground.side_m, (n, 1, 2)) + rng.normal(0, 22, (n, 3, 2))).reshape(-1, 2)
    half = np.stack([rng.uniform(7, 20, len(centre)), rng.uniform(4, 9, len(centre))], axis=1)
    return _Lots(centre, half, np.repeat(rng.uniform(0, np.pi, n), 3), rng.uniform(4, 9, len(centre)))


def _farmyards(ground: Ground, farms: _Lots, material: UInt16[np.ndarray, "s s"]) -> None:
    yards = np.zeros(material.shape, np.uint8)
    radius = max(1, round(ground.px(30)))
    for x, y in np.round(farms.centre_m / ground.pixel_m - 0.5).astype(int).tolist():
        cv2.circle(yards, (x, y), radius, 1, thickness=-1)
    farmed = (material >= FIRST_PARCEL) | (material == Cover.GRASS)
    material[(yards > 0) & farmed] = Cover.YARD
