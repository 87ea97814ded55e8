"""``midground models``: the learned bundles that are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.errors import ConfigError

if TYPE_CHECKING:
    from midground.modality.bundle import Bundle

models = typer.Typer(
    name="models",
    help="List, inspect, check, convert and export learned models.",
    no_args_is_help=True,
    add_completion=False,
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A shipped name, default, or a bundle's folder.")]


@models.command("list")
def list_models(debug: options.DebugOption = False) -> None:
    """List the models at hand, and the mappers that need none."""
    from midground.modality.catalogue import DEFAULT_MODEL, bundle_folders
    from midground.modality.mappers import MAPPERS

    rows = [(name, "no training") for name in sorted(MAPPERS)]
    for name in bundle_folders():
        card = _find(name).card
        rows.append((name, f"{'default; ' if name == DEFAULT_MODEL else ''}{card.gsd_m:g} m; {card.description}"))
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        typer.echo(f"{name:<{width}}  {text}")


@models.command("info")
def info(name: NameArgument, debug: options.DebugOption = False) -> None:
    """Print the card of a model as JSON, after its files were verified."""
    bundle = _find(name)
    document = json.loads(bundle.card.to_json())
    typer.echo(json.dumps({"folder": str(bundle.folder), "sha256": bundle.sha256} | document, indent=2))


@models.command("verify")
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Shipped names, default, or folders; all if omitted."),
    ] = None,
    debug: options.DebugOption = False,
) -> None:
    """Compare the sha256 of every file of a model with its card."""
    from midground.modality.catalogue import bundle_names

    for name in names or bundle_names():
        bundle = _find(name)
        typer.echo(f"{bundle.card.name} {bundle.card.version}: all files are as the card says, sha256 {bundle.sha256}")


def _find(name: str) -> Bundle:
    from midground.modality.catalogue import find_bundle

    is_folder = Path(name).is_dir() or "/" in name
    return find_bundle(Path(name) if is_folder else name)


@models.command("convert")
def convert(
    sar: Annotated[Path, typer.Option("--sar", metavar="FILE", help="Weights of the SAR network (.safetensors).")],
    optical: Annotated[
        Path, typer.Option("--optical", metavar="FILE", help="Weights of the optical network (.safetensors).")
    ],
    card: Annotated[Path, typer.Option("--card", metavar="FILE", help="Card that says what the model wants and is.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The bundle; its name is the model's.")
    ],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    unsafe_pickle: Annotated[
        bool, typer.Option("--unsafe-pickle", help="Read checkpoints that can run code; only from people you trust.")
    ] = False,
    debug: options.DebugOption = False,
) -> None:
    """Turn weights of torch into a bundle, and compare its results with torch's. Needs the extra 'train'."""
    files = [options.existing(path) for path in (sar, optical, card)]
    from midground.training import convert as conversion

    config = conversion.ConvertConfig(overwrite=overwrite, unsafe_pickle=unsafe_pickle)
    done = conversion.convert({"sar": files[0], "optical": files[1]}, files[2], output, config=config)
    for modality, difference in done.differences.items():
        typer.echo(f"{modality}: results differ from torch's by {difference:.1e} at most")
    typer.echo(f"{done.bundle.folder}: {done.bundle.card.name} {done.bundle.card.version}, sha256 {done.bundle.sha256}")


@models.command("export")
def export(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint of 'midground train', or a run's folder.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The bundle; its name is the model's.")
    ],
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs", metavar="PAIRS", help="Measure the bundle on these: a collection, or YAML that names one."
        ),
    ] = None,
    settings: options.MeasureSettingsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Write the best weights of a training run as a bundle, and measure it. Needs the extra 'train'."""
    from midground.cli.config_file import resolve_config
    from midground.cli.data import read_pairs_config
    from midground.cli.progress import progress_bars
    from midground.datasets.catalogue import open_pairs
    from midground.evaluation.config import MatchabilityConfig
    from midground.evaluation.matchability import with_fitting_windows
    from midground.training.ship import ExportConfig, export_checkpoint

    measured = resolve_config(MatchabilityConfig, settings=settings or ())
    if settings and pairs is None:
        raise ConfigError(
            "--set says what is measured, and nothing is without --pairs: name the pairs, or leave it out."
        )
    with progress_bars(quiet=quiet) as progress:
        source = None if pairs is None else open_pairs(read_pairs_config(pairs, None), progress=progress)
        if source is not None and not options.names_windows(settings):
            measured = with_fitting_windows(measured, source)
        name = "" if pairs is None else pairs.stem
        config = ExportConfig(pairs_name=name, measured=measured, overwrite=overwrite)
        done, found = export_checkpoint(checkpoint, output, config, pairs=source, progress=progress)
    for modality, difference in done.differences.items():
        typer.echo(f"{modality}: results differ from torch's by {difference:.1e} at most")
    if found is not None:
        typer.echo(str(found))
    typer.echo(f"{done.bundle.folder}: {done.bundle.card.name} {done.bundle.card.version}, sha256 {done.bundle.sha256}")
