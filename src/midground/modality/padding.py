"""An image as a network takes it: data everywhere, and sides that its stride divides."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from midground.core.image import Image


def pad_to_stride(image: Image, stride_px: int) -> Float32[np.ndarray, "1 c h w"]:
    """Give invalid pixels the mean of the valid ones, and mirror the image below and to the right.

    Args:
        image: Unit-scaled; at least one pixel is valid.
        stride_px: What both sides become multiples of.
    """
    height, width = image.hw
    padding = ((0, 0), (0, -height % stride_px), (0, -width % stride_px))
    return np.pad(_filled(image), padding, mode="reflect")[None]


def _filled(image: Image) -> np.ndarray:
    if image.valid.all():
        return image.channels
    means = image.channels[:, image.valid].mean(axis=1, dtype=np.float64).astype(np.float32)
    return np.where(image.valid, image.channels, means[:, None, None])
