"""The paper's tables and figures on one's own pairs: each model with each matcher, beside the published values.

Source:
    Paper, section 4.6.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from midground.bench.causes import cause_of, likeness_cause
from midground.bench.config import PROTOCOLS, BenchConfig
from midground.bench.differences import difference_table
from midground.bench.figures import correct_match_curves, examples, matches_of, shown_index, write_figures
from midground.bench.methods import MethodConfig
from midground.bench.predict import alignment_of, open_bench_pairs, predict, refusals
from midground.bench.published import published
from midground.bench.records import pairs_name
from midground.bench.rows import all_pairs_table, paper_table, published_table
from midground.bench.scores import Run, read_fits
from midground.bench.similarity import published_similarity, similarity_table
from midground.bench.tables import Table
from midground.core.files import make_folder, write_text
from midground.core.progress import Progress, silent
from midground.datasets.base import PairSource
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, DependencyError, ModelError, unknown_name
from midground.evaluation.side_by_side import mapper_by_name
from midground.modality.base import Mapper

TRANSFORMATIONS = ("none", "pix2pix", "lsgan", "ours-1", "ours-2")
"""Rows of the paper, by the names that its values have here."""
UNPUBLISHED = ("structure", "correlation")
"""Rows that the paper has not."""
_PUBLISHED_PROTOCOL = "identity"
_N_EXAMPLES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproduceConfig:
    """What is compared, and on what."""

    pairs: PairsConfig
    """Test pairs."""
    models: Mapping[str, str]
    """Mapper by the name of its rows, such as ``ours-2: models/mine``; see ``TRANSFORMATIONS`` and ``UNPUBLISHED``."""
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
        for name in self.models:
            if name not in (*TRANSFORMATIONS, *UNPUBLISHED):
                raise unknown_name("transformation", name, (*TRANSFORMATIONS, *UNPUBLISHED))
        for protocol in self.protocols:
            if protocol not in PROTOCOLS:
                raise unknown_name("protocol", protocol, PROTOCOLS)


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
        ModelError: A model is damaged, or nothing can be run; the reasons are named.
        OutputError: A file cannot be written.
    """
    mappers = {name: mapper_by_name(model) for name, model in config.models.items()}
    refused = {name: str(error) for name, error in refusals(config.methods).items()}
    if len(refused) == len(config.methods):
        raise _nothing(refused)
    first = BenchConfig(pairs=config.pairs, limit=config.limit, protocol=config.protocols[0])
    pairs = open_bench_pairs(first)
    make_folder(folder)
    left_out = {name: "no model was given." for name in TRANSFORMATIONS if name not in config.models} | refused
    fitted = {protocol: _runs(config, protocol, folder, left_out, progress) for protocol in config.protocols}
    if not any(fitted.values()):
        raise _nothing({name: reason for name, reason in left_out.items() if name not in TRANSFORMATIONS})
    tables = {
        **_likeness(mappers, pairs, pairs_name(config.pairs.path), progress),
        **_matching(fitted, mappers, left_out),
    }
    best = _best_of_each_model([affine for _, affine in fitted[first.protocol]])
    figures = _figures(folder, first, mappers, pairs, best, left_out)
    notes = [
        f"Pairs: {len(pairs)} of {pairs_name(config.pairs.path)}. {alignment_of(first, progress)}",
        *(f"{name}: {mapper.name}." for name, mapper in mappers.items()),
        *(f"Left out: {name}: {reason}" for name, reason in left_out.items()),
    ]
    return Reproduction((*_write_tables(folder, tables, notes), *figures), left_out)


def _nothing(left_out: Mapping[str, str]) -> ModelError:
    reasons = " ".join(f"{name}: {reason}" for name, reason in left_out.items())
    return ModelError(f"reproduce: none of the matchers can be run, so there is nothing to compare. {reasons}")


def _likeness(
    mappers: Mapping[str, Mapper], pairs: PairSource, pairs_named: str, progress: Progress
) -> dict[str, Table]:
    """Table 1, by the names of its files."""
    ours, theirs = similarity_table(mappers, pairs, progress), published_similarity()
    told = f"{len(pairs)} pairs of {pairs_named}"
    causes: dict[tuple[str, ...], str] = {(name,): likeness_cause(told, mapper) for name, mapper in mappers.items()}
    return {
        "table1": ours,
        "table1-published": theirs,
        "table1-difference": difference_table(ours, theirs, causes),
    }


def _matching(
    fitted: Mapping[str, Sequence[tuple[Run, Run]]], mappers: Mapping[str, Mapper], left_out: dict[str, str]
) -> dict[str, Table]:
    """Table 2 under each protocol, by the names of its files; what it lacks is added to what is left out."""
    tables = {}
    theirs = published_table(published().matching)
    for protocol, of_protocol in fitted.items():
        if of_protocol:
            runs, refitted = zip(*of_protocol, strict=True)
            names = {run.folder: _row_name(run) for run in runs}
            tables[f"table2-{protocol}"] = paper_table(runs, names)
            tables[f"table2-{protocol}-all-pairs"] = all_pairs_table(refitted, names)
    tables["table2-published"] = theirs
    causes: dict[tuple[str, ...], str] = {
        (_row_name(run), run.method): cause_of(run, mappers[_row_name(run)])
        for run, _ in fitted.get(_PUBLISHED_PROTOCOL, ())
    }
    if causes:
        tables["table2-difference"] = difference_table(tables[f"table2-{_PUBLISHED_PROTOCOL}"], theirs, causes)
    if not causes or not tables["table2-difference"].rows:
        left_out["table2-difference"] = f"no published row was run under '{_PUBLISHED_PROTOCOL}', as the paper does."
    return tables


def _runs(
    config: ReproduceConfig, protocol: str, folder: Path, left_out: dict[str, str], progress: Progress
) -> list[tuple[Run, Run]]:
    """Every run under a protocol, with the paper's fit and with affine transforms."""
    runs = []
    for name, model in config.models.items():
        for method, method_config in config.methods.items():
            if method in left_out or f"{name} + {method}" in left_out:
                continue
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


def _row_name(run: Run) -> str:
    """What the mapper of a run is called in the tables."""
    return run.folder.parent.name


def _best_of_each_model(runs: Sequence[Run]) -> dict[str, Run]:
    """The run of each model with most successes within 3 px, as the paper's figures show.

    Args:
        runs: With affine transforms, as in the tables of all pairs.
    """
    best: dict[str, Run] = {}
    for run in runs:
        known = best.get(_row_name(run))
        if not run.is_control and (known is None or _merit(run) > _merit(known)):
            best[_row_name(run)] = run
    return {f"{name} + {run.method}": run for name, run in best.items()}


def _merit(run: Run) -> tuple[float, float]:
    return run.success(3.0).value or 0.0, run.cmr_of_all().value or 0.0


def _figures(
    folder: Path,
    config: BenchConfig,
    mappers: Mapping[str, Mapper],
    pairs: PairSource,
    best: Mapping[str, Run],
    left_out: dict[str, str],
) -> list[Path]:
    """Write the figures that can be made; those that cannot are added to what is left out."""
    index = shown_index(pairs, config.warp)
    if not best:
        left_out["figures 5 and 6"] = f"no matcher but the control was run under '{config.protocol}'."
    elif index is None:
        left_out["figure 6"] = f"no pair is large enough for the warps of '{config.protocol}'."
    n_shown = min(_N_EXAMPLES, len(pairs))
    return write_figures(
        folder,
        grid=examples(mappers, pairs, [number * len(pairs) // n_shown for number in range(n_shown)]),
        curve_files=correct_match_curves(best) if best else {},
        panels=[] if index is None else [matches_of(run, pairs.read(index), index, name) for name, run in best.items()],
    )


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
