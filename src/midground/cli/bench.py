"""``midground bench``: matches of mappers and matchers on a collection, kept, measured and compared."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.data import PairsArgument, read_pairs_config
from midground.errors import ConfigError, DependencyError, MidgroundError, ModelError

if TYPE_CHECKING:
    from midground.bench.methods import MethodConfig

bench = typer.Typer(
    name="bench",
    help="Compare mappers and matchers on pairs: 'predict' finds matches and keeps them, 'evaluate' measures them, "
    "'compare' tells which of two runs is better.",
    no_args_is_help=True,
    add_completion=False,
)

_MethodsOption = Annotated[
    str,
    typer.Option(
        "--methods",
        metavar="NAMES",
        help="Matchers, with commas between, or all: sift, template, rift2, xfeat, lighterglue, dedode, roma-shared, "
        "roma, romav2; hopc, mutual-information, register, and content-blind, a control.",
    ),
]
ProtocolsOption = Annotated[
    str,
    typer.Option(
        "--protocols",
        metavar="NAMES",
        help="identity (or paper, its other name), shift, known-warp and wide, with commas between.",
    ),
]
_TABLE_FORMATS = ("markdown", "latex", "csv")
_TableFormatOption = Annotated[str, typer.Option("--format", metavar="FORMAT", help="markdown, latex or csv.")]


@bench.command("predict")
def predict(
    pairs: PairsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A folder for each run goes in it.")],
    models: Annotated[
        str,
        typer.Option(
            "--models",
            metavar="NAMES",
            help="Mappers, with commas between: names of 'midground models list', bundles' folders, structure, none "
            "(raw grey).",
        ),
    ] = "default",
    methods: _MethodsOption = "sift",
    protocols: ProtocolsOption = "identity",
    settings: options.MethodSettingsOption = None,
    allow_download: options.AllowDownloadOption = False,
    pairs_settings: options.PairsSettingsOption = None,
    limit: options.LimitOption = None,
    workers: options.WorkersOption = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the warps.")] = 0,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Match all pairs with every model and method under every protocol; goes on where it was stopped."""
    from itertools import product

    from midground.bench.config import BenchConfig
    from midground.bench.predict import predict as run
    from midground.bench.predict import refusals
    from midground.cli.progress import progress_bars
    from midground.evaluation.side_by_side import mapper_by_name

    config = read_pairs_config(pairs, pairs_settings)
    names = split_names(models)
    chosen = read_methods(methods, settings or [], allow_download=allow_download)
    named_protocols = read_protocols(protocols)
    for name in names:
        mapper_by_name(name)
    refused: set[str] = set()
    for method, error in refusals(chosen).items():
        _refuse(refused, method, error, is_alone=len(chosen) == 1)
    n_runs = 0
    for protocol, model, (method, method_config) in product(named_protocols, names, chosen.items()):
        label = f"{model} + {method}"
        if method in refused or label in refused:
            continue
        one = BenchConfig(pairs=config, limit=limit, model=model, method=method_config, protocol=protocol, seed=seed)
        folder = output / protocol / model.replace("/", "_") / method
        try:
            with progress_bars(quiet=quiet) as progress:
                n_done = run(one, folder, n_workers=workers, progress=progress)
        except (DependencyError, ModelError) as error:
            _refuse(refused, label, error, is_alone=len(names) * len(chosen) == 1)
            continue
        n_runs += 1
        if not quiet:
            typer.echo(f"{folder}: {n_done} pairs matched")
    if n_runs == 0:
        raise ConfigError(f"bench predict: nothing was run; {len(refused)} reasons are named above.")


def _refuse(refused: set[str], label: str, error: MidgroundError, *, is_alone: bool) -> None:
    """Say what cannot be run, and note it; where nothing else was asked for, it is an error."""
    if is_alone:
        raise error
    refused.add(label)
    typer.echo(f"midground: {label}: not run: {error}", err=True)


@bench.command("evaluate")
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What 'midground bench predict' wrote.")],
    table_format: _TableFormatOption = "markdown",
    debug: options.DebugOption = False,
) -> None:
    """Measure runs from their matches, without matching again: as the paper averages, and over all pairs.

    Of a folder with several runs, those that are not finished are named and left out.
    """
    from midground.bench.comparable import require_comparable
    from midground.bench.records import read_alignment
    from midground.bench.rows import all_pairs_table, overview_table, paper_table
    from midground.bench.scores import find_finished, read_fits

    options.require_known("format", table_format, _TABLE_FORMATS)
    found = [find_finished(folder) for folder in folders]
    _tell_unfinished(found)
    fitted = [read_fits(folder, ("paper", "affine")) for finished, _ in found for folder in finished]
    runs, refitted = zip(*fitted, strict=True)
    require_comparable(runs)
    pairs = runs[0].manifest["pairs"]
    # A text between tables of another format would be none of it.
    told = f"{pairs['n_pairs']} pairs of {pairs['name']}. {read_alignment(runs[0].folder)}\n"
    typer.echo(told, err=table_format != "markdown")
    tables = []
    for protocol in dict.fromkeys(run.protocol for run in runs):
        tables.append(paper_table([run for run in runs if run.protocol == protocol]))
        tables.append(all_pairs_table([run for run in refitted if run.protocol == protocol]))
    for table in [overview_table(refitted), *tables]:
        typer.echo(getattr(table, table_format)())


@bench.command("compare")
def compare(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="The run that the others are compared with.")],
    others: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Other runs on the same pairs and warps.")],
    table_format: _TableFormatOption = "markdown",
    debug: options.DebugOption = False,
) -> None:
    """Compare runs pair by pair: on how many pairs both succeed, either alone, or neither."""
    from midground.bench.paired import paired_table, settings_apart
    from midground.bench.scores import find_finished, read_run

    options.require_known("format", table_format, _TABLE_FORMATS)
    base = read_run(first, "affine")
    found = [find_finished(other) for other in others]
    _tell_unfinished(found)
    folders = [folder for finished, _ in found for folder in finished if folder.resolve() != first.resolve()]
    if not folders:
        raise ConfigError(f"{first}: there is no other run to compare it with; name one or more.")
    runs = [read_run(folder, "affine") for folder in folders]
    table = paired_table(base, runs)
    typer.echo("\n".join(settings_apart(base, run) for run in runs) + "\n", err=table_format != "markdown")
    typer.echo(getattr(table, table_format)())


def _tell_unfinished(found: Iterable[tuple[list[Path], list[str]]]) -> None:
    for _, unfinished in found:
        for sentence in unfinished:
            typer.echo(f"midground: left out: {sentence}", err=True)


def split_names(text: str) -> list[str]:
    """Names with commas between, each once.

    Raises:
        ConfigError: There is none.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise ConfigError("bench: a list of names is empty; name one or more, with commas between.")
    return names


def read_protocols(text: str) -> list[str]:
    """Names of protocols, each once.

    Raises:
        ConfigError: There is none, or one is unknown.
    """
    from midground.bench.config import protocol_name

    return list(dict.fromkeys(map(protocol_name, split_names(text))))


def read_methods(text: str, settings: list[str], *, allow_download: bool = False) -> dict[str, MethodConfig]:
    """Settings of each method named, from ``method.key=value``.

    Args:
        text: Names with commas between, or ``all``.
        settings: Values of ``--set``.
        allow_download: Whether matchers may download weights that are not there yet.

    Raises:
        ConfigError: A name or a setting is unknown.
    """
    from midground.bench.methods import METHODS, method_config_type
    from midground.cli.config_file import resolve_config

    names = [*METHODS] if text == "all" else split_names(text)
    kinds = {name: method_config_type(name) for name in names}
    own = options.settings_by_name("method", settings, names)
    return {
        name: resolve_config(
            kind, settings=own[name], options=options.download_permission(kind, allowed=allow_download)
        )
        for name, kind in kinds.items()
    }
