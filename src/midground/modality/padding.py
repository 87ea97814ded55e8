"""An image as a network takes it: data everywhere, and sides that its stride divides."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32

from midground.core.image import Image


def pad_to_stride(image: Image, stride_px: int) -> Float32[np.ndarray, "1 c h w"]:
    """Give invalid pixels the mean of the valid ones, and mirror the image below and to the right.

    Args:
        image: Unit-scaled; at least one pixel is valid.
        stride_px: What both sides become multiples of.
    """
    height, width = image.hw
    padding = ((0, 0), (0, -height % stride_px), (0, -width % stride_px))
    return np.pad(fill_with_mean(image.channels, image.valid), padding, mode="reflect")[None]


def fill_with_mean(
    channels: Float32[np.ndarray, "c h w"], valid: Bool[np.ndarray, "h w"]
) -> Float32[np.ndarray, "c h w"]:
    """Give invalid pixels the mean of the valid ones of their channel; where none is valid, nothing changes."""
    if valid.all() or not valid.any():
        return channels
    means = channels[:, valid].mean(axis=1, dtype=np.float64).astype(np.float32)
    return np.where(valid, channels, means[:, None, None])
