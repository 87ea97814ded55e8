"""Tables in Markdown, LaTeX and CSV, with the best values marked as in the paper."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
_BOUNDS = ("low", "high")
_LATEX = {
    "∞": r"$\infty$",
    "–": "--",
    "Δ": r"$\Delta$",
    "≤": r"$\leq$",
    "±": r"$\pm$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of numbers."""

    head: str
    """Title."""
    digits: int
    """Decimal places."""
    better: Better | None = None
    """Which values are better; None for a column without a best one."""
    keeps_small: bool = False
    """Whether a number that so many places would show as zero is shown with one digit that is none."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One number."""

    value: float | None
    """None if it is not defined."""
    n_pairs: int | None = None
    """Pairs that it is a mean over; None for one over all pairs by its definition."""
    interval: tuple[float, float] | None = None
    """95 % bounds."""
    is_ignored: bool = False
    """Whether it is shown in square brackets and takes no part in the comparison."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: what it is about, and its numbers."""

    labels: tuple[str, ...]
    """The first one is the group, within which the best values are underlined."""
    cells: tuple[Cell, ...]
    n_pairs: int | None = None
    """Pairs of images behind them; None where these are not those of one collection."""
    is_control: bool = False
    """Whether its numbers are shown, and take no part in the comparison."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers; of each column the best is bold, the second italic, and the best of each group underlined."""

    title: str
    label_heads: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def markdown(self) -> str:
        """As Markdown."""
        wrap = {"best": "**{}**", "second": "*{}*", "group": "<u>{}</u>"}
        heads = [*self.label_heads, *(_arrowed(column, "↑", "↓") for column in self.columns)]
        lines = [_line(heads), "|" + "---|" * len(heads)]
        lines += [_line([*row.labels, *cells]) for row, cells in zip(self.rows, self._texts(wrap), strict=True)]
        return f"{self.title}\n\n" + "\n".join(lines) + "\n"

    def latex(self) -> str:
        """As a LaTeX table."""
        wrap = {"best": r"\textbf{{{}}}", "second": r"\textit{{{}}}", "group": r"\underline{{{}}}"}
        heads = [*self.label_heads, *(_arrowed(column, r"$\uparrow$", r"$\downarrow$") for column in self.columns)]
        body = [[*row.labels, *cells] for row, cells in zip(self.rows, self._texts(wrap), strict=True)]
        lines = [" & ".join(_escaped(word) for word in line) + r" \\" for line in (heads, *body)]
        columns = "l" * len(self.label_heads) + "r" * len(self.columns)
        return "\n".join(
            [
                r"\begin{table}",
                rf"\caption{{{_escaped(self.title)}}}",
                rf"\begin{{tabular}}{{{columns}}}",
                r"\hline",
                lines[0],
                r"\hline",
                *lines[1:],
                r"\hline",
                r"\end{tabular}",
                r"\end{table}",
                "",
            ]
        )

    def csv(self) -> str:
        """As comma-separated values, unrounded; empty where a number is not defined.

        ``pairs`` is the number of all; each column of means is followed by one with the number of pairs that
        each is over, one with intervals by two with their bounds.
        """
        fields: list[tuple[str, list[float | None]]] = []
        for index, column in enumerate(self.columns):
            cells = [row.cells[index] for row in self.rows]
            fields.append((column.head, [cell.value for cell in cells]))
            if any(cell.n_pairs is not None for cell in cells):
                fields.append((f"{column.head}: pairs", [cell.n_pairs for cell in cells]))
            if any(cell.interval is not None for cell in cells):
                bounds = [cell.interval or (None, None) for cell in cells]
                fields += [(f"{column.head}: {end}", [pair[at] for pair in bounds]) for at, end in enumerate(_BOUNDS)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.label_heads, "pairs", *(head for head, _ in fields)])
        for index, row in enumerate(self.rows):
            writer.writerow([*row.labels, row.n_pairs, *(values[index] for _, values in fields)])
        return text.getvalue()

    def _texts(self, wrap: dict[str, str]) -> list[list[str]]:
        """Cells as text, marked."""
        texts = [
            [_number(cell, column) for cell, column in zip(row.cells, self.columns, strict=True)] for row in self.rows
        ]
        groups = [row.labels[0] for row in self.rows]
        for index, column in enumerate(self.columns):
            if column.better is None:
                continue
            ranks = [None if row.is_control else _rank(row.cells[index], column) for row in self.rows]
            ladder = sorted({rank for rank in ranks if rank is not None})
            for row_index, rank in enumerate(ranks):
                if rank is None:
                    continue
                of_group = [
                    one
                    for one, group in zip(ranks, groups, strict=True)
                    if one is not None and group == groups[row_index]
                ]
                # Where only one row of a group has a value, being its best says nothing.
                marks = ["group"] if len(of_group) > 1 and rank == min(of_group) else []
                marks += ["best"] if rank == ladder[0] else ["second"] if rank == ladder[1] else []
                for mark in marks:
                    texts[row_index][index] = wrap[mark].format(texts[row_index][index])
        notes = [
            [_note(cell, row, column) for cell, column in zip(row.cells, self.columns, strict=True)]
            for row in self.rows
        ]
        return [
            [f"{text} {note}" if note else text for text, note in zip(line, beside, strict=True)]
            for line, beside in zip(texts, notes, strict=True)
        ]


def _rank(cell: Cell, column: Column) -> float | None:
    """The smaller, the better; what is printed alike is equal, and no success at all is none to be proud of."""
    if cell.value is None or cell.is_ignored or math.isinf(cell.value):
        return None
    rounded = float(_shown(cell.value, column))
    if column.better == "lower":
        return rounded
    return -rounded if rounded > 0 else None


def _number(cell: Cell, column: Column) -> str:
    if cell.value is None:
        return "–"
    text = _shown(cell.value, column)
    return f"[{text}]" if cell.is_ignored else text


def _note(cell: Cell, row: Row, column: Column) -> str:
    """What is printed behind a number: its interval, or over how many pairs it is if these are not all."""
    if cell.interval is not None:
        low, high = (_shown(bound, column) for bound in cell.interval)
        return f"({low} to {high})"
    return "" if cell.n_pairs in (None, row.n_pairs) else f"({cell.n_pairs})"


def _shown(value: float, column: Column) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    text = f"{value:.{column.digits}f}"
    return f"{value:.1g}" if column.keeps_small and value and not float(text) else text


def _arrowed(column: Column, up: str, down: str) -> str:
    return column.head if column.better is None else f"{column.head} {up if column.better == 'higher' else down}"


def _line(words: Sequence[str]) -> str:
    return "| " + " | ".join(word.replace("|", r"\|") for word in words) + " |"


def _escaped(text: str) -> str:
    for character in "%_&#":
        text = text.replace(character, "\\" + character)
    for character, command in _LATEX.items():
        text = text.replace(character, command)
    return text
