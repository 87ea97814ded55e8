"""What happens between the epochs of a training run: measuring and realigning."""

from __future__ import annotations

import time
from typing import Any, Protocol, runtime_checkable

import numpy as np

from midground.datasets.base import PairSource
from midground.errors import DependencyError
from midground.evaluation.matchability import measure
from midground.modality.base import Mapper
from midground.training.config import RealignConfig, TrainConfig
from midground.training.keeping import require_numbers
from midground.training.module import BothNetworks
from midground.training.realign import realign
from midground.training.running import Run
from midground.training.sampling import Alignment
from midground.training.telling import Lines

try:
    from lightning import Callback, LightningModule, Trainer
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_PANEL_PAIRS = 4


@runtime_checkable
class Measured(Protocol):
    """What a validation found; as text it is a line for the user."""

    @property
    def score(self) -> float:
        """The number to choose weights by, the more the better."""
        ...

    def numbers(self) -> dict[str, float]:
        """Everything by name."""
        ...


class Validate(Callback):
    """Measures matchability on the validation pairs after an epoch, and draws a panel of images."""

    score_name = "matchability"

    def __init__(self, run: Run, pairs: PairSource, mapper: Mapper) -> None:
        self._run, self._config, self._pairs, self._mapper = run, run.config, pairs, mapper
        self._progress = Lines(run)
        self.last_s: float | None = None
        """How long the last validation took, s; None before the first."""
        self.is_best = False
        """Whether the epoch that just ended was validated, and is the best so far."""
        self.best: float | None = None
        """Best score so far."""
        self.n_without_gain = 0
        """Validations since then."""
        self.first: float | None = None
        """Score before the first step; None if that was not measured."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        return {"best": self.best, "n_without_gain": self.n_without_gain, "first": self.first}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.n_without_gain = state_dict["best"], state_dict["n_without_gain"]
        self.first = state_dict.get("first")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure what training starts from, if that is asked for."""
        del pl_module
        is_asked = isinstance(self._config, TrainConfig) and self._config.validate_first
        if is_asked and trainer.global_step == 0 and trainer.is_global_zero:
            found = self.measure()
            self.first = found.score
            self._run.report(f"validation before training: {found}")

    def measure(self) -> Measured:
        """Measure once."""
        assert isinstance(self._config, TrainConfig)
        return measure(self._mapper, self._pairs, self._config.validation, progress=self._progress)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate if it is time, or the last epoch.

        Raises:
            ConfigError: The weights are no numbers.
        """
        self.is_best = False
        epoch = trainer.current_epoch + 1
        is_due = epoch % self._config.validate_every_epochs == 0 or epoch == self._config.epochs
        if not is_due or not self._run.ends_epoch(trainer.global_step):
            return
        require_numbers(pl_module.state_dict().values(), "the weights", trainer.global_step)
        start = time.monotonic()
        found: Measured = trainer.strategy.broadcast(self.measure() if trainer.is_global_zero else None)
        self.last_s = time.monotonic() - start
        pl_module.log(self.score_name, found.score, rank_zero_only=True)
        for name, value in found.numbers().items():
            pl_module.log(f"validation/{name}", value, rank_zero_only=True)
        self.is_best = self.best is None or found.score > self.best
        if self.is_best:
            self.best, self.n_without_gain = found.score, 0
        else:
            self.n_without_gain += 1
        if self._config.patience is not None and self.n_without_gain >= self._config.patience:
            trainer.should_stop = True
        if trainer.is_global_zero:
            self._run.report(f"validation after epoch {epoch}: {found}{', the best so far' if self.is_best else ''}")
            if isinstance(pl_module, BothNetworks):
                _draw_panel(trainer, pl_module)


class Realign(Callback):
    """Estimates the misregistration of all training pairs with the model as it is, and corrects it."""

    def __init__(self, run: Run, config: RealignConfig, sources: list[PairSource], mapper: Mapper) -> None:
        self._run, self._config, self._sources, self._mapper = run, config, sources, mapper
        self._progress = Lines(run)
        self._alignments: list[Alignment] = [{} for _ in sources]

    def state_dict(self) -> dict[str, Any]:
        """The shifts in force."""
        return {"alignments": self._alignments}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put them into force again."""
        self._alignments = state_dict["alignments"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Shifts of a resumed run."""
        del trainer
        if isinstance(pl_module, BothNetworks):
            pl_module.stream.align(self._alignments)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Realign if it is time."""
        config, epoch = self._config, trainer.current_epoch + 1
        is_due = config.every_epochs and (epoch - config.from_epoch) % config.every_epochs == 0
        if not is_due or not config.from_epoch <= epoch < self._run.config.epochs:
            return
        if not self._run.ends_epoch(trainer.global_step):
            return
        self._alignments = trainer.strategy.broadcast(self._found(epoch) if trainer.is_global_zero else None)
        if isinstance(pl_module, BothNetworks):
            pl_module.stream.align(self._alignments)

    def _found(self, epoch: int) -> list[Alignment]:
        """Shifts of each collection; those in force where no pair of it matches anywhere any more."""
        alignments: list[Alignment] = []
        for source, before in zip(self._sources, self._alignments, strict=True):
            found = realign(self._mapper, source, self._config, progress=self._progress)
            self._run.report(f"realigned after epoch {epoch}: {found}")
            if found.n_dropped == len(source):
                self._run.report(f"none of the {len(source)} pairs would be left, so their shifts stay as they were")
            alignments.append(before if found.n_dropped == len(source) else found.shifts_xy)
        return alignments


def _draw_panel(trainer: Trainer, module: BothNetworks) -> None:
    """Inputs, shared images and whatever the criterion made, one pair per row."""
    experiment = getattr(trainer.logger, "experiment", None)
    if experiment is None or not module.panel:
        return
    columns = [_as_rgb(images[:_PANEL_PAIRS].float().cpu().numpy()) for images in module.panel.values()]
    rows = [np.concatenate(row, axis=2) for row in zip(*columns, strict=True)]
    experiment.add_image(" | ".join(module.panel), np.concatenate(rows, axis=1), trainer.global_step)


def _as_rgb(images: np.ndarray) -> np.ndarray:
    """The first three channels, or the first one thrice."""
    chosen = images[:, :3] if images.shape[1] >= 3 else np.repeat(images[:, :1], 3, axis=1)
    return chosen.clip(0, 1)
