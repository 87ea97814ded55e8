"""SIFT key points and descriptors (Lowe 2004), by OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.configs import SiftConfig
from midground.matching.descriptors import mutual_nearest
from midground.matching.ground import clearance_px, fill_from_nearest

_MARGIN_PX = 2.0
_DESCRIPTOR_LENGTH = 128


class SiftMatcher:
    """Matches SIFT descriptors by mutual nearest neighbours with a ratio test.

    Each channel is matched with the same channel of the other image and the matches are pooled; the channels share
    `SiftConfig.max_keypoints` evenly. A mean would cancel what tells channels apart: oriented gradients of unit length
    have a nearly constant one. Channels that resemble each other may find the same place more than once.
    """

    def __init__(self, config: SiftConfig) -> None:
        self._config = config
        # Without the precise upscaling every key point lies 0.25 px too far right and too far down.
        self._sift = cv2.SIFT_create(contrastThreshold=config.contrast_threshold, enable_precise_upscale=True)

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is one minus the ratio of nearest to second-nearest descriptor distance."""
        if not (moving.valid.any() and fixed.valid.any()):
            return Correspondences.empty()
        moving_grey, fixed_grey = to_uint8(fill_from_nearest(moving)), to_uint8(fill_from_nearest(fixed))
        n_keypoints = max(1, self._config.max_keypoints // moving.n_channels)
        parts = []
        for moving_channel, fixed_channel in zip(moving_grey, fixed_grey, strict=True):
            moving_xy, moving_descriptors = self._describe(moving_channel, moving.valid, n_keypoints)
            fixed_xy, fixed_descriptors = self._describe(fixed_channel, fixed.valid, n_keypoints)
            pairs = mutual_nearest(moving_descriptors, fixed_descriptors, ratio=self._config.ratio)
            parts.append(
                Correspondences(
                    moving_xy[pairs.moving_index].astype(np.float64),
                    fixed_xy[pairs.fixed_index].astype(np.float64),
                    pairs.confidence,
                )
            )
        return without_repeats(Correspondences.concatenate(parts))

    def _describe(
        self, grey: UInt8[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], n_keypoints: int
    ) -> tuple[Float32[np.ndarray, "n 2"], Float32[np.ndarray, "n d"]]:
        """Positions and descriptors of the strongest key points on valid ground, strongest first."""
        # Detected without OpenCV's own limit, which would spend it on key points beyond the edge of the data.
        keypoints = _strongest(self._sift.detect(grey, None), valid, n_keypoints)
        if not keypoints:
            return np.zeros((0, 2), np.float32), np.zeros((0, _DESCRIPTOR_LENGTH), np.float32)
        keypoints, descriptors = self._sift.compute(grey, keypoints)
        return _points_xy(keypoints), descriptors.astype(np.float32)


def build(config: SiftConfig) -> SiftMatcher:
    """Build the matcher ``sift``."""
    return SiftMatcher(config)


def to_uint8(channels: Float32[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Round values between 0 and 1 to 8 bits, clipping what lies outside."""
    return np.rint(np.clip(channels, 0, 1) * 255).astype(np.uint8)


def without_repeats(matches: Correspondences) -> Correspondences:
    """Keep the best of the matches between the same two points: SIFT describes a point once per orientation."""
    best_first = np.argsort(-matches.score, kind="stable")
    points = np.hstack([matches.moving_xy, matches.fixed_xy])[best_first]
    _, first = np.unique(points, axis=0, return_index=True)
    return matches.select(np.sort(best_first[first]))


def _strongest(
    keypoints: tuple[cv2.KeyPoint, ...], valid: Bool[np.ndarray, "h w"], n_keypoints: int
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


def _points_xy(keypoints: tuple[cv2.KeyPoint, ...] | list[cv2.KeyPoint]) -> Float32[np.ndarray, "n 2"]:
    return np.asarray(cv2.KeyPoint.convert(keypoints), dtype=np.float32).reshape(-1, 2)
