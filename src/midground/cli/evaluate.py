"""``midground evaluate``: how well images can be matched once models have mapped them."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.outputs import all_or_none, write_text
from midground.cli.tables import aligned
from midground.errors import ConfigError

if TYPE_CHECKING:
    from midground.evaluation.matchability import Matchability


def evaluate(
    models: Annotated[
        str,
        typer.Argument(
            metavar="MODELS", help="Names or bundles' folders, with commas between; a+b: the channels of both together."
        ),
    ],
    pairs: Annotated[
        Path, typer.Argument(metavar="PAIRS", help="A collection as for 'midground data', or YAML that names one.")
    ],
    settings: options.MeasureSettingsOption = None,
    pairs_settings: options.PairsSettingsOption = None,
    limit: options.LimitOption = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything that was measured.")
    ] = None,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Measure RMSE, PSNR and SSIM of the mapped images of each pair, and how often places are found again."""
    from midground.cli.config_file import resolve_config
    from midground.cli.data import read_pairs_config
    from midground.cli.progress import progress_bars
    from midground.datasets.catalogue import open_pairs
    from midground.datasets.splits import evenly_spread
    from midground.evaluation.config import MatchabilityConfig
    from midground.evaluation.matchability import measure, with_fitting_windows
    from midground.evaluation.side_by_side import mapper_by_name

    config = resolve_config(
        MatchabilityConfig, settings=["similarity=true", "windows_px=[176,128,96,64,48]", *(settings or ())]
    )
    mappers = {name: mapper_by_name(name) for name in models.split(",") if name}
    if not mappers:
        raise ConfigError("evaluate: no model is named; for instance structure,default.")
    rows: dict[str, Matchability] = {}
    with all_or_none([pairs]) as outputs, progress_bars(quiet=quiet) as progress:
        staged = None if json_path is None else outputs.add(json_path)
        source = open_pairs(read_pairs_config(pairs, pairs_settings), progress=progress)
        chosen = evenly_spread(source, limit)
        if not options.names_windows(settings):
            config = with_fitting_windows(config, chosen)
        for name, mapper in mappers.items():
            # Bundles in two folders may have one name.
            row = name if mapper.name in rows else mapper.name
            rows[row] = measure(mapper, chosen, config, progress=progress)
        if staged is not None:
            document = {
                "pairs": str(pairs),
                "n_pairs": len(chosen),
                "config": dataclasses.asdict(config),
                "models": {name: {"score": row.score, **_finite(row.numbers())} for name, row in rows.items()},
            }
            write_text(staged, json.dumps(document, indent=2) + "\n")
    for line in _table(rows):
        typer.echo(line)


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """JSON knows no infinity; that of equal images becomes null."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _told(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"


def _table(rows: dict[str, Matchability]) -> list[str]:
    first = next(iter(rows.values()))
    numbers = {model: row.numbers() for model, row in rows.items()}
    # What is defined for one model may not be for another.
    names = list(dict.fromkeys(name for found in numbers.values() for name in found))
    heads = ["model", "score", *names]
    body = [
        [model, f"{row.score:.3f}", *(_told(numbers[model].get(name, math.inf)) for name in names)]
        for model, row in rows.items()
    ]
    lines = aligned([heads, *body])
    share = f"within {first.config.success_px:g} px, searched within ±{first.config.search_px} px"
    n_windows = len(next(iter(first.window_errors.values())))
    lines.append(f"Windows: share of all {n_windows} of a size, {share}. Matchers: share of all {first.n_pairs} pairs.")
    for name, summary in first.similarity.items():
        if summary.n_defined < summary.n_total:
            lines.append(f"{name}: mean of the {summary.n_defined} pairs of {summary.n_total} that have it.")
    return [*lines, "Equal images have an infinite PSNR (–)."]
