"""``midground data prepare``: 8-bit images and split lists of a published dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

import typer

from midground.cli import options
from midground.cli.data import read_pairs_config
from midground.cli.progress import progress_bars
from midground.errors import ConfigError


def prepare_dataset(
    layout: Annotated[
        str,
        typer.Argument(
            metavar="LAYOUT",
            help="multisenge, sen1-2, sen12ms, sen12ms-cr, osdataset, bigearthnet, folder or manifest.",
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="IN", help="Folder that the dataset was unpacked into.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that is made, or gone on with.")],
    image_format: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="tif, png, packed, or lists (no images).")
    ] = "tif",
    split: Annotated[
        str, typer.Option("--split", metavar="N,N,N", help="Proportions of training, validation and test.")
    ] = "46092,11522,14405",
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Use N pairs, spread evenly over the dataset.")
    ] = None,
    n_workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Processes.")] = 1,
    seed: options.SeedOption = 0,
    settings: options.CollectionSettingsOption = None,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Make grey VV and colour images of a dataset, scaled by its percentiles, and lists of pairs that share no place.

    An interrupted preparation goes on where it was when the command is repeated.
    """
    from midground.cli.config_file import resolve_config
    from midground.datasets.prepare import PrepareConfig, PreparedFormat, prepare

    options.require_known("value of --format", image_format, get_args(PreparedFormat))
    config = resolve_config(
        PrepareConfig,
        options={
            "image_format": image_format,
            "split": _proportions(split),
            "seed": seed,
            "limit": limit,
            "n_workers": n_workers,
        },
    )
    pairs = read_pairs_config(source, settings, layout=layout)
    with progress_bars(quiet=quiet) as progress:
        made = prepare(pairs, folder, config, progress=progress)
    if quiet:
        return
    counts = ", ".join(f"{part} {len(names)}" for part, names in made.parts.items())
    typer.echo(f"{folder}: {sum(map(len, made.parts.values()))} pairs ({counts})")
    if made.n_left_out:
        typer.echo(
            f"{made.n_left_out} problem(s) with files that were left out; see "
            f"'midground data check {source} --layout {layout}'."
        )


def _proportions(text: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise ConfigError(f"--split takes three numbers, such as 64,16,20; found '{text}'.")
    return numbers
