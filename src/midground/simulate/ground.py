"""The square ground grid that a scene is drawn on, and random fields on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

OVERSAMPLING = 2
"""Pixels of the ground grid along one pixel of the images."""
_MIN_COARSE_PX = 8
_SAMPLES_PER_WAVE = 3


@dataclass(frozen=True, slots=True)
class Ground:
    """A square of ground, x to the east and y to the south, with pixels finer than those of the images."""

    side_px: int
    """Side of the square, px."""
    pixel_m: float
    """Side of a pixel, m."""

    @property
    def side_m(self) -> float:
        """Side of the square, m."""
        return self.side_px * self.pixel_m

    def px(self, length_m: float) -> float:
        """Bring a length from metres to pixels."""
        return length_m / self.pixel_m

    def thickness_px(self, width_m: float) -> int:
        """Whole number of pixels, at least one, for a line of a width in metres."""
        return max(1, round(width_m / self.pixel_m))

    def noise(
        self, rng: np.random.Generator, *, longest_m: float, shortest_m: float, slope: float = 1.0
    ) -> Float32[np.ndarray, "s s"]:
        """Draw a random field with zero mean and unit standard deviation.

        Args:
            rng: Source of chance.
            longest_m: Wavelength above which the spectrum no longer rises, m.
            shortest_m: Wavelength below which there is nothing, m.
            slope: Exponent by which the amplitude falls with frequency; 2 looks like hills, 1 like soil.
        """
        longest_px, shortest_px = self.px(longest_m), max(self.px(shortest_m), 2.0)
        coarse = min(self.side_px, max(_MIN_COARSE_PX, int(np.ceil(self.side_px * _SAMPLES_PER_WAVE / shortest_px))))
        spacing = self.side_px / coarse
        fy = np.fft.fftfreq(coarse, spacing)[:, None]
        fx = np.fft.rfftfreq(coarse, spacing)[None]
        frequency = np.hypot(fx, fy)
        amplitude = np.maximum(frequency, 1 / longest_px) ** -slope * (frequency <= 1 / shortest_px)
        amplitude[0, 0] = 0
        phases = rng.standard_normal((*frequency.shape, 2)) @ np.array([1, 1j])
        field = np.fft.irfft2(phases * amplitude, s=(coarse, coarse))
        field = ((field - field.mean()) / max(float(field.std()), 1e-12)).astype(np.float32)
        return enlarge(field, self.side_px)


def enlarge(field: Float32[np.ndarray, "a a"], side_px: int) -> Float32[np.ndarray, "s s"]:
    """Interpolate a square field onto a finer square grid of the same extent."""
    if field.shape[0] == side_px:
        return field
    return np.asarray(cv2.resize(field, (side_px, side_px), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def smoothstep(values: Float32[np.ndarray, "*shape"], low: float, high: float) -> Float32[np.ndarray, "*shape"]:
    """Rise smoothly from 0 at ``low`` to 1 at ``high``."""
    unit = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(unit * unit * (3 - 2 * unit), dtype=np.float32)


def draw_line(
    mask: np.ndarray, points_px: Float64[np.ndarray, "n 2"], thickness_px: int, value: int | float = 1
) -> None:
    """Draw an open line of a thickness into a mask, with points to a sixteenth of a pixel."""
    points = [np.round(points_px * 16).astype(np.int32)]
    cv2.polylines(mask, points, False, float(value), thickness=thickness_px, lineType=cv2.LINE_8, shift=4)
