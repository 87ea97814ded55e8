"""A translator and its adversaries as a Lightning module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from midground.errors import DependencyError
from midground.modality.base import Modality
from midground.training.build import build_optimizer
from midground.training.config import TrainConfig
from midground.training.criterion_configs import TranslationConfig
from midground.training.loading import Batch, Plan
from midground.training.module import BothNetworks
from midground.training.sampling import SampleStream
from midground.training.translation.objectives import build_objective

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class Translation(BothNetworks):
    """Trains a network that makes optical images of SAR images; see ``BothNetworks``.

    Each step moves the discriminators first, then the translators, each with an optimiser and a rate of its own.
    """

    def __init__(self, config: TrainConfig, n_bands: Mapping[Modality, int], stream: SampleStream, plan: Plan) -> None:
        super().__init__(config, n_bands, stream, plan)
        self.automatic_optimization = False
        self.objective = build_objective(config, n_bands)

    def configure_optimizers(self) -> Any:
        """Optimisers and schedules of the translators and of the discriminators."""
        criterion = self.config.criterion
        assert isinstance(criterion, TranslationConfig)
        steps = self.config.steps_per_epoch
        settings = self.config.optimizer
        translators = [*self.networks.parameters(), *self.objective.generators.parameters()]
        built = [
            build_optimizer(one, parameters, steps_per_epoch=steps, n_steps=steps * self.config.epochs)
            for one, parameters in (
                (settings, translators),
                (
                    replace(settings, learning_rate=criterion.discriminator_rate),
                    self.objective.discriminators.parameters(),
                ),
            )
        ]
        optimizers, schedules = zip(*built, strict=True)
        return list(optimizers), list(schedules)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Move all networks once; gives the translators' loss."""
        del batch_idx
        rng = self.step_rng()
        # Dropout draws from torch's own generator, which no checkpoint holds.
        torch.manual_seed(int(rng.integers(2**62)))
        discriminators = self.objective.discriminators
        counted, _ = self.optimizers()
        # Lightning counts what it wraps: a step of the run is one of the translators.
        _, uncounted = self.optimizers(use_pl_optimizer=False)
        made = self.objective.translate(self.networks["sar"], batch)

        against = self.objective.discriminator_parts(batch, made, rng)
        uncounted.zero_grad()
        self.manual_backward(_total(against))
        uncounted.step()

        discriminators.requires_grad_(False)
        parts = self.objective.generator_parts(batch, made)
        loss = _total(parts)
        counted.zero_grad()
        self.manual_backward(loss)
        counted.step()
        discriminators.requires_grad_(True)

        for schedule in self.lr_schedulers():
            schedule.step()
        self._tell(batch, made, loss, parts | against)
        return loss.detach()

    def _tell(self, batch: Batch, made: dict[str, Tensor], loss: Tensor, parts: dict[str, Tensor]) -> None:
        n_pairs = len(batch["valid"])
        self.log("loss", loss.detach(), batch_size=n_pairs)
        self.log_dict({f"parts/{name}": part.detach() for name, part in parts.items()}, batch_size=n_pairs)
        images = {f"{name} made": image.detach() for name, image in made.items()}
        self.panel = {"SAR": batch["sar"], "optical": batch["optical"], **images}


def _total(parts: dict[str, Tensor]) -> Tensor:
    return torch.stack(list(parts.values())).sum()
