"""OpenCV's SIFT on images stretched to 8 bits, with its defaults, ratio test at 0.75, homography by RANSAC at 3 px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair) -> np.ndarray:
    """The homography that most matches support."""
    sift = cv2.SIFT_create()
    points, descriptors = zip(
        *(
            sift.detectAndCompute(cv2.normalize(image, None, 0, 255, cv2.NORM_MINMAX), mask)
            for image, mask in ((pair.moving, pair.valid.astype(np.uint8)), (pair.grey, None))
        ),
        strict=True,
    )
    matches = [
        couple[0]
        for couple in cv2.BFMatcher().knnMatch(*descriptors, k=2)
        if len(couple) == 2 and couple[0].distance < 0.75 * couple[1].distance
    ]
    moving_xy = np.float32([points[0][match.queryIdx].pt for match in matches])
    fixed_xy = np.float32([points[1][match.trainIdx].pt for match in matches])
    matrix, _ = cv2.findHomography(moving_xy, fixed_xy, cv2.RANSAC, 3.0)
    if matrix is None:
        raise RuntimeError(f"no homography from {len(matches)} matches")
    return matrix
