"""The two networks, and their criterion, as a Lightning module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from midground.errors import DependencyError
from midground.modality.base import Modality
from midground.training.build import build_criterion, build_networks, build_optimizer
from midground.training.config import TrainConfig
from midground.training.criterion import CriterionResult, SharedBatch
from midground.training.frames import draw_frames
from midground.training.loading import Batch, Plan, batches
from midground.training.sampling import SampleStream
from midground.training.weights import KEY

try:
    import lightning
    import torch
    from torch.utils.data import DataLoader
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class BothNetworks(lightning.LightningModule):
    """The networks of both modalities, with what they are trained on.

    Args:
        config: Settings.
        n_bands: Bands of each modality.
        stream: Training samples.
        plan: How they are dealt; the rank is that of the process that loads them.
    """

    def __init__(self, config: TrainConfig, n_bands: Mapping[Modality, int], stream: SampleStream, plan: Plan) -> None:
        super().__init__()
        self.config, self.stream, self._plan = config, stream, plan
        self.networks = build_networks(config, n_bands).to(memory_format=torch.channels_last)
        self.panel: dict[str, torch.Tensor] = {}
        """Images of the last step, for whoever draws them."""
        self.facts: dict[str, Any] = {}
        """What a checkpoint says beside its weights; see ``midground.training.checkpoint``."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the facts."""
        checkpoint[KEY] = self.facts

    def train_dataloader(self) -> DataLoader[Batch]:
        """Samples from where the run is."""
        return batches(self.stream, replace(self._plan, rank=self.global_rank), lambda: self.global_step)

    def step_rng(self) -> np.random.Generator:
        """For what is drawn in a step; it depends on the step alone, so that a resumed run repeats it."""
        return np.random.default_rng([self.config.seed, 4, self.global_step, self.global_rank])


class SharedModality(BothNetworks):
    """Trains both networks of a shared modality together; see ``BothNetworks``."""

    def __init__(self, config: TrainConfig, n_bands: Mapping[Modality, int], stream: SampleStream, plan: Plan) -> None:
        super().__init__(config, n_bands, stream, plan)
        self.criterion = build_criterion(config.criterion, config.n_channels, n_bands)

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule by step."""
        steps = self.config.steps_per_epoch
        optimizer, schedule = build_optimizer(
            self.config.optimizer, self.parameters(), steps_per_epoch=steps, n_steps=steps * self.config.epochs
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Loss of one batch."""
        del batch_idx
        rng = self.step_rng()
        frames = draw_frames(self.config, rng)
        images: dict[Modality, torch.Tensor] = {}
        shared: dict[Modality, torch.Tensor] = {}
        for modality, frame in frames.items():
            seen = frame.cut(batch[modality]).contiguous(memory_format=torch.channels_last)
            images[modality], shared[modality] = frame.cut_common(seen), frame.cut_common(self.networks[modality](seen))
        valid = frames["sar"].cut_common(frames["sar"].cut(batch["valid"]))
        result: CriterionResult = self.criterion(
            SharedBatch(
                sar=images["sar"],
                optical=images["optical"],
                shared_sar=shared["sar"],
                shared_optical=shared["optical"],
                valid=valid,
                rng=rng,
            )
        )
        self.log("loss", result.loss, batch_size=len(batch["valid"]))
        self.log_dict({f"parts/{name}": value for name, value in result.parts.items()}, batch_size=len(batch["valid"]))
        self.panel = {
            "SAR": images["sar"],
            "optical": images["optical"],
            "shared SAR": shared["sar"].detach(),
            "shared optical": shared["optical"].detach(),
            **{name: image.detach() for name, image in result.images.items()},
        }
        return result.loss
