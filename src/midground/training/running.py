"""One training run: its settings, its folder, how it is carried out, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from midground.training.config import Accelerator
from midground.training.matcher.config import AnyTrainConfig
from midground.training.stopping import Stop

BEST, LAST = "best.ckpt", "last.ckpt"

Report = Callable[[str], None]
"""Told lines of progress."""


def silent(line: str) -> None:
    """Tell nobody."""
    del line


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a run is carried out; nothing here decides what the weights become."""

    resume: bool = False
    """Whether to go on from the folder's last checkpoint."""
    max_minutes: float | None = None
    """Time after which the run stops and can be resumed; none if omitted."""
    accelerator: Accelerator = "auto"
    """Where the networks run."""
    devices: int = 1
    """GPUs, or processes on a CPU."""
    deterministic: bool = False
    """Whether only operations are used that give the same bits every time."""
    checkpoint_minutes: float = 5.0
    """Time between two savings within an epoch."""
    tell_every_s: float = 30.0
    """Time between two lines of progress, s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What everything that takes part in a run knows of it."""

    config: AnyTrainConfig
    """Everything that decides the result."""
    folder: Path
    """Where settings and checkpoints lie."""
    options: RunOptions
    """How to run."""
    report: Report
    """Told lines of progress."""
    on_gpu: bool
    """Whether the networks run on a GPU."""
    stop: Stop = field(default_factory=Stop)
    """Whether somebody asked the run to stop."""

    @property
    def best(self) -> Path:
        """Checkpoint of the best score."""
        return self.folder / BEST

    @property
    def last(self) -> Path:
        """Checkpoint to resume from."""
        return self.folder / LAST

    @property
    def resumed(self) -> Path | None:
        """The checkpoint that the run goes on from; None if it starts."""
        return self.last if self.options.resume and self.last.is_file() else None

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch is whole: what is done after it is done once, and by a resumed run alike."""
        return step % self.config.steps_per_epoch == 0


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run reached."""

    best: Path | None
    """Checkpoint of the best score; None if the run ended before its first validation."""
    last: Path | None
    """Checkpoint to resume from."""
    score: float | None
    """Best score."""
    n_steps: int
    """Steps done, those before a resumption included."""
    pairs_per_s: float | None
    """Rate at the end, over all devices."""
