"""Which values are marked, and how."""

import csv
import io
import math

import pytest

from midground.bench.tables import Cell, Column, Row, Table


@pytest.fixture
def table() -> Table:
    return Table(
        "A title, 100 % of it",
        ("model", "matcher"),
        (Column(head="SR", digits=2, better="higher"), Column(head="ACE_px", digits=1, better="lower")),
        (
            Row(("a", "x"), (Cell(0.5), Cell(4.0, n_pairs=3))),
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
    assert rows[0] == ["model", "matcher", "pairs", "SR", "ACE_px", "ACE_px: pairs"]
    assert rows[1] == ["a", "x", "", "0.5", "4.0", "3"]
    assert rows[3] == ["b", "x", "", "0.9001", "inf", ""]
    assert rows[2][4] == ""


def test_intervals_have_columns_of_their_own() -> None:
    cells = (Cell(0.5, interval=(0.25, 0.75)), Cell(3.0, n_pairs=40))
    columns = (Column(head="< 3 px", digits=2), Column(head="LE5", digits=1))
    table = Table("", ("model",), columns, (Row(("a",), cells, 40), Row(("b",), (Cell(0.1), Cell(None)), 20)))
    assert list(csv.reader(io.StringIO(table.csv()))) == [
        ["model", "pairs", "< 3 px", "< 3 px: low", "< 3 px: high", "LE5", "LE5: pairs"],
        ["a", "40", "0.5", "0.25", "0.75", "3.0", "40"],
        ["b", "20", "0.1", "", "", "", ""],
    ]
    assert "| a | 0.50 (0.25 to 0.75) | 3.0 |" in table.markdown()


def test_a_sign_and_a_small_number_are_kept() -> None:
    columns = (Column(head="SR < 3", digits=3, better="higher", keeps_small=True), Column(head="d|", digits=2))
    rows = (Row(("a",), (Cell(0.0001), Cell(-math.inf))), Row(("b",), (Cell(0.0), Cell(0.001))))
    table = Table("x > 1", ("model",), columns, rows)
    assert "| a | **0.0001** | -∞ |\n| b | 0.000 | 0.00 |" in table.markdown()
    assert r"model & SR $<$ 3 $\uparrow$ & d$|$ \\" in table.latex()
    assert r"\caption{x $>$ 1}" in table.latex()
    assert r"-$\infty$" in table.latex()
