"""The checkpoints of a training run. Each is complete at any moment, and holds numbers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from midground.errors import ConfigError, DependencyError, InputError
from midground.training.running import Run

try:
    import torch
    from lightning import Callback, LightningModule, Trainer
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


@runtime_checkable
class _Chooses(Protocol):
    is_best: bool
    """Whether the epoch that just ended was validated, and is the best so far."""
    best: float | None
    """Best score so far."""


@runtime_checkable
class _StatesFacts(Protocol):
    facts: dict[str, Any]


class KeepBest(Callback):
    """Keeps the checkpoint of the best score."""

    def __init__(self, run: Run, validate: _Chooses) -> None:
        self._run, self._validate = run, validate

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the best so far."""
        if self._validate.is_best:
            _save(trainer, pl_module, self._run.best, self._validate.best)


class KeepLast(Callback):
    """Keeps the last checkpoint, to resume from, and ends the run where its time is up or somebody asked for it."""

    def __init__(self, run: Run, validate: _Chooses) -> None:
        self._run, self._validate = run, validate
        self._start = self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save from time to time, and stop when time is up."""
        del outputs, batch, batch_idx
        now = time.monotonic()
        options = self._run.options
        is_over = self._run.stop.is_asked or (
            options.max_minutes is not None and now - self._start >= 60 * options.max_minutes
        )
        is_due = now - self._saved >= 60 * options.checkpoint_minutes
        is_over, is_due = trainer.strategy.broadcast((is_over, is_due))
        # What follows an epoch belongs to it: a run that was resumed in between would leave it out.
        if (is_over or is_due) and not self._run.ends_epoch(trainer.global_step):
            self._save_last(trainer, pl_module)
        trainer.should_stop = trainer.should_stop or is_over

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the epoch's state."""
        # A run that stops within an epoch resumes within it: what was saved then stays the last state.
        if self._run.ends_epoch(trainer.global_step):
            self._save_last(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save where a pair cannot be read: it can be mended, and the run goes on."""
        if isinstance(exception, InputError) and not self._run.ends_epoch(trainer.global_step):
            self._save_last(trainer, pl_module)

    def _save_last(self, trainer: Trainer, module: LightningModule) -> None:
        _save(trainer, module, self._run.last, self._validate.best)
        self._saved = time.monotonic()


def _save(trainer: Trainer, module: LightningModule, path: Path, score: float | None) -> None:
    """Write a checkpoint, whole or not at all."""
    require_numbers(module.state_dict().values(), "the weights", trainer.global_step)
    if isinstance(module, _StatesFacts):
        module.facts["score"] = score
    fresh = path.with_suffix(".part")
    trainer.save_checkpoint(fresh, weights_only=False)
    if trainer.is_global_zero:
        fresh.replace(path)


def require_numbers(values: Iterable[torch.Tensor], what: str, step: int) -> None:
    """Refuse values that are infinite or no numbers: a run never recovers from them.

    Raises:
        ConfigError: Some are.
    """
    if all(bool(torch.isfinite(value).all()) for value in values if value.is_floating_point()):
        return
    raise ConfigError(
        f"Training fell apart: {what} after step {step} are not finite; the checkpoints hold what was before. Start "
        "another run with a lower optimizer.learning_rate, or with optimizer.clip_norm."
    )
