"""From raw values to the unit interval with limits of a whole collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.radiometry import SarScale, Scaling, detect_sar_scale, scene_limits, to_log_scale, to_unit
from midground.datasets.base import PixelWindow, RawPairs
from midground.errors import InputError

Limits = tuple[tuple[float, float], ...]
"""For each band the values that become 0 and 1."""

_MAX_SAMPLES = 1_000_000
_MAX_PAIRS = 2_000
_WHOLE_PX = 1 << 21
_WINDOWS_PER_SIDE = 4
_WINDOW_PX = 256
_LINEAR: tuple[SarScale, ...] = ("power", "amplitude")
_EIGHT_BIT = Scaling("fixed", 0.0, 255.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Radiometry:
    """How raw values of a collection become 0 to 1: the same for every pair and every window."""

    sar_scale: SarScale
    """What the SAR values are."""
    sar_floor: float | None
    """Linear value that smaller ones become before the logarithm is taken; None for decibels and 8-bit values."""
    sar_limits: Limits
    """For each SAR band the values, in decibels unless they are 8-bit, that become 0 and 1."""
    optical_limits: Limits
    """For each optical band the values that become 0 and 1."""

    def unit_sar(self, image: Image) -> Image:
        """Bring a SAR image to decibels and then to 0 ... 1."""
        return to_unit(to_log_scale(image, self.sar_scale, floor=self.sar_floor), np.array(self.sar_limits, np.float64))

    def unit_optical(self, image: Image) -> Image:
        """Bring an optical image to 0 ... 1."""
        return to_unit(image, np.array(self.optical_limits, np.float64))


def estimate_radiometry(
    source: RawPairs,
    *,
    sar_scale: SarScale | None = None,
    sar_scaling: Scaling | None = None,
    optical_scaling: Scaling | None = None,
    progress: Progress = silent,
) -> Radiometry:
    """Find out what the values of a collection are and which limits they shall have.

    Percentiles are those of up to a million pixels, spread evenly over the collection: over at most 2000 pairs, and
    over 16 windows of a scene of more than 2 megapixels. They are exact for a collection that is smaller, and nothing
    is drawn at random. Where no percentile and no guess is needed, no pixel is read.

    Args:
        source: The collection.
        sar_scale: What the SAR values are; guessed if omitted.
        sar_scaling: Limits of the SAR bands, in decibels unless they are 8-bit. If omitted: 0 and 255 for 8-bit values,
            else the percentiles 0.5 and 99.5 (paper, section 4.1).
        optical_scaling: Limits of the optical bands, likewise.
        progress: Told after every pair that is read.

    Raises:
        InputError: A pair cannot be read, or no pixel holds data.
    """
    if sar_scale is None and source.sar_profile.dtype == "uint8":
        sar_scale = "8bit"
    if sar_scaling is None and sar_scale == "8bit":
        sar_scaling = _EIGHT_BIT
    if optical_scaling is None:
        optical_scaling = _EIGHT_BIT if source.optical_profile.dtype == "uint8" else Scaling()
    is_sar_settled = sar_scale in ("8bit", "db") and sar_scaling is not None and sar_scaling.kind == "fixed"
    if is_sar_settled and optical_scaling.kind == "fixed":
        # Fixed limits ask an image for its number of bands only.
        sar, optical = (_one_pixel(len(profile.bands)) for profile in (source.sar_profile, source.optical_profile))
    else:
        sar, optical = _sample(source, progress)
    if sar_scale is None:
        sar_scale = detect_sar_scale(sar, source.sar_profile.dtype).scale
    floor = _floor(sar, sar_scale)
    return Radiometry(
        sar_scale=sar_scale,
        sar_floor=floor,
        sar_limits=_limits(to_log_scale(sar, sar_scale, floor=floor), sar_scaling or Scaling()),
        optical_limits=_limits(optical, optical_scaling),
    )


def _limits(sample: Image, scaling: Scaling) -> Limits:
    return tuple((float(low), float(high)) for low, high in scene_limits(sample, scaling))


def _floor(sample: Image, scale: SarScale) -> float | None:
    if scale not in _LINEAR:
        return None
    positive = sample.channels[sample.channels > 0]
    if positive.size == 0:
        raise InputError(f"The SAR images hold no positive value, so they cannot be {scale}: choose another sar_scale.")
    return float(positive.min())


def _one_pixel(n_bands: int) -> Image:
    return Image(np.zeros((n_bands, 1, 1), np.float32), np.ones((1, 1), bool))


def _sample(source: RawPairs, progress: Progress) -> tuple[Image, Image]:
    """Evenly spread valid pixels of both modalities, each as an image of one row."""
    indices = np.unique(np.linspace(0, len(source) - 1, min(len(source), _MAX_PAIRS)).astype(int))
    areas = [(int(index), window) for index in indices for window in _windows(source.hw(int(index)))]
    n_pixels = sum(window.height * window.width for _, window in areas)
    # Odd, so that it does not meet the same columns in every row of an image whose width is a power of two.
    stride = -(-n_pixels // _MAX_SAMPLES) | 1
    sar, optical = _Thinned(stride), _Thinned(stride)
    for done, (index, window) in enumerate(areas, start=1):
        pair = source.read(index, window)
        sar.add(pair.sar)
        optical.add(pair.optical)
        progress("measuring values", done, len(areas))
    return sar.image("SAR"), optical.image("optical")


class _Thinned:
    """Keeps every n-th of the valid pixels of a sequence of images."""

    def __init__(self, stride: int) -> None:
        self._stride, self._next = stride, 0
        self._parts: list[Float32[np.ndarray, "c n"]] = []

    def add(self, image: Image) -> None:
        values = image.channels[:, image.valid]
        self._parts.append(values[:, self._next :: self._stride])
        self._next = (self._next - values.shape[1]) % self._stride

    def image(self, modality: str) -> Image:
        values = np.concatenate(self._parts, axis=1)
        if values.shape[1] == 0:
            raise InputError(f"No pixel of the {modality} images holds data.")
        return Image(values[:, None], np.ones((1, values.shape[1]), bool))


def _windows(hw: tuple[int, int]) -> Iterator[PixelWindow]:
    """The whole image, or an even grid of windows of a large one."""
    height, width = hw
    if height * width <= _WHOLE_PX:
        yield PixelWindow(0, 0, height, width)
        return
    rows, columns = (np.unique(np.linspace(0, max(side - _WINDOW_PX, 0), _WINDOWS_PER_SIDE).astype(int)) for side in hw)
    for top in rows:
        for left in columns:
            yield PixelWindow(int(top), int(left), min(_WINDOW_PX, height), min(_WINDOW_PX, width))
