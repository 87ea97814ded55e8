"""Fitting with Lightning, as training runs of every kind do it."""

from __future__ import annotations

import logging
import warnings
from typing import Literal

from midground.errors import ConfigError, DependencyError, MidgroundError
from midground.training.callbacks import Validate
from midground.training.checkpoint import step_of
from midground.training.config import Accelerator, Precision
from midground.training.keeping import KeepBest, KeepLast
from midground.training.running import Run, TrainResult
from midground.training.telling import Tell

try:
    import lightning
    import torch
    from lightning.pytorch.loggers import TensorBoardLogger
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_LOG_EVERY_STEPS = 10


def is_on_gpu(accelerator: Accelerator) -> bool:
    """Whether the networks run on a GPU.

    Raises:
        ConfigError: One was asked for, and there is none.
    """
    if accelerator == "gpu" and not torch.cuda.is_available():
        raise ConfigError("accelerator is gpu, but torch finds no GPU here; choose cpu or auto.")
    return accelerator != "cpu" and torch.cuda.is_available()


def fit(run: Run, module: lightning.LightningModule, validate: Validate, *others: lightning.Callback) -> TrainResult:
    """Train from the start, or from the folder's last checkpoint on, to the end or to where the run is stopped.

    Args:
        run: The run; its folder exists.
        module: What is trained.
        validate: Chooses the best weights.
        others: What else happens after an epoch, once its best weights are kept.

    Raises:
        ConfigError: Training fell apart with these settings.
        InputError: A pair cannot be read.
        KeyboardInterrupt: Somebody asked the run to stop.
        ModelError: The checkpoint to resume from is damaged.
    """
    n_done = 0 if run.resumed is None else step_of(run.resumed)
    tell = Tell(run, validate)
    trainer = _trainer(run, [tell, validate, KeepBest(run, validate), *others, KeepLast(run, validate)], n_done)
    try:
        with run.stop.listening():
            _fit(trainer, module, run)
        if run.stop.is_asked:
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        n_saved = step_of(run.last) if run.last.is_file() else 0
        run.report(f"stopped after step {trainer.global_step}; --resume goes on from step {n_saved}")
        raise
    best, last = (path if path.is_file() else None for path in (run.best, run.last))
    n_steps = run.config.epochs * run.config.steps_per_epoch
    rate = "" if tell.pairs_per_s is None else f", {tell.pairs_per_s:.3g} pairs/s"
    run.report(f"{trainer.global_step} of {n_steps} steps done{rate}; {_reached(run, validate)}")
    return TrainResult(best, last, validate.best, trainer.global_step, tell.pairs_per_s)


def _reached(run: Run, validate: Validate) -> str:
    """The best score, where it lies, and what training started from."""
    if validate.best is None:
        return "no validation yet"
    first = "" if validate.first is None else f" ({validate.first:.3f} before training)"
    return f"best {validate.score_name} {validate.best:.3f}{first}, {run.best}"


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 numbers; torch imitates it where not, at a fifth of the speed.

    True where torch does not say.
    """
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    known = [capabilities[name] for name in ("avx512_bf16", "amx_bf16", "arm_bf16") if name in capabilities]
    return any(known) or not known


def _precision(run: Run) -> Precision:
    """The arithmetic asked for, or single precision where a processor would only imitate it."""
    if run.on_gpu or run.config.precision != "bf16-mixed" or has_bfloat16():
        return run.config.precision
    run.report("this processor has no bfloat16 arithmetic and would be slower with it: single precision it is")
    return "32-true"


def _trainer(run: Run, callbacks: list[lightning.Callback], n_done: int) -> lightning.Trainer:
    """Lightning's trainer, which writes nothing but TensorBoard's files by itself."""
    config, options = run.config, run.options
    for name in ("utilities.rank_zero", "accelerators.cuda", "trainer.connectors.signal_connector"):
        logging.getLogger(f"lightning.pytorch.{name}").setLevel(logging.WARNING)
    if run.on_gpu:
        torch.set_float32_matmul_precision("high")
    accelerator: Literal["cpu", "gpu"] = "gpu" if run.on_gpu else "cpu"
    return lightning.Trainer(
        accelerator=accelerator,
        devices=options.devices,
        # The paper's network holds parameters that nothing runs, since state dicts hold them.
        strategy="ddp_find_unused_parameters_true" if options.devices > 1 else "auto",
        precision=_precision(run),
        max_epochs=config.epochs,
        limit_train_batches=config.steps_per_epoch,
        gradient_clip_val=config.optimizer.clip_norm,
        deterministic=options.deterministic,
        callbacks=callbacks,
        # What a killed run drew after its last checkpoint is drawn again.
        logger=TensorBoardLogger(run.folder, name="", version="tensorboard", purge_step=n_done or None),
        log_every_n_steps=min(_LOG_EVERY_STEPS, config.steps_per_epoch),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def _fit(trainer: lightning.Trainer, module: lightning.LightningModule, run: Run) -> None:
    with warnings.catch_warnings():
        # The loader yields the rest of an epoch by itself; and no worker is wanted where the networks need all cores.
        warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before")
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
        # Weights that fade away leave numbers next to zero behind, on which processors are up to ten times slower.
        torch.set_flush_denormal(True)
        try:
            trainer.fit(module, ckpt_path=run.resumed, weights_only=True)
        except SystemExit as error:
            # Lightning ends the process when it is told to stop; here the caller does.
            raise KeyboardInterrupt from error
        except MidgroundError as error:
            # A process that reads pairs puts its traceback in front.
            _, name, sentence = str(error).rpartition(f"{type(error).__name__}: ")
            if not name:
                raise
            raise type(error)(sentence) from error
        finally:
            torch.set_flush_denormal(False)
