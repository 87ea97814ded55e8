"""From raw pixel values to the unit interval, per scene and aware of the valid mask.

Limits are computed once for a scene and then applied to any window of it, so that windows never show seams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float64

from midground.core.image import Image
from midground.errors import InputError

SarScale = Literal["power", "amplitude", "db", "8bit"]
SAR_SCALES: tuple[SarScale, ...] = get_args(SarScale)

_MAX_SAMPLES = 1_000_000
_MIN_DB_SHARE = 0.02
_MAX_POWER_MEDIAN = 2.0


@dataclass(frozen=True, slots=True)
class ScaleGuess:
    """What the values of a SAR image were taken to be, and why."""

    scale: SarScale
    reason: str
    """A sentence for the user."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How a model wants its input brought to the unit interval."""

    kind: Literal["percentile", "fixed"] = "percentile"
    """Limits from the scene itself, or given values."""
    low: float = 0.5
    """Percentile, or value, that becomes 0."""
    high: float = 99.5
    """Percentile, or value, that becomes 1 (paper, section 4.1: 0.5 and 99.5)."""


def detect_sar_scale(image: Image, dtype: str) -> ScaleGuess:
    """Guess the scale of a SAR image from its values.

    Args:
        image: Raw values.
        dtype: The data type in the file, for instance ``"uint8"``.
    """
    if dtype == "uint8":
        return ScaleGuess("8bit", "8-bit values: taken as a grey image that is already stretched")
    values = _samples(image)
    share_negative = float((values < 0).mean())
    median = float(np.median(values))
    if share_negative > _MIN_DB_SHARE:
        return ScaleGuess("db", f"{share_negative:.0%} of the values are negative: taken as decibels")
    if np.issubdtype(np.dtype(dtype), np.integer):
        return ScaleGuess("amplitude", f"{dtype} values, median {median:.4g}: taken as linear amplitude")
    if median <= _MAX_POWER_MEDIAN:
        return ScaleGuess("power", f"positive values, median {median:.3g}: taken as linear power (sigma nought)")
    return ScaleGuess("amplitude", f"positive values, median {median:.4g}: taken as linear amplitude")


def log_floor(image: Image, scale: SarScale) -> float | None:
    """Smallest positive value of a scene: smaller ones hold no signal. None for 8-bit and decibel values.

    Raises:
        InputError: No valid pixel is positive.
    """
    if scale in ("db", "8bit"):
        return None
    positive = image.channels[(image.channels > 0) & image.valid]
    if positive.size == 0:
        raise InputError(
            f"The SAR image holds no positive value, so it cannot be {scale} (choose another --sar-scale)."
        )
    return float(positive.min())


def to_log_scale(image: Image, scale: SarScale, *, floor: float | None = None) -> Image:
    """Bring SAR values to decibels; 8-bit and decibel values pass unchanged.

    Args:
        image: A scene, or a window of one.
        scale: What the values are.
        floor: Linear value that smaller ones become, from :func:`log_floor` of the scene; the image's own if omitted.

    Raises:
        InputError: Linear values without a floor, none of them positive.
    """
    if scale in ("db", "8bit"):
        return image
    lowest = log_floor(image, scale) if floor is None else floor
    factor = np.float32(10 if scale == "power" else 20)
    channels = factor * np.log10(np.maximum(image.channels, np.float32(lowest)))
    return Image(np.where(image.valid, channels, np.float32(0)), image.valid)


def scene_limits(image: Image, scaling: Scaling) -> Float64[np.ndarray, "c 2"]:
    """Values of each channel that become 0 and 1.

    Args:
        image: A whole scene, or a decimated one.
        scaling: What the model asks for.

    Raises:
        InputError: No pixel holds data.
    """
    if scaling.kind == "fixed":
        return np.tile(np.array([scaling.low, scaling.high], np.float64), (image.n_channels, 1))
    stride = max(1, int(np.sqrt(image.valid.size / _MAX_SAMPLES)))
    valid = image.valid[::stride, ::stride]
    if not valid.any():
        raise InputError("The image holds no valid pixel.")
    sampled = image.channels[:, ::stride, ::stride][:, valid]
    return np.percentile(sampled, [scaling.low, scaling.high], axis=1).T.astype(np.float64)


def to_unit(image: Image, limits: Float64[np.ndarray, "c 2"]) -> Image:
    """Map the limits of each channel linearly to 0 and 1, clipping what lies outside; invalid pixels become 0."""
    low = limits[:, 0].astype(np.float32)[:, None, None]
    span = np.maximum(limits[:, 1] - limits[:, 0], 1e-12).astype(np.float32)[:, None, None]
    channels = np.clip((image.channels - low) / span, 0, 1)
    return Image(np.where(image.valid, channels, np.float32(0)), image.valid)


def _samples(image: Image) -> np.ndarray:
    stride = max(1, int(np.sqrt(image.valid.size / _MAX_SAMPLES)))
    valid = image.valid[::stride, ::stride]
    if not valid.any():
        raise InputError("The image holds no valid pixel.")
    return image.channels[:, ::stride, ::stride][:, valid]
