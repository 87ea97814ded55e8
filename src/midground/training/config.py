"""Settings of a training run; imports no torch, so that a file of settings is checked without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from midground.core.settings import require
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, unknown_name
from midground.evaluation.config import PAPER_WARP, MatchabilityConfig, WarpConfig
from midground.training.augment import AugmentConfig
from midground.training.criterion_configs import CorrelationConfig, CriterionConfig, TranslationConfig

NetworkName = Literal["compact", "efficientnet", "unet256", "resnet9"]
OptimizerName = Literal["nadam", "adam", "adamw"]
Schedule = Literal["constant", "linear", "cosine", "onecycle"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Accelerator = Literal["auto", "cpu", "gpu"]
Norm = Literal["batch", "instance"]
_END_OF_SEEDS = 2**32
_MAX_LEVELS = 5
"""Of ``compact``: the sides of crops and of frames are multiples of 32 px, and each level halves them."""
TRANSLATOR_STRIDES_PX: dict[NetworkName, int] = {"unet256": 256, "resnet9": 4}
"""Networks that translate SAR images into optical ones, and what the side of their images is a multiple of, px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """Which network maps each modality."""

    name: NetworkName = "efficientnet"
    """``efficientnet``: the paper's U-Net. ``compact``: a small one that starts from oriented gradients. ``unet256``,
    ``resnet9``: for the criteria ``pix2pix`` and ``lsgan``, a network that makes optical images of SAR images."""
    widths: tuple[int, ...] = (24, 48, 64, 96)
    """``compact``: channels at 1/2, 1/4, ... of the size."""
    n_orientations: int = 8
    """``compact``: oriented gradients that it is given, and that as many of its channels start as; 1 or more."""
    n_context: int = 0
    """``compact``: last channels, which describe what lies around each pixel up to 64 px away; 0 or more."""
    base_width: int = 64
    """``unet256``, ``resnet9``: channels of the first layer, of the discriminators' too; 1 or more."""

    def __post_init__(self) -> None:
        if self.name not in get_args(NetworkName):
            raise unknown_name("network", self.name, get_args(NetworkName))
        if self.n_orientations < 1:
            raise ConfigError(f"network.n_orientations must be 1 or more, found {self.n_orientations}.")
        if self.n_context < 0:
            raise ConfigError(f"network.n_context must be 0 or more, found {self.n_context}.")
        if self.base_width < 1:
            raise ConfigError(f"network.base_width must be 1 or more, found {self.base_width}.")
        if not 2 <= len(self.widths) <= _MAX_LEVELS or min(self.widths) < 1:
            raise ConfigError(
                f"network.widths must be two to {_MAX_LEVELS} numbers from 1 up, found {list(self.widths)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One collection of training pairs."""

    pairs: PairsConfig
    """Where it lies and how it is read."""
    share: float = 1.0
    """Its part of the samples, relative to the other collections; more than 0."""

    def __post_init__(self) -> None:
        require(0 < self.share < math.inf, f"The share of a collection must be a number above 0, found {self.share}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What is trained on, and what is held out to choose the best weights by."""

    train: tuple[SourceConfig, ...]
    """Collections of training pairs."""
    validation: PairsConfig | None = None
    """Pairs held out; if omitted, places of the first collection."""
    validation_share: float = 0.06
    """Share of the first collection's places that is held out if ``validation`` is omitted, 0 to 1."""
    validation_block_places: int = 20
    """Places that are held out together, in the order of their names, since neighbours in name may be neighbours."""
    max_validation_pairs: int = 128
    """Most pairs of the validation, evenly spread; it is repeated often."""
    crop_px: int = 256
    """Side of a training sample, px; a multiple of 32."""
    workers: int | None = None
    """Processes that read pairs; if omitted, none on a CPU and up to 8 beside a GPU."""

    def __post_init__(self) -> None:
        if not self.train:
            raise ConfigError("data.train names no collection of pairs.")
        if self.crop_px < 64 or self.crop_px % 32:
            raise ConfigError(f"data.crop_px must be a multiple of 32 from 64 up, found {self.crop_px}.")
        if not 0 < self.validation_share < 1:
            raise ConfigError(f"data.validation_share must lie between 0 and 1, found {self.validation_share}.")
        for name, least in (("validation_block_places", 1), ("max_validation_pairs", 1), ("workers", 0)):
            value = getattr(self, name)
            require(value is None or value >= least, f"data.{name} must be {least} or more, found {value}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerConfig:
    """How weights are moved."""

    name: OptimizerName = "nadam"
    """Paper, section 4.4: NAdam."""
    learning_rate: float = 2e-4
    """Largest learning rate (paper, section 4.4: 2e-4)."""
    weight_decay: float = 0.0
    """NAdam and Adam: L2 penalty in the gradient; AdamW: decoupled."""
    betas: tuple[float, float] = (0.9, 0.999)
    """How much of the means of the gradient and of its square is kept at each step, from 0 to below 1."""
    schedule: Schedule = "constant"
    """After the warm-up: constant, a cosine towards zero at the end, or ``linear``, constant for half of the steps and
    then straight to zero; ``onecycle`` replaces the warm-up too."""
    warmup_epochs: float = 4.0
    """Epochs of linear warm-up (paper, section 4.4: 4)."""
    warmup_from: float = 1e-8
    """Learning rate at its start (paper, section 4.4: 1e-8)."""
    clip_norm: float | None = None
    """Largest norm of the gradient."""

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise unknown_name("optimizer", self.name, get_args(OptimizerName))
        if self.schedule not in get_args(Schedule):
            raise unknown_name("schedule", self.schedule, get_args(Schedule))
        for name in ("weight_decay", "warmup_epochs", "warmup_from"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"optimizer.{name} must be a number from 0 up, found {value}.")
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value is None or 0 < value < math.inf, f"optimizer.{name} must be a number above 0, found {value}.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optimizer.betas must lie from 0 to below 1, found {list(self.betas)}.")


MIN_REALIGN_PX = 8
"""Fewest pixels that a shift is looked for over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealignConfig:
    """Correction of misregistered training pairs with the current model."""

    every_epochs: int = 0
    """How often the shifts of all training pairs are estimated anew; 0: never."""
    from_epoch: int = 1
    """First epoch after which this is done: an untrained model would align pairs by chance."""
    search_px: int = 12
    """Largest shift that is looked for, px, 8 or more: in a smaller area a peak has no rivals to stand out from."""
    min_peak_ratio: float = 1.25
    """A shift is corrected where the best peak stands out from all others by this factor."""
    drop_peak_ratio: float = 1.05
    """A pair is left out where the best peak stands out by less than this."""

    def __post_init__(self) -> None:
        for name, least in (("every_epochs", 0), ("from_epoch", 1), ("search_px", MIN_REALIGN_PX)):
            value = getattr(self, name)
            require(value >= least, f"realign.{name} must be {least} or more, found {value}.")
        if not 1 <= self.drop_peak_ratio <= self.min_peak_ratio < math.inf:
            raise ConfigError(
                "realign: 1 <= drop_peak_ratio <= min_peak_ratio must hold, found "
                f"{self.drop_peak_ratio} and {self.min_peak_ratio}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """What the model's card says that no program can know."""

    description: str = "A shared modality of SAR and optical images, trained with midground."
    """One sentence."""
    version: str = "1"
    """Version of the weights."""
    sar_bands: tuple[str, ...] | None = None
    """Names of the SAR bands in their order, ("any",) for any one; what the data say if omitted."""
    optical_bands: tuple[str, ...] | None = None
    """Names of the optical bands in their order; what the data say if omitted."""
    sar_sensor: str = "not stated"
    """Sensor and product of the SAR images."""
    optical_sensor: str = "not stated"
    """Sensor and product of the optical images."""
    gsd_m: float = 10.0
    """Ground sample distance of the training data, m, more than 0."""
    licence: str = "not stated"
    """SPDX identifier of the weights' licence."""
    imagery_notice: str = "not stated"
    """Notice that the imagery's provider asks for."""
    sources: tuple[str, ...] = ("not stated",)
    """Where the imagery comes from."""

    def __post_init__(self) -> None:
        require(0 < self.gsd_m < math.inf, f"card.gsd_m must be a number above 0, found {self.gsd_m}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationConfig(MatchabilityConfig):
    """How models are compared during training: as elsewhere, but under known warps, and with fewer key points."""

    window_warp: WarpConfig = field(
        default_factory=lambda: WarpConfig(shift_px=8.0, rotation_deg=1.5, scale=(0.98, 1.02), seed=1)
    )
    """Known warp for the windows: about as much as a window is found at."""
    feature_warp: WarpConfig = field(default_factory=lambda: replace(PAPER_WARP, seed=1))
    """Known warp for the matchers of key points (paper, section 4.3: 64 px, 30 degrees, 0.9 to 1.1)."""
    max_keypoints: int = 1024
    """Key points of an image; the descriptors of the paper's 4096 would take most of a validation's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that decides the result of a training run."""

    name: str
    """Name of the model."""
    data: DataConfig
    """Pairs."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Networks."""
    n_channels: int = 3
    """Channels of the shared modality (paper, section 4.4: 3)."""
    criterion: CriterionConfig = field(default_factory=CorrelationConfig)
    """What is minimised."""
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """How."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Random changes to the pairs."""
    realign: RealignConfig = field(default_factory=RealignConfig)
    """Correction of misregistered pairs."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """How models are compared; its score chooses the best."""
    epochs: int = 512
    """Epochs (paper, section 4.4: 512)."""
    steps_per_epoch: int = 1024
    """Steps of an epoch (paper, section 4.4: 1024)."""
    batch_size: int = 4
    """Pairs of a step, over all devices (paper, section 4.4: 4)."""
    validate_every_epochs: int = 1
    """Epochs between two validations."""
    validate_first: bool = False
    """Whether the networks are measured before the first step too, to see what training brings."""
    patience: int | None = None
    """Validations without a better score after which training stops; never if omitted."""
    init_from: str | None = None
    """A model to start from: a run's folder or a checkpoint; random weights if omitted."""
    precision: Precision = "32-true"
    """Arithmetic of the networks; criteria are computed in single precision in any case."""
    compile: bool = False
    """Whether the networks go through torch.compile, with CUDA graphs on a GPU."""
    card: CardConfig = field(default_factory=CardConfig)
    """What the model's card says."""
    seed: int = 0
    """Seed of weights, order, crops and changes."""

    def __post_init__(self) -> None:
        check_counts(
            self,
            ("n_channels", "epochs", "steps_per_epoch", "batch_size", "validate_every_epochs", "patience"),
            seed=self.seed,
        )
        _check_translation(self)
        if isinstance(self.criterion, CorrelationConfig):
            criterion = self.criterion
            needed_px = criterion.window_px[0] + 2 * criterion.search_px + 2 * criterion.frame_shift_px
            if needed_px > self.data.crop_px:
                raise ConfigError(
                    f"criterion: windows of {criterion.window_px[0]} px searched within ±{criterion.search_px} px in "
                    f"frames shifted by up to {criterion.frame_shift_px} px need a data.crop_px of {needed_px} px or "
                    f"more, found {self.data.crop_px}."
                )
            if criterion.n_local >= self.n_channels:
                raise ConfigError(
                    f"criterion.n_local must be less than the {self.n_channels} channels (n_channels), found "
                    f"{criterion.n_local}."
                )


def check_counts(config: object, names: tuple[str, ...], *, seed: int) -> None:
    """Make sure that counts are 1 or more where they are given, and the seed is none below 0.

    Raises:
        ConfigError: They are not.
    """
    for name in names:
        value = getattr(config, name)
        require(value is None or value >= 1, f"{name} must be 1 or more, found {value}.")
    require(0 <= seed < _END_OF_SEEDS, f"seed must be a number from 0 to {_END_OF_SEEDS - 1}, found {seed}.")


def _check_translation(config: TrainConfig) -> None:
    """Make sure that a criterion of translation has a network that translates, and no other setting is in vain."""
    criterion, network = config.criterion.name, config.network.name
    translates = network in TRANSLATOR_STRIDES_PX
    if not isinstance(config.criterion, TranslationConfig):
        if translates:
            raise ConfigError(
                f"The network {network} translates SAR images into optical ones: set criterion.name to pix2pix or "
                f"lsgan, found {criterion}."
            )
        return
    if not translates:
        raise ConfigError(
            f"The criterion {criterion} trains a network that translates SAR images into optical ones: set "
            f"network.name to {' or '.join(TRANSLATOR_STRIDES_PX)}, found {network}."
        )
    stride_px = TRANSLATOR_STRIDES_PX[network]
    if config.data.crop_px % stride_px:
        raise ConfigError(
            f"The network {network} needs a data.crop_px that is a multiple of {stride_px} px, found "
            f"{config.data.crop_px}."
        )
    for key, is_free in (
        ("realign.every_epochs", config.realign.every_epochs == 0),
        ("optimizer.clip_norm", config.optimizer.clip_norm is None),
        ("optimizer.schedule: onecycle", config.optimizer.schedule != "onecycle"),
        ("compile", not config.compile),
        ("precision: 16-mixed", config.precision != "16-mixed"),
    ):
        if not is_free:
            raise ConfigError(f"The criterion {criterion} cannot be trained with '{key}': leave it out.")
