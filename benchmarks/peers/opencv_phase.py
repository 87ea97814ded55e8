"""OpenCV's phase correlation of gradient magnitudes (Gaussian of 1 px) under a Hanning window; a translation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from run import Pair


def gradient(image: np.ndarray) -> np.ndarray:
    """Sobel magnitude of the blurred image."""
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1)
    return cv2.magnitude(cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1))


def register(pair: Pair) -> np.ndarray:
    """The shift of the highest peak."""
    moving, fixed = gradient(pair.moving), gradient(pair.grey)
    window = cv2.createHanningWindow(moving.shape[::-1], cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(moving, fixed, window)
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]])
