"""The paper's tables and figures on one's own pairs: each model with each matcher, beside the published values.

Source:
    Paper, section 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midground.bench.causes import cause_of
from midground.bench.config import BenchConfig
from midground.bench.figures import correct_match_curves, examples, matches_of, write_figures
from midground.bench.methods import MethodConfig
from midground.bench.predict import alignment_of, open_bench_pairs, predict
from midground.bench.published import published
from midground.bench.rows import all_pairs_table, difference_table, paper_table, published_table
from midground.bench.scores import Run, read_fits
from midground.bench.similarity import published_similarity, similarity_table
from midground.bench.tables import Table
from midground.core.files import make_folder, write_text
from midground.core.progress import Progress, silent
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, DependencyError, ModelError
from midground.evaluation.side_by_side import mapper_by_name

TRANSFORMATIONS = ("none", "pix2pix", "lsgan", "ours-1", "ours-2")
"""Rows of the paper, by the names that its values have here."""
_N_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceConfig:
    """What is compared, and on what."""

    pairs: PairsConfig
    """Test pairs."""
    models: Mapping[str, str]
    """Mapper by the name of its rows, such as ``ours-2: models/mine``; see ``TRANSFORMATIONS``."""
    methods: Mapping[str, MethodConfig]
    """Matchers by name."""
    protocols: tuple[str, ...] = ("identity", "shift", "known-warp")
    """Protocols; figures are of the first."""
    limit: int | None = None
    """Only so many pairs, evenly spread."""
    n_workers: int = 1
    """Processes."""

    def __post_init__(self) -> None:
        if not self.models or not self.methods or not self.protocols:
            raise ConfigError("reproduce: name at least one model, one matcher and one protocol.")


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What was made."""

    files: tuple[Path, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """What could not be run, with the reason."""


def reproduce(config: ReproduceConfig, folder: Path, *, progress: Progress = silent) -> Reproduction:
    """Run everything that can be run, and write tables (Markdown, LaTeX, CSV) and figures.

    Matches are kept in ``runs`` inside the folder, so that a run that was stopped goes on.

    Args:
        config: What is compared.
        folder: Where everything goes.
        progress: Told after every pair.

    Raises:
        ConfigError: A model has no such name.
        ModelError: A model is damaged.
        OutputError: A file cannot be written.
    """
    mappers = {name: mapper_by_name(model) for name, model in config.models.items()}
    first = BenchConfig(pairs=config.pairs, limit=config.limit)
    pairs = open_bench_pairs(first)
    make_folder(folder)
    left_out = {name: "no model was given" for name in TRANSFORMATIONS if name not in config.models}
    fitted = {protocol: _runs(config, protocol, folder, left_out, progress) for protocol in config.protocols}
    runs = {protocol: [run for run, _ in of_protocol] for protocol, of_protocol in fitted.items()}
    names = {run.folder: run.folder.parent.name for of_protocol in runs.values() for run in of_protocol}
    tables = {"table1": similarity_table(mappers, pairs, progress), "table1-published": published_similarity()}
    for protocol, of_protocol in runs.items():
        if of_protocol:
            tables[f"table2-{protocol}"] = paper_table(of_protocol, names)
            refitted = [affine for _, affine in fitted[protocol]]
            tables[f"table2-{protocol}-all-pairs"] = all_pairs_table(refitted, names)
    tables["table2-published"] = published_table(published().matching)
    identity = runs.get("identity", [])
    causes = {run.folder: cause_of(run, mappers[names[run.folder]]) for run in identity}
    tables["table2-difference"] = difference_table(identity, published().matching, names, causes)
    notes = [
        f"Pairs: {len(pairs)} of {config.pairs.path.name}. {alignment_of(first, progress)}",
        *(f"{name}: {mapper.name}." for name, mapper in mappers.items()),
        *(f"Not run: {name}: {reason}" for name, reason in left_out.items()),
    ]
    paths = _write_tables(folder, tables, notes)
    best = _best_of_each_model(runs[config.protocols[0]], names)
    index = len(pairs) // 2
    paths += write_figures(
        folder,
        grid=examples(
            mappers,
            pairs,
            [number * len(pairs) // _N_EXAMPLES for number in range(min(_N_EXAMPLES, len(pairs)))],
        ),
        curve_files=correct_match_curves(best) if best else {},
        panels=[matches_of(run, pairs.read(index), index, name) for name, run in best.items()],
    )
    return Reproduction(tuple(paths), left_out)


def _runs(
    config: ReproduceConfig, protocol: str, folder: Path, left_out: dict[str, str], progress: Progress
) -> list[tuple[Run, Run]]:
    """Every run under a protocol, with the paper's fit and with affine transforms."""
    runs = []
    for name, model in config.models.items():
        for method, method_config in config.methods.items():
            one = BenchConfig(
                pairs=config.pairs, limit=config.limit, model=model, method=method_config, protocol=protocol
            )
            path = folder / "runs" / protocol / name / method
            try:
                predict(one, path, n_workers=config.n_workers, progress=progress)
            except (DependencyError, ModelError) as error:
                left_out[f"{name} + {method}"] = str(error)
                continue
            paper, affine = read_fits(path, ("paper", "affine"))
            runs.append((paper, affine))
    return runs


def _best_of_each_model(runs: Sequence[Run], names: Mapping[Path, str]) -> dict[str, Run]:
    """The run of each model with most successes within 3 px, as the paper's figures show."""
    best: dict[str, Run] = {}
    for run in runs:
        known = best.get(names[run.folder])
        if not run.is_control and (known is None or _merit(run) > _merit(known)):
            best[names[run.folder]] = run
    return {f"{name} + {run.method}": run for name, run in best.items()}


def _merit(run: Run) -> tuple[float, float]:
    return run.success(3.0).value or 0.0, run.cmr_of_all().value or 0.0


def _write_tables(folder: Path, tables: Mapping[str, Table], notes: Sequence[str]) -> list[Path]:
    paths = []
    for name, table in tables.items():
        if table.rows:
            for suffix, text in ((".tex", table.latex()), (".csv", table.csv())):
                paths.append(folder / f"{name}{suffix}")
                write_text(paths[-1], text)
    listed = "\n".join(f"- {note}" for note in notes)
    body = "\n".join(f"## {name}\n\n{table.markdown()}" for name, table in tables.items() if table.rows)
    paths.append(folder / "tables.md")
    write_text(paths[-1], f"# Tables\n\n{listed}\n\n{body}")
    return paths
