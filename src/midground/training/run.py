"""A training run from its settings to its checkpoints, and on after an interruption."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from midground.datasets.base import PairSource
from midground.datasets.catalogue import open_pairs
from midground.datasets.scaled import ScaledPairs
from midground.datasets.splits import Subset, split_by_place
from midground.errors import ConfigError, DependencyError, InputError, MidgroundError
from midground.modality.bands import ANY
from midground.modality.base import MODALITIES, InputSpec, Modality
from midground.training.callbacks import Keep, Realign, Report, Tell, Validate, silent
from midground.training.checkpoint import facts, find_checkpoint, read_state, weights_of
from midground.training.config import Accelerator, TrainConfig
from midground.training.folder import begin_folder, check_folder
from midground.training.loading import Plan, default_workers
from midground.training.module import SharedModality
from midground.training.sampling import SampleStream
from midground.training.torch_mapper import TorchMapper

try:
    import lightning
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger
    from lightning.pytorch.utilities import rank_zero_only
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_VALIDATION_SEED = 0
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


def train(
    config: TrainConfig, folder: Path, options: RunOptions = RunOptions(), *, report: Report = silent
) -> TrainResult:
    """Train a shared modality.

    The folder receives the settings, the checkpoints ``last.ckpt`` and ``best.ckpt``, and TensorBoard's files.

    Args:
        config: Everything that decides the result.
        folder: The run's folder.
        options: How to run.
        report: Told lines of progress.

    Raises:
        InputError: Pairs cannot be used.
        ConfigError: Settings do not fit the data, or not those of the run that is resumed.
        OutputError: The folder holds a run already, and ``resume`` was not asked for; or holds none to resume.
    """
    is_first_process = rank_zero_only.rank == 0
    if is_first_process:
        check_folder(config, folder, resume=options.resume)
    else:
        report = silent
    on_gpu = _is_on_gpu(options.accelerator)
    sources = [open_pairs(source.pairs) for source in config.data.train]
    held_out = None if config.data.validation is None else open_pairs(config.data.validation)
    training, validation = _split(config, sources, held_out)
    inputs = {modality: _input_spec(config, sources[0], modality) for modality in MODALITIES}
    opened = sources if held_out is None else [*sources, held_out]
    n_bands = {modality: _n_bands(opened, modality) for modality in MODALITIES}
    stream = SampleStream(
        training,
        [source.share for source in config.data.train],
        n_epoch=config.steps_per_epoch * config.batch_size,
        crop_px=config.data.crop_px,
        augment=config.augment,
        seed=config.seed,
    )
    lightning.seed_everything(config.seed, workers=True, verbose=False)
    workers = default_workers(on_gpu=on_gpu) if config.data.workers is None else config.data.workers
    module = _module(config, n_bands, stream, options, workers=workers, on_gpu=on_gpu)
    report(
        f"{sum(map(len, training))} pairs to train on, {len(validation)} to validate on; "
        f"{n_bands['sar']} SAR and {n_bands['optical']} optical band(s) to {config.n_channels} channels"
    )
    data = tuple(
        f"{source.pairs.path.name}: {len(pairs)} pairs"
        for source, pairs in zip(config.data.train, training, strict=True)
    )
    module.facts = facts(config, inputs, data) | {"n_bands": n_bands}
    mapper = TorchMapper(module.networks, inputs)
    validate = Validate(config, validation, mapper, report)
    keep = Keep(config, folder, validate, every_minutes=options.checkpoint_minutes, max_minutes=options.max_minutes)
    tell = Tell(config, report, every_s=options.tell_every_s)
    callbacks = [tell, validate, Realign(config, training, mapper, report), keep]
    trainer = _trainer(config, folder, options, callbacks, on_gpu=on_gpu)
    if is_first_process and not options.resume:
        begin_folder(config, folder)
    _fit(trainer, module, keep.last if options.resume and keep.last.is_file() else None)
    reached = "no validation yet" if validate.best is None else f"best matchability {validate.best:.3f}, {keep.best}"
    report(f"{trainer.global_step} of {config.epochs * config.steps_per_epoch} steps done; {reached}")
    return TrainResult(
        keep.best if keep.best.is_file() else None,
        keep.last if keep.last.is_file() else None,
        validate.best,
        trainer.global_step,
        tell.pairs_per_s,
    )


def _is_on_gpu(accelerator: Accelerator) -> bool:
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("accelerator is gpu, but torch finds no GPU here; choose cpu or auto.")
    return accelerator != "cpu" and torch.cuda.is_available()


def _split(
    config: TrainConfig, sources: list[ScaledPairs], validation: ScaledPairs | None
) -> tuple[list[PairSource], PairSource]:
    """Training pairs of each collection, and validation pairs of places that no training pair shows."""
    data = config.data
    held_out: PairSource
    if validation is not None:
        held_out = validation
        places = set(held_out.places)
        training: list[PairSource] = []
        for source in sources:
            apart = [index for index, place in enumerate(source.places) if place not in places]
            training.append(source if len(apart) == len(source) else Subset(source, apart))
    else:
        kept, rest = split_by_place(
            sources[0],
            data.validation_share,
            seed=_VALIDATION_SEED,
            block_places=data.validation_block_places,
        )
        held_out, training = Subset(sources[0], rest), [Subset(sources[0], kept), *sources[1:]]
    if len(held_out) == 0 or min(map(len, training)) == 0:
        raise InputError(
            f"The split by place leaves {[len(pairs) for pairs in training]} pairs to train on and {len(held_out)} to "
            "validate on: change data.validation_share or data.validation_block_places, or name data.validation."
        )
    n = min(len(held_out), data.max_validation_pairs)
    return training, Subset(held_out, [index * len(held_out) // n for index in range(n)])


def _n_bands(sources: list[ScaledPairs], modality: Modality) -> int:
    profiles = [source.sar_profile if modality == "sar" else source.optical_profile for source in sources]
    counts = [len(profile.bands) for profile in profiles]
    if len(set(counts)) != 1:
        raise InputError(
            f"The collections have different numbers of {modality} bands, {counts}: choose as many of each with "
            f"bands_{modality}."
        )
    return counts[0]


def _module(
    config: TrainConfig,
    n_bands: Mapping[Modality, int],
    stream: SampleStream,
    options: RunOptions,
    *,
    workers: int,
    on_gpu: bool,
) -> SharedModality:
    if config.batch_size % options.devices:
        raise ConfigError(f"batch_size {config.batch_size} cannot be dealt to {options.devices} devices evenly.")
    plan = Plan(
        steps_per_epoch=config.steps_per_epoch,
        batch_size=config.batch_size // options.devices,
        world_size=options.devices,
        workers=workers,
        pin_memory=on_gpu,
    )
    module = SharedModality(config, n_bands, stream, plan)
    if config.init_from is not None:
        _start_from(module, Path(config.init_from))
    if config.compile:
        for network in module.networks.values():
            network.compile(mode="reduce-overhead" if on_gpu else "default")
    return module


def _start_from(module: SharedModality, path: Path) -> None:
    path = find_checkpoint(path)
    state = read_state(path)
    for modality in MODALITIES:
        try:
            module.networks[modality].load_state_dict(weights_of(state, modality))
        except RuntimeError as error:
            raise ConfigError(
                f"init_from: {path}: its {modality} network has other bands, channels or widths than these settings."
            ) from error


def _trainer(
    config: TrainConfig, folder: Path, options: RunOptions, callbacks: list[lightning.Callback], *, on_gpu: bool
) -> lightning.Trainer:
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


def _fit(trainer: lightning.Trainer, module: SharedModality, checkpoint: Path | None) -> None:
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
            raise type(error)(str(error).rpartition(f"{type(error).__name__}: ")[2]) from error
        finally:
            torch.set_flush_denormal(False)


def _input_spec(config: TrainConfig, source: ScaledPairs, modality: Modality) -> InputSpec:
    """What the model's card asks of an image: the bands that it was trained on, limits from the image's own scene."""
    if modality == "sar":
        named, bands = config.card.sar_bands, source.sar_profile.bands
        if named is None and len(bands) == 1:
            named = (ANY,)
    else:
        named, bands = config.card.optical_bands, source.optical_profile.bands
    if named is not None and len(named) != len(bands):
        raise ConfigError(
            f"card.{modality}_bands names {len(named)} band(s), {', '.join(named)}, but the pairs have {len(bands)}."
        )
    return InputSpec(bands=named or bands)
