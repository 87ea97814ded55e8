"""``midground bench``: matches of mappers and matchers on a collection, kept, measured and compared."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.data import PairsArgument, read_pairs_config
from midground.errors import ConfigError, DependencyError, ModelError

if TYPE_CHECKING:
    from midground.bench.methods import MethodConfig

bench = typer.Typer(
    name="bench",
    help="Compare mappers and matchers on pairs: 'predict' finds matches and keeps them, 'evaluate' measures them, "
    "'compare' tells which of two runs is better.",
    no_args_is_help=True,
    add_completion=False,
)

_TABLE_FORMATS = ("markdown", "latex", "csv")
_TableFormatOption = Annotated[str, typer.Option("--format", metavar="FORMAT", help="markdown, latex or csv.")]


@bench.command("predict")
def predict(
    pairs: PairsArgument,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A folder for each run goes in it.")],
    models: Annotated[str, typer.Option("--models", metavar="NAMES", help="Mappers, with commas between.")] = "default",
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            metavar="NAMES",
            help="Matchers with commas between, and register, hopc, mutual-information, content-blind.",
        ),
    ] = "sift",
    protocols: Annotated[
        str,
        typer.Option("--protocols", metavar="NAMES", help="identity, shift, known-warp and wide, with commas between."),
    ] = "identity",
    settings: options.MethodSettingsOption = None,
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
    from midground.cli.progress import progress_bars

    config = read_pairs_config(pairs, pairs_settings)
    methods_by_name = read_methods(methods, settings or [])
    n_runs, last_error = 0, None
    for protocol, model, (method, method_config) in product(
        split_names(protocols), split_names(models), methods_by_name.items()
    ):
        one = BenchConfig(pairs=config, limit=limit, model=model, method=method_config, protocol=protocol, seed=seed)
        folder = output / protocol / model.replace("/", "_") / method
        try:
            with progress_bars(quiet=quiet) as progress:
                n_done = run(one, folder, n_workers=workers, progress=progress)
        except (DependencyError, ModelError) as error:
            # Of many methods, one that cannot be had here keeps nothing else from being run.
            last_error = error
            if len(methods_by_name) > 1:
                typer.echo(f"midground: {model} + {method}: not run: {error}", err=True)
            continue
        n_runs += 1
        if not quiet:
            typer.echo(f"{folder}: {n_done} pairs matched")
    if n_runs == 0 and last_error is not None:
        raise last_error


@bench.command("evaluate")
def evaluate(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What 'midground bench predict' wrote.")],
    table_format: _TableFormatOption = "markdown",
    debug: options.DebugOption = False,
) -> None:
    """Measure runs from their matches, without matching again: as the paper averages, and over all pairs."""
    from midground.bench.records import read_alignment
    from midground.bench.rows import all_pairs_table, overview_table, paper_table
    from midground.bench.scores import find_runs, read_fits, require_comparable

    options.require_known("format", table_format, _TABLE_FORMATS)
    fitted = [read_fits(found, ("paper", "affine")) for folder in folders for found in find_runs(folder)]
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
    from midground.bench.scores import find_runs, read_run

    options.require_known("format", table_format, _TABLE_FORMATS)
    base = read_run(first, "affine")
    found = [folder for other in others for folder in find_runs(other) if folder.resolve() != first.resolve()]
    if not found:
        raise ConfigError(f"{first}: there is no other run to compare it with; name one or more.")
    runs = [read_run(folder, "affine") for folder in found]
    table = paired_table(base, runs)
    typer.echo("\n".join(settings_apart(base, run) for run in runs) + "\n", err=table_format != "markdown")
    typer.echo(getattr(table, table_format)())


def split_names(text: str) -> list[str]:
    """Names with commas between, each once.

    Raises:
        ConfigError: There is none.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise ConfigError("bench: a list of names is empty; name one or more, with commas between.")
    return names


def read_methods(text: str, settings: list[str]) -> dict[str, MethodConfig]:
    """Settings of each method named, from ``method.key=value``.

    Args:
        text: Names with commas between, or ``all``.
        settings: Values of ``--set``.

    Raises:
        ConfigError: A name or a setting is unknown.
    """
    from midground.bench.methods import METHODS, method_config_type
    from midground.cli.config_file import resolve_config

    names = [*METHODS] if text == "all" else split_names(text)
    kinds = {name: method_config_type(name) for name in names}
    own = options.settings_by_name("method", settings, names)
    return {name: resolve_config(kind, settings=own[name]) for name, kind in kinds.items()}
