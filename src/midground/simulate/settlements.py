"""Towns and villages with their streets, and the roads between them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt16

from midground.simulate.ground import Ground, draw_line
from midground.simulate.materials import Cover
from midground.simulate.relief import Relief

_KM2_PER_TOWN = 9.0


@dataclass(frozen=True, slots=True)
class Town:
    """A settlement with its own street grid."""

    centre_px: Float64[np.ndarray, " 2"]
    radius_m: float
    angle: float
    """Direction of the streets, rad."""
    block_m: tuple[float, float]
    """Distance between parallel streets, m."""
    lot_m: float
    """Ground taken by a building, m."""
    height_m: float
    """Typical height of a building, m."""


def settle(rng: np.random.Generator, ground: Ground, relief: Relief, material: UInt16[np.ndarray, "s s"]) -> list[Town]:
    """Found towns on level ground, pave them in the land cover, and join them by roads."""
    towns = _sites(rng, ground, relief)
    fray = ground.noise(rng, longest_m=1600, shortest_m=150, slope=1.5)
    for town in towns:
        _pave(rng, ground, town, material, fray)
    _roads(rng, ground, [town.centre_px for town in towns], material)
    return towns


def _sites(rng: np.random.Generator, ground: Ground, relief: Relief) -> list[Town]:
    wanted = max(2, round((ground.side_m / 1000) ** 2 / _KM2_PER_TOWN))
    candidates = rng.integers(0, ground.side_px, (wanted * 25, 2))
    x, y = candidates.T
    level = cv2.blur(relief.slope, (int(ground.px(300)) | 1,) * 2)
    burden = 12 * level[y, x] + relief.river_distance_m[y, x] / 4000 + rng.random(len(x)) * 0.8
    towns: list[Town] = []
    for index in np.argsort(burden):
        radius_m = float(np.exp(rng.normal(np.log(330), 0.55))) * (2.6 if len(towns) in (0, 3) else 1.0)
        radius_m = min(radius_m, ground.side_m / 5)
        centre = candidates[index].astype(np.float64)
        gaps = [ground.pixel_m * float(np.linalg.norm(centre - t.centre_px)) - t.radius_m - radius_m for t in towns]
        if min(gaps, default=1e9) < 500:
            continue
        industrial = rng.random() < 0.22
        towns.append(
            Town(
                centre,
                radius_m,
                float(rng.uniform(0, np.pi / 2)),
                (float(rng.uniform(160, 260)), float(rng.uniform(110, 180)))
                if industrial
                else (float(rng.uniform(80, 150)), float(rng.uniform(50, 85))),
                float(rng.uniform(55, 90)) if industrial else float(rng.uniform(17, 27)),
                float(rng.uniform(8, 13)) if industrial else float(rng.uniform(5, 9)),
            )
        )
        if len(towns) == wanted:
            break
    return towns


def _pave(
    rng: np.random.Generator,
    ground: Ground,
    town: Town,
    material: UInt16[np.ndarray, "s s"],
    fray: Float32[np.ndarray, "s s"],
) -> None:
    """Turn a town's ground into yards, parks and streets, except on water."""
    reach = int(ground.px(town.radius_m * 1.5))
    (x0, y0), (x1, y1) = (
        np.maximum(town.centre_px.astype(int) - reach, 0),
        np.minimum(town.centre_px.astype(int) + reach, ground.side_px),
    )
    window = np.s_[y0:y1, x0:x1]
    x_m = (np.arange(x0, x1) - town.centre_px[0])[None] * ground.pixel_m
    y_m = (np.arange(y0, y1) - town.centre_px[1])[:, None] * ground.pixel_m
    inside = np.hypot(x_m, y_m) < town.radius_m * (1 + 0.3 * fray[window])
    c, s = np.cos(town.angle), np.sin(town.angle)
    u, v = c * x_m + s * y_m, c * y_m - s * x_m
    ground_here = material[window]
    inside &= ground_here != Cover.WATER
    block = (np.floor(u / town.block_m[0]).astype(int) * 31 + np.floor(v / town.block_m[1]).astype(int) * 17) % 64
    use = rng.random(64)
    industrial = town.lot_m > 40
    surface = np.where(use < 0.08, Cover.PARK, Cover.LOT if industrial else Cover.YARD)[block]
    street_m = max(8.0, ground.pixel_m)
    street = (u % town.block_m[0] < street_m) | (v % town.block_m[1] < street_m)
    ground_here[inside] = np.where(street, Cover.ROAD, surface)[inside]


def _roads(
    rng: np.random.Generator, ground: Ground, centres: list[Float64[np.ndarray, " 2"]], material: np.ndarray
) -> None:
    """Join every town to its nearest joined one, add some links, and lead main roads across the scene."""
    points = np.array(centres)
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    joined, links = [0], []
    while len(joined) < len(points):
        rest = [i for i in range(len(points)) if i not in joined]
        near = distance[np.ix_(joined, rest)]
        i, j = divmod(int(near.argmin()), len(rest))
        links.append((joined[i], rest[j]))
        joined.append(rest[j])
    third = np.argsort(distance, axis=1)[:, min(2, len(points) - 1)]
    links += [(i, int(j)) for i, j in enumerate(third) if rng.random() < 0.4]
    for i, j in links:
        _road(rng, ground, points[[i, j]], float(rng.choice([7, 10, 12])), material)
    for _ in range(int(rng.integers(1, 4))):
        turn = rng.uniform(0, 2 * np.pi)
        across = np.array([np.cos(turn), np.sin(turn)])
        middle = ground.side_px * rng.uniform(0.25, 0.75, 2)
        ends = middle + np.outer([-1.5, 0, 1.5], across * ground.side_px)
        _road(rng, ground, ends, float(rng.choice([14, 24, 30])), material)


def _road(
    rng: np.random.Generator,
    ground: Ground,
    through_px: Float64[np.ndarray, "n 2"],
    width_m: float,
    material: np.ndarray,
) -> None:
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(through_px, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(8, int(length[-1] / ground.px(60))))
    line = np.stack([np.interp(at, length, column) for column in through_px.T], axis=1)
    direction = through_px[-1] - through_px[0]
    side = np.array([-direction[1], direction[0]]) / max(float(np.linalg.norm(direction)), 1e-9)
    bow = np.zeros(len(at))
    for order in range(1, 6):
        bow += rng.normal(0, 0.05) / order * length[-1] * np.sin(np.pi * order * at / max(length[-1], 1e-9))
    draw_line(material, line + bow[:, None] * side, ground.thickness_px(width_m), int(Cover.ROAD))
