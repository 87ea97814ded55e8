"""``midground data``: collections of pairs to train on and to evaluate with."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
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
    name="data",
    help="Look at collections of pairs, check, prepare and pack them.",
    no_args_is_help=True,
    add_completion=False,
)

PairsArgument = Annotated[
    Path,
    typer.Argument(
        metavar="PAIRS",
        help="Folder with sar/ and optical/, CSV table of pairs, packed collection, or settings of one in YAML.",
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option("--layout", metavar="NAME", help="Published dataset whose names the files have, such as sen12ms."),
]


def read_pairs_config(path: Path, settings: list[str] | None, *, layout: str | None = None) -> PairsConfig:
    """Settings of a collection from what a command is given: a YAML file, or the collection itself.

    Args:
        path: What it is given.
        settings: Values of ``--set``.
        layout: Kind of the collection; as the settings say if omitted.

    Raises:
        InputError: The file is not YAML.
        ConfigError: A setting is unknown or does not fit.
    """
    from midground.cli.config_file import resolve_config
    from midground.datasets.catalogue import PairsConfig

    explicit: dict[str, object] = {} if layout is None else {"kind": layout}
    if path.suffix.lower() in (".yaml", ".yml"):
        return resolve_config(PairsConfig, file=path, settings=settings or (), options=explicit)
    return resolve_config(PairsConfig, settings=settings or (), options={**explicit, "path": path})


@data.command("pack")
def pack(
    pairs: PairsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The packed collection; new.")],
    settings: options.CollectionSettingsOption = None,
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
    layout: LayoutOption = None,
    settings: options.CollectionSettingsOption = None,
    debug: options.DebugOption = False,
) -> None:
    """Say what a collection holds, from names and headers; 'midground data check' reads the pixels."""
    from midground.datasets.catalogue import open_raw_pairs

    for line in _described(open_raw_pairs(read_pairs_config(pairs, settings, layout=layout))):
        typer.echo(line)


@data.command("check")
def check_collection(
    pairs: PairsArgument,
    layout: LayoutOption = None,
    settings: options.CollectionSettingsOption = None,
    is_json: Annotated[bool, typer.Option("--json", help="Print the problems as JSON.")] = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Read all of a collection and list what is wrong: missing, unpaired, damaged, empty and duplicate files.

    No problem keeps the others from being found. The exit code is 2 if there is any.
    """
    from midground.datasets.catalogue import collection_kind, scan_files
    from midground.datasets.check import check_files
    from midground.datasets.check_packed import check_packed

    config = read_pairs_config(pairs, settings, layout=layout)
    with progress_bars(quiet=quiet) as progress:
        if collection_kind(config) == "packed":
            found = check_packed(config, progress=progress)
        else:
            found = check_files(
                scan_files(config),
                bands_sar=config.bands_sar,
                bands_optical=config.bands_optical,
                is_black_missing=config.black_is_missing,
                progress=progress,
            )
    if is_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        rows = [("pairs", str(found.n_pairs)), *(("hint", hint) for hint in found.hints)]
        rows += [(problem.kind, problem.message) for problem in found.problems]
        for kind, text in rows if found.problems else [*rows, ("problems", "none")]:
            typer.echo(f"{kind:<10}  {text}")
    if found.problems:
        raise InputError(f"{pairs}: {len(found.problems)} problem(s) found, listed above.")


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
