"""What a training run says while it runs."""

from __future__ import annotations

import time
from typing import Any, Protocol, runtime_checkable

from midground.errors import DependencyError
from midground.training.keeping import require_numbers
from midground.training.running import Run

try:
    import torch
    from lightning import Callback, LightningModule, Trainer
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class Lines:
    """Progress of work between the steps, as a line every so often; it ends where the run is to stop.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._told_s = time.monotonic()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Say how far it is if it is time.

        Raises:
            KeyboardInterrupt: Somebody asked the run to stop.
        """
        if self._run.stop.is_asked:
            raise KeyboardInterrupt
        now = time.monotonic()
        if done == 1:
            self._told_s = now
        elif done < total and now - self._told_s >= self._run.options.tell_every_s:
            self._run.report(f"{stage}: {done} of {total}")
            self._told_s = now


@runtime_checkable
class _Validates(Protocol):
    @property
    def last_s(self) -> float | None:
        """How long the last validation took, s; None before the first."""
        ...


class Tell(Callback):
    """Says every so often how far the run is, how fast, and how long it will take."""

    def __init__(self, run: Run, validate: _Validates) -> None:
        self._run, self._config, self._validate = run, run.config, validate
        self._told_s = time.monotonic()
        self._told_step = 0
        self._losses: list[torch.Tensor] = []
        self.pairs_per_s: float | None = None
        """Rate of training, over all devices; None before the first step."""

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
        """Report if it is time.

        Raises:
            ConfigError: The loss is no number.
        """
        del batch, batch_idx
        self._losses.append(outputs["loss"].detach())
        passed = time.monotonic() - self._told_s
        n_steps = trainer.global_step - self._told_step
        if self.pairs_per_s is None:
            self.pairs_per_s = n_steps * self._config.batch_size / passed
        if passed < self._run.options.tell_every_s and not self._run.ends_epoch(trainer.global_step):
            return
        loss = torch.stack(self._losses).mean()
        require_numbers([loss], "the loss", trainer.global_step)
        self.pairs_per_s = n_steps * self._config.batch_size / passed
        total = self._config.epochs * self._config.steps_per_epoch
        remaining_s = (total - trainer.global_step) / max(n_steps, 1) * passed
        pl_module.log("pairs_per_s", self.pairs_per_s, rank_zero_only=True)
        self._run.report(
            f"epoch {trainer.current_epoch + 1}/{self._config.epochs}, step {trainer.global_step}/{total}: "
            f"loss {float(loss):.4g}, {self.pairs_per_s:.3g} pairs/s, {self._left(remaining_s, trainer.current_epoch)}"
        )
        self._losses.clear()
        self._told_s, self._told_step = time.monotonic(), trainer.global_step

    def _left(self, steps_s: float, epoch: int) -> str:
        """The time that steps and validations will take."""
        config = self._config
        # The last epoch is validated whatever its number.
        n_validations = -(-config.epochs // config.validate_every_epochs) - epoch // config.validate_every_epochs
        if self._validate.last_s is None:
            return f"{_duration(steps_s)} left and {n_validations} validation{'s' if n_validations > 1 else ''}"
        return f"{_duration(steps_s + n_validations * self._validate.last_s)} left"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
