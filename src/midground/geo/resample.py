"""Resampling of one tile under any map of coordinates, aware of which pixels hold data.

Positions are exact (no rounding of the fraction), cubic convolution has Keys' parameter -0.5, and weights of pixels
without data are left out and the rest renormalised, so that holes do not bleed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64

Resampling = Literal["nearest", "bilinear", "cubic"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)
PointMap = Callable[[Float64[np.ndarray, "n 2"]], Float64[np.ndarray, "n 2"]]
"""Takes pixel centres of the target to pixel centres of the source; NaN where there is no source."""

_LATTICE_PX = 16
_MIN_SUPPORT = 0.5
_PAD_PX = 4
_MIN_AVERAGED = 1.5
_MAX_SAMPLES = 1 << 20


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the target, px."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Pixels:
    """A rectangle of source pixels; values without data are zero."""

    values: Float[np.ndarray, "c h w"]
    valid: Bool[np.ndarray, "m h w"]
    """One mask for all bands (m = 1) or one per band (m = c)."""


ReadWindow = Callable[[int, int, int, int], Pixels]
"""Reads (top, left, height, width), which lies inside the source."""


@dataclass(frozen=True, slots=True)
class Resampler:
    """Brings a source onto a target grid, tile by tile."""

    read: ReadWindow
    source_hw: tuple[int, int]
    source_from_target: PointMap
    method: Resampling
    oversampling_xy: tuple[int, int]
    """Samples per target pixel along x and y; more than one where the target is coarser than the source."""

    @classmethod
    def build(
        cls,
        read: ReadWindow,
        source_hw: tuple[int, int],
        source_from_target: PointMap,
        target_hw: tuple[int, int],
        method: Resampling,
    ) -> Resampler:
        """Choose how densely to sample: area averages where a target pixel spans 1.5 source pixels or more.

        Nearest neighbour never averages.
        """
        steps = (1, 1) if method == "nearest" else _oversampling(source_from_target, source_hw, target_hw)
        if max(steps) > 1:
            method = "bilinear"
        return cls(read, source_hw, source_from_target, method, steps)

    def tiles(self, hw: tuple[int, int], side_px: int) -> Iterator[Tile]:
        """Cut a target into tiles that need a bounded amount of memory."""
        most = int(np.sqrt(_MAX_SAMPLES / (self.oversampling_xy[0] * self.oversampling_xy[1])))
        side = max(8, min(side_px, most))
        for top in range(0, hw[0], side):
            for left in range(0, hw[1], side):
                yield Tile(top, left, min(side, hw[0] - top), min(side, hw[1] - left))

    def __call__(self, tile: Tile) -> Pixels | None:
        """Resample one tile; None if no source pixel reaches it. A pixel is valid if half its weight holds data."""
        x, y = self._coordinates(tile)
        height, width = self.source_hw
        inside = (x > -1) & (x < width) & (y > -1) & (y < height)
        if not inside.any():
            return None
        x = np.clip(np.where(inside, x, -2.0), -2.0, width + 1.0)
        y = np.clip(np.where(inside, y, -2.0), -2.0, height + 1.0)
        pixels, left, top = self._window(x[inside], y[inside])
        padded_h, padded_w = pixels.valid.shape[1:]
        # What is not inside points at a corner of the padding, which holds no data.
        x = np.where(inside, x - left, 1.0)
        y = np.where(inside, y - top, 1.0)
        x, y = np.clip(x, 1, padded_w - 3), np.clip(y, 1, padded_h - 3)
        values, weights = _convolve(pixels, x, y, self.method)
        is_positive = bool((pixels.values >= 0).all())
        if is_positive and (values < 0).any():
            values = _without_undershoot(values, weights, pixels, x, y)
        values, weights = np.where(inside, values, 0), np.where(inside, weights, 0)
        return self._normalise(values.astype(pixels.values.dtype, copy=False), weights, is_positive)

    def _coordinates(self, tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        nx, ny = (-(-size // _LATTICE_PX) + 1 for size in (tile.width, tile.height))
        nodes_x = tile.left - 0.5 + np.linspace(0, tile.width, nx)
        nodes_y = tile.top - 0.5 + np.linspace(0, tile.height, ny)
        mesh = np.stack(np.meshgrid(nodes_x, nodes_y), axis=-1).reshape(-1, 2)
        mapped = self.source_from_target(mesh).reshape(ny, nx, 2)
        mapped = np.where(np.isfinite(mapped), mapped, -1e9)
        across = _interpolation(tile.width, nx, self.oversampling_xy[0])
        down = _interpolation(tile.height, ny, self.oversampling_xy[1])
        # A micropixel of rounding error must not turn an unmoved pixel into an interpolated one.
        return np.round(down @ mapped[..., 0] @ across.T, 6), np.round(down @ mapped[..., 1] @ across.T, 6)

    def _window(self, x: np.ndarray, y: np.ndarray) -> tuple[Pixels, int, int]:
        height, width = self.source_hw
        left, right = int(np.floor(x.min())) - _PAD_PX, int(np.floor(x.max())) + _PAD_PX + 1
        top, bottom = int(np.floor(y.min())) - _PAD_PX, int(np.floor(y.max())) + _PAD_PX + 1
        in_left, in_right = max(left, 0), min(right, width)
        in_top, in_bottom = max(top, 0), min(bottom, height)
        pixels = self.read(in_top, in_left, in_bottom - in_top, in_right - in_left)
        before_after = ((0, 0), (in_top - top, bottom - in_bottom), (in_left - left, right - in_right))
        return Pixels(np.pad(pixels.values, before_after), np.pad(pixels.valid, before_after)), left, top

    def _normalise(self, values: np.ndarray, weights: np.ndarray, is_positive: bool) -> Pixels:
        sx, sy = self.oversampling_xy
        if sx * sy > 1:
            values, weights = _block_mean(values, sy, sx), _block_mean(weights, sy, sx)
        valid = weights >= _MIN_SUPPORT - 1e-5
        values = np.where(valid, values / np.where(valid, weights, 1), 0).astype(values.dtype)
        if is_positive:
            # Weights of a hole's edge can still leave a power slightly negative, which has no logarithm.
            values = np.maximum(values, 0)
        return Pixels(values, valid)


def _oversampling(
    source_from_target: PointMap, source_hw: tuple[int, int], target_hw: tuple[int, int]
) -> tuple[int, int]:
    height, width = target_hw
    mesh = np.stack(np.meshgrid(np.linspace(0, width - 1, 33), np.linspace(0, height - 1, 33)), axis=-1).reshape(-1, 2)
    here, right, below = (source_from_target(mesh + offset) for offset in ([0.0, 0.0], [1.0, 0.0], [0.0, 1.0]))
    inside = (here > -1).all(axis=1) & (here[:, 0] < source_hw[1]) & (here[:, 1] < source_hw[0])
    if not inside.any():
        return 1, 1
    steps = [float(np.nanmedian(np.linalg.norm((to - here)[inside], axis=1))) for to in (right, below)]
    across, down = (int(np.ceil(step - 0.01)) if step >= _MIN_AVERAGED else 1 for step in steps)
    return across, down


def _interpolation(size: int, n_nodes: int, per_pixel: int) -> Float64[np.ndarray, "s n"]:
    n_samples = size * per_pixel
    position = (np.arange(n_samples) + 0.5) / n_samples * (n_nodes - 1)
    first = np.minimum(position.astype(int), n_nodes - 2)
    matrix = np.zeros((n_samples, n_nodes))
    rows = np.arange(n_samples)
    matrix[rows, first] = 1 - (position - first)
    matrix[rows, first + 1] = position - first
    return matrix


def _taps(position: np.ndarray, method: Resampling, dtype: np.dtype) -> tuple[np.ndarray, list[np.ndarray]]:
    if method == "nearest":
        first = np.floor(position + 0.5)
        return first.astype(np.intp), [np.ones(position.shape, dtype)]
    first = np.floor(position)
    f = (position - first).astype(dtype)
    if method == "bilinear":
        return first.astype(np.intp), [1 - f, f]
    weights = [
        ((-0.5 * f + 1) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1,
        ((-1.5 * f + 2) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    ]
    return first.astype(np.intp) - 1, weights


def _convolve(pixels: Pixels, x: np.ndarray, y: np.ndarray, method: Resampling) -> tuple[np.ndarray, np.ndarray]:
    dtype = pixels.values.dtype
    first_x, weights_x = _taps(x, method, dtype)
    first_y, weights_y = _taps(y, method, dtype)
    values = np.zeros((len(pixels.values), *x.shape), dtype)
    is_complete = bool(pixels.valid.all())
    weights = np.full((len(pixels.valid), *x.shape), is_complete, dtype)
    width = pixels.valid.shape[2]
    flat_values = pixels.values.reshape(len(values), -1)
    flat_valid = pixels.valid.reshape(len(weights), -1).astype(dtype)
    base = first_y * width + first_x
    for j, weight_y in enumerate(weights_y):
        for i, weight_x in enumerate(weights_x):
            weight = weight_y * weight_x
            if not weight.any():
                continue
            index = base + (j * width + i)
            for band, flat in enumerate(flat_values):
                values[band] += weight * flat.take(index)
            if not is_complete:
                for mask, flat in enumerate(flat_valid):
                    weights[mask] += weight * flat.take(index)
    return values, weights


def _without_undershoot(
    values: np.ndarray, weights: np.ndarray, pixels: Pixels, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Interpolate linearly where cubic convolution falls below zero beside a bright target.

    Power and amplitude have no negative values, and zero instead would be a black speck, or taken for nodata.
    """
    linear, linear_weights = _convolve(pixels, x, y, "bilinear")
    share = weights / np.maximum(linear_weights, np.finfo(linear_weights.dtype).tiny)
    return np.where((values < 0) & (linear_weights > 0), linear * share, values)


def _block_mean(array: np.ndarray, down: int, across: int) -> np.ndarray:
    c, h, w = array.shape
    means: np.ndarray = array.reshape(c, h // down, down, w // across, across).mean(axis=(2, 4))
    return means
