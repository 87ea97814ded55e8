"""RIFT2: key points of the phase congruency, described by which orientation is strongest around them.

Which orientation is strongest, unlike how strong it is, survives a change of sensor.

Source:
    RIFT (Li, Hu, Ai 2020, arXiv 1804.09493); RIFT2 (Li, Shi, Hu 2023, arXiv 2303.00319).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.channels import require_same_channels, without_repeats
from midground.matching.configs import Rift2Config
from midground.matching.correlation import quadratic_tops
from midground.matching.descriptors import mutual_nearest
from midground.matching.ground import MIN_CONTRAST, clearance_px, fill_from_nearest
from midground.matching.phase_congruency import PhaseCongruency, phase_congruency

_N_CELLS = 6
_N_DIRECTIONS = 24
_SECOND_DIRECTION = 0.8
"""Another direction of at least this share of the main one gives a key point a second descriptor, as in SIFT."""
_SAMPLE_STEP_PX = 2
_MARGIN_PX = 6.0
_BLUR_PX = 1.0
_N_CLIMBS = 3
_CHUNK = 512


class Rift2Matcher:
    """Matches RIFT2 descriptors by mutual nearest neighbours. All channels of an image make one set of key points."""

    def __init__(self, config: Rift2Config) -> None:
        self._config = config

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is one minus the ratio of nearest to second-nearest descriptor distance.

        Raises:
            InputError: The numbers of channels differ.
        """
        require_same_channels(moving, fixed)
        one, other = self.describe(moving), self.describe(fixed)
        pairs = mutual_nearest(one.descriptors, other.descriptors, ratio=self._config.ratio)
        moving_xy, fixed_xy = one.xy[pairs.moving_index], other.xy[pairs.fixed_index]
        return without_repeats(Correspondences(moving_xy, fixed_xy, pairs.confidence))

    def describe(self, image: Image) -> Described:
        """Positions and unit descriptors of the strongest key points on valid ground."""
        config = self._config
        channels = _filled(image)
        if channels is None:
            return Described(np.zeros((0, 2)), np.zeros((0, _N_CELLS**2 * config.n_orientations), np.float32))
        found = phase_congruency(channels, image.valid, n_scales=config.n_scales, n_orientations=config.n_orientations)
        xy = self._key_points(found, image.valid)
        index, directions = _directions(found.moment, xy, config.patch_px)
        descriptors = self._describe(_index_map(found.amplitude), image.valid, xy[index], directions)
        is_described = descriptors.any(axis=1)
        return Described(xy[index][is_described], descriptors[is_described])

    def _key_points(self, found: PhaseCongruency, valid: Bool[np.ndarray, "h w"]) -> Float64[np.ndarray, "n 2"]:
        """FAST corners of the moment, the strongest first, refined to a fraction of a pixel."""
        moment = found.moment
        span = float(np.ptp(moment))
        if span == 0:
            return np.zeros((0, 2))
        grey = (moment - moment.min()) * np.float32(255 / span)
        detector = cv2.FastFeatureDetector.create(self._config.fast_threshold)
        corners = detector.detect(np.rint(grey).astype(np.uint8), None)
        if not corners:
            return np.zeros((0, 2))
        xy = np.asarray(cv2.KeyPoint.convert(corners), np.float64)
        response = np.array([corner.response for corner in corners])
        xy, response = (values[clearance_px(xy, valid) >= _MARGIN_PX] for values in (xy, response))
        order = np.lexsort((xy[:, 1], xy[:, 0], -response))[: self._config.max_keypoints]
        return _refined(grey, xy[order])

    def _describe(
        self,
        index_map: Float32[np.ndarray, "h w"],
        valid: Bool[np.ndarray, "h w"],
        xy: Float64[np.ndarray, "n 2"],
        directions: Float64[np.ndarray, " n"],
    ) -> Float32[np.ndarray, "n d"]:
        """Histograms of the strongest orientation in the cells of a patch turned into the key point's direction.

        Orientations are counted from one of the patch's own, so that turning the image changes nothing (RIFT2, in place
        of RIFT's one map for each orientation): from the direction that turns the patch.
        """
        n_bins, side = self._config.n_orientations, self._config.patch_px // _SAMPLE_STEP_PX
        n_values = _N_CELLS**2 * n_bins
        offset = (np.arange(side) + 0.5) * _SAMPLE_STEP_PX - self._config.patch_px / 2
        cell = np.arange(side) * _N_CELLS // side
        cell_of = (cell[:, None] * _N_CELLS + cell).ravel() * n_bins
        dy, dx = (axis.ravel() for axis in np.meshgrid(offset, offset, indexing="ij"))
        height, width = index_map.shape
        # What lies outside the image or on invalid ground has no index, and no vote.
        lookup = np.pad(np.where(valid, index_map, np.float32(np.nan)), 1, constant_values=np.nan)
        descriptors = np.zeros((len(xy), n_values), np.float32)
        for start in range(0, len(xy), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            angle = directions[chunk, None]
            columns = np.rint(xy[chunk, :1] + np.cos(angle) * dx - np.sin(angle) * dy).astype(np.intp)
            rows = np.rint(xy[chunk, 1:] + np.sin(angle) * dx + np.cos(angle) * dy).astype(np.intp)
            index = lookup[np.clip(rows, -1, height) + 1, np.clip(columns, -1, width) + 1]
            index = (index - (angle * (n_bins / np.pi)).astype(np.float32)) % n_bins
            has_vote = np.isfinite(index)
            first = cell_of + np.arange(len(index))[:, None] * n_values
            first, index = np.broadcast_to(first, index.shape)[has_vote], index[has_vote]
            lower = index.astype(np.intp)
            share = index - lower
            size = len(angle) * n_values
            votes = np.bincount(first + lower % n_bins, 1 - share, size)
            votes += np.bincount(first + (lower + 1) % n_bins, share, size)
            descriptors[chunk] = votes.reshape(-1, n_values)
        return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), np.float32(1e-12))


@dataclass(frozen=True, slots=True)
class Described:
    """Key points of one image; one with two directions appears twice."""

    xy: Float64[np.ndarray, "n 2"]
    descriptors: Float32[np.ndarray, "n d"]


def build(config: Rift2Config) -> Rift2Matcher:
    """Build the matcher ``rift2``."""
    return Rift2Matcher(config)


def _index_map(amplitude: Float32[np.ndarray, "o h w"]) -> Float32[np.ndarray, "h w"]:
    """The strongest orientation of each pixel, as an index between those of the filters.

    RIFT takes the index of the strongest filter. Halfway between two filters noise decides which that is: images turned
    by 15 degrees then share 70 to 75 % of their matches instead of over 90 %.
    """
    strongest = amplitude.argmax(axis=0)[None]
    left, middle, right = (
        np.take_along_axis(amplitude, (strongest + step) % len(amplitude), axis=0)[0] for step in (-1, 0, 1)
    )
    curvature = np.maximum(2 * middle - left - right, np.float32(1e-12))
    return (strongest[0] + np.clip((right - left) / (2 * curvature), -0.5, 0.5)).astype(np.float32)


def _filled(image: Image) -> Float32[np.ndarray, "c h w"] | None:
    """Channels without an edge where the data end, of equal contrast; None if no channel has any."""
    if not image.valid.any():
        return None
    deviation = image.channels[:, image.valid].std(axis=1)
    shows = deviation >= MIN_CONTRAST
    return fill_from_nearest(image)[shows] / deviation[shows, None, None] if shows.any() else None


def _refined(grey: Float32[np.ndarray, "h w"], xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "m 2"]:
    """The tops of the slightly blurred moment next to FAST's corners, which are whole pixels; each top once."""
    blurred = cv2.GaussianBlur(grey, (0, 0), _BLUR_PX)
    height, width = grey.shape
    if min(grey.shape) < 3 or len(xy) == 0:
        return xy
    steps = np.arange(-1, 2)
    columns, rows = xy.astype(np.intp).T

    def around() -> Float32[np.ndarray, "m 3 3"]:
        return blurred[rows[:, None, None] + steps[:, None], columns[:, None, None] + steps]

    for _ in range(_N_CLIMBS):
        rows, columns = np.clip(rows, 1, height - 2), np.clip(columns, 1, width - 2)
        highest = around().reshape(-1, 9).argmax(axis=1)
        rows, columns = rows + highest // 3 - 1, columns + highest % 3 - 1
    rows, columns = np.clip(rows, 1, height - 2), np.clip(columns, 1, width - 2)
    _, first = np.unique(rows * width + columns, return_index=True)
    rows, columns = rows[np.sort(first)], columns[np.sort(first)]
    offset, _ = quadratic_tops(around().astype(np.float64))
    return np.column_stack([columns, rows]) + np.clip(offset, -1, 1)


def _directions(
    moment: Float32[np.ndarray, "h w"], xy: Float64[np.ndarray, "n 2"], patch_px: int
) -> tuple[Int64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """Main directions of the moment's gradient around key points: number of the key point, and radians.

    Every pixel holds the histogram of its surroundings: one blurred image for each direction.
    """
    dx, dy = (cv2.Sobel(moment, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    length, angle = cv2.cartToPolar(dx, dy)
    place = angle * np.float32(_N_DIRECTIONS / (2 * np.pi))
    columns, rows = np.rint(xy).astype(np.intp).T
    histogram = np.empty((len(xy), _N_DIRECTIONS))
    for direction in range(_N_DIRECTIONS):
        apart = np.abs((place - direction + _N_DIRECTIONS / 2) % _N_DIRECTIONS - _N_DIRECTIONS / 2)
        share = length * np.maximum(1 - apart / 1.5, 0)
        histogram[:, direction] = cv2.GaussianBlur(share, (0, 0), patch_px / 6)[rows, columns]
    before, after = np.roll(histogram, 1, axis=1), np.roll(histogram, -1, axis=1)
    is_peak = (histogram > before) & (histogram >= after) & (histogram > 0)
    is_peak &= histogram >= _SECOND_DIRECTION * histogram.max(axis=1, keepdims=True, initial=0)
    index, peak = np.nonzero(is_peak)
    left, middle, right = (values[index, peak] for values in (before, histogram, after))
    offset = (right - left) / np.maximum(2 * (2 * middle - left - right), 1e-12)
    return index, (peak + np.clip(offset, -0.5, 0.5)) * (2 * np.pi / _N_DIRECTIONS)
