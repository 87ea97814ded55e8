"""Terrain, and the water that follows its low places."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from midground.simulate.ground import Ground, draw_line, enlarge, smoothstep

_ROUTE_CELLS = 112
_COARSE_PX = 4
_NEIGHBOURS = tuple((dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0))
_POINT_SPACING_M = 20.0
_STEEPEST = 0.42
"""Slope that a hundredth of the ground exceeds in the steepest scenes; most scenes stay below."""


@dataclass(frozen=True, slots=True)
class Relief:
    """The shape of the ground."""

    terrain_m: Float32[np.ndarray, "s s"]
    """Height of the bare ground, m."""
    slope: Float32[np.ndarray, "s s"]
    """Steepness, rise over run."""
    water: Bool[np.ndarray, "s s"]
    """Rivers and lakes."""
    river_distance_m: Float32[np.ndarray, "s s"]
    """Distance to the nearest river or lake, m."""


@dataclass(frozen=True, slots=True)
class River:
    """A line along which the ground is cut."""

    points_px: Float64[np.ndarray, "n 2"]
    """Course in (x, y), downstream or upstream."""
    width_m: float
    """Width of the water, m; 0 for a dry gully."""
    valley_m: float
    """Distance over which the ground falls to the river, m."""
    depth_m: float
    """Most that the ground falls to the river, m."""


def make_relief(rng: np.random.Generator, ground: Ground) -> Relief:
    """Raise hills and ridges, lead a river and its tributaries through the low places, and add lakes."""
    cells = max(ground.side_px // _COARSE_PX, 32)
    coarse = Ground(cells, ground.side_m / cells)
    hills_m = _hills(rng, coarse)
    rivers = _rivers(rng, coarse, hills_m)
    terrain_m = _carve(rng, coarse, hills_m, rivers)
    lakes = _lakes(rng, coarse, terrain_m)
    terrain = enlarge(terrain_m, ground.side_px)
    terrain += np.float32(0.25) * ground.noise(rng, longest_m=200, shortest_m=20, slope=1.2)
    water = _draw_water(rng, ground, coarse, rivers, lakes)
    distance = cv2.distanceTransform((~water).astype(np.uint8), cv2.DIST_L2, 3) * np.float32(ground.pixel_m)
    # A water surface is level with its bank; half a metre keeps it the lowest place around.
    terrain -= np.float32(0.5) * water
    gx, gy = gradient(cv2.GaussianBlur(terrain, (0, 0), max(ground.px(15), 0.8)), ground.pixel_m)
    return Relief(terrain, np.hypot(gx, gy), water, distance.astype(np.float32))


def gradient(
    height_m: Float32[np.ndarray, "s s"], pixel_m: float
) -> tuple[Float32[np.ndarray, "s s"], Float32[np.ndarray, "s s"]]:
    """Rise over run towards x and towards y."""
    factor = 1 / (8 * pixel_m)
    return (
        cv2.Sobel(height_m, cv2.CV_32F, 1, 0, ksize=3, scale=factor),
        cv2.Sobel(height_m, cv2.CV_32F, 0, 1, ksize=3, scale=factor),
    )


def _hills(rng: np.random.Generator, coarse: Ground) -> Float32[np.ndarray, "a a"]:
    broad = coarse.noise(rng, longest_m=6000, shortest_m=160, slope=2.0)
    folds = coarse.noise(rng, longest_m=2600, shortest_m=160, slope=1.9)
    ridges = 1.2 - 2.0 * np.abs(folds)
    where = smoothstep(
        coarse.noise(rng, longest_m=9000, shortest_m=2500, slope=2.0) + np.float32(rng.uniform(-0.7, 0.5)), -0.3, 1.2
    )
    height_m = np.exp(rng.uniform(np.log(70), np.log(260)))
    plain = coarse.noise(rng, longest_m=3000, shortest_m=300, slope=1.6)
    hills = np.asarray(height_m * where * (0.55 * broad + 0.35 * ridges) + 3.0 * plain, dtype=np.float32)
    steepest = float(np.percentile(np.hypot(*gradient(hills, coarse.pixel_m)), 99))
    return np.asarray((hills - hills.min()) * min(1.0, _STEEPEST / steepest), dtype=np.float32)


def _rivers(rng: np.random.Generator, coarse: Ground, hills_m: Float32[np.ndarray, "a a"]) -> list[River]:
    route = cv2.resize(hills_m, (_ROUTE_CELLS, _ROUTE_CELLS), interpolation=cv2.INTER_AREA)
    cost = 0.3 + 6 * (route - route.min()) / max(float(np.ptp(route)), 1.0) + 2.5 * rng.random(route.shape) ** 2
    last = _ROUTE_CELLS - 1
    axis = int(rng.integers(2))
    edge = np.zeros((_ROUTE_CELLS, 2), np.int64)
    edge[:, 1 - axis] = np.arange(_ROUTE_CELLS)
    far = edge.copy()
    far[:, axis] = last
    start = _lowest(cost, edge[last // 6 : -last // 6])
    goal = _lowest(cost, far[last // 6 : -last // 6])
    scale = coarse.side_m / _ROUTE_CELLS
    main = _trace(_shortest(cost, [start]), goal)
    course = _meander(rng, coarse, main, scale, 1.0)
    rivers = [River(course, float(rng.uniform(45, 130)), float(rng.uniform(900, 1800)), 1000.0)]
    tree = _shortest(cost, [int(cell) for cell in main[::2]])
    n_tributaries = max(2, round(coarse.side_m / 2500))
    for cell in rng.integers(0, _ROUTE_CELLS**2, n_tributaries):
        path = _trace(tree, int(cell))
        if len(path) > 8:
            course = _meander(rng, coarse, path, scale, 0.35)
            valley_m = float(rng.uniform(200, 500))
            rivers.append(River(course, float(rng.uniform(9, 22)), valley_m, 0.07 * valley_m))
    gully_m = float(rng.uniform(140, 260))
    for cell in rng.integers(0, _ROUTE_CELLS**2, 12 * n_tributaries):
        path = _trace(tree, int(cell))[:40]
        if len(path) > 8:
            rivers.append(River(_meander(rng, coarse, path, scale, 0.2), 0.0, gully_m, 0.1 * gully_m))
    return rivers


def _lowest(cost: np.ndarray, cells_yx: np.ndarray) -> int:
    best = cells_yx[int(np.argmin(cost[cells_yx[:, 0], cells_yx[:, 1]]))]
    return int(best[0] * _ROUTE_CELLS + best[1])


def _shortest(cost: np.ndarray, sources: list[int]) -> Int64[np.ndarray, " n"]:
    """Predecessor of every cell on the cheapest way from the nearest source; sources precede themselves."""
    n = _ROUTE_CELLS
    flat = cost.ravel().tolist()
    total = [np.inf] * (n * n)
    before = np.full(n * n, -1, dtype=np.int64)
    queue: list[tuple[float, int]] = []
    for cell in sources:
        total[cell], before[cell] = 0.0, cell
        queue.append((0.0, cell))
    heapq.heapify(queue)
    while queue:
        spent, cell = heapq.heappop(queue)
        if spent > total[cell]:
            continue
        y, x = divmod(cell, n)
        for dy, dx in _NEIGHBOURS:
            if 0 <= y + dy < n and 0 <= x + dx < n:
                nearby = cell + dy * n + dx
                price = spent + flat[nearby] * (1.414 if dy and dx else 1.0)
                if price < total[nearby]:
                    total[nearby], before[nearby] = price, cell
                    heapq.heappush(queue, (price, nearby))
    return before


def _trace(before: Int64[np.ndarray, " n"], cell: int) -> Int64[np.ndarray, " k"]:
    path = [cell]
    while before[path[-1]] != path[-1]:
        path.append(int(before[path[-1]]))
    return np.array(path, dtype=np.int64)


def _meander(
    rng: np.random.Generator, coarse: Ground, path: Int64[np.ndarray, " k"], cell_m: float, size: float
) -> Float64[np.ndarray, "n 2"]:
    """Turn a path over cells into a winding course in pixels of the coarse grid."""
    points_m = (np.stack([path % _ROUTE_CELLS, path // _ROUTE_CELLS], axis=1) + 0.5) * cell_m
    # A course that touches the first or last cell flows in or out of the scene.
    for end, inner in ((0, 1), (-1, -2)):
        if np.isin(np.array(divmod(int(path[end]), _ROUTE_CELLS)), (0, _ROUTE_CELLS - 1)).any():
            points_m[end] += 3 * (points_m[end] - points_m[inner])
    points_m = _resample(_smooth(points_m, 5), _POINT_SPACING_M)
    n = len(points_m)
    along_m = np.arange(n) * _POINT_SPACING_M
    wavelength_m = rng.uniform(600, 1100) * (0.4 + 0.6 * size)
    wander = _smooth(rng.standard_normal((n, 2)), max(3, int(2 * wavelength_m / _POINT_SPACING_M)))
    wander /= max(float(wander.std()), 1e-9)
    phase = 2 * np.pi * along_m / wavelength_m + 2.6 * wander[:, 0]
    offset_m = size * rng.uniform(60, 150) * (0.75 + 0.6 * wander[:, 1]) * np.sin(phase)
    direction = np.gradient(points_m, axis=0)
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    fade = np.minimum(1, np.minimum(along_m, along_m[::-1]) / 300)
    bent = points_m + (offset_m * fade)[:, None] * np.stack([-direction[:, 1], direction[:, 0]], axis=1)
    return _smooth(bent, 3) / coarse.pixel_m


def _smooth(values: Float64[np.ndarray, "n c"], window: int) -> Float64[np.ndarray, "n c"]:
    window = min(window, len(values)) | 1
    padded = np.pad(values, ((window // 2, window // 2), (0, 0)), mode="edge")
    kernel = np.hanning(window + 2)[1:-1]
    kernel /= kernel.sum()
    return np.stack([np.convolve(column, kernel, mode="valid") for column in padded.T], axis=1)[: len(values)]


def _resample(points: Float64[np.ndarray, "n 2"], spacing: float) -> Float64[np.ndarray, "m 2"]:
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    at = np.linspace(0, lengths[-1], max(2, int(lengths[-1] / spacing)))
    return np.stack([np.interp(at, lengths, column) for column in points.T], axis=1)


def _carve(
    rng: np.random.Generator, coarse: Ground, hills_m: Float32[np.ndarray, "a a"], rivers: list[River]
) -> Float32[np.ndarray, "a a"]:
    """Lower the ground towards the rivers, over distances that vary along their courses."""
    terrain = hills_m.copy()
    reach = np.exp(np.float32(0.35) * coarse.noise(rng, longest_m=1500, shortest_m=200, slope=1.6))
    for valley_m in dict.fromkeys(river.valley_m for river in rivers):
        alike = [river for river in rivers if river.valley_m == valley_m]
        river = alike[0]
        mask = np.ones(hills_m.shape, np.uint8)
        for course in alike:
            draw_line(mask, course.points_px, 1, 0)
        distance_m = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * np.float32(coarse.pixel_m)
        fall = np.minimum(np.float32(0.85) * terrain, np.float32(river.depth_m))
        terrain -= fall * (1 - smoothstep(distance_m * reach, 0.05 * valley_m, valley_m))
    # The distance to a drawn line has creases that hill shading would show.
    return np.asarray(cv2.GaussianBlur(terrain, (0, 0), max(coarse.px(25), 0.8)), dtype=np.float32)


def _lakes(
    rng: np.random.Generator, coarse: Ground, terrain_m: Float32[np.ndarray, "a a"]
) -> list[Float64[np.ndarray, "n 2"]]:
    """Outlines of lakes in low, level places, in pixels of the coarse grid."""
    lakes = []
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    for _ in range(int(rng.integers(2, 3 + round(coarse.side_m / 1500)))):
        candidates = rng.integers(0, coarse.side_px, (12, 2))
        x, y = candidates[int(np.argmin(terrain_m[candidates[:, 1], candidates[:, 0]]))]
        radius_px = coarse.px(float(np.exp(rng.uniform(np.log(40), np.log(380)))))
        shape = np.ones_like(angles)
        for order in range(2, 8):
            shape += rng.uniform(0.0, 0.7) / order * np.cos(order * angles + rng.uniform(0, 2 * np.pi))
        turn, stretch = rng.uniform(0, np.pi), rng.uniform(1.0, 2.2)
        u, v = shape * np.cos(angles) * stretch, shape * np.sin(angles)
        outline = np.stack([u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)], axis=1)
        lakes.append(np.array([x, y]) + radius_px * outline)
    return lakes


def _draw_water(
    rng: np.random.Generator,
    ground: Ground,
    coarse: Ground,
    rivers: list[River],
    lakes: list[Float64[np.ndarray, "n 2"]],
) -> Bool[np.ndarray, "s s"]:
    factor = coarse.pixel_m / ground.pixel_m
    mask = np.zeros((ground.side_px, ground.side_px), np.uint8)
    for lake in lakes:
        cv2.fillPoly(mask, [np.round(lake * factor * 16).astype(np.int32)], 1, shift=4)
    for river in (river for river in rivers if river.width_m > 0):
        points = river.points_px * factor
        pieces = max(1, len(points) // 12)
        widths = river.width_m * (0.75 + 0.5 * rng.random(pieces + 1))
        for piece, indices in enumerate(np.array_split(np.arange(len(points)), pieces)):
            stop = min(int(indices[-1]) + 2, len(points))
            draw_line(mask, points[int(indices[0]) : stop], ground.thickness_px(float(widths[piece])))
    return mask.astype(bool)
