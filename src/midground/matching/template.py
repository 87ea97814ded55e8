"""Area-based matching: windows of the moving image are searched in the fixed one by correlation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.matching.configs import TemplateConfig
from midground.matching.correlation import Peak, correlation_surface, find_peak
from midground.matching.ground import on_valid_pixels

_FEWEST_WINDOWS = 36
"""Windows that small images are given, if the limit below allows it."""
_LEAST_GROWTH = 1.25
"""A larger window is tried only if it is larger by this factor."""
_DENSEST = 1 / 8
"""Small images get windows that overlap more, down to a spacing of an eighth of their side."""


@dataclass(frozen=True, slots=True)
class TemplateMatches:
    """Tie points with what the search saw at each."""

    matches: Correspondences
    peak_ratio: Float64[np.ndarray, " n"]
    """Best peak over the best rival."""
    window_px: Int64[np.ndarray, " n"]
    """Side of the window that gave the match, px."""
    n_windows: int
    """Windows that held enough data to be tried, matched or not."""


class TemplateMatcher:
    """Searches windows on a regular grid; needs the images to be roughly aligned (`TemplateConfig.search_px`)."""

    def __init__(self, config: TemplateConfig) -> None:
        self._config = config

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match around the identity."""
        return self.match_around(moving, fixed, Transform.identity()).matches

    def match_around(
        self,
        moving: Image,
        fixed: Image,
        around: Transform,
        *,
        search_px: int | None = None,
        progress: Progress = silent,
    ) -> TemplateMatches:
        """Match windows near where a first transform expects them.

        Windows are shifted, not warped: remove rotation above about 2 degrees and scale above about 3 % first.

        Args:
            moving: Image the windows are cut from.
            fixed: Image they are searched in.
            around: First transform, fixed from moving.
            search_px: Largest distance from it in x and y; the config's if omitted.
            progress: Told after every few windows.
        """
        config = self._config
        search_px = config.search_px if search_px is None else search_px
        sizes = window_sizes(config, moving.hw, fixed.hw)
        pair = _Pair(moving, fixed, search_px, config)
        centres = window_centres(moving, sizes[0], config)
        found: list[tuple[np.ndarray, np.ndarray, Peak, int]] = []
        n_windows = 0
        for index, centre in enumerate(centres):
            outcome = _match_one(pair, centre, around(centre), sizes)
            n_windows += outcome is not None
            if outcome:
                found.append(outcome[0])
            if index % 16 == 0 or index + 1 == len(centres):
                progress("matching tie points", index + 1, len(centres))
        return _collect(found, n_windows)


def build(config: TemplateConfig) -> TemplateMatcher:
    """Build the matcher ``template``."""
    return TemplateMatcher(config)


def window_sizes(config: TemplateConfig, moving_hw: tuple[int, int], fixed_hw: tuple[int, int]) -> list[int]:
    """Sides of the windows to try, smallest first: the configured one, then twice that, up to what the images hold."""
    shortest = min(*moving_hw, *fixed_hw)
    first = max(min(config.window_px, shortest // 2), min(config.min_window_px, shortest))
    largest = min(config.max_window_px, shortest)
    sizes = [first]
    while sizes[-1] * _LEAST_GROWTH <= largest:
        sizes.append(min(2 * sizes[-1], largest))
    return [size // 2 * 2 if size > 1 else size for size in sizes]


def window_centres(image: Image, size: int, config: TemplateConfig) -> Float64[np.ndarray, "n 2"]:
    """Centres (x, y) of windows on a regular grid that hold enough data, at pixel corners since sides are even.

    Each lies on a pixel with data: a window around a hole gives no centre.
    """
    height, width = image.hw
    spacing = float(config.spacing_px)
    while (
        _n_positions(width, size, spacing) * _n_positions(height, size, spacing) < _FEWEST_WINDOWS
        and spacing > size * _DENSEST
    ):
        spacing *= 0.9
    while _n_positions(width, size, spacing) * _n_positions(height, size, spacing) > config.max_points:
        spacing *= 1.1
    xs, ys = _grid_positions(width, size, spacing), _grid_positions(height, size, spacing)
    share = cv2.boxFilter(
        image.valid.astype(np.float32), cv2.CV_32F, (size, size), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT
    )
    lefts, tops = np.meshgrid(xs, ys)
    enough = share[tops, lefts] >= config.min_valid
    half = (size - 1) / 2
    centres = np.stack([lefts[enough] + half, tops[enough] + half], axis=-1).astype(np.float64)
    return centres[on_valid_pixels(centres, image)]


def _n_positions(length: int, size: int, spacing: float) -> int:
    return max(1, int((length - size) / spacing) + 1)


def _grid_positions(length: int, size: int, spacing: float) -> np.ndarray:
    n = _n_positions(length, size, spacing)
    return (
        np.rint(np.linspace(0, max(length - size, 0), n)).astype(np.int64)
        if n > 1
        else np.array([(length - size) // 2])
    )


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both images and how far to search."""

    moving: Image
    fixed: Image
    search_px: int
    config: TemplateConfig

    def forward(self, centre: np.ndarray, expected: np.ndarray, size: int) -> np.ndarray:
        return self._surface(self.moving, centre, self.fixed, expected, size)

    def backward(self, centre: np.ndarray, expected: np.ndarray, size: int) -> np.ndarray:
        return self._surface(self.fixed, centre, self.moving, expected, size)

    def _surface(self, source: Image, centre: np.ndarray, target: Image, expected: np.ndarray, size: int) -> np.ndarray:
        template = _cut(source, centre, size)
        search = _cut(target, expected, size + 2 * self.search_px)
        return correlation_surface(template, search, min_valid=self.config.min_valid)


def _cut(image: Image, centre: np.ndarray, size: int) -> Image:
    """Cut a square around a point; what lies outside the image is invalid."""
    left, top = (int(value) for value in np.rint(centre - (size - 1) / 2))
    return image.crop_padded(top, left, size, size)


def _match_one(
    pair: _Pair, centre: np.ndarray, expected: np.ndarray, sizes: list[int]
) -> list[tuple[np.ndarray, np.ndarray, Peak, int]] | None:
    """Match one window, growing it while the peak is ambiguous.

    Returns:
        None if there is no data, or none where the match lies; empty if there is no acceptable match.
    """
    config, search_px = pair.config, pair.search_px
    start = centre + np.rint(expected - centre)
    has_data = False
    for size in sizes:
        surface = pair.forward(centre, start, size)
        if surface.max() <= -1:
            continue
        has_data = True
        peak = find_peak(surface)
        if peak.at_edge or peak.ratio < config.min_peak_ratio or peak.curvature <= 0:
            continue
        fixed_xy = start + np.array([peak.x - search_px, peak.y - search_px])
        if _roundtrip_px(pair, centre, fixed_xy, size) <= config.max_roundtrip_px:
            is_on_data = on_valid_pixels(fixed_xy[None], pair.fixed).all()
            return [(centre, fixed_xy, peak, size)] if is_on_data else None
    return [] if has_data else None


def _roundtrip_px(pair: _Pair, moving_xy: np.ndarray, fixed_xy: np.ndarray, size: int) -> float:
    """Distance between a point and where its match is matched back to."""
    whole = moving_xy + np.rint(fixed_xy - moving_xy)
    surface = pair.backward(whole, moving_xy, size)
    if surface.max() <= -1:
        return float("inf")
    peak = find_peak(surface)
    back = moving_xy + np.array([peak.x - pair.search_px, peak.y - pair.search_px]) + (fixed_xy - whole)
    return float(np.linalg.norm(back - moving_xy))


def _collect(found: list[tuple[np.ndarray, np.ndarray, Peak, int]], n_windows: int) -> TemplateMatches:
    if not found:
        return TemplateMatches(Correspondences.empty(), np.zeros(0), np.zeros(0, np.int64), n_windows)
    ratio = np.array([peak.ratio for _, _, peak, _ in found])
    matches = Correspondences(
        np.array([moving_xy for moving_xy, _, _, _ in found]),
        np.array([fixed_xy for _, fixed_xy, _, _ in found]),
        1 - 1 / np.maximum(ratio, 1),
    )
    return TemplateMatches(matches, ratio, np.array([size for _, _, _, size in found], np.int64), n_windows)
