"""``midground bench`` and ``midground reproduce`` from the command line to tables and figures."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

from midground.bench import records, scores
from midground.bench.methods import METHODS
from midground.cli.app import main
from midground.cli.bench import read_methods
from midground.cli.reproduce import _METHODS
from midground.matching.configs import DeDoDeConfig, SiftConfig


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pairs whose optical image is the SAR image with grey turned round."""
    folder = tmp_path_factory.mktemp("places")
    rng = np.random.default_rng(1)
    for name in ("sar", "optical"):
        (folder / name).mkdir()
    for index in range(3):
        noise = cv2.GaussianBlur(rng.normal(size=(128, 144)).astype(np.float32), (0, 0), 2.5)
        grey = np.clip(128 + 300 * noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "sar" / f"{index}.png"), grey)
        cv2.imwrite(str(folder / "optical" / f"{index}.png"), np.repeat(255 - grey[..., None], 3, axis=2))
    return folder


def test_matches_are_kept_and_measured(places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path / "runs"), "--models", "none,structure"]
    words += [
        "--methods",
        "template,content-blind",
        "--protocols",
        "identity,known-warp",
        "--set",
        "template.search_px=8",
    ]
    assert main(words) == 0
    assert capsys.readouterr().out.count("3 pairs matched") == 8
    assert main([*words, "-q"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["bench", "evaluate", str(tmp_path / "runs")]) == 0
    told = capsys.readouterr().out
    assert told.count("| transformation | matcher |") == 5
    assert "identity: < 3 px ↑" in told
    assert "known-warp: CMR5 ↑" in told
    assert "Averages as published, protocol identity, 3 pairs" in told
    assert "Over all pairs, protocol known-warp, 3 pairs" in told
    assert told.startswith(f"3 pairs of {places.parent.name}/{places.name}. They are aligned to a median of 0.0 px")
    assert main(["bench", "evaluate", str(tmp_path / "runs"), "--format", "csv"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("transformation,matcher,")
    assert "structure,template,3,1.0," in told.out
    assert "identity: LE5, px: pairs" in told.out
    assert "ACE < 3 px: low,ACE < 3 px: high" in told.out
    assert "They are aligned to a median of 0.0 px" in told.err


def test_runs_are_compared_pair_by_pair(places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path), "--models", "none", "-q"]
    assert main([*words, "--methods", "template,content-blind"]) == 0
    first = tmp_path / "identity" / "none" / "template"
    assert main(["bench", "compare", str(first), str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{first.with_name('content-blind')} differs from {first} in method.")
    assert "| none + content-blind" in told
    assert told.count("| ACE < ") == 3
    assert main(["bench", "compare", str(first), str(first)]) == 2
    assert "there is no other run to compare it with" in capsys.readouterr().err
    assert main(["bench", "compare", str(tmp_path), str(first)]) == 2
    assert "holds no run, as its manifest.json cannot be read; name a folder" in capsys.readouterr().err
    assert main([*words, "--methods", "template", "--protocols", "shift"]) == 0
    assert main(["bench", "compare", str(first), str(tmp_path / "shift")]) == 2
    assert "differ in protocol, warp.shift_px" in capsys.readouterr().err


def test_matches_are_read_once(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path), "--models", "none", "--methods", "content-blind"]
    assert main([*words, "-q", "--protocols", "identity,shift"]) == 0
    read: list[Path] = []

    def load(path: Path) -> records.PairMatches:
        read.append(path)
        return records.load(path)

    monkeypatch.setattr(scores, "load", load)
    assert main(["bench", "evaluate", str(tmp_path)]) == 0
    assert sorted(read) == sorted(tmp_path.rglob("*.npz"))
    assert len(read) == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "shift"], "Unknown method 'shift'. Did you mean 'sift'?"),
        (
            ["--methods", "sift", "--set", "ratio=0.9"],
            "--set takes METHOD.KEY=VALUE with one of sift for METHOD; found 'ratio=0.9'.",
        ),
        (["--methods", "roma"], "roma"),
        (["--models", ","], "bench: a list of names is empty"),
        (["--protocols", "identiy"], "Unknown protocol 'identiy'. Did you mean 'identity'?"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["bench", "predict", str(places), "-o", str(tmp_path / "runs"), "--models", "none", *words]) == 2
    found = capsys.readouterr().err
    assert message in found
    assert found.count("\n") == 1


def test_of_several_methods_those_that_can_be_had_are_run(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path), "--models", "none", "--methods", "roma,sift"]
    assert main(words) == 0
    told = capsys.readouterr()
    assert "midground: roma: not run: " in told.err
    assert "sift: 3 pairs matched" in told.out


def test_of_one_method_what_is_not_run_is_said(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path), "--limit", "1", "-q"]
    words += ["--methods", "roma-shared", "--protocols", "paper,identity,shift"]
    assert main([*words, "--models", "none,structure"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("midground: none + roma-shared: not run: The matcher 'roma-shared' takes the 9 channels")
    assert told.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity", "shift"]
    assert main([*words, "--models", "none"]) == 2
    assert capsys.readouterr().err.startswith("midground: The matcher 'roma-shared' takes the 9 channels")
    assert main([*words, "--models", "none,default"]) == 2
    assert "bench predict: nothing was run; 2 reasons are named above." in capsys.readouterr().err


def test_what_is_unknown_is_told_before_anything_is_run(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    words = ["bench", "predict", str(places), "-o", str(out), "--models", "none,structur"]
    assert main(words) == 2
    assert "Did you mean 'structure'?" in capsys.readouterr().err
    assert main([*words[:-1], "none", "--protocols", "identity,papr"]) == 2
    told = capsys.readouterr().err
    assert "Did you mean 'paper'? Known: identity, known-warp, paper, shift, wide." in told
    assert not out.exists()


def test_runs_that_are_not_finished_are_named(places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "predict", str(places), "-o", str(tmp_path), "--models", "none", "-q"]
    assert main([*words, "--methods", "content-blind", "--protocols", "identity,shift"]) == 0
    begun = tmp_path / "shift" / "none" / "content-blind"
    (begun / "000002.npz").unlink()
    assert main(["bench", "evaluate", str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert f"midground: left out: {begun}: 1 of its 3 pairs were not matched" in told.err
    assert "protocol identity" in told.out
    assert "protocol shift" not in told.out
    assert main(["bench", "evaluate", str(begun)]) == 2
    assert "1 of its 3 pairs were not matched" in capsys.readouterr().err


def test_help_names_every_method_and_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["bench", "predict"], ["reproduce"]):
        assert main([*command, "--help"]) == 0
        told = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert "--allow-download" in told
        assert "paper" in told
        for name in METHODS if command[0] == "bench" else _METHODS.split(","):
            assert f" {name}" in told
        assert "structure" in told


def test_downloads_are_allowed_where_a_method_knows_them() -> None:
    found = read_methods("dedode,sift", [], allow_download=True)
    assert found["dedode"] == DeDoDeConfig(allow_download=True)
    assert found["sift"] == SiftConfig()


def test_the_papers_tables_and_figures(places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "reproduce",
        "--data",
        str(places),
        "--out",
        str(tmp_path),
        "--methods",
        "template,roma,roma-shared,content-blind",
    ]
    words += ["--protocols", "identity,known-warp", "--set", "template.search_px=8"]
    assert main([*words, "--model", "ours-2=structure", "--limit", "2"]) == 0
    told = capsys.readouterr()
    assert "midground: pix2pix: left out: no model was given" in told.err
    assert "midground: roma: left out: " in told.err
    assert "midground: none + roma-shared: left out: The matcher 'roma-shared' takes the 9 channels" in told.err
    made = {path.name for path in tmp_path.iterdir()}
    wanted = {"tables.md", "figure4.png", "figure5-cmr.svg", "figure5-le.svg", "figure6.png", "table2-published.csv"}
    assert wanted | {"table1.tex", "table2-identity.csv", "table2-known-warp-all-pairs.tex"} <= made
    text = (tmp_path / "tables.md").read_text()
    assert "Pairs: 2 of " in text
    assert "They are aligned to a median of 0.0 px" in text
    assert "Left out: lsgan: no model was given" in text
    with (tmp_path / "table2-difference.csv").open() as file:
        ours, theirs, apart = csv.DictReader(file)
    assert (ours["transformation"], ours["matcher"]) == ("ours-2", "roma-shared")
    assert ours["made with"].startswith("2 pairs of ")
    assert "; structure, which is not trained, as the model; a compact network in RoMa's place; " in ours["made with"]
    assert "max_matches 2048, not 4096; matcher trained on ombria/train: " in ours["made with"]
    assert theirs["made with"].startswith("14,405 pairs of MultiSenGE; model of 512 epochs")
    assert [row["pairs"] for row in (ours, theirs, apart)] == ["2", "14405", ""]
    assert float(apart["SR"]) == pytest.approx(float(ours["SR"]) - 0.999)
    with (tmp_path / "table1-difference.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["transformation"] for row in rows] == ["none"] * 3 + ["ours-2"] * 3
    assert (rows[1]["values"], rows[1]["RMSE"]) == ("published", "0.41")
    assert float(rows[2]["RMSE"]) == pytest.approx(float(rows[0]["RMSE"]) - 0.41)
    with (tmp_path / "table2-published.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[-1]["transformation"], rows[-1]["matcher"], rows[-1]["SR"]) == ("ours-2", "roma-shared", "0.999")
    assert cv2.imread(str(tmp_path / "figure4.png")).shape[1] >= 300
    assert "<svg xmlns=" in (tmp_path / "figure5-cmr.svg").read_text()


def test_where_nothing_can_be_run_nothing_is_made(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["reproduce", "--data", str(places), "--out", str(out), "-q"]
    assert main([*words, "--methods", "roma"]) == 2
    assert "none of the matchers can be run, so there is nothing to compare. roma: " in capsys.readouterr().err
    assert main([*words, "--methods", "sift", "--model", "ours2=structure"]) == 2
    told = capsys.readouterr().err
    assert "Unknown transformation 'ours2'. Did you mean 'ours-2'? Known: correlation, lsgan, none, ours-1, " in told
    assert not out.exists()


def test_figures_that_cannot_be_made_are_named(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["reproduce", "--data", str(places), "--out", str(tmp_path), "-q", "--limit", "1"]
    assert main([*words, "--methods", "content-blind", "--protocols", "shift"]) == 0
    told = capsys.readouterr().err
    assert "figures 5 and 6: left out: no matcher but the control was run under 'shift'." in told
    assert "table2-difference: left out: no published row was run under 'identity'" in told
    assert not (tmp_path / "figure6.png").exists()


def test_the_paper_is_set_beside_every_kind_of_method() -> None:
    assert set(read_methods(_METHODS, [])) >= {"sift", "rift2", "template", "hopc", "mutual-information", "register"}


def test_a_model_without_a_name(places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--data", str(places), "--out", str(tmp_path), "--model", "structure"]) == 2
    assert "--model takes NAME=MODEL, such as ours-2=models/mine; found 'structure'." in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_one_sentence(
    places: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    out = str(tmp_path / "file" / "out")
    words = ["bench", "predict", str(places), "-o", out, "--models", "none", "--methods", "content-blind", "-q"]
    for command in (words, ["reproduce", "--data", str(places), "--out", out, "--methods", "content-blind", "-q"]):
        assert main(command) == 2
        assert "the folder cannot be made (Not a directory); choose another one." in capsys.readouterr().err
