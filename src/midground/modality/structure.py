"""Oriented-gradient channels: a shared modality that needs no training.

Edges of fields, roads and shores are seen by both sensors, often with opposite contrast. Each channel holds the
strength of the gradient along one orientation, whatever its sign, so both sensors give the same channels at an edge.
"""

from __future__ import annotations

import cv2
import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.modality.base import InputSpec, Modality

N_ORIENTATIONS = 9
_NOISE_FLOOR = 0.2
_SMOOTHING_PX: dict[Modality, float] = {"sar": 1.0, "optical": 1.0}
_SPREAD_PX = 1.2


class StructureMapper:
    """Channels of oriented gradients in the manner of CFOG.

    Source:
        Ye et al. 2019 (reference [32] of the paper): 9 orientations over 180 degrees, convolved with a Gaussian.
    """

    name = "structure"
    sha256 = None
    gsd_m = None

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """One SAR band; red, green and blue."""
        return {"sar": InputSpec(bands=("any",)), "optical": InputSpec(bands=("red", "green", "blue"))}

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Map one unit-scaled image to nine channels between 0 and 1."""
        del progress
        grey = fill_invalid(image.channels.mean(axis=0), image.valid)
        smooth = cv2.GaussianBlur(grey, (0, 0), _SMOOTHING_PX[modality])
        gx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
        gy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)
        near_invalid = cv2.dilate((~image.valid).astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
        gx[near_invalid] = 0
        gy[near_invalid] = 0
        channels = np.empty((N_ORIENTATIONS, *image.hw), np.float32)
        for index, angle in enumerate(np.arange(N_ORIENTATIONS) * (np.pi / N_ORIENTATIONS)):
            strength = np.abs(np.float32(np.cos(angle)) * gx + np.float32(np.sin(angle)) * gy)
            channels[index] = cv2.GaussianBlur(strength, (0, 0), _SPREAD_PX)
        norm = np.sqrt((channels**2).sum(axis=0))
        floor = _NOISE_FLOOR * float(norm[image.valid].mean()) if image.valid.any() else 1.0
        channels /= norm + max(floor, 1e-6)
        channels[:, ~image.valid] = 0
        return Image(channels, image.valid)


class GreyMapper:
    """No mapping at all: the mean of the bands. What every other mapper is compared with."""

    name = "none"
    sha256 = None
    gsd_m = None

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """One SAR band; red, green and blue."""
        return {"sar": InputSpec(bands=("any",)), "optical": InputSpec(bands=("red", "green", "blue"))}

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Average the channels."""
        del modality, progress
        return Image(image.channels.mean(axis=0, keepdims=True), image.valid)


def fill_invalid(grey: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Replace invalid pixels by the mean of the valid ones, so that filters see no artificial edge far from them."""
    if valid.all() or not valid.any():
        return grey.astype(np.float32)
    return np.where(valid, grey, grey[valid].mean()).astype(np.float32)
