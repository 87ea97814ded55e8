"""From settings to networks, criterion and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from midground.errors import ConfigError, DependencyError
from midground.modality.base import MODALITIES, Modality
from midground.training.compact import CompactUnet
from midground.training.config import TRANSLATOR_STRIDES_PX, NetworkConfig, OptimizerConfig, TrainConfig
from midground.training.correlation import CorrelationCriterion
from midground.training.criterion import Criterion
from midground.training.criterion_configs import (
    CorrelationConfig,
    CriterionConfig,
    GrayscaleConfig,
    ReconstructionConfig,
)
from midground.training.grayscale import GrayscaleCriterion
from midground.training.networks import Activation, shared_modality_unet
from midground.training.reconstruction import ReconstructionCriterion
from midground.training.translation.networks import PassThrough, Translator
from midground.training.weights import Network

try:
    import torch
    from torch import nn
    from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_LEAST_RATE = 0.01
"""Part of the largest learning rate at which the cosine ends."""


def build_network(
    config: NetworkConfig, in_channels: int, out_channels: int, activation: Activation = "sigmoid"
) -> Network:
    """One network with random weights.

    Args:
        config: Which one.
        in_channels: Bands.
        out_channels: Channels of the result.
        activation: ``"none"`` for a decoder of the criterion ``reconstruction``.
    """
    if config.name == "efficientnet" or activation == "none":
        return shared_modality_unet(in_channels, out_channels, activation)
    return CompactUnet(
        in_channels,
        out_channels,
        widths=config.widths,
        n_orientations=config.n_orientations,
        n_context=config.n_context,
    )


def build_networks(config: TrainConfig, n_bands: Mapping[Modality, int]) -> nn.ModuleDict:
    """The two networks that map SAR and optical images; keys are the modalities."""
    return nn.ModuleDict(both_networks(config.network, n_bands, config.n_channels, crop_px=config.data.crop_px))


def both_networks(
    config: NetworkConfig, n_bands: Mapping[Modality, int], n_channels: int, *, crop_px: int
) -> dict[Modality, Network]:
    """The networks of both modalities with random weights.

    Args:
        config: Which ones.
        n_bands: Bands of each modality.
        n_channels: Channels of the result.
        crop_px: Side of a training sample, px.

    Raises:
        ConfigError: The channels are not those of the optical images that SAR images are translated to.
    """
    if config.name not in TRANSLATOR_STRIDES_PX:
        return {modality: build_network(config, n_bands[modality], n_channels) for modality in MODALITIES}
    if n_channels != n_bands["optical"]:
        raise ConfigError(
            f"The network {config.name} makes optical images: n_channels must be the number of their bands, "
            f"{n_bands['optical']}, found {n_channels}."
        )
    translator = Translator(config.name, n_bands["sar"], n_channels, base_width=config.base_width, window_px=crop_px)
    return {"sar": translator, "optical": PassThrough(n_channels)}


def build_criterion(config: CriterionConfig, n_channels: int, n_bands: Mapping[Modality, int]) -> Criterion:
    """The criterion, with whatever it trains along.

    Raises:
        ConfigError: The criterion does not fit the bands.
    """
    if isinstance(config, CorrelationConfig):
        return CorrelationCriterion(config)
    if isinstance(config, GrayscaleConfig):
        return GrayscaleCriterion(config, n_optical_bands=n_bands["optical"])
    if isinstance(config, ReconstructionConfig):
        decoders = {modality: shared_modality_unet(n_channels, n_bands[modality], "none") for modality in MODALITIES}
        return ReconstructionCriterion(config, decoders)
    raise ConfigError(f"Unknown criterion {type(config).__name__}.")


def build_optimizer(
    config: OptimizerConfig, parameters: Iterable[nn.Parameter | dict[str, Any]], *, steps_per_epoch: int, n_steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """Optimiser, and schedule of its learning rate by step.

    Args:
        config: Settings.
        parameters: What is trained; groups with an ``lr`` of their own keep to its ratio to ``learning_rate``.
        steps_per_epoch: Steps of an epoch, in which the warm-up is counted.
        n_steps: Steps of the whole run, over which the cosine falls.
    """
    kind = {"nadam": torch.optim.NAdam, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    optimizer = kind(parameters, lr=config.learning_rate, weight_decay=config.weight_decay, betas=config.betas)
    if config.schedule == "onecycle":
        start = config.learning_rate / max(config.warmup_from, 1e-12)
        rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer, OneCycleLR(optimizer, rates, total_steps=n_steps + 1, div_factor=start)
    return optimizer, LambdaLR(optimizer, _rate_factor(config, steps_per_epoch, n_steps))


def _rate_factor(config: OptimizerConfig, steps_per_epoch: int, n_steps: int) -> Callable[[int], float]:
    n_warmup = round(config.warmup_epochs * steps_per_epoch)
    first = config.warmup_from / config.learning_rate

    def factor(step: int) -> float:
        if step < n_warmup:
            return first + (1 - first) * step / n_warmup
        if config.schedule == "constant":
            return 1.0
        if config.schedule == "linear":
            return min(1.0, 2 * (1 - step / n_steps))
        progress = min((step - n_warmup) / max(n_steps - n_warmup, 1), 1.0)
        return _LEAST_RATE + (1 - _LEAST_RATE) * (1 + math.cos(math.pi * progress)) / 2

    return factor
