"""OpenCV's ECC on gradient magnitudes (Gaussian of 4 px), 300 iterations from the identity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from run import Pair


def gradient(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Sobel magnitude of the blurred image."""
    blurred = cv2.GaussianBlur(image.astype(np.float32), (0, 0), sigma_px)
    return cv2.magnitude(cv2.Sobel(blurred, cv2.CV_32F, 1, 0), cv2.Sobel(blurred, cv2.CV_32F, 0, 1))


def register(pair: Pair) -> np.ndarray:
    """A translation, or an affine transform; OpenCV raises where it does not converge."""
    motion = cv2.MOTION_TRANSLATION if pair.kind == "translation" else cv2.MOTION_AFFINE
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 300, 1e-6)
    # The matrix takes points of the template to the input: with the moving image as the template, moving to fixed.
    moving, fixed = gradient(pair.moving, 4), gradient(pair.grey, 4)
    _, rows = cv2.findTransformECC(moving, fixed, np.eye(2, 3, dtype=np.float32), motion, criteria, None, 5)
    return np.vstack([rows, [0, 0, 1]])
