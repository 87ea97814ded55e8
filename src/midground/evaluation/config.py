"""Settings of the measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from midground.errors import ConfigError
from midground.matching.configs import SiftConfig, XFeatConfig
from midground.registration.config import EstimateConfig

FEATURE_MATCHERS: Mapping[str, type[SiftConfig | XFeatConfig]] = MappingProxyType(
    {"sift": SiftConfig, "xfeat": XFeatConfig}
)
"""Settings of the matchers of key points that are measured with."""
PAPER_ESTIMATE = EstimateConfig(method="ransac", min_inliers=4, refine=False)
"""RANSAC with 3 px and 2000 iterations (paper, section 4.5), for a homography."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarpConfig:
    """Random similarity transforms of the SAR image before it is mapped. The defaults change nothing."""

    shift_px: float = 0.0
    """Largest shift in x and y, px."""
    rotation_deg: float = 0.0
    """Largest rotation about the middle, degrees."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest scale."""
    seed: int = 0
    """Seed of the draws; each pair has its own."""

    def __post_init__(self) -> None:
        if self.shift_px < 0 or self.rotation_deg < 0 or not 0 < self.scale[0] <= self.scale[1]:
            raise ConfigError("warp: shift_px and rotation_deg must not be negative, scale be smallest and largest.")

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        return self.is_shift and self.shift_px == 0

    @property
    def is_shift(self) -> bool:
        """Whether nothing is turned or scaled."""
        return self.rotation_deg == 0 and self.scale == (1.0, 1.0)


PAPER_WARP = WarpConfig(shift_px=64.0, rotation_deg=30.0, scale=(0.9, 1.1))
"""The ranges that the paper trains RoMa with (section 4.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchabilityConfig:
    """What is measured on a collection of pairs, and what the score is made of."""

    windows_px: tuple[int, ...] = (96, 64)
    """Sides of the windows that are searched, px."""
    search_px: int = 40
    """Largest shift searched in x and y, px."""
    windows_per_side: int = 1
    """Windows of a size along each side of an image; one lies in the middle."""
    frame_shift_px: int = 24
    """Rows and columns, up to this number, that are left out above and left of the SAR image before it is mapped, px.
    In two equal frames, a network can find windows by their distance from the borders."""
    success_px: float = 3.0
    """Largest error of a window that counts as found, px; corner errors below it count in the score."""
    window_warp: WarpConfig = field(default_factory=WarpConfig)
    """Known warp for the windows; more than about 2 degrees and 3 % is beyond what windows can be found at."""
    matchers: tuple[str, ...] = ("sift",)
    """Matchers of key points that are tried."""
    max_keypoints: int = 4096
    """Key points of an image (paper, section 4.6: 4096)."""
    feature_warp: WarpConfig = field(default_factory=WarpConfig)
    """Known warp for the matchers of key points."""
    estimate: EstimateConfig = field(default_factory=lambda: PAPER_ESTIMATE)
    """Fit of a homography to their matches (paper, section 4.5)."""
    feature_weight: float = 0.25
    """Part of the score that the success of the matchers has, 0 to 1; the windows have the rest."""
    similarity: bool = False
    """Whether RMSE, PSNR and SSIM of the mapped images are measured too."""

    def __post_init__(self) -> None:
        if not self.windows_px or min(self.windows_px) < 8:
            raise ConfigError(f"windows_px must be one or more sides from 8 px up, found {list(self.windows_px)}.")
        if self.search_px < 1 or self.windows_per_side < 1 or self.frame_shift_px < 0:
            raise ConfigError("search_px and windows_per_side must be 1 or more, frame_shift_px not negative.")
        unknown = [name for name in self.matchers if name not in FEATURE_MATCHERS]
        if unknown:
            raise ConfigError(f"matchers names '{unknown[0]}'; known are {', '.join(FEATURE_MATCHERS)}.")
        if self.max_keypoints < 1:
            raise ConfigError(f"max_keypoints must be 1 or more, found {self.max_keypoints}.")
        if not 0 <= self.feature_weight <= 1:
            raise ConfigError(f"feature_weight must lie between 0 and 1, found {self.feature_weight}.")
