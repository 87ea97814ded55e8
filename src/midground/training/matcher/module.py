"""The dense matcher as a Lightning module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from midground.errors import DependencyError
from midground.matching.base import Matcher
from midground.matching.roma_shared import DenseNetwork
from midground.training.build import build_optimizer
from midground.training.loading import Batch, Plan, rest_of_epoch
from midground.training.matcher.config import MatcherTrainConfig
from midground.training.matcher.loss import Truth, loss_parts
from midground.training.matcher.network import SharedRoma
from midground.training.matcher.samples import MatcherSample, MatcherSamples, View, padded
from midground.training.weights import KEY

try:
    import lightning
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, Dataset
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """A network to train, and what goes with its kind."""

    network: nn.Module
    """From squares (moving, fixed) to the ``Coarse`` comparison and the ``Matches`` from coarse to fine."""
    rates: tuple[tuple[nn.Module, float], ...]
    """Its parts, with their learning rates relative to the optimizer's."""
    matcher: Matcher
    """Matches by the network as it is when asked."""
    export: Callable[[Path, MatcherSamples], None]
    """Writes the best matcher of the run in a folder beside its checkpoints."""
    view: View = padded
    """How the network takes a mapped image."""


class _Samples(Dataset[Batch]):
    """Tensors of the fields of ``MatcherSample``."""

    def __init__(self, samples: MatcherSamples) -> None:
        self._samples = samples

    def __getitem__(self, number: int) -> Batch:
        sample = self._samples.sample(number)
        arrays = {field.name: getattr(sample, field.name) for field in fields(MatcherSample)}
        return {name: torch.from_numpy(array.astype(np.float32)) for name, array in arrays.items()}


class MatcherModule(lightning.LightningModule):
    """Trains the network.

    Args:
        config: Settings.
        architecture: What is trained.
        samples: Training pairs.
        plan: How they are dealt.
    """

    def __init__(
        self, config: MatcherTrainConfig, architecture: Architecture, samples: MatcherSamples, plan: Plan
    ) -> None:
        super().__init__()
        self.config, self._samples, self._plan = config, samples, plan
        self.network, self._rates = architecture.network, architecture.rates
        self.facts: dict[str, Any] = {}
        """What a checkpoint says beside its weights."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the facts."""
        checkpoint[KEY] = self.facts

    def train_dataloader(self) -> DataLoader[Batch]:
        """Samples from where the run is."""
        return rest_of_epoch(_Samples(self._samples), self._plan, lambda: self.global_step)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule by step."""
        config, steps = self.config.optimizer, self.config.steps_per_epoch
        groups = [{"params": part.parameters(), "lr": rate * config.learning_rate} for part, rate in self._rates]
        optimizer, schedule = build_optimizer(config, groups, steps_per_epoch=steps, n_steps=steps * self.config.epochs)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        del batch_idx
        truth = Truth(batch["fixed_from_moving"], batch["moving_valid"], batch["fixed_valid"])
        coarse, matches = self.network(batch["moving"], batch["fixed"])
        parts = loss_parts(coarse, matches, truth)
        loss = torch.stack(list(parts.values())).sum()
        self.log("loss", loss, batch_size=len(batch["moving"]))
        self.log_dict({f"parts/{name}": value for name, value in parts.items()}, batch_size=len(batch["moving"]))
        return loss


def dense_network(network: SharedRoma) -> DenseNetwork:
    """A network in training as the matcher wants it."""

    def run(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        device = next(network.parameters()).device
        was_training = network.training
        network.eval()
        with torch.inference_mode():
            _, matches = network(*(torch.from_numpy(image).to(device) for image in (moving, fixed)))
        network.train(was_training)
        found = matches[-1]
        return found.fixed_xy[0].cpu().numpy(), found.certainty[0, 0].sigmoid().cpu().numpy()

    return run
