"""Which values are marked, and how."""

import csv
import io

import pytest

from midground.bench.tables import Cell, Column, Row, Table


@pytest.fixture
def table() -> Table:
    return Table(
        "A title, 100 % of it",
        ("model", "matcher"),
        (Column(head="SR", digits=2, better="higher"), Column(head="ACE_px", digits=1, better="lower")),
        (
            Row(("a", "x"), (Cell(0.5), Cell(4.0, "(3)"))),
            Row(("a", "y"), (Cell(0.9), Cell(None))),
            Row(("b", "x"), (Cell(0.9001), Cell(float("inf")))),
            Row(("b", "y"), (Cell(0.7), Cell(1.0, is_ignored=True))),
            Row(("c", "blind"), (Cell(1.0), Cell(0.1)), is_control=True),
            Row(("d", "x"), (Cell(0.0), Cell(5.0))),
        ),
    )


def test_markdown(table: Table) -> None:
    assert table.markdown().splitlines() == [
        "A title, 100 % of it",
        "",
        "| model | matcher | SR ↑ | ACE_px ↓ |",
        "|---|---|---|---|",
        "| a | x | 0.50 | **4.0** (3) |",
        "| a | y | **<u>0.90</u>** | – |",
        "| b | x | **<u>0.90</u>** | ∞ |",
        "| b | y | *0.70* | [1.0] |",
        "| c | blind | 1.00 | 0.1 |",
        "| d | x | 0.00 | *5.0* |",
    ]


def test_latex(table: Table) -> None:
    lines = table.latex().splitlines()
    assert lines[1] == r"\caption{A title, 100 \% of it}"
    assert lines[2] == r"\begin{tabular}{llrr}"
    assert lines[4] == r"model & matcher & SR $\uparrow$ & ACE\_px $\downarrow$ \\"
    assert lines[7] == r"a & y & \textbf{\underline{0.90}} & -- \\"
    assert lines[8].endswith(r"$\infty$ \\")


def test_csv_is_not_rounded(table: Table) -> None:
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert rows[0] == ["model", "matcher", "SR", "ACE_px"]
    assert rows[3] == ["b", "x", "0.9001", "inf"]
    assert rows[2][3] == ""
