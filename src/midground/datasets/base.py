"""What a collection of pairs is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from midground.core.image import Image
from midground.errors import InputError


class PixelWindow(NamedTuple):
    """A rectangle of pixels inside an image."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A SAR and an optical image of one place, on one grid."""

    name: str
    """Unique in its collection."""
    place: str
    """Pairs of one place, at whatever dates, share it; no place is in two splits."""
    sar: Image
    """(c, h, w)."""
    optical: Image
    """(c, h, w), the same height and width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the images of one modality hold, the same throughout a collection."""

    bands: tuple[str, ...]
    """Name of each band; ``band 1``, ``band 2`` ... where the files give none."""
    dtype: str
    """NumPy data type of the values in the files."""


@runtime_checkable
class PairSource(Protocol):
    """A collection of pairs that can be read one by one, whole or a window of each."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each pair."""
        ...

    @property
    def places(self) -> tuple[str, ...]:
        """Place of each pair."""
        ...

    def __len__(self) -> int:
        """Number of pairs."""
        ...

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        ...

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it."""
        ...


@runtime_checkable
class RawPairs(PairSource, Protocol):
    """A collection whose images hold the values of the files, not yet scaled."""

    @property
    def sar_profile(self) -> Profile:
        """Bands and data type of the SAR images."""
        ...

    @property
    def optical_profile(self) -> Profile:
        """Bands and data type of the optical images."""
        ...


def checked_window(name: str, hw: tuple[int, int], window: PixelWindow | None) -> PixelWindow:
    """The window, or the whole image if there is none.

    Args:
        name: Name of the pair, for the message.
        hw: Height and width of its images, px.
        window: What is asked for.

    Raises:
        InputError: The window is empty or reaches beyond the image.
    """
    if window is None:
        return PixelWindow(0, 0, *hw)
    top, left, height, width = window
    if min(top, left) < 0 or min(height, width) < 1 or top + height > hw[0] or left + width > hw[1]:
        raise InputError(
            f"Pair '{name}': a window of {height} × {width} px at row {top}, column {left} does not lie inside its "
            f"{hw[0]} × {hw[1]} px."
        )
    return window


def listing_sha256(source: PairSource) -> str:
    """Digest of names and sizes of all pairs of a collection, in their order; not of their pixels."""
    listing = "\n".join(f"{name} {source.hw(index)}" for index, name in enumerate(source.names))
    return hashlib.sha256(listing.encode()).hexdigest()
