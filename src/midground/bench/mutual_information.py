"""Windows searched by mutual information: what is used for images of two sensors without any mapping.

Source:
    Viola and Wells 1997; Maes et al. 1997; as an area-based matcher of SAR and optical images, Suri and Reinartz 2010.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.correlation import find_peak

_N_LEVELS = 16
_MIN_VALID = 0.6


class MutualInformationMatcher:
    """Follows the ``Matcher`` protocol: each window goes where its grey tells most about the other image's.

    Args:
        window_px: Side of the windows.
        spacing_px: Distance between neighbouring windows.
        search_px: Largest shift in x and y.
    """

    def __init__(self, *, window_px: int, spacing_px: int, search_px: int) -> None:
        self._window_px, self._spacing_px, self._search_px = window_px, spacing_px, search_px

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match by the grey of all channels; the score is the mutual information over the largest possible."""
        levels = [_levels(image) for image in (moving, fixed)]
        side, search = self._window_px, self._search_px
        moving_xy, fixed_xy, scores = [], [], []
        for top in range(search, moving.hw[0] - side - search + 1, self._spacing_px):
            for left in range(search, moving.hw[1] - side - search + 1, self._spacing_px):
                rows, columns = slice(top, top + side), slice(left, left + side)
                if moving.valid[rows, columns].mean() < _MIN_VALID:
                    continue
                area = levels[1][top - search : top + side + search, left - search : left + side + search]
                if area.shape != (side + 2 * search, side + 2 * search):
                    continue
                surface = _surface(levels[0][rows, columns], area)
                peak = find_peak(surface)
                middle = np.array([left, top]) + (side - 1) / 2
                moving_xy.append(middle)
                fixed_xy.append(middle + np.array([peak.x, peak.y]) - search)
                scores.append(peak.value / np.log(_N_LEVELS))
        if not scores:
            return Correspondences.empty()
        return Correspondences(np.array(moving_xy), np.array(fixed_xy, np.float64), np.clip(scores, 0, 1))


def _levels(image: Image) -> Int64[np.ndarray, "h w"]:
    """Grey in levels that hold equally many pixels; -1 without data."""
    grey = image.channels.mean(axis=0)
    if not image.valid.any():
        return np.full(image.hw, -1, np.int64)
    edges = np.quantile(grey[image.valid], np.linspace(0, 1, _N_LEVELS + 1)[1:-1])
    return np.where(image.valid, np.searchsorted(edges, grey), -1)


def _surface(window: Int64[np.ndarray, "n n"], area: Int64[np.ndarray, "m m"]) -> Float32[np.ndarray, "s s"]:
    """Mutual information for every place of a window in an area, nats."""
    side = len(window)
    n_shifts = len(area) - side + 1
    surface = np.zeros((n_shifts, n_shifts), np.float32)
    for row in range(n_shifts):
        for column in range(n_shifts):
            surface[row, column] = _information(window, area[row : row + side, column : column + side])
    return surface


def _information(one: Int64[np.ndarray, "n n"], other: Int64[np.ndarray, "n n"]) -> float:
    known = (one >= 0) & (other >= 0)
    if not known.any():
        return 0.0
    pairs = np.bincount(one[known] * _N_LEVELS + other[known], minlength=_N_LEVELS**2).reshape(_N_LEVELS, _N_LEVELS)
    joint = pairs / pairs.sum()
    alone = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / alone[seen])).sum())
