"""Settings of a matcher's training; imports no torch, so that a file of settings is checked without it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from midground.core.settings import require
from midground.errors import ConfigError, unknown_name
from midground.evaluation.config import PAPER_WARP, WarpConfig
from midground.training.augment import AugmentConfig
from midground.training.config import (
    MIN_REALIGN_PX,
    CardConfig,
    DataConfig,
    OptimizerConfig,
    Precision,
    TrainConfig,
    check_counts,
)

Pairing = Literal["cross", "sar", "optical", "curriculum"]
_MIN_SIDE_PX = 128
_STRIDES_PX = {"compact": 32, "roma": 56}
"""What ``side_px`` is a multiple of; of RoMa, patches are 14 px wide and the coarsest refined stride is 8 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactConfig:
    """The compact RoMa that the matcher ``roma-shared`` runs; see ``midground.training.matcher.network``."""

    name: Literal["compact"] = "compact"
    """Tag of this network."""
    n_oriented: int = 9
    """Channels of the mapper, the first ones, that are strengths of gradients along orientations which divide a half
    turn evenly: they change places as an image turns. 9 for ``structure``, 8 for ``sar1-rgb``, 0 for none."""
    compared_deg: float | None = None
    """Largest rotation that the exported matcher follows, degrees; that of ``warp`` if omitted. It is not learned, so
    that training compares those of ``warp`` alone. It decides the matcher's time: 36 comparisons at 180, 7 at 30."""
    train_refiners: bool = True
    """Whether refiners learn to correct what the correlation of windows says. Else they have no layers: windows alone
    are more exact than what a short training teaches."""

    def __post_init__(self) -> None:
        require(self.n_oriented >= 0, f"network.n_oriented must be 0 or more, found {self.n_oriented}.")
        require(
            self.compared_deg is None or 0 <= self.compared_deg <= 180,
            f"network.compared_deg must lie between 0 and 180, found {self.compared_deg}.",
        )

    def rotation_deg(self, warp: WarpConfig) -> float:
        """Largest rotation that the matcher follows, degrees."""
        return warp.rotation_deg if self.compared_deg is None else self.compared_deg


@dataclass(frozen=True, slots=True, kw_only=True)
class FullConfig:
    """RoMa (Edstedt et al. 2024) of the package ``romatch``, which the matcher ``roma`` runs."""

    name: Literal["roma"] = "roma"
    """Tag of this network."""
    weights: Path | None = None
    """What training starts from: roma_outdoor.pth, or roma.pth of another run; random weights if omitted."""
    backbone_weights: Path | None = None
    """dinov2_vitl14_pretrain.pth (DINOv2 ViT-L/14), which is needed and stays as it is."""
    encoder_rate: float = 0.05
    """Learning rate of the VGG encoder relative to the decoder's, 0 or more (RoMa: 5e-6 to 1e-4)."""

    def __post_init__(self) -> None:
        require(self.encoder_rate >= 0, f"network.encoder_rate must be 0 or more, found {self.encoder_rate}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class MatcherTrainConfig:
    """Everything that decides the result of training a dense matcher."""

    name: str
    """Name of the matcher."""
    data: DataConfig
    """Pairs; windows of ``crop_px`` are read, of which squares are cut once one image is warped."""
    network: CompactConfig | FullConfig = field(default_factory=CompactConfig)
    """What is trained: ``compact`` or ``roma``."""
    side_px: int = 256
    """Height and width that the network takes, px (paper, section 4.3: 224): a multiple of 32, of 56 for ``roma``.
    Squares are at most as large."""
    model: str = "structure"
    """Mapper that brings both images into the shared modality: a name, or a bundle's folder."""
    pairing: Pairing = "cross"
    """``cross``: a SAR and an optical image. ``sar``, ``optical``: an image and itself. ``curriculum``: from images
    with themselves, of either kind, to ``cross``."""
    curriculum_share: float = 0.15
    """``curriculum``: part of the steps over which ``cross`` takes over, linearly, 0 to 1."""
    realign_px: int = 12
    """Largest shift between SAR and optical images that is corrected before training, px, 8 or more; 0: none."""
    warp: WarpConfig = field(default_factory=lambda: replace(PAPER_WARP, seed=1))
    """Transforms that are drawn (paper, section 4.3: 64 px, 30 degrees, 0.9 to 1.1)."""
    masked_share: float = 0.0
    """Pairs of which one image, or both alike, hold no data beyond a random line, 0 to 1: the edge of data is to be no
    feature, and its lack no reason to find nothing."""
    unrelated_share: float = 0.0
    """Pairs that show two places, in which no match is right, 0 to 1: the certainty has to say so."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Random changes to the pairs before they are mapped."""
    optimizer: OptimizerConfig = field(
        default_factory=lambda: OptimizerConfig(
            name="adamw", learning_rate=5e-4, weight_decay=0.01, schedule="cosine", warmup_epochs=1.0, clip_norm=1.0
        )
    )
    """How weights are moved."""
    epochs: int = 60
    """Epochs."""
    steps_per_epoch: int = 50
    """Steps of an epoch."""
    batch_size: int = 8
    """Pairs of a step."""
    validate_every_epochs: int = 5
    """Epochs between two validations."""
    patience: int | None = None
    """Validations without a better score after which training stops; never if omitted."""
    init_from: str | None = None
    """``compact``: a matcher to start from, a run's folder or a checkpoint; XFeat's weights in the backbone if omitted.
    ``roma`` has ``network.weights`` for this."""
    precision: Precision = "32-true"
    """Arithmetic of the network; places are computed in single precision in any case."""
    card: CardConfig = field(default_factory=lambda: CardConfig(description="A dense matcher trained with midground."))
    """What the matcher's card says; bands, sensors and ground sample distance are the mapper's and are not used."""
    seed: int = 0
    """Seed of weights, order, crops, roles and changes."""

    def __post_init__(self) -> None:
        counts = ("epochs", "steps_per_epoch", "batch_size", "validate_every_epochs", "patience")
        check_counts(self, counts, seed=self.seed)
        require(
            self.realign_px == 0 or self.realign_px >= MIN_REALIGN_PX,
            f"realign_px must be 0 or from {MIN_REALIGN_PX} up, found {self.realign_px}.",
        )
        if self.pairing not in get_args(Pairing):
            raise unknown_name("pairing", self.pairing, get_args(Pairing))
        if not 0 < self.curriculum_share <= 1:
            raise ConfigError(f"curriculum_share must lie between 0 and 1, found {self.curriculum_share}.")
        for name in ("masked_share", "unrelated_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, found {getattr(self, name)}.")
        stride_px = _STRIDES_PX[self.network.name]
        if self.side_px < _MIN_SIDE_PX or self.side_px % stride_px:
            raise ConfigError(
                f"side_px must be a multiple of {stride_px} from {_MIN_SIDE_PX} up for the network "
                f"{self.network.name}, found {self.side_px}."
            )
        if self.init_from is not None and self.network.name == "roma":
            raise ConfigError(
                "init_from is for the network compact; roma starts from network.weights, such as a run's roma.pth."
            )
        if self.data.crop_px < _MIN_SIDE_PX:
            raise ConfigError(f"data.crop_px must be {_MIN_SIDE_PX} or more for a matcher, found {self.data.crop_px}.")

    @property
    def n_samples(self) -> int:
        """Pairs of the whole run."""
        return self.epochs * self.steps_per_epoch * self.batch_size


AnyTrainConfig = TrainConfig | MatcherTrainConfig
"""Settings of a run of either kind."""
