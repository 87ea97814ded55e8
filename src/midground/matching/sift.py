"""SIFT key points and descriptors (Lowe 2004), by OpenCV."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.channels import require_same_channels, without_repeats
from midground.matching.configs import SiftConfig
from midground.matching.descriptors import mutual_nearest
from midground.matching.ground import clearance_px, fill_from_nearest

_MARGIN_PX = 2.0
_DESCRIPTOR_LENGTH = 128
_RATIO, _JOINT_RATIO = 0.75, 0.95


class SiftMatcher:
    """Matches SIFT descriptors by mutual nearest neighbours with a ratio test.

    All channels of an image make one set of key points: found in each channel, described in all of them, as in RGB-SIFT
    (van de Sande et al. 2010). What a key point looks like in one channel seldom tells it from others.
    """

    def __init__(self, config: SiftConfig) -> None:
        self._config = config
        # Without the precise upscaling every key point lies 0.25 px too far right and too far down.
        self._sift = cv2.SIFT.create(contrastThreshold=config.contrast_threshold, enable_precise_upscale=True)

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is one minus the ratio of nearest to second-nearest descriptor distance.

        Raises:
            InputError: The numbers of channels differ.
        """
        require_same_channels(moving, fixed)
        usual = _RATIO if moving.n_channels == 1 else _JOINT_RATIO
        (moving_xy, moving_descriptors), (fixed_xy, fixed_descriptors) = map(self._describe, (moving, fixed))
        pairs = mutual_nearest(moving_descriptors, fixed_descriptors, ratio=self._config.ratio or usual)
        matches = Correspondences(moving_xy[pairs.moving_index], fixed_xy[pairs.fixed_index], pairs.confidence)
        return without_repeats(matches)

    def _describe(self, image: Image) -> tuple[Float64[np.ndarray, "n 2"], Float32[np.ndarray, "n d"]]:
        """Positions and descriptors of the strongest key points of each channel on valid ground."""
        share = max(1, self._config.max_keypoints // image.n_channels)
        greys = to_uint8(fill_from_nearest(image))
        # Detected without OpenCV's own limit, which would spend it on key points beyond the edge of the data.
        keypoints = [
            keypoint for grey in greys for keypoint in _strongest(self._sift.detect(grey, None), image.valid, share)
        ]
        if not keypoints:
            return np.zeros((0, 2)), np.zeros((0, _DESCRIPTOR_LENGTH * image.n_channels), np.float32)
        descriptors = [self._sift.compute(grey, keypoints)[1] for grey in greys]
        return _points_xy(keypoints), np.hstack(descriptors).astype(np.float32)


def build(config: SiftConfig) -> SiftMatcher:
    """Build the matcher ``sift``."""
    return SiftMatcher(config)


def to_uint8(channels: Float32[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Round values between 0 and 1 to 8 bits, clipping what lies outside."""
    return np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8)


def _strongest(
    keypoints: Sequence[cv2.KeyPoint], valid: Bool[np.ndarray, "h w"], n_keypoints: int
) -> list[cv2.KeyPoint]:
    """Drop key points that reach beyond the edge of the data; of the others, take the strongest in a fixed order."""
    if not keypoints:
        return []
    points_xy = _points_xy(keypoints)
    size, response, angle = np.array([(point.size, point.response, point.angle) for point in keypoints]).T
    # The size is the diameter of the blob, so the margin leaves half a blob free around it.
    on_ground = clearance_px(points_xy, valid) >= _MARGIN_PX + size
    order = np.lexsort((angle, size, points_xy[:, 1], points_xy[:, 0], -response))
    return [keypoints[index] for index in order[on_ground[order]][:n_keypoints]]


def _points_xy(keypoints: Sequence[cv2.KeyPoint]) -> Float64[np.ndarray, "n 2"]:
    return np.asarray(cv2.KeyPoint.convert(keypoints), dtype=np.float64).reshape(-1, 2)
