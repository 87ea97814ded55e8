"""The paper's tables and figures on one's own pairs: each model with each matcher, beside the published values.

Source:
    Paper, section 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midground.bench.config import BenchConfig
from midground.bench.figures import correct_match_curves, examples, matches_of, write_figures
from midground.bench.methods import MethodConfig
from midground.bench.misregistration import estimate_misregistration
from midground.bench.predict import open_bench_pairs, predict
from midground.bench.published import Similarity, published
from midground.bench.records import make_folder, write_text
from midground.bench.rows import all_pairs_table, averaged, difference_table, paper_table, published_table
from midground.bench.scores import Run, read_run
from midground.bench.tables import Cell, Column, Row, Table
from midground.core.progress import Progress, silent
from midground.datasets.base import PairSource
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, DependencyError, ModelError
from midground.evaluation.config import MatchabilityConfig
from midground.evaluation.matchability import measure
from midground.evaluation.side_by_side import mapper_by_name
from midground.modality.base import Mapper

TRANSFORMATIONS = ("none", "pix2pix", "lsgan", "ours-1", "ours-2")
"""Rows of the paper, by the names that its values have here."""
_N_EXAMPLES = 5
_SIMILARITY_COLUMNS = (
    Column(head="RMSE", digits=2, better="lower"),
    Column(head="PSNR, dB", digits=2, better="higher"),
    Column(head="SSIM", digits=2, better="higher"),
)


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
    runs = {protocol: _runs(config, protocol, folder, left_out, progress) for protocol in config.protocols}
    names = {run.folder: run.folder.parent.name for of_protocol in runs.values() for run in of_protocol}
    similarity = _similarity_table(mappers, pairs, progress)
    tables = {"table1": similarity, "table1-published": _published_similarity()}
    for protocol, of_protocol in runs.items():
        if of_protocol:
            tables[f"table2-{protocol}"] = paper_table(of_protocol, names)
            refitted = [read_run(run.folder, "affine") for run in of_protocol]
            tables[f"table2-{protocol}-all-pairs"] = all_pairs_table(refitted, names)
    tables["table2-published"] = published_table(published().matching)
    identity = runs.get("identity", [])
    tables["table2-difference"] = difference_table(identity, published().matching, names)
    notes = _notes(config.pairs.path.name, mappers, pairs, left_out, progress)
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
) -> list[Run]:
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
            runs.append(read_run(path))
    return runs


def _similarity_table(mappers: Mapping[str, Mapper], pairs: PairSource, progress: Progress) -> Table:
    settings = MatchabilityConfig(windows_px=(96,), matchers=(), similarity=True)
    rows = []
    for name, mapper in mappers.items():
        found = measure(mapper, pairs, settings, progress=progress).similarity
        rows.append(Row((name,), tuple(averaged(found[key]) for key in ("RMSE", "PSNR dB", "SSIM"))))
    title = f"Likeness of the two images of a pair, {len(pairs)} pairs: mean; (n): over n of them."
    return Table(title, ("transformation",), _SIMILARITY_COLUMNS, tuple(rows))


def _published_similarity() -> Table:
    def row(one: Similarity) -> Row:
        return Row((one.model,), (Cell(one.rmse), Cell(one.psnr_db), Cell(one.ssim)))

    title = "Published: likeness of the two images of a pair, MultiSenGE, 14,405 pairs."
    return Table(title, ("transformation",), _SIMILARITY_COLUMNS, tuple(map(row, published().similarity)))


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


def _notes(
    collection: str, mappers: Mapping[str, Mapper], pairs: PairSource, left_out: Mapping[str, str], progress: Progress
) -> list[str]:
    """What stands between our numbers and the published ones."""
    return [
        f"Pairs: {len(pairs)} of {collection}. {estimate_misregistration(pairs, progress=progress)}",
        *(f"{name}: {mapper.name}." for name, mapper in mappers.items()),
        "Our numbers differ from the published ones in data (another collection and sensor mode), in the training "
        "budget that each model's card states, and in the defects of the public code that are not repeated here.",
        *(f"Not run: {name}: {reason}" for name, reason in left_out.items()),
    ]


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
