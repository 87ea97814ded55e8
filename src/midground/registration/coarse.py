"""First guess: the shift between two whole images, found by correlation over the full search range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import InputError
from midground.matching.correlation import Peak, find_peak, shift_surface

_COARSE_SIDE_PX = 640


@dataclass(frozen=True, slots=True)
class MappedPair:
    """Both images in one shared modality, on one working grid."""

    name: str
    """The mapper's name."""
    moving: Image
    fixed: Image


@dataclass(frozen=True, slots=True)
class Coarse:
    """A shift between two whole images."""

    transform: Transform
    """Fixed from moving: a translation."""
    peak_ratio: float
    """Height of the peak over its best rival."""
    at_edge: bool
    """Whether the peak lies at the edge of the search range, so that the true shift may lie outside."""


def coarse_shifts(pairs: Sequence[MappedPair], search_px: int, *, min_overlap: float = 0.25) -> list[Coarse]:
    """Search all shifts within ±``search_px``: one answer per mapper.

    Large images are first reduced, so that the cost does not grow with the scene; the tie points that follow search
    the pixels that the reduction leaves open. Shifts that part the images are not searched.

    Args:
        pairs: The same two images under several mappers.
        search_px: Largest shift in x and y, px.
        min_overlap: Smallest common area at a shift, as a share of the smaller image.

    Raises:
        InputError: No pixel is valid.
    """
    if not all(pair.moving.valid.any() and pair.fixed.valid.any() for pair in pairs):
        raise InputError("One of the images holds no valid pixel in the overlap.")
    longest = max(*pairs[0].moving.hw, *pairs[0].fixed.hw)
    factor = max(1, int(np.ceil(longest / _COARSE_SIDE_PX)))
    reach = int(np.ceil(min(search_px, longest) / factor)) + 1
    return [
        _coarse(
            shift_surface(reduce(pair.moving, factor), reduce(pair.fixed, factor), reach, min_overlap=min_overlap),
            reach,
            factor,
        )
        for pair in pairs
    ]


def reduce(image: Image, factor: int) -> Image:
    """Average blocks of ``factor`` × ``factor`` pixels; a block is valid if at least half of it is."""
    if factor == 1:
        return image
    height, width = (side // factor * factor for side in image.hw)
    size = (width // factor, height // factor)
    share = cv2.resize(image.valid[:height, :width].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    channels = np.stack(
        [cv2.resize(channel[:height, :width], size, interpolation=cv2.INTER_AREA) for channel in image.channels]
    )
    valid = share >= 0.5
    return Image(np.where(valid, channels / np.maximum(share, 0.5), np.float32(0)).astype(np.float32), valid)


def _coarse(surface: np.ndarray, reach: int, factor: int) -> Coarse:
    peak: Peak = find_peak(surface)
    # Averaging blocks moves pixel centres: centre of block i is at i * factor + (factor - 1) / 2, in both images alike.
    shift = Transform.translation((peak.x - reach) * factor, (peak.y - reach) * factor)
    return Coarse(shift, peak.ratio, peak.at_edge)
