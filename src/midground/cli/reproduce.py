"""``midground reproduce``: the paper's tables and figures on one's own pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from midground.cli import options
from midground.cli.bench import ProtocolsOption, read_methods, read_protocols
from midground.cli.data import read_pairs_config
from midground.errors import ConfigError

_MODELS = ["none=none", "structure=structure", "correlation=default"]
_METHODS = "sift,rift2,xfeat,dedode,roma,roma-shared,template,hopc,mutual-information,register,content-blind"


def reproduce(
    data: Annotated[
        Path,
        typer.Option("--data", metavar="PAIRS", help="Test pairs: a collection as for 'midground data', or its YAML."),
    ],
    output: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Tables, figures, and kept matches.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            metavar="NAME=MODEL",
            help="A transformation of the paper, such as ours-2=models/mine: pix2pix, lsgan, ours-1 or ours-2; "
            "repeatable. none, structure and correlation (the default model) are always there.",
        ),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="NAMES",
            help=f"Matchers as for 'midground bench predict'; {_METHODS.replace(',', ', ')} if omitted.",
            show_default=False,
        ),
    ] = _METHODS,
    protocols: ProtocolsOption = "identity,shift,known-warp",
    settings: options.MethodSettingsOption = None,
    allow_download: options.AllowDownloadOption = False,
    pairs_settings: options.PairsSettingsOption = None,
    limit: options.LimitOption = None,
    workers: options.WorkersOption = 1,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Make tables 1 and 2 and figures 4 to 6 of the paper, with the published values and the differences beside them.

    What cannot be had here is named with the reason, and left out; where no matcher can be had, nothing is made.
    """
    from midground.bench.reproduce import ReproduceConfig
    from midground.bench.reproduce import reproduce as run
    from midground.cli.progress import progress_bars

    config = ReproduceConfig(
        pairs=read_pairs_config(data, pairs_settings),
        models=dict(map(_named, [*_MODELS, *(models or ())])),
        methods=read_methods(methods, settings or [], allow_download=allow_download),
        protocols=tuple(read_protocols(protocols)),
        limit=limit,
        n_workers=workers,
    )
    with progress_bars(quiet=quiet) as progress:
        made = run(config, output, progress=progress)
    if not quiet:
        typer.echo("\n".join(map(str, made.files)))
    for name, reason in made.left_out.items():
        typer.echo(f"midground: {name}: left out: {reason}", err=True)


def _named(text: str) -> tuple[str, str]:
    name, separator, model = text.partition("=")
    if not (name and separator and model):
        raise ConfigError(f"--model takes NAME=MODEL, such as ours-2=models/mine; found '{text}'.")
    return name, model
