"""The edge of the data: key points near it would describe the mask instead of the ground."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from midground.core.image import Image

MIN_CONTRAST = 1e-4
"""Smallest standard deviation of a channel that shows anything."""


def fill_from_nearest(image: Image) -> Float32[np.ndarray, "c h w"]:
    """Give invalid pixels the value of the nearest valid one, so that the edge of the data is no edge in the image.

    An image without a valid pixel is returned as it is.
    """
    if image.valid.all() or not image.valid.any():
        return image.channels
    _, labels = cv2.distanceTransformWithLabels(
        (~image.valid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values_of_label = np.zeros((image.n_channels, int(labels.max()) + 1), np.float32)
    values_of_label[:, labels[image.valid]] = image.channels[:, image.valid]
    return values_of_label[:, labels]


def standardised(image: Image) -> Float32[np.ndarray, "c h w"]:
    """Channels with zero mean and unit deviation over valid pixels; zero on invalid ones, and without contrast."""
    channels = np.zeros_like(image.channels)
    if not image.valid.any():
        return channels
    values = image.channels[:, image.valid]
    deviation = values.std(axis=1, keepdims=True)
    is_flat = deviation < MIN_CONTRAST
    scaled = (values - values.mean(axis=1, keepdims=True)) / np.where(is_flat, 1, deviation)
    channels[:, image.valid] = np.where(is_flat, 0, scaled)
    return channels


def filled_rgb(image: Image) -> Float32[np.ndarray, "3 h w"]:
    """Up to three channels as the red, green and blue of a photograph: filled by the nearest, the last one repeated."""
    filled = fill_from_nearest(image)
    return np.stack([filled[0], filled[min(1, len(filled) - 1)], filled[-1]])


def is_flat(image: Image) -> bool:
    """Whether no channel has any contrast on valid ground, of which there is some."""
    return bool(image.channels[:, image.valid].std(axis=1).max() < MIN_CONTRAST)


def clearance_px(points_xy: Float[np.ndarray, "n 2"], valid: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, " n"]:
    """Distance from the pixel under each point to the nearest invalid one; very large where there is none."""
    distance = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    height, width = valid.shape
    x, y = np.rint(points_xy).astype(np.intp).T
    return distance[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)


def on_valid_pixels(points_xy: Float64[np.ndarray, "n 2"], image: Image) -> Bool[np.ndarray, " n"]:
    """Whether points lie inside the image, on pixels that hold data."""
    height, width = image.hw
    inside = np.all((points_xy >= 0) & (points_xy <= [width - 1, height - 1]), axis=1)
    columns, rows = np.rint(np.where(inside[:, None], points_xy, 0)).astype(np.intp).T
    return np.asarray(inside & image.valid[rows, columns])
