"""``midground data``: collections of pairs to train on and to evaluate with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.progress import progress_bars
from midground.errors import InputError

if TYPE_CHECKING:
    from midground.datasets.base import Profile, RawPairs
    from midground.datasets.catalogue import PairsConfig

data = typer.Typer(
    name="data", help="Look at collections of pairs, check and pack them.", no_args_is_help=True, add_completion=False
)

PairsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PAIRS",
        help="Folder with sar/ and optical/, CSV table of pairs, packed collection, or settings of one in YAML.",
    ),
]


def read_pairs_config(path: Path, settings: list[str] | None) -> PairsConfig:
    """Settings of a collection from what a command is given: a YAML file, or the collection itself.

    Raises:
        InputError: The file is not YAML.
        ConfigError: A setting is unknown or does not fit.
    """
    from midground.cli.config_file import resolve_config
    from midground.datasets.catalogue import PairsConfig

    if path.suffix.lower() in (".yaml", ".yml"):
        return resolve_config(PairsConfig, file=path, settings=settings or ())
    return resolve_config(PairsConfig, settings=settings or (), options={"path": path})


@data.command("pack")
def pack(
    pairs: PairsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The packed collection; new.")],
    settings: options.SettingsOption = None,
    shard_mb: Annotated[
        float, typer.Option("--shard-mb", min=0.01, metavar="MB", help="Size from which on a shard ends.")
    ] = 256.0,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Pack pairs into a few large files that are quick to copy, and to read from many processes.

    Values are packed as the files have them, with the bands and pairs that the settings choose; how they are scaled is
    decided when they are read.
    """
    from midground.datasets.catalogue import open_raw_pairs
    from midground.datasets.packing import pack as write

    with progress_bars(quiet=quiet) as progress:
        source = open_raw_pairs(read_pairs_config(pairs, settings), progress=progress)
        write(source, output, shard_bytes=round(shard_mb * 1e6), progress=progress)
    if not quiet:
        n_bytes = sum(path.stat().st_size for path in output.iterdir())
        typer.echo(f"{output}: {len(source)} pairs, {n_bytes / 1e6:.1f} MB")


@data.command("info")
def info(
    pairs: PairsArgument,
    settings: options.SettingsOption = None,
    is_quick: Annotated[
        bool, typer.Option("--quick", help="Look at names and headers only; without it, all pixels are read.")
    ] = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Say what a collection holds and, after reading all of it, what is wrong with it; exit code 2 if anything is."""
    from midground.datasets.catalogue import open_raw_pairs
    from midground.datasets.check import check
    from midground.datasets.packed import PackedPairs

    with progress_bars(quiet=quiet) as progress:
        source = open_raw_pairs(read_pairs_config(pairs, settings), progress=progress)
        for line in _described(source):
            typer.echo(line)
        if is_quick:
            return
        if isinstance(source, PackedPairs):
            source.verify(progress=progress)
        found = check(source, progress=progress)
    for hint in found.hints:
        typer.echo(f"hint      {hint}")
    for problem in found.problems:
        typer.echo(f"problem   {problem}")
    if found.problems:
        raise InputError(f"{pairs}: {len(found.problems)} problem(s) found, listed above.")
    typer.echo("problems  none")


def _described(source: RawPairs) -> list[str]:
    places = Counter(source.places)
    sizes = Counter(source.hw(index) for index in range(len(source)))
    most = ", ".join(f"{height} × {width} px ({count})" for (height, width), count in sizes.most_common(3))
    return [
        f"pairs     {len(source)}, from '{source.names[0]}' to '{source.names[-1]}'",
        f"places    {len(places)}, the most frequent with {max(places.values())} pair(s)",
        f"sizes     {most}{f', {len(sizes) - 3} other sizes' if len(sizes) > 3 else ''}",
        f"SAR       {_bands(source.sar_profile)}",
        f"optical   {_bands(source.optical_profile)}",
    ]


def _bands(profile: Profile) -> str:
    return f"{len(profile.bands)} band(s) of {profile.dtype}: {', '.join(profile.bands)}"
