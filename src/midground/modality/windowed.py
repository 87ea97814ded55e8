"""A large scene through a network, window by window, without seams.

A network in one part, without means over the image, runs in windows whose margin is as wide as it sees. The result is
that of the whole scene, up to rounding.

One for squares of one size is run by ``midground.modality.squares``.

For a network in three parts, within ``exact_px`` the outer parts, which take the memory and see few pixels, run window
by window, and the middle part on the whole scene. The means that the attention of the outer parts needs are gathered
over all windows, one after the other, since each depends on the one before. The result is that of the whole scene, up
to rounding. Beyond ``exact_px`` windows run through all parts, with a wide margin and with means from a sample of them:
an approximation, since the middle part sees farther than any affordable margin.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from midground.core.progress import Progress
from midground.core.tiling import Window, feather, windows
from midground.modality.squares import SquareNetwork, map_squares

_RAMP_SHARE = 4
_PART_STRIDES = {"stem": 2, "features": 4, "decoded": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSizes:
    """When and how a scene is cut; all sides are multiples of the network's stride."""

    window_px: int = 2048
    """Network in one part: side of the largest window, with its margin, px; no image of fewer pixels than its square is
    cut. Takes about 250 bytes of memory for each pixel."""
    whole_px: int = 1152 * 1152
    """Network in three parts: largest image mapped as a whole, in pixels; takes about 450 bytes of memory for each."""
    core_px: int = 512
    """Network in three parts: side of a window without its margin, px."""
    exact_px: int = 2304 * 2304
    """Network in three parts: largest scene whose middle layers run as a whole, in pixels; takes about 240 bytes of
    memory for each."""
    block_core_px: int = 640
    """Beyond that: side of a window without its margin, px."""
    block_halo_px: int = 192
    """Beyond that: margin, px."""
    max_samples: int = 9
    """Beyond that: most windows from which the means are taken."""


@runtime_checkable
class Network(Protocol):
    """A network in three parts. Arrays are (1, c, h, w); means are vectors (1, k)."""

    n_channels: int
    """Channels of the result."""
    stride_px: int
    """What sides are multiples of."""
    halo_px: int
    """Margin that makes the outer parts exact inside a window."""
    means: tuple[range, range, range]
    """Indices of the means of each part."""
    mean_slices: list[slice]
    """Where each mean lies in a context."""

    def encode(
        self, image: np.ndarray, weight: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """First part: stem and features, and the means asked for."""
        ...

    def middle(
        self, features: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Second part: the decoded features, and the means asked for."""
        ...

    def decode(
        self, inputs: tuple[np.ndarray, np.ndarray, np.ndarray], context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Third part, from decoded features, stem and weight: the result, and the means asked for."""
        ...


@runtime_checkable
class LocalNetwork(Protocol):
    """A network in one part, no pixel of whose result depends on what is farther away than its margin."""

    n_channels: int
    """Channels of the result."""
    stride_px: int
    """What sides are multiples of."""
    halo_px: int
    """How far it sees, px."""

    def map(self, image: np.ndarray) -> np.ndarray:
        """From (1, c, h, w) to (1, n_channels, h, w)."""
        ...


def map_scene(
    network: Network | LocalNetwork | SquareNetwork,
    image: np.ndarray,
    sizes: WindowSizes,
    progress: Progress,
    stage: str,
) -> np.ndarray:
    """Map an image of any size that the stride divides.

    Args:
        network: In one part or in three, or for squares.
        image: (1, c, h, w).
        sizes: When and how it is cut.
        progress: Told how many windows are done.
        stage: What the progress is called.
    """
    if isinstance(network, SquareNetwork):
        return map_squares(network.map, image, network.window_px, network.halo_px, progress, stage)
    if isinstance(network, LocalNetwork):
        return _map_windows(network, image, sizes.window_px, progress, stage)
    n_px = image[0, 0].size
    if n_px <= sizes.whole_px:
        progress(stage, 0, 1)
        shared, _ = map_whole(network, image)
        progress(stage, 1, 1)
        return shared
    if n_px <= sizes.exact_px:
        return _ExactRun(network, image, sizes.core_px, progress, stage).run()
    return _map_blocks(network, image, sizes, progress, stage)


def _map_windows(
    network: LocalNetwork, image: np.ndarray, window_px: int, progress: Progress, stage: str
) -> np.ndarray:
    hw: tuple[int, int] = image.shape[2:]
    # A core narrower than a margin would be paid for with more than nine times its pixels.
    core_px = max(window_px - 2 * network.halo_px, network.halo_px, network.stride_px)
    if image[0, 0].size <= window_px**2:
        core_px = max(hw)
    pieces = windows(hw, core_px, network.halo_px, multiple_px=network.stride_px)
    progress(stage, 0, len(pieces))
    shared = np.empty((1, network.n_channels, *hw), np.float32)
    for done, window in enumerate(pieces, 1):
        shared[(..., *window.core)] = network.map(_cut(image, window))[(..., *window.core_inside)]
        progress(stage, done, len(pieces))
    return shared


def map_whole(
    network: Network, image: np.ndarray, context: np.ndarray | None = None, *, with_means: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Map an image in one go; the second result holds its means, or nothing unless ``with_means``."""
    wanted = network.means if with_means else (range(0),) * 3
    weight = np.full((1, 1, *image.shape[2:]), 1 / image[0, 0].size, np.float32)
    (stem, features), first = network.encode(image, weight, context, wanted[0])
    (decoded,), second = network.middle(features, context, wanted[1])
    del features
    (shared,), third = network.decode((decoded, stem, weight), context, wanted[2])
    return shared, np.concatenate([*first, *second, *third, np.zeros((1, 0), np.float32)], axis=1)


class _ExactRun:
    """One scene: outer parts by windows, middle part as a whole."""

    def __init__(self, network: Network, image: np.ndarray, core_px: int, progress: Progress, stage: str) -> None:
        self._network, self._image, self._progress, self._stage = network, image, progress, stage
        self._hw: tuple[int, int] = image.shape[2:]
        self._windows = windows(self._hw, core_px, network.halo_px, multiple_px=network.stride_px)
        self._context = np.zeros((1, network.mean_slices[-1].stop), np.float32)
        n_passes = len(network.means[0]) + len(network.means[2]) + 2
        self._done, self._total = 0, n_passes * len(self._windows)

    def run(self) -> np.ndarray:
        first, _, third = self._network.means
        for index in first:
            self._gather(index, lambda window, index: self._encode(window, (index,))[1])
        stem, features = self._encode_all()
        (decoded,), _ = self._network.middle(features, None)
        del features
        for index in third:
            self._gather(index, lambda window, index: self._decode(decoded, stem, window, (index,))[1])
        return self._decode_all(decoded, stem)

    def _gather(self, index: int, measure: Callable[[Window, int], list[np.ndarray]]) -> None:
        """Put one mean of the scene into the context; all means before it must be there."""
        mean = sum(measure(window, index)[0].astype(np.float64) for window in self._windows)
        self._context[:, self._network.mean_slices[index]] = mean

    def _encode(self, window: Window, means: Sequence[int] = ()) -> tuple[list[np.ndarray], list[np.ndarray]]:
        results = self._network.encode(_cut(self._image, window), self._weight(window), self._context, means)
        self._step()
        return results

    def _decode(
        self, decoded: np.ndarray, stem: np.ndarray, window: Window, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        inputs = (_cut(decoded, window, _PART_STRIDES["decoded"]), _cut(stem, window, _PART_STRIDES["stem"]))
        results = self._network.decode((*inputs, self._weight(window)), self._context, means)
        self._step()
        return results

    def _encode_all(self) -> list[np.ndarray]:
        scene: list[np.ndarray] = []
        strides = (_PART_STRIDES["stem"], _PART_STRIDES["features"])
        for window in self._windows:
            parts, _ = self._encode(window)
            if not scene:
                sizes = [tuple(size // stride for size in self._hw) for stride in strides]
                scene = [np.empty((1, part.shape[1], *hw), np.float32) for part, hw in zip(parts, sizes, strict=True)]
            for whole, part, stride in zip(scene, parts, strides, strict=True):
                whole[(..., *_coarse(window.core, stride))] = part[(..., *_coarse(window.core_inside, stride))]
        return scene

    def _decode_all(self, decoded: np.ndarray, stem: np.ndarray) -> np.ndarray:
        shared = np.zeros((1, self._network.n_channels, *self._hw), np.float32)
        for window in self._windows:
            (part,), _ = self._decode(decoded, stem, window)
            shared[(..., *window.outer)] += part * feather(window, self._hw, self._network.halo_px // _RAMP_SHARE)
        return shared

    def _weight(self, window: Window) -> np.ndarray:
        """Weights that count each pixel of the scene once: the windows' means add up to that of the scene."""
        shape = tuple(span.outer_stop - span.outer_start for span in (window.rows, window.columns))
        weight = np.zeros((1, 1, *shape), np.float32)
        weight[(..., *window.core_inside)] = 1 / (self._hw[0] * self._hw[1])
        return weight

    def _step(self) -> None:
        self._done += 1
        self._progress(self._stage, self._done, self._total)


def _map_blocks(network: Network, image: np.ndarray, sizes: WindowSizes, progress: Progress, stage: str) -> np.ndarray:
    hw: tuple[int, int] = image.shape[2:]
    blocks = windows(hw, sizes.block_core_px, sizes.block_halo_px, multiple_px=network.stride_px)
    n_samples = min(sizes.max_samples, len(blocks))
    samples = [blocks[(2 * index + 1) * len(blocks) // (2 * n_samples)] for index in range(n_samples)]
    total = n_samples + len(blocks)
    means = []
    for done, window in enumerate(samples, 1):
        means.append(map_whole(network, _cut(image, window), with_means=True)[1])
        progress(stage, done, total)
    context = np.asarray(np.mean(means, axis=0, dtype=np.float64), dtype=np.float32)
    shared = np.zeros((1, network.n_channels, *hw), np.float32)
    for done, window in enumerate(blocks, n_samples + 1):
        part, _ = map_whole(network, _cut(image, window), context)
        shared[(..., *window.outer)] += part * feather(window, hw, sizes.block_halo_px // _RAMP_SHARE)
        progress(stage, done, total)
    return shared


def _cut(scene: np.ndarray, window: Window, stride: int = 1) -> np.ndarray:
    return np.asarray(scene[(..., *_coarse(window.outer, stride))])


def _coarse(slices: tuple[slice, slice], stride: int) -> tuple[slice, slice]:
    rows, columns = (slice(part.start // stride, part.stop // stride) for part in slices)
    return rows, columns
