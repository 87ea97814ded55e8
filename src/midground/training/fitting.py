"""What training runs of every kind share: options, device, held-out pairs, and fitting with Lightning."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from midground.datasets.base import PairSource
from midground.datasets.scaled import ScaledPairs
from midground.datasets.splits import Subset, evenly_spread, split_by_place
from midground.errors import ConfigError, DependencyError, InputError, MidgroundError
from midground.training.config import Accelerator, DataConfig
from midground.training.matcher.config import AnyTrainConfig

try:
    import lightning
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_VALIDATION_SEED = 0
_SPLITS = ("train", "validation", "test")
_LOG_EVERY_STEPS = 10


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


def is_on_gpu(accelerator: Accelerator) -> bool:
    """Whether the networks run on a GPU.

    Raises:
        ConfigError: One was asked for, and there is none.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("accelerator is gpu, but torch finds no GPU here; choose cpu or auto.")
    return accelerator != "cpu" and torch.cuda.is_available()


def split(
    data: DataConfig, sources: list[ScaledPairs], validation: ScaledPairs | None
) -> tuple[list[PairSource], PairSource]:
    """Training pairs of each collection, and validation pairs of places that no training pair shows.

    Raises:
        InputError: Nothing is left on one side.
    """
    held_out: PairSource
    training: list[PairSource]
    if validation is not None:
        held_out, training = validation, _apart(sources, validation)
    else:
        kept, rest = split_by_place(
            sources[0],
            data.validation_share,
            seed=_VALIDATION_SEED,
            block_places=data.validation_block_places,
        )
        held_out = Subset(sources[0], rest)
        training = [Subset(sources[0], kept), *_apart(sources[1:], held_out)]
    if len(held_out) == 0 or min(map(len, training)) == 0:
        raise InputError(
            f"The split by place leaves {[len(pairs) for pairs in training]} pairs to train on and {len(held_out)} to "
            "validate on: change data.validation_share or data.validation_block_places, or name data.validation."
        )
    return training, evenly_spread(held_out, data.max_validation_pairs)


def _apart(sources: Sequence[ScaledPairs], held_out: PairSource) -> list[PairSource]:
    """The pairs of each collection that show none of the places held out."""
    places = set(held_out.places)
    apart: list[PairSource] = []
    for source in sources:
        kept = [index for index, place in enumerate(source.places) if place not in places]
        apart.append(source if len(kept) == len(source) else Subset(source, kept))
    return apart


def trained_on(data: DataConfig, training: list[PairSource]) -> tuple[str, ...]:
    """Each collection and how many pairs of it are trained on, for cards; a split by the name of its collection too."""
    paths = [source.pairs.path for source in data.train]
    names = [f"{path.parent.name}/{path.name}" if path.name in _SPLITS else path.name for path in paths]
    return tuple(f"{name}: {len(pairs)} pairs" for name, pairs in zip(names, training, strict=True))


def make_trainer(
    config: AnyTrainConfig, folder: Path, options: RunOptions, callbacks: list[lightning.Callback], *, on_gpu: bool
) -> lightning.Trainer:
    """Lightning's trainer, which writes nothing but TensorBoard's files by itself."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if on_gpu:
        torch.set_float32_matmul_precision("high")
    accelerator: Literal["cpu", "gpu"] = "gpu" if on_gpu else "cpu"
    return lightning.Trainer(
        accelerator=accelerator,
        devices=options.devices,
        # The paper's network holds parameters that nothing runs, since state dicts hold them.
        strategy="ddp_find_unused_parameters_true" if options.devices > 1 else "auto",
        precision=config.precision,
        max_epochs=config.epochs,
        limit_train_batches=config.steps_per_epoch,
        gradient_clip_val=config.optimizer.clip_norm,
        deterministic=options.deterministic,
        callbacks=callbacks,
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        log_every_n_steps=min(_LOG_EVERY_STEPS, config.steps_per_epoch),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def fit(trainer: lightning.Trainer, module: lightning.LightningModule, checkpoint: Path | None) -> None:
    """Train, from a checkpoint on if there is one.

    Raises:
        KeyboardInterrupt: The user pressed Ctrl-C.
    """
    with warnings.catch_warnings():
        # The loader yields the rest of an epoch by itself; and no worker is wanted where the networks need all cores.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
        # Weights that fade away leave numbers next to zero behind, on which processors are up to ten times slower.
        torch.set_flush_denormal(True)
        try:
            trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
        except SystemExit as error:
            # Lightning ends the process at Ctrl-C; here the caller does.
            raise KeyboardInterrupt from error
        except MidgroundError as error:
            # A process that reads pairs puts its traceback in front.
            _, name, sentence = str(error).rpartition(f"{type(error).__name__}: ")
            if not name:
                raise
            raise type(error)(sentence) from error
        finally:
            torch.set_flush_denormal(False)
