"""Pairs packed into a few large files, mapped into memory: quick to copy, and to read by window from many processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from midground.datasets.archive import Entry, Index, absent_shards, read_index
from midground.datasets.arrays import cut, stored_dtype
from midground.datasets.base import Pair, PixelWindow, Profile, checked_window
from midground.datasets.selection import EVERY_PAIR, Selection, summed_up
from midground.errors import InputError


class PackedPairs:
    """A collection that :func:`midground.datasets.packing.pack` wrote.

    A reader may be pickled or forked: each process maps the shards when it first reads from them.

    Args:
        folder: The collection.
        bands_sar: SAR bands to read, counted from 1 in the collection; all if omitted.
        bands_optical: Optical bands to read, likewise.
        selection: Which pairs are used, and which place each shows if not what the collection says.

    Raises:
        InputError: The index is damaged, a shard of its pairs is missing or has another size, or a band or name does
            not exist.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bands_sar: Sequence[int] | None = None,
        bands_optical: Sequence[int] | None = None,
        selection: Selection = EVERY_PAIR,
    ) -> None:
        self._folder = folder
        self._index: Index = read_index(folder)
        self._bands_sar, self.sar_profile = choose_bands(folder, "bands_sar", bands_sar, self._index.sar)
        self._bands_optical, self.optical_profile = choose_bands(
            folder, "bands_optical", bands_optical, self._index.optical
        )
        self._entries = tuple(entry for entry in self._index.pairs if selection.keeps(entry.name))
        self.names = tuple(entry.name for entry in self._entries)
        self.places = tuple(
            entry.place if selection.place_pattern is None else selection.place(entry.name) for entry in self._entries
        )
        selection.require_found(self.names, folder)
        absent = absent_shards(folder, self._index)
        needed = {entry.shard for entry in self._entries}
        if needed & absent.keys():
            raise InputError(summed_up(message for number, message in absent.items() if number in needed))
        self._mapped: dict[int, np.ndarray] = {}

    def __getstate__(self) -> dict[str, Any]:
        # A pickled memory map would carry all pixels.
        return {**self.__dict__, "_mapped": {}}

    def __len__(self) -> int:
        return len(self._entries)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        return self._entries[index].hw

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it.

        Raises:
            InputError: The window does not lie inside, or the shard has vanished.
        """
        entry = self._entries[index]
        area = checked_window(entry.name, entry.hw, window)
        sar = self._values(entry, entry.sar, self._index.sar)
        optical = self._values(entry, entry.optical, self._index.optical)
        return Pair(
            entry.name,
            self.places[index],
            cut(sar, self._mask(entry, entry.sar_valid), area, bands=self._bands_sar),
            cut(optical, self._mask(entry, entry.optical_valid), area, bands=self._bands_optical),
        )

    def _values(self, entry: Entry, start: int, profile: Profile) -> np.ndarray:
        dtype = stored_dtype(profile.dtype)
        shape = (len(profile.bands), *entry.hw)
        raw = self._shard(entry.shard)[start : start + int(np.prod(shape)) * dtype.itemsize]
        return raw.view(dtype).reshape(shape)

    def _mask(self, entry: Entry, start: int | None) -> np.ndarray | None:
        if start is None:
            return None
        height, width = entry.hw
        return self._shard(entry.shard)[start : start + height * width].reshape(height, width)

    def _shard(self, number: int) -> np.ndarray:
        if number not in self._mapped:
            path = self._folder / self._index.shards[number].file
            try:
                self._mapped[number] = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
            except (OSError, ValueError) as error:
                raise InputError(f"{path}: the shard cannot be read ({error}); pack or fetch it again.") from error
        return self._mapped[number]


def choose_bands(
    folder: Path, setting: str, bands: Sequence[int] | None, stored: Profile
) -> tuple[tuple[int, ...], Profile]:
    """Positions of bands in the stored arrays, and what they are.

    Args:
        folder: The collection, for the message.
        setting: Name of the setting, for the message.
        bands: Bands, counted from 1; all if omitted.
        stored: What is stored.

    Raises:
        InputError: The collection lacks one of them.
    """
    numbers = tuple(range(1, len(stored.bands) + 1)) if bands is None else tuple(bands)
    wrong = [number for number in numbers if not 1 <= number <= len(stored.bands)]
    if wrong or not numbers:
        raise InputError(
            f"{folder}: there is no band {wrong[0] if wrong else 'chosen'}; the collection has the bands "
            f"{', '.join(stored.bands)}, counted from 1; correct {setting}."
        )
    positions = tuple(number - 1 for number in numbers)
    return positions, Profile(bands=tuple(stored.bands[position] for position in positions), dtype=stored.dtype)
