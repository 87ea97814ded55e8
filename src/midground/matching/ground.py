"""The edge of the data: key points near it would describe the mask instead of the ground."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from midground.core.image import Image


def fill_from_nearest(image: Image) -> Float32[np.ndarray, "h w"]:
    """Give invalid pixels the value of the nearest valid one, so that the edge of the data is no edge in the image.

    Args:
        image: One channel, with at least one valid pixel.
    """
    (grey,) = image.channels
    if image.valid.all():
        return grey
    _, labels = cv2.distanceTransformWithLabels(
        (~image.valid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    value_of_label = np.zeros(int(labels.max()) + 1, dtype=np.float32)
    value_of_label[labels[image.valid]] = grey[image.valid]
    return value_of_label[labels]


def clearance_px(points_xy: Float[np.ndarray, "n 2"], valid: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, " n"]:
    """Distance from the pixel under each point to the nearest invalid one; very large where there is none."""
    distance = cv2.distanceTransform(valid.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    height, width = valid.shape
    x, y = np.rint(points_xy).astype(np.intp).T
    return distance[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)
