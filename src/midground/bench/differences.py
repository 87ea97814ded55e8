"""Our numbers and the published ones in one table, with what both were made with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from midground.bench.published import N_PAIRS, published_cause
from midground.bench.tables import Cell, Row, Table


def difference_table(ours: Table, theirs: Table, causes: Mapping[tuple[str, ...], str]) -> Table:
    """Of each row that two tables share, three: ours, the published one, and the difference.

    Args:
        ours: Our numbers.
        theirs: The published ones, in the same columns.
        causes: What a row of ours was made with, by its labels.
    """
    published = {row.labels: row.cells for row in theirs.rows}
    rows = []
    for row in ours.rows:
        if row.labels not in published:
            continue
        cells = published[row.labels]
        apart = tuple(Cell(_minus(our.value, their.value)) for our, their in zip(row.cells, cells, strict=True))
        rows += [
            Row((*row.labels, "ours", causes[row.labels]), row.cells, row.n_pairs),
            Row((*row.labels, "published", published_cause(*row.labels)), cells, N_PAIRS),
            Row((*row.labels, "ours minus published", ""), apart),
        ]
    columns = tuple(replace(column, better=None) for column in ours.columns)
    title = (
        "Ours beside the published values, and what each was made with: the cause of the differences. (n): over n of "
        "our pairs. The defects of the public code are not repeated here."
    )
    return Table(title, (*ours.label_heads, "values", "made with"), columns, tuple(rows))


def _minus(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else ours - theirs
