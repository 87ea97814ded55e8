"""Scripts in benchmarks: their help, what they say of bad input, and small real runs."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a script in this process: ``script("peers", "--n", 2)``; gives its module, exit code, output and errors."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)

    def run(name, *words, **changed):
        if name == "paper_rows":
            pytest.importorskip("lightning", reason="needs the extra train")
        module = importlib.import_module(name)
        for key, value in changed.items():
            monkeypatch.setattr(module, key, value)
        monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, words)])
        capsys.readouterr()
        try:
            sys.modules["command"].run_script(module.main)
            code = 0
        except SystemExit as error:
            code = error.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.parametrize("name", ["peers", "public_code_defects", pytest.param("paper_rows", marks=pytest.mark.extras)])
def test_help_says_how_to_run_it(script, name):
    code, out, _ = script(name, "--help")
    assert code == 0
    assert f"python benchmarks/{name}.py" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("public_code_defects", "nothere"), "nothere: there is no such folder; check the path.\n"),
        (("peers", "--only", "coregi"), "argument --only: Unknown adapter 'coregi'. Did you mean 'coregix'?"),
        pytest.param(
            ("paper_rows", "--out", "out", "--rows", "pix2pix,foo"),
            "argument --rows: Unknown row 'foo'. Known: lsgan, ours-1, ours-2, pix2pix.",
            marks=pytest.mark.extras,
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(script, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = script(*words)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.extras
def test_a_bad_setting_is_told_before_anything_is_trained(script, tmp_path):
    (tmp_path / "data").mkdir()
    words = ("--data", tmp_path, "--out", tmp_path / "out", "--rows", "pix2pix", "--set", "nonsense=1")
    code, _, err = script("paper_rows", *words)
    assert code == 2
    assert err.startswith("unknown setting 'nonsense'.")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("folder", [None, "data"])
def test_peers_makes_nothing_where_there_are_no_data(script, tmp_path, folder):
    if folder:
        (tmp_path / folder).mkdir()
    code, out, _ = script("peers", "--data", tmp_path, CACHE=tmp_path / "cache")
    assert "--data FOLDER" in code
    assert str(tmp_path / "data") in code
    assert out == ""
    assert not (tmp_path / "cache").exists()


def test_peers_runs_two_real_pairs(script, tmp_path, shared_data):
    adapter = "midground_matcher:template:structure"
    words = ("--data", shared_data, "--n", 2, "--only", adapter)
    code, out, _ = script("peers", *words, CACHE=tmp_path)
    assert code == 0
    head, _, row = out.splitlines()
    assert head.startswith("| peer | <1 px | <3 px | <5 px |")
    name, _, _, below_5_px, _, failed = [cell.strip() for cell in row.strip("|").split("|")][:6]
    assert (name, below_5_px, failed) == ("windows of `structure`, CFOG-like", "100%", "0 of 2")


def test_defects_of_the_public_code_on_simulated_pairs(script, cli, simulated_pairs, tmp_path):
    words = ("--limit", 2, "--models", "none", "--methods", "content-blind", "--protocols", "identity,known-warp")
    assert cli("bench", "predict", simulated_pairs, "-o", tmp_path, "--quiet", *words).code == 0
    code, out, _ = script("public_code_defects", tmp_path)
    assert code == 0
    titles = [line for line in out.splitlines() if line and not line.startswith("|")]
    assert len(titles) == 7
    # What looks at no pixel is never right about a warp, and always about the identity.
    assert out.count("| none | content-blind | 0.000 | 1.000 |") == 1
    assert titles[-1] == "as defined 25.6 px, with rows taken for x 6.4 px"
