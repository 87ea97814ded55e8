"""Which pair, which crop and which random changes make the k-th training sample.

Everything about a sample is a function of the seed and its number, so that a run that was killed goes on with the very
samples that it would have seen, whatever the number of worker processes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from midground.core.image import Image
from midground.datasets.base import PairSource, PixelWindow
from midground.errors import InputError
from midground.modality.padding import fill_with_mean
from midground.training.augment import AugmentConfig, draw_placement, vary_optical, vary_sar
from midground.training.checking import require_common

_N_REMEMBERED = 4
"""Epochs whose orders are kept: samples of two of them may be drawn in turn, and workers run ahead into the next."""

Alignment = Mapping[str, tuple[int, int] | None]
"""Shift (x, y) in px by which the SAR image of a pair lies off, by its name; None: not used. See ``realign``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One training pair as arrays (c, p, p), between 0 and 1; pixels without data hold the mean of the others."""

    sar: np.ndarray
    optical: np.ndarray
    valid: np.ndarray
    """(1, p, p), 1 where both images hold data."""


class SampleStream:
    """The endless sequence of training samples of several collections.

    In each epoch every collection gives its share of the samples. Within a collection all pairs are seen once, in
    random order, before any is seen again.

    Args:
        sources: Unit-scaled pairs.
        shares: Relative share of each collection in the samples.
        n_epoch: Samples of an epoch.
        crop_px: Side of a sample.
        augment: Random changes.
        seed: Seed of order, crops and changes.
    """

    def __init__(
        self,
        sources: Sequence[PairSource],
        shares: Sequence[float],
        *,
        n_epoch: int,
        crop_px: int,
        augment: AugmentConfig,
        seed: int,
    ) -> None:
        self._sources, self._n_epoch, self._crop_px = list(sources), n_epoch, crop_px
        self._augment, self._seed = augment, seed
        self._quotas = _quotas(shares, n_epoch)
        self._alignments: list[Alignment] = [{} for _ in self._sources]
        self._kept = [np.arange(len(source)) for source in self._sources]
        self._orders: dict[int, Int64[np.ndarray, "n 2"]] = {}
        for source in self._sources:
            for index in range(len(source)):
                if min(source.hw(index)) < crop_px:
                    raise InputError(
                        f"The pair '{source.names[index]}' has {source.hw(index)[0]} × {source.hw(index)[1]} px, less "
                        f"than a crop of {crop_px} px: choose a smaller data.crop_px, or leave the pair out."
                    )

    def align(self, alignments: Sequence[Alignment]) -> None:
        """From here on, move SAR images by known misregistrations, and leave out pairs that match nowhere.

        Args:
            alignments: One for each collection.

        Raises:
            InputError: No pair of a collection is left.
        """
        kept = [
            np.array([index for index, name in enumerate(source.names) if alignment.get(name, (0, 0))], np.int64)
            for source, alignment in zip(self._sources, alignments, strict=True)
        ]
        for source, left in zip(self._sources, kept, strict=True):
            if len(left) == 0:
                raise InputError(
                    f"None of the {len(source)} pairs of a collection ('{source.names[0]}' ...) matches anywhere, so "
                    "there is nothing to train with: check that both folders show the same places."
                )
        self._alignments, self._kept = list(alignments), kept
        self._orders.clear()

    def sample(self, number: int) -> Sample:
        """The sample with this number, from 0 on."""
        epoch, position = divmod(number, self._n_epoch)
        which, index = self._order(epoch)[position].tolist()
        source = self._sources[which]
        rng = np.random.default_rng([self._seed, 1, number])
        shift = self._alignments[which].get(source.names[index]) or (0, 0)
        placement = draw_placement(self._augment, self._crop_px, source.hw(index), rng)
        sar, optical = _read(source, index, placement.window_px, shift, rng)
        valid = placement.apply((sar.valid & optical.valid)[None].astype(np.float32), self._crop_px) >= 1
        if not valid.any():
            # A crop may show nothing, but not the whole pair.
            require_common(source.read(index))
        images = [placement.apply(image.channels, self._crop_px) for image in (sar, optical)]
        varied_sar = vary_sar(images[0], self._augment, rng)
        varied_optical = vary_optical(images[1], self._augment, rng)
        sar_channels, optical_channels = (fill_with_mean(image, valid[0]) for image in (varied_sar, varied_optical))
        return Sample(sar_channels, optical_channels, valid.astype(np.float32))

    def _order(self, epoch: int) -> Int64[np.ndarray, "n 2"]:
        """Collection and pair of every sample of an epoch."""
        if epoch not in self._orders:
            while len(self._orders) >= _N_REMEMBERED:
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = self._draw_order(epoch)
        return self._orders[epoch]

    def _draw_order(self, epoch: int) -> Int64[np.ndarray, "n 2"]:
        pairs = []
        for which, (quota, kept) in enumerate(zip(self._quotas, self._kept, strict=True)):
            turn, done = divmod(epoch * quota, len(kept))
            n_turns = -(-(done + quota) // len(kept))
            turns = [np.random.default_rng([self._seed, 3, which, turn + k]).permutation(kept) for k in range(n_turns)]
            indices = np.concatenate([kept[:0], *turns])[done : done + quota]
            pairs.append(np.stack([np.full_like(indices, which), indices], axis=1))
        order = np.random.default_rng([self._seed, 2, epoch]).permutation(self._n_epoch)
        return np.concatenate(pairs)[order]


def _quotas(shares: Sequence[float], n_epoch: int) -> list[int]:
    """Whole numbers in proportion to the shares that add up to ``n_epoch``."""
    edges = np.rint(np.cumsum([0.0, *shares]) / sum(shares) * n_epoch).astype(int)
    return [int(quota) for quota in np.diff(edges)]


def _read(
    source: PairSource, index: int, side_px: int, shift_xy: tuple[int, int], rng: np.random.Generator
) -> tuple[Image, Image]:
    """A random window of both images; that of the SAR image is moved by the known misregistration."""
    (height, width), (x, y) = source.hw(index), shift_xy
    top, left = _origin(height, side_px, y, rng), _origin(width, side_px, x, rng)
    if (x, y) == (0, 0):
        pair = source.read(index, PixelWindow(top, left, side_px, side_px))
        return pair.sar, pair.optical
    # One reading that covers both windows; what lies outside the image is invalid.
    rows, columns = _cover(top, side_px, y, height), _cover(left, side_px, x, width)
    pair = source.read(index, PixelWindow(rows[0], columns[0], rows[1] - rows[0], columns[1] - columns[0]))
    top, left = top - rows[0], left - columns[0]
    sar = pair.sar.crop_padded(top + y, left + x, side_px, side_px)
    return sar, pair.optical.crop_padded(top, left, side_px, side_px)


def _origin(length: int, side_px: int, shift: int, rng: np.random.Generator) -> int:
    """Start of a window such that it and the shifted one lie inside where there is room for both."""
    low, high = max(0, -shift), length - side_px - max(0, shift)
    return int(rng.integers(low, high + 1)) if high >= low else int(rng.integers(0, length - side_px + 1))


def _cover(start: int, side_px: int, shift: int, length: int) -> tuple[int, int]:
    return max(0, min(start, start + shift)), min(length, max(start, start + shift) + side_px)
