"""Matchability of a mapper on a collection of pairs.

Similar images are not always images that can be matched: two constant images are as similar as can be. So what counts
is whether places are found again. Every share is of all pairs; a failure is a failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float64

from midground.core.image import Image
from midground.core.metrics import SUCCESS_ACE_PX, Summary, ace, mean_of_defined, psnr, rmse, ssim
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.datasets.base import Pair, PairSource
from midground.errors import InputError, RegistrationError
from midground.evaluation.config import FEATURE_MATCHERS, MatchabilityConfig
from midground.evaluation.frames import map_in_frame
from midground.evaluation.warps import draw_warp
from midground.evaluation.windows import window_errors_px
from midground.matching.base import Matcher
from midground.matching.registry import build_matcher
from midground.modality.base import Mapper
from midground.registration.config import EstimateConfig
from midground.registration.estimate import estimate_transform
from midground.registration.pair import warp_image

STAGE = "matching pairs"
_DEFAULTS = MatchabilityConfig()


@dataclass(frozen=True, slots=True)
class Matchability:
    """What was measured; errors in px, infinite for a failure."""

    config: MatchabilityConfig
    n_pairs: int
    """Pairs that were tried."""
    window_errors: Mapping[int, Float64[np.ndarray, " n_windows"]]
    """By side of the window: error of each window of each pair."""
    corner_errors: Mapping[str, Float64[np.ndarray, " n_pairs"]]
    """By matcher of key points: average corner error of each pair."""
    similarity: Mapping[str, Summary] = field(default_factory=dict)
    """RMSE, PSNR (dB) and SSIM of the mapped images, over the pairs for which they are defined."""

    @property
    def score(self) -> float:
        """One number to choose models by, 0 to 1: share of windows found, and successes of the matchers."""
        config = self.config
        found = np.mean([self.found(window) for window in config.windows_px])
        if not config.matchers:
            return float(found)
        successes = np.mean([self.successes(matcher, config.success_px) for matcher in config.matchers])
        return float((1 - config.feature_weight) * found + config.feature_weight * successes)

    def found(self, window_px: int, within_px: float | None = None) -> float:
        """Share of all windows of a size that were found within a distance; ``success_px`` if omitted."""
        within_px = self.config.success_px if within_px is None else within_px
        return float((self.window_errors[window_px] <= within_px).mean())

    def successes(self, matcher: str, within_px: float = SUCCESS_ACE_PX) -> float:
        """Share of all pairs whose corner error is below a bound; the paper's 40 px if omitted."""
        return float((self.corner_errors[matcher] < within_px).mean())

    def numbers(self) -> dict[str, float]:
        """Everything by name, for logs and tables."""
        config = self.config
        return (
            {f"window {side} px": self.found(side) for side in config.windows_px}
            | {f"{name} ACE < 40 px": self.successes(name) for name in config.matchers}
            | {f"{name} ACE < 3 px": self.successes(name, 3.0) for name in config.matchers}
            | {name: summary.value for name, summary in self.similarity.items() if summary.value is not None}
        )

    def __str__(self) -> str:
        told = ", ".join(f"{name} {value:.2f}" for name, value in self.numbers().items())
        return f"matchability {self.score:.3f} ({told}; {self.n_pairs} pairs)"


def measure(
    mapper: Mapper, pairs: PairSource, config: MatchabilityConfig = _DEFAULTS, *, progress: Progress = silent
) -> Matchability:
    """Map every pair, and try to find the places of one image in the other.

    Args:
        mapper: What maps.
        pairs: Unit-scaled pairs, taken as aligned: their own misregistration counts as error.
        config: What to measure.
        progress: Told after every pair.

    Raises:
        InputError: There is no pair, or windows do not fit into one.
    """
    require_windows(pairs, config)
    matchers = {
        name: build_matcher(FEATURE_MATCHERS[name](max_keypoints=config.max_keypoints)) for name in config.matchers
    }
    rows = []
    for index in range(len(pairs)):
        rows.append(_measure_pair(mapper, pairs.read(index), index, config, matchers))
        progress(STAGE, index + 1, len(pairs))
    return Matchability(
        config,
        len(rows),
        {side: np.concatenate([row.windows[side] for row in rows]) for side in config.windows_px},
        {name: np.array([row.corners[name] for row in rows], np.float64) for name in config.matchers},
        {name: mean_of_defined([row.similarity[name] for row in rows]) for name in rows[0].similarity},
    )


def with_fitting_windows(config: MatchabilityConfig, pairs: PairSource) -> MatchabilityConfig:
    """The same settings with those of the windows that fit into every pair; the smallest one if none does."""
    smallest_px = min((min(pairs.hw(index)) for index in range(len(pairs))), default=0)
    fitting = tuple(side_px for side_px in config.windows_px if side_px <= smallest_px)
    return replace(config, windows_px=fitting or (min(config.windows_px),))


def require_windows(pairs: PairSource, config: MatchabilityConfig) -> None:
    """Refuse pairs that cannot be measured on.

    Args:
        pairs: Of them, only sizes are looked at.
        config: What is to be measured.

    Raises:
        InputError: There is no pair, or windows do not fit into one.
    """
    if len(pairs) == 0:
        raise InputError("The collection holds no pair to measure on.")
    for index, name in enumerate(pairs.names):
        height, width = pairs.hw(index)
        if max(config.windows_px) > min(height, width):
            raise InputError(
                f"Windows of {max(config.windows_px)} px do not fit into the pair '{name}' of {height} × {width} px: "
                "choose a smaller windows_px, or leave the pair out."
            )


@dataclass(frozen=True, slots=True)
class _Row:
    windows: dict[int, Float64[np.ndarray, " n"]]
    corners: dict[str, float]
    similarity: dict[str, float | None]


def _measure_pair(
    mapper: Mapper, pair: Pair, index: int, config: MatchabilityConfig, matchers: Mapping[str, Matcher]
) -> _Row:
    optical = mapper.map(pair.optical, "optical")
    mapped: dict[tuple[bytes, int], Image] = {}

    def sar_under(warp: Transform, frame_shift_px: int = 0) -> Image:
        """The SAR image, warped before it is mapped; the same is mapped once."""
        key = (warp.matrix.tobytes(), frame_shift_px)
        if key not in mapped:
            is_identity = np.array_equal(warp.matrix, np.eye(3))
            sar = pair.sar if is_identity else warp_image(pair.sar, warp, pair.sar.hw)
            mapped[key] = map_in_frame(mapper, sar, index, frame_shift_px)
        return mapped[key]

    window_warp = draw_warp(config.window_warp, index, pair.sar.hw)
    feature_warp = draw_warp(config.feature_warp, index, pair.sar.hw)
    windows = {
        side: window_errors_px(
            sar_under(window_warp, config.frame_shift_px),
            optical,
            window_warp.inverse(),
            window_px=side,
            search_px=config.search_px,
            per_side=config.windows_per_side,
        )
        for side in config.windows_px
    }
    corners = {
        name: feature_error_px(matcher, sar_under(feature_warp), optical, feature_warp.inverse(), config.estimate)
        for name, matcher in matchers.items()
    }
    similarity = _similarity(sar_under(Transform.identity()), optical) if config.similarity else {}
    return _Row(windows, corners, similarity)


def feature_error_px(matcher: Matcher, moving: Image, fixed: Image, truth: Transform, config: EstimateConfig) -> float:
    """Average corner error of a homography fitted to the matches of two mapped images; infinite for a failure.

    Source:
        Paper, section 4.5.
    """
    try:
        estimate = estimate_transform(matcher.match(moving, fixed), "homography", config).transform
    except RegistrationError:
        return float("inf")
    return ace(estimate, truth, moving.hw)


def _similarity(sar: Image, optical: Image) -> dict[str, float | None]:
    valid = sar.valid & optical.valid
    images = (sar.channels, optical.channels, valid)
    return {"RMSE": rmse(*images), "PSNR dB": psnr(*images), "SSIM": ssim(*images)}
