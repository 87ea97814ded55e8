"""What a registration can be told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from midground.core.radiometry import SAR_SCALES, SarScale
from midground.core.settings import require
from midground.core.transforms import TRANSFORM_KINDS, TransformKind
from midground.errors import ConfigError, unknown_name
from midground.matching.configs import TemplateConfig
from midground.modality.base import MODALITIES, Modality

TransformChoice = TransformKind | Literal["auto"]
TRANSFORM_CHOICES: tuple[str, ...] = (*TRANSFORM_KINDS, "auto")
Lead = Literal["structure", "model"]
LEADS: tuple[Lead, ...] = get_args(Lead)
Georeference = Literal["auto", "ignore"]
GEOREFERENCE_CHOICES: tuple[Georeference, ...] = get_args(Georeference)
_MAX_SEED = 2**31 - 1
"""OpenCV's seeds are signed, of 32 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputConfig:
    """How one of the two images is read."""

    modality: Modality | None = None
    """What the image is; read from its bands if omitted."""
    bands: tuple[int, ...] | None = None
    """Bands to use, counted from 1; chosen by description if omitted."""
    sar_scale: SarScale | None = None
    """Scale of SAR values; detected if omitted."""

    def __post_init__(self) -> None:
        if self.modality is not None and self.modality not in MODALITIES:
            raise unknown_name("modality", self.modality, MODALITIES)
        if self.sar_scale is not None and self.sar_scale not in SAR_SCALES:
            raise unknown_name("SAR scale", self.sar_scale, SAR_SCALES)
        if self.bands is not None and (not self.bands or min(self.bands) < 1):
            raise ConfigError(f"Bands are counted from 1, found {list(self.bands)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EstimateConfig:
    """Robust fit of a transform to matches."""

    method: Literal["magsac", "ransac"] = "magsac"
    """OpenCV's USAC-MAGSAC, or plain RANSAC as in the paper."""
    threshold_px: float = 3.0
    """Largest distance of an inlier, px of the fixed image (paper, section 4.5: 3)."""
    max_iterations: int = 2000
    """Most models tried (paper, section 4.5: 2000)."""
    confidence: float = 0.999
    """Probability of having drawn a clean sample at which sampling stops, 0 to 1."""
    min_inliers: int = 6
    """Fewest inliers of an acceptable model."""
    refine: bool = True
    """Whether to refit the inliers by least squares weighted with their confidence."""
    seed: int = 0
    """Seed of the sampling."""

    def __post_init__(self) -> None:
        if self.method not in ("magsac", "ransac"):
            raise unknown_name("estimation method", self.method, ("magsac", "ransac"))
        if self.threshold_px <= 0:
            raise ConfigError(f"threshold_px must be positive, found {self.threshold_px}.")
        if self.max_iterations < 1:
            raise ConfigError(f"max_iterations must be 1 or more, found {self.max_iterations}.")
        require(self.min_inliers >= 1, f"min_inliers must be 1 or more, found {self.min_inliers}.")
        if not 0 < self.confidence < 1:
            raise ConfigError(f"confidence must lie between 0 and 1, found {self.confidence}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SimilarityConfig:
    """Rotations and scales that are searched where nothing says how the images lie, and no shift alone will do."""

    rotation_deg: float = 180.0
    """Largest rotation either way, degrees, 0 to 180."""
    scale: tuple[float, float] = (0.7, 1.4)
    """Smallest and largest magnification of the moving image, beside what the georeference says."""
    matcher: Literal["roma-shared"] | None = "roma-shared"
    """Dense matcher that is asked where the search is not accepted; None for none."""

    def __post_init__(self) -> None:
        if self.matcher not in ("roma-shared", None):
            raise unknown_name("similarity.matcher", self.matcher, ("roma-shared",))
        if not 0 <= self.rotation_deg <= 180:
            raise ConfigError(f"similarity.rotation_deg must lie between 0 and 180, found {self.rotation_deg}.")
        smallest, largest = self.scale
        if not 0.1 <= smallest <= largest <= 10:
            raise ConfigError(
                f"similarity.scale must be two magnifications between 0.1 and 10, the smaller first, found "
                f"{list(self.scale)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterConfig:
    """Everything that decides the result of a registration."""

    fixed: InputConfig = field(default_factory=InputConfig)
    """How the fixed image is read."""
    moving: InputConfig = field(default_factory=InputConfig)
    """How the moving image is read."""
    transform: TransformChoice = "affine"
    """Model of the transform; auto chooses it by the error of tie points held out."""
    model: str | Path | None = "default"
    """Learned shared modality: a shipped name or a bundle's folder; None uses `structure` alone."""
    lead: Lead = "structure"
    """Whose tie points make the transform, if there is a model; the other one is the independent witness."""
    search_m: float = 500.0
    """Largest error of the georeference that is searched, m."""
    gsd_m: float | None = None
    """Ground sample distance of the working grid, m; chosen from the images if omitted."""
    georeference: Georeference = "auto"
    """Whether the images' georeference is used, or ignored."""
    similarity: SimilarityConfig = field(default_factory=SimilarityConfig)
    """Rotations and scales searched for images without georeference."""
    template: TemplateConfig = field(default_factory=TemplateConfig)
    """Area-based matching of the tie points."""
    estimate: EstimateConfig = field(default_factory=EstimateConfig)
    """Robust fit."""
    seed: int = 0
    """Seed of everything random, that of the robust fit included."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "estimate", replace(self.estimate, seed=self.seed))
        if self.transform not in TRANSFORM_CHOICES:
            raise unknown_name("transform", self.transform, TRANSFORM_CHOICES)
        if self.lead not in LEADS:
            raise unknown_name("lead", self.lead, LEADS)
        if self.georeference not in GEOREFERENCE_CHOICES:
            raise unknown_name("georeference mode", self.georeference, GEOREFERENCE_CHOICES)
        require(0 < self.search_m < math.inf, f"search_m must be positive and finite, found {self.search_m}.")
        if self.gsd_m is not None:
            require(0 < self.gsd_m < math.inf, f"gsd_m must be positive and finite, found {self.gsd_m}.")
        require(0 <= self.seed <= _MAX_SEED, f"seed must lie between 0 and {_MAX_SEED}, found {self.seed}.")
