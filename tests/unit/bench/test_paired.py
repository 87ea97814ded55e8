"""Runs compared pair by pair, on errors that were made by hand."""

from pathlib import Path

import numpy as np
import pytest

from midground.bench.paired import Discordance, median_difference, paired_table, settings_apart
from midground.bench.scores import PairScore, Run
from midground.errors import ConfigError

INF = float("inf")


def run_of(errors_px: list[float], folder: str, **more: object) -> Run:
    manifest = {
        "model": {"name": "structure"},
        "method": {"name": "sift"},
        "protocol": "identity",
        "pairs": {"name": "places", "n_pairs": len(errors_px)},
        "warp": {"seed": 0},
        "method_versions": {},
    }
    scores = tuple(PairScore(str(index), error, None, np.zeros(0), 0.0, 1) for index, error in enumerate(errors_px))
    return Run(Path(folder), manifest | more, scores)


def test_pairs_are_counted_once_each():
    first, other = np.array([1, 1, 1, 0, 0, 0, 0], bool), np.array([1, 1, 0, 1, 1, 1, 0], bool)
    counts = Discordance.of(first, other)
    assert counts == Discordance(n_both=2, n_only_first=1, n_only_other=3, n_neither=1)
    assert counts.difference == pytest.approx(2 / 7)


@pytest.mark.parametrize(
    ("alone", "p_value"),
    # Binomial tails of a fair coin, written out.
    [((0, 0), 1.0), ((3, 3), 1.0), ((0, 5), 2 / 32), ((5, 0), 2 / 32), ((1, 9), 2 * 11 / 1024), ((2, 3), 1.0)],
)
def test_chance_is_that_of_a_fair_coin(alone: tuple[int, int], p_value: float):
    assert Discordance(100, *alone, 20).p_value == pytest.approx(p_value)


def test_medians_are_of_all_pairs_with_failures_in_them():
    assert median_difference(np.array([[1, 2], [2, 3], [INF, 9]])) == 1
    assert median_difference(np.array([[1, INF], [2, INF], [3, 4]])) == INF
    assert median_difference(np.array([[INF, 1], [INF, 2], [3, 4]])) == -INF
    assert median_difference(np.array([[INF, INF], [INF, INF], [3, 4]])) == 0


def test_the_table_holds_counts_shares_and_medians():
    first = run_of([0.5, 0.5, 2.0, 4.0, INF, INF, INF], "a")
    other = run_of([0.5, 2.0, 2.0, 2.0, 4.0, INF, INF], "b")
    table = paired_table(first, [other])
    told = [[cell.value for cell in row.cells] for row in table.rows]
    assert told[0][:4] == [1, 1, 0, 5]
    assert told[0][4:] == [pytest.approx(-1 / 7), 1.0]
    assert told[1][:4] == [3, 0, 1, 3]
    assert told[2][:4] == [4, 0, 1, 2]
    assert told[3][4] == -2.0
    assert [row.labels[0] for row in table.rows] == ["structure + sift (b)"] * 4
    assert "against structure + sift (a): 7 pairs" in table.title


def test_the_interval_of_a_constant_difference_is_a_point():
    errors = np.linspace(0.5, 2, 40)
    table = paired_table(run_of(errors.tolist(), "a"), [run_of((errors + 0.25).tolist(), "b")])
    assert table.rows[3].cells[4].value == pytest.approx(0.25)
    assert table.rows[3].cells[4].interval == (pytest.approx(0.25), pytest.approx(0.25))
    assert "| 0.250 (0.250 to 0.250) |" in table.markdown()


def test_runs_on_other_pairs_or_warps_are_refused():
    first = run_of([1.0], "a")
    with pytest.raises(
        ConfigError,
        match=r"a and b: differ in protocol, warp\.seed, .*; run 'midground bench predict' for both with the same",
    ):
        paired_table(first, [run_of([1.0], "b", protocol="shift", warp={"seed": 1})])


def test_what_differs_is_named():
    first, other = run_of([1.0], "a"), run_of([1.0], "b", method={"name": "sift", "ratio": 0.9})
    assert settings_apart(first, other) == "b differs from a in method.ratio."
    assert settings_apart(first, run_of([1.0], "c")) == "c differs from a in nothing."
    another = run_of(
        [1.0], "d", method={"name": "xfeat", "min_similarity": 0.5}, weights="12ab", method_versions={"torch": "2"}
    )
    assert settings_apart(other, another) == "d differs from b in method, weights."
