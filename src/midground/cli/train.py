"""``midground train``: train a shared modality on one's own pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from midground.cli import options
from midground.errors import ConfigError


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Settings in YAML; examples lie in configs/.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="The run's folder; runs/NAME if omitted."),
    ] = None,
    settings: options.TrainSettingsOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
    max_minutes: options.MaxMinutesOption = None,
    accelerator: options.AcceleratorOption = "auto",
    devices: Annotated[
        int, typer.Option("--devices", min=1, metavar="N", help="GPUs, or processes on a CPU, to train on at once.")
    ] = 1,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Use only operations that give the same bits every time.")
    ] = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Train the two networks of a shared modality. Needs the extra 'train'."""
    from midground.cli.config_file import resolve_config
    from midground.training.config import Accelerator, TrainConfig

    options.require_known("accelerator", accelerator, get_args(Accelerator))
    if max_minutes is not None and max_minutes <= 0:
        raise ConfigError(f"--max-minutes must be more than 0, found {max_minutes:g}.")
    resolved = resolve_config(TrainConfig, file=options.existing(config), settings=settings or ())
    folder = Path("runs") / resolved.name if output is None else output
    from midground.training.run import train as run
    from midground.training.running import RunOptions, silent

    run(
        resolved,
        folder,
        RunOptions(
            resume=resume,
            max_minutes=max_minutes,
            accelerator=cast(Accelerator, accelerator),
            devices=devices,
            deterministic=deterministic,
        ),
        report=silent if quiet else _tell,
    )


def _tell(line: str) -> None:
    typer.echo(line, err=True)
