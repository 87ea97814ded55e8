"""Pairs held in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midground.core.progress import Progress, silent
from midground.datasets.arrays import cut, stored_dtype
from midground.datasets.base import Pair, PixelWindow, RawPairs, checked_window


@dataclass(frozen=True, slots=True)
class _Held:
    sar: np.ndarray
    optical: np.ndarray
    sar_valid: np.ndarray | None
    optical_valid: np.ndarray | None


class InMemoryPairs:
    """Pairs that are read once and then held, in the data type of their files.

    That takes height × width × (bytes of a SAR pixel + bytes of an optical pixel) for each pair, and one byte per pixel
    more for each image that has gaps: 1000 pairs of 256 × 256 px with one SAR and three optical bands of 8 bits take
    262 MB, ten times as much with float32 values of ten bands in all. Processes that are forked share it.

    Args:
        source: What is read.
        progress: Told after every pair.

    Raises:
        InputError: A pair cannot be read.
    """

    def __init__(self, source: RawPairs, *, progress: Progress = silent) -> None:
        self.names, self.places = source.names, source.places
        self.sar_profile, self.optical_profile = source.sar_profile, source.optical_profile
        sar, optical = stored_dtype(self.sar_profile.dtype), stored_dtype(self.optical_profile.dtype)
        self._held: list[_Held] = []
        for index in range(len(source)):
            pair = source.read(index)
            masks = [None if image.valid.all() else image.valid for image in (pair.sar, pair.optical)]
            self._held.append(_Held(pair.sar.channels.astype(sar), pair.optical.channels.astype(optical), *masks))
            progress("reading pairs", index + 1, len(source))

    @property
    def nbytes(self) -> int:
        """Memory that the pairs take, bytes."""
        arrays = [(held.sar, held.optical, held.sar_valid, held.optical_valid) for held in self._held]
        return sum(array.nbytes for held in arrays for array in held if array is not None)

    def __len__(self) -> int:
        return len(self._held)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        _, height, width = self._held[index].sar.shape
        return height, width

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """A pair, or a window of it.

        Raises:
            InputError: The window does not lie inside.
        """
        held, name = self._held[index], self.names[index]
        area = checked_window(name, self.hw(index), window)
        sar, optical = cut(held.sar, held.sar_valid, area), cut(held.optical, held.optical_valid, area)
        return Pair(name, self.places[index], sar, optical)
