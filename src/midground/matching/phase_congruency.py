"""Phase congruency: where the waves of an image agree in phase there is a feature, whatever its contrast.

Source:
    P. Kovesi 1999, Image Features from Phase Congruency; Kovesi 2003, Phase Congruency Detects Corners and Edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Complex64, Float32

_TINY = 1e-4
_MIN_WAVELENGTH_PX = 3.0
_SCALE_STEP = 1.6
_BANDWIDTH = 0.75
"""Deviation of a filter's logarithmic frequency over that of its centre."""
_NOISE_DEVIATIONS = 1.0
_SPREAD_CUTOFF = 0.5
_SPREAD_GAIN = 3.0
_LOW_PASS = (0.45, 15)
"""Frequency (cycles per px) and order of the filter that keeps the corners of the spectrum out."""


@dataclass(frozen=True, slots=True)
class PhaseCongruency:
    """What oriented waves say about each pixel."""

    moment: Float32[np.ndarray, "h w"]
    """Maximum moment of the phase congruency over the orientations: how much of a feature a pixel is."""
    amplitude: Float32[np.ndarray, "o h w"]
    """Amplitude of the waves of each orientation, summed over scales."""
    congruency: Float32[np.ndarray, "h w"]
    """Phase congruency over all orientations together, 0 to 1."""
    direction: Float32[np.ndarray, "h w"]
    """Direction across the feature, whichever side is bright: that of the sum of the odd waves, 0 to pi."""


def phase_congruency(
    channels: Float32[np.ndarray, "c h w"],
    valid: Bool[np.ndarray, "h w"],
    *,
    n_scales: int = 4,
    n_orientations: int = 6,
) -> PhaseCongruency:
    """Phase congruency of an image; over its channels, squares of it (moments), amplitudes and waves are added.

    Args:
        channels: Values of any scale, smooth across the edge of the data.
        valid: Where they are measured, not filled in: the noise is estimated there; at least one pixel.
        n_scales: Wavelengths.
        n_orientations: Orientations over half a turn.
    """
    height, width = channels.shape[1:]
    border = int(_MIN_WAVELENGTH_PX * _SCALE_STEP**n_scales)
    size = tuple(cv2.getOptimalDFTSize(side + 2 * border) for side in (height, width))
    radial, angular = _filters(size, n_scales, n_orientations)
    moments = np.zeros((3, height, width), np.float32)
    amplitude = np.zeros((n_orientations, height, width), np.float32)
    energy, odd = np.zeros((height, width), np.float32), np.zeros((2, height, width), np.float32)
    angles = np.arange(n_orientations) * np.pi / n_orientations
    for channel in channels:
        spectrum = np.fft.fft2(_extended(channel, border, size))
        for index, (angle, spread) in enumerate(zip(angles, angular, strict=True)):
            waves = np.fft.ifft2(spectrum * (radial * spread))
            waves = waves[:, border : border + height, border : border + width]
            congruency, total = _congruency(waves, valid)
            amplitude[index] += total
            energy += congruency * total
            across = np.array([np.cos(angle), np.sin(angle)], np.float32)[:, None, None]
            x, y = congruency * across
            moments += np.stack([x * x, y * y, x * y])
            odd += waves.imag.sum(axis=0) * across
    xx, yy, xy = moments * np.float32(2 / n_orientations)
    moment = (xx + yy + np.sqrt(4 * xy**2 + (xx - yy) ** 2)) / 2
    direction = np.mod(np.arctan2(odd[1], odd[0]), np.float32(np.pi))
    return PhaseCongruency(moment, amplitude, energy / (amplitude.sum(axis=0) + _TINY), direction)


def _congruency(
    waves: Complex64[np.ndarray, "s h w"], valid: Bool[np.ndarray, "h w"]
) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
    """Phase congruency along one orientation, less what noise alone gives; and the summed amplitude."""
    n_scales = len(waves)
    amplitudes = np.abs(waves)
    total = amplitudes.sum(axis=0)
    mean = waves.sum(axis=0)
    mean = mean / (np.abs(mean) + _TINY)
    aligned = waves * mean.conj()
    energy = (aligned.real - np.abs(aligned.imag)).sum(axis=0)
    # Amplitudes of noise follow a Rayleigh distribution, which the shortest waves show best.
    tau = np.median(amplitudes[0][valid]) / np.sqrt(np.log(4))
    tau *= (1 - _SCALE_STEP**-n_scales) / (1 - 1 / _SCALE_STEP)
    threshold = tau * (np.sqrt(np.pi / 2) + _NOISE_DEVIATIONS * np.sqrt((4 - np.pi) / 2))
    # A single wave is congruent with itself everywhere.
    spread = (total / (amplitudes.max(axis=0) + _TINY) - 1) / max(n_scales - 1, 1)
    weight = 1 / (1 + np.exp(_SPREAD_GAIN * (_SPREAD_CUTOFF - spread)))
    congruency = weight * np.maximum(energy - threshold, 0) / (total + _TINY)
    return congruency.astype(np.float32), total


def _extended(channel: Float32[np.ndarray, "h w"], border: int, size: tuple[int, ...]) -> Float32[np.ndarray, "H W"]:
    """The image mirrored beyond its edges, so that opposite ones, which the transform joins, make no step."""
    bottom, right = (length - side - border for length, side in zip(size, channel.shape, strict=True))
    return cv2.copyMakeBorder(channel, border, bottom, border, right, cv2.BORDER_REFLECT)


@lru_cache(maxsize=4)
def _filters(
    size: tuple[int, ...], n_scales: int, n_orientations: int
) -> tuple[Float32[np.ndarray, "s H W"], Float32[np.ndarray, "o H W"]]:
    """Log-Gabor filters: a radial part for each scale, an angular one for each orientation."""
    y, x = np.meshgrid(np.fft.fftfreq(size[0]), np.fft.fftfreq(size[1]), indexing="ij")
    radius = np.hypot(x, y)
    cutoff, order = _LOW_PASS
    low_pass = 1 / (1 + (radius / cutoff) ** (2 * order))
    radius[0, 0] = 1
    centres = 1 / (_MIN_WAVELENGTH_PX * _SCALE_STEP ** np.arange(n_scales))
    radial = np.exp(-(np.log(radius / centres[:, None, None]) ** 2) / (2 * np.log(_BANDWIDTH) ** 2)) * low_pass
    radial[:, 0, 0] = 0
    # Rows count downwards, and so do the angles of this package: from x towards y.
    angles = np.arange(n_orientations)[:, None, None] * np.pi / n_orientations
    apart = np.abs(np.angle(np.exp(1j * (np.arctan2(y, x) - angles))))
    angular = (np.cos(np.minimum(apart * n_orientations / 2, np.pi)) + 1) / 2
    return radial.astype(np.float32), angular.astype(np.float32)
