"""Farmland: districts with their own direction, cut into strips and the strips into parcels."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt16

from midground.simulate.ground import Ground
from midground.simulate.materials import FIRST_PARCEL, N_PARCELS

_DISTRICT_M = 1700.0
_TABLE_M = 16384
"""Length after which the widths of strips and parcels repeat, m; a power of two."""


@dataclass(frozen=True, slots=True)
class Parcels:
    """Farmland as it would be if everything were farmed."""

    material: UInt16[np.ndarray, "s s"]
    """Material of the parcel that a pixel belongs to."""
    track: Bool[np.ndarray, "s s"]
    """Field tracks along some of the boundaries."""
    hedge: Bool[np.ndarray, "s s"]
    """Hedges and rows of trees along others."""


def make_parcels(rng: np.random.Generator, ground: Ground) -> Parcels:
    """Cut the ground into parcels of 1 to 12 hectares."""
    warp_m = 22.0
    bend = [warp_m * ground.noise(rng, longest_m=1500, shortest_m=400, slope=1.5) for _ in range(2)]
    along = np.arange(ground.side_px, dtype=np.float32) * np.float32(ground.pixel_m)
    x_m, y_m = along[None] + bend[0], along[:, None] + bend[1]
    district = _districts(rng, ground, x_m, y_m)
    n = int(district.max()) + 1
    angle = rng.uniform(0, np.pi) + rng.normal(0, 0.5, n)
    size = np.exp(rng.uniform(np.log(0.55), np.log(1.5), n))
    c, s = (np.cos(angle) / size).astype(np.float32)[district], (np.sin(angle) / size).astype(np.float32)[district]
    strips, lots = _cuts(rng, 90, 280), _cuts(rng, 55, 340)
    # Heights of the tables are powers of two: a bit mask is the cheap way to stay inside.
    strip = strips[(c * y_m - s * x_m).astype(np.int64) & (_TABLE_M - 1)]
    offset = rng.integers(0, _TABLE_M, 4096)
    lot = lots[((c * x_m + s * y_m).astype(np.int64) + offset[(strip * 31 + district * 7) & 4095]) & (_TABLE_M - 1)]
    block = strip * 19349663 + district * 73856093
    shuffled = rng.permutation(1 << 16)
    number = shuffled[(block + lot * 83492791) & 0xFFFF] % N_PARCELS
    track, hedge = _boundaries(number, block)
    return Parcels((number + FIRST_PARCEL).astype(np.uint16), track, hedge)


def _districts(
    rng: np.random.Generator, ground: Ground, x_m: Float32[np.ndarray, "s s"], y_m: Float32[np.ndarray, "s s"]
) -> Int64[np.ndarray, "s s"]:
    """Number of the nearest of scattered centres, on the bent ground."""
    n = max(2, round(ground.side_m / _DISTRICT_M))
    cells = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2)
    centres = (cells + rng.uniform(0.1, 0.9, cells.shape)) / n * ground.side_px
    centres = np.clip(centres.astype(int), 0, ground.side_px - 1)
    free = np.ones((ground.side_px, ground.side_px), np.uint8)
    free[centres[:, 1], centres[:, 0]] = 0
    _, labels = cv2.distanceTransformWithLabels(free, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    factor = np.float32(1 / ground.pixel_m)
    bent = cv2.remap(
        labels.astype(np.float32), x_m * factor, y_m * factor, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(bent, dtype=np.int64)


def _cuts(rng: np.random.Generator, narrowest_m: float, widest_m: float) -> Int64[np.ndarray, " t"]:
    """Number of the piece that each metre of a line falls into."""
    widths = rng.uniform(narrowest_m, widest_m, 2 * int(_TABLE_M / narrowest_m))
    edges = np.cumsum(widths)
    return np.searchsorted(edges, np.arange(_TABLE_M)).astype(np.int64)


def _boundaries(
    number: Int64[np.ndarray, "s s"], block: Int64[np.ndarray, "s s"]
) -> tuple[Bool[np.ndarray, "s s"], Bool[np.ndarray, "s s"]]:
    """Tracks and hedges, by chance fixed for each pair of neighbours."""
    track, hedge = np.zeros(number.shape, bool), np.zeros(number.shape, bool)
    for here, there in (
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ):
        differs = number[here] != number[there]
        lot = (number[here] + number[there]) % 11
        strip = block[here] != block[there]
        strip_chance = np.abs(block[here] + block[there]) % 5
        track[here] |= (strip & (strip_chance < 2)) | (differs & (lot == 0))
        hedge[here] |= (differs & (lot == 3)) | (strip & (strip_chance == 3))
    return track, hedge & ~track
