"""What the tables of a benchmark hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from midground.bench.published import N_PAIRS, Matching
from midground.bench.scores import Run
from midground.bench.tables import Better, Cell, Column, Row, Table
from midground.core.metrics import Summary

_LABELS = ("transformation", "matcher")
_PAPER_COLUMNS = (
    Column(head="SR", digits=3, better="higher", keeps_small=True),
    Column(head="ACE, px", digits=2, better="lower"),
    Column(head="MMA", digits=2, better="higher"),
    Column(head="Δp, px", digits=1, better="lower"),
    Column(head="abs(P)", digits=1),
    Column(head="abs(P5 correct)", digits=1),
    Column(head="CMR5", digits=3, better="higher"),
    Column(head="LE5, px", digits=2, better="lower"),
)
_OVERVIEW: tuple[tuple[str, int, Better], ...] = (
    ("< 3 px", 2, "higher"),
    ("< 5 px", 2, "higher"),
    ("ACE, px", 1, "lower"),
    ("CMR5", 2, "higher"),
    ("LE5, px", 1, "lower"),
    ("s", 1, "lower"),
)
IN_BRACKETS = "In square brackets and not ranked: means over fewer than half of the pairs"
"""What tables with means say of them."""
_NO_NAMES: Mapping[Path, str] = MappingProxyType({})
SUCCESS_LIMITS_PX = (1.0, 3.0, 5.0)
"""Corner errors below which shares of all pairs are told, px."""
_ALL_COLUMNS = (
    *(Column(head=f"ACE < {limit:g} px", digits=2, better="higher") for limit in SUCCESS_LIMITS_PX),
    Column(head="median ACE, px", digits=2, better="lower"),
    Column(head="CMR5 of all", digits=3, better="higher"),
    Column(head="LE5, px", digits=2, better="lower"),
    Column(head="s a pair", digits=2, better="lower"),
)


def paper_table(runs: Sequence[Run], names: Mapping[Path, str] = _NO_NAMES) -> Table:
    """The paper's table 2: truth as the protocol has it, averages as published.

    ACE and MMA are means over the successes, CMR and LE over the pairs for which they are defined, whose number stands
    in brackets where it is not that of all pairs.

    Args:
        runs: One row each; comparable.
        names: What to call the mapper of a run, by its folder; its own name if omitted.
    """
    n_pairs = len(runs[0].scores)
    rows = [Row(_labels(run, names), _paper_cells(run), n_pairs, run.is_control) for run in runs]
    title = (
        f"Averages as published, protocol {_protocols(runs)}, {n_pairs} pairs; (n): over n of them. {IN_BRACKETS}, and "
        f"LE5 where less than one match is correct.{_guided(runs)}"
    )
    return Table(title, _LABELS, _PAPER_COLUMNS, tuple(rows))


def published_table(rows: Sequence[Matching]) -> Table:
    """The paper's table 2 itself."""
    title = f"Published: MultiSenGE, {N_PAIRS:,} pairs, truth = identity."
    return Table(title, _LABELS, _PAPER_COLUMNS, tuple(map(_published_row, rows)))


def all_pairs_table(runs: Sequence[Run], names: Mapping[Path, str] = _NO_NAMES) -> Table:
    """Success over all pairs, failures counted as failures, with 95 % bootstrap intervals.

    Args:
        runs: One row each; comparable, and read with the fit ``affine``.
        names: What to call the mapper of a run, by its folder; its own name if omitted.
    """
    n_pairs = len(runs[0].scores)
    rows = []
    for run in runs:
        shares = []
        for limit in SUCCESS_LIMITS_PX:
            low, high = run.success_interval(limit)
            shares.append(Cell(run.success(limit).value, interval=(low, high)))
        cells = (
            *shares,
            Cell(run.median_ace().value),
            Cell(run.cmr_of_all().value),
            averaged(run.localization_error()),
            _seconds(run, runs),
        )
        rows.append(Row(_labels(run, names), cells, n_pairs, run.is_control))
    title = (
        f"Over all pairs, protocol {_protocols(runs)}, {n_pairs} pairs, affine transforms by MAGSAC: shares with 95 % "
        "bootstrap intervals; a median is ∞ where half of the pairs failed; LE5 is over those with a correct match, "
        f"(n) of them. {IN_BRACKETS}. {_timed(runs)}{_guided(runs)}"
    )
    return Table(title, _LABELS, _ALL_COLUMNS, tuple(rows))


def overview_table(runs: Sequence[Run]) -> Table:
    """One row for each mapper and matcher: success over all pairs under each protocol, and quality of the matches.

    Args:
        runs: Comparable, and read with the fit ``affine``.
    """
    n_pairs = len(runs[0].scores)
    protocols = list(dict.fromkeys(run.protocol for run in runs))
    by_row: dict[tuple[str, str], dict[str, Run]] = {}
    for run in runs:
        by_row.setdefault((run.model, run.method), {})[run.protocol] = run
    columns = [
        Column(head=f"{protocol}: {head}", digits=digits, better=better)
        for protocol in protocols
        for head, digits, better in _OVERVIEW
    ]
    rows = []
    for labels, found in by_row.items():
        cells = []
        for protocol in protocols:
            of_protocol = found.get(protocol)
            cells += [Cell(None)] * len(_OVERVIEW) if of_protocol is None else _overview_cells(of_protocol, runs)
        rows.append(Row(labels, tuple(cells), n_pairs, next(iter(found.values())).is_control))
    title = (
        f"{n_pairs} pairs, affine transforms by MAGSAC: share of all with an average corner error below 3 and 5 px, "
        "its median over all, ∞ where half of them failed, correct matches rate of all, localization error (5 px) over "
        f"those with a correct match, (n) of them, and seconds a pair. {IN_BRACKETS}. {_timed(runs)}{_guided(runs)}"
    )
    return Table(title, _LABELS, tuple(columns), tuple(rows))


def _overview_cells(run: Run, runs: Sequence[Run]) -> list[Cell]:
    return [
        Cell(run.success(3.0).value),
        Cell(run.success(5.0).value),
        Cell(run.median_ace().value),
        Cell(run.cmr_of_all().value),
        averaged(run.localization_error()),
        _seconds(run, runs),
    ]


def _seconds(run: Run, runs: Sequence[Run]) -> Cell:
    """Time of a pair, where it can be compared with that of the other rows."""
    return Cell(run.median_seconds() if _n_threads(runs) is not None else None)


def _timed(runs: Sequence[Run]) -> str:
    n_threads = _n_threads(runs)
    if n_threads is None:
        return "No seconds, as not all pairs were matched with the same number of threads a process."
    return f"Seconds: with {n_threads} thread{'s' if n_threads > 1 else ''} a process."


def _n_threads(runs: Sequence[Run]) -> int | None:
    """Threads that every pair of every run was matched with; None if they differ."""
    found = {n for run in runs for n in run.n_threads}
    return found.pop() if len(found) == 1 else None


def _guided(runs: Sequence[Run]) -> str:
    """What has to be known to compare CMR and LE with those of other rows."""
    if not any(run.guides for run in runs):
        return ""
    return " Matches of register are guided: tie points of a search around its own first transform."


def _paper_cells(run: Run) -> tuple[Cell, ...]:
    n_correct = run.n_correct().value or 0.0
    return (
        Cell(run.success().value),
        averaged(run.mean_ace()),
        averaged(run.mean_mma()),
        averaged(run.mean_point_error()),
        Cell(run.n_matches().value),
        Cell(n_correct),
        averaged(run.cmr()),
        averaged(run.localization_error(), is_ignored=n_correct < 1),
    )


def averaged(summary: Summary, *, is_ignored: bool = False) -> Cell:
    """A mean and the number of pairs that it is over; over fewer than half of them, it is not compared."""
    is_ignored = is_ignored or 2 * summary.n_defined < summary.n_total
    return Cell(summary.value, n_pairs=summary.n_defined, is_ignored=is_ignored)


def _labels(run: Run, names: Mapping[Path, str]) -> tuple[str, str]:
    return names.get(run.folder, run.model), run.method


def _protocols(runs: Sequence[Run]) -> str:
    return ", ".join(dict.fromkeys(run.protocol for run in runs))


def _published_row(row: Matching) -> Row:
    cells = (
        Cell(row.sr),
        Cell(row.ace_px),
        Cell(row.mma),
        Cell(row.delta_p_px),
        Cell(row.n_matches),
        Cell(row.n_correct5),
        Cell(row.cmr5),
        Cell(row.le5_px, is_ignored=row.le5_ignored),
    )
    return Row((row.model, row.method), cells, N_PAIRS)
