"""What happens beside the steps of a training run: measuring, realigning, keeping checkpoints, telling."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from midground.datasets.base import PairSource
from midground.errors import DependencyError
from midground.evaluation.matchability import measure
from midground.modality.base import Mapper
from midground.training.checkpoint import BEST, LAST
from midground.training.config import TrainConfig
from midground.training.matcher.config import AnyTrainConfig
from midground.training.module import BothNetworks
from midground.training.realign import realign

try:
    import torch
    from lightning import Callback, LightningModule, Trainer
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_PANEL_PAIRS = 4

Report = Callable[[str], None]


def silent(line: str) -> None:
    """Tell nobody."""
    del line


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

    def __init__(self, config: AnyTrainConfig, pairs: PairSource, mapper: Mapper, report: Report) -> None:
        self._config, self._pairs, self._mapper, self._report = config, pairs, mapper, report
        self.is_best = False
        """Whether the epoch that just ended was validated, and is the best so far."""
        self.best: float | None = None
        """Best score so far."""
        self.n_without_gain = 0
        """Validations since then."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run goes on with."""
        return {"best": self.best, "n_without_gain": self.n_without_gain}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.best, self.n_without_gain = state_dict["best"], state_dict["n_without_gain"]

    def measure(self) -> Measured:
        """Measure once."""
        assert isinstance(self._config, TrainConfig)
        return measure(self._mapper, self._pairs, self._config.validation)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Validate if it is time, or the last epoch."""
        self.is_best = False
        epoch = trainer.current_epoch + 1
        is_due = epoch % self._config.validate_every_epochs == 0 or epoch == self._config.epochs
        if not is_due or not _is_whole_epoch(trainer, self._config):
            return
        found: Measured = trainer.strategy.broadcast(self.measure() if trainer.is_global_zero else None)
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
            self._report(f"validation after epoch {epoch}: {found}{', the best so far' if self.is_best else ''}")
            if isinstance(pl_module, BothNetworks):
                _draw_panel(trainer, pl_module)


class Realign(Callback):
    """Estimates the misregistration of all training pairs with the model as it is, and corrects it."""

    def __init__(self, config: TrainConfig, sources: list[PairSource], mapper: Mapper, report: Report) -> None:
        self._config, self._sources, self._mapper, self._report = config, sources, mapper, report
        self._alignments: list[dict[str, tuple[int, int] | None]] = [{} for _ in sources]

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
        config, epoch = self._config.realign, trainer.current_epoch + 1
        is_due = config.every_epochs and (epoch - config.from_epoch) % config.every_epochs == 0
        if not is_due or not config.from_epoch <= epoch < self._config.epochs:
            return
        if not _is_whole_epoch(trainer, self._config):
            return
        alignments = None
        if trainer.is_global_zero:
            found = [realign(self._mapper, source, config) for source in self._sources]
            alignments = [dict(realignment.shifts_xy) for realignment in found]
            self._report(f"realigned after epoch {epoch}: {' | '.join(map(str, found))}")
        self._alignments = trainer.strategy.broadcast(alignments)
        if isinstance(pl_module, BothNetworks):
            pl_module.stream.align(self._alignments)


@runtime_checkable
class _StatesFacts(Protocol):
    facts: dict[str, Any]


class Keep(Callback):
    """Keeps two checkpoints: the last, to resume from, and that of the best score. Each is complete at any moment."""

    def __init__(
        self,
        config: AnyTrainConfig,
        folder: Path,
        validate: Validate,
        *,
        every_minutes: float,
        max_minutes: float | None,
    ) -> None:
        self._config, self._folder, self._validate = config, folder, validate
        self._every_s = 60 * every_minutes
        self._max_s = None if max_minutes is None else 60 * max_minutes
        self._start = self._saved = time.monotonic()

    @property
    def last(self) -> Path:
        """Checkpoint to resume from."""
        return self._folder / LAST

    @property
    def best(self) -> Path:
        """Checkpoint of the best score."""
        return self._folder / BEST

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save from time to time, and stop when time is up."""
        del outputs, batch, batch_idx
        now = time.monotonic()
        is_over = self._max_s is not None and now - self._start >= self._max_s
        is_due = now - self._saved >= self._every_s
        is_over, is_due = trainer.strategy.broadcast((is_over, is_due))
        if is_over or is_due:
            self._save(trainer, pl_module, self.last)
            trainer.should_stop = trainer.should_stop or is_over

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch's state, and the best so far."""
        if self._validate.is_best:
            self._save(trainer, pl_module, self.best)
        # A run that stops within an epoch resumes within it: what was saved then stays the last state.
        if _is_whole_epoch(trainer, self._config):
            self._save(trainer, pl_module, self.last)

    def _save(self, trainer: Trainer, module: LightningModule, path: Path) -> None:
        self._saved = time.monotonic()
        if isinstance(module, _StatesFacts):
            module.facts["score"] = self._validate.best
        fresh = path.with_suffix(".part")
        trainer.save_checkpoint(fresh, weights_only=False)
        if trainer.is_global_zero:
            fresh.replace(path)


class Tell(Callback):
    """Says every so often how far the run is, how fast, and how long it will take."""

    def __init__(self, config: AnyTrainConfig, report: Report, *, every_s: float = 30.0) -> None:
        self._config, self._report, self._every_s = config, report, every_s
        self._told_s = time.monotonic()
        self._told_step = 0
        self._losses: list[torch.Tensor] = []
        self.pairs_per_s: float | None = None
        """Rate of training, over all devices; None before the first report."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        del pl_module
        self._told_s, self._told_step = time.monotonic(), trainer.global_step

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time of the validation out of the rate."""
        del pl_module
        self._told_s, self._told_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Report if it is time."""
        del batch, batch_idx
        self._losses.append(outputs["loss"].detach())
        passed = time.monotonic() - self._told_s
        ends = trainer.global_step % self._config.steps_per_epoch == 0
        if passed < self._every_s and not ends:
            return
        n_steps = trainer.global_step - self._told_step
        self.pairs_per_s = n_steps * self._config.batch_size / passed
        total = self._config.epochs * self._config.steps_per_epoch
        remaining_s = (total - trainer.global_step) / max(n_steps, 1) * passed
        pl_module.log("pairs_per_s", self.pairs_per_s, rank_zero_only=True)
        self._report(
            f"epoch {trainer.current_epoch + 1}/{self._config.epochs}, step {trainer.global_step}/{total}: "
            f"loss {float(torch.stack(self._losses).mean()):.4g}, {self.pairs_per_s:.3g} pairs/s, "
            f"{_duration(remaining_s)} left"
        )
        self._losses.clear()
        self._told_s, self._told_step = time.monotonic(), trainer.global_step


def _is_whole_epoch(trainer: Trainer, config: AnyTrainConfig) -> bool:
    """Whether the epoch that ends was not cut off: what is done after it is done once, and by a resumed run alike."""
    return bool(trainer.global_step % config.steps_per_epoch == 0)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


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
