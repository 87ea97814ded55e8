"""Runs on the same pairs, compared pair by pair: most pairs are equally easy for both, so few decide.

Source:
    McNemar (1947), exact: of the pairs that one of two methods alone succeeds on, either is as likely by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from midground.bench.comparable import require_same
from midground.bench.records import manifest_differences
from midground.bench.rows import SUCCESS_LIMITS_PX
from midground.bench.scores import Run, bootstrap_interval
from midground.bench.tables import Cell, Column, Row, Table

_COLUMNS = (
    Column(head="both", digits=0),
    Column(head="only the first", digits=0),
    Column(head="only this", digits=0),
    Column(head="neither", digits=0),
    Column(head="difference", digits=3),
    Column(head="p", digits=3, keeps_small=True),
)
_OTHER_PAIRS = (
    "so that their pairs are not the same; run 'midground bench predict' for both with the same pairs, --limit, "
    "--protocols and --seed"
)


@dataclass(frozen=True, slots=True)
class Discordance:
    """How many pairs two runs succeed on, together and alone."""

    n_both: int
    n_only_first: int
    n_only_other: int
    n_neither: int

    @classmethod
    def of(cls, first: Bool[np.ndarray, " n"], other: Bool[np.ndarray, " n"]) -> Discordance:
        """Count pairs.

        Args:
            first: Whether one run succeeded on each pair.
            other: Whether the other one did.
        """
        counts = (first & other, first & ~other, ~first & other, ~(first | other))
        return cls(*(int(count.sum()) for count in counts))

    @property
    def difference(self) -> float:
        """Share of the other one's successes minus that of the first one's, of all pairs."""
        n_pairs = self.n_both + self.n_only_first + self.n_only_other + self.n_neither
        return (self.n_only_other - self.n_only_first) / n_pairs

    @property
    def p_value(self) -> float:
        """Probability of a difference as large by chance, two-sided (exact McNemar test); 1 if there is none."""
        n = self.n_only_first + self.n_only_other
        tail = sum(math.comb(n, k) for k in range(min(self.n_only_first, self.n_only_other) + 1))
        return min(1.0, 2 * tail / 2**n)


def median_difference(errors_px: Float64[np.ndarray, "n 2"]) -> float:
    """Median error of the other run minus that of the first one, px; 0 if half of the pairs failed in both.

    Args:
        errors_px: Of each pair, in the first run and in the other one; infinite for a failure.
    """
    first_px, other_px = np.median(errors_px, axis=0)
    return 0.0 if first_px == other_px else float(other_px - first_px)


def paired_table(first: Run, others: Sequence[Run]) -> Table:
    """Each of several runs against the first one: successes together and alone, and the difference.

    Raises:
        ConfigError: They differ in their pairs or warps.
    """
    rows = []
    for other in others:
        require_same(first, other, ("pairs", "protocol", "warp"), _OTHER_PAIRS)
        for limit_px in SUCCESS_LIMITS_PX:
            one, two = (run.corner_errors_px < limit_px for run in (first, other))
            counts = Discordance.of(one, two)
            numbers = (counts.n_both, counts.n_only_first, counts.n_only_other, counts.n_neither)
            cells = *(Cell(n) for n in numbers), Cell(counts.difference), Cell(counts.p_value)
            rows.append(Row((_label(other), f"ACE < {limit_px:g} px"), cells, len(other.scores)))
        errors_px = np.stack([first.corner_errors_px, other.corner_errors_px], axis=1)
        low, high = bootstrap_interval(errors_px, statistic=median_difference)
        cells = *(Cell(None),) * 4, Cell(median_difference(errors_px), interval=(low, high)), Cell(None)
        rows.append(Row((_label(other), "median ACE, px"), cells, len(other.scores)))
    title = (
        f"Pair by pair against {_label(first)}: {len(first.scores)} pairs, protocol {first.protocol}, affine "
        "transforms by MAGSAC; pairs within the limit, and their share minus that of the first, or the difference of "
        "the medians with its 95 % bootstrap interval; p: probability of such a difference of shares by chance (exact "
        "McNemar test)."
    )
    return Table(title, ("run", "limit"), _COLUMNS, tuple(rows))


def settings_apart(first: Run, other: Run) -> str:
    """In which of its settings a run differs from the first one, in one line."""
    found = manifest_differences(first.manifest, other.manifest)
    for part in ("model", "method"):
        if f"{part}.name" in found:
            # Settings of two methods have nothing to do with one another.
            found = [key for key in found if not key.startswith((f"{part}.", f"{part}_versions."))] + [part]
    return f"{other.folder} differs from {first.folder} in {', '.join(sorted(found)) or 'nothing'}."


def _label(run: Run) -> str:
    return f"{run.model} + {run.method} ({run.folder})"
