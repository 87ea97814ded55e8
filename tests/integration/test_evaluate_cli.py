"""``midground evaluate`` on simulated places."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from midground.modality.catalogue import DEFAULT_MODEL, find_bundle

QUICK = ["--set", "windows_px=[48,32]", "--set", "search_px=16", "--pairs-set", "sar_scale=power", "--quiet"]


def test_models_are_compared_in_a_table(cli, simulated_pairs: Path) -> None:
    done = cli("evaluate", "structure,none", simulated_pairs, "--limit", 3, *QUICK)
    assert (done.code, done.err) == (0, "")
    head, structure, grey, note, psnr = done.out.splitlines()
    columns = "model  score  window 48 px  window 32 px  sift ACE < 40 px  sift ACE < 3 px  RMSE  PSNR dB  SSIM"
    assert head.split() == columns.split()
    assert structure.startswith("structure  0.")
    assert grey.startswith("none       0.")
    # Columns lie below one another.
    assert structure.index(structure.split()[1]) == grey.index(grey.split()[1]) == head.index("score")
    assert note == (
        "Windows: share of all 3 of a size, within 3 px, searched within ±16 px. Matchers: share of all 3 pairs."
    )
    assert psnr == "Equal images have an infinite PSNR (–)."


def test_json_holds_everything(cli, simulated_pairs: Path, tmp_path: Path) -> None:
    target = tmp_path / "found.json"
    models = "structure,none,structure+none"
    done = cli("evaluate", models, simulated_pairs, "--limit", 4, "--json", target, *QUICK)
    assert done.code == 0, done
    document = json.loads(target.read_text())
    assert set(document) == {"pairs", "n_pairs", "config", "models"}
    assert (document["pairs"], document["n_pairs"]) == (str(simulated_pairs), 4)
    assert document["config"]["windows_px"] == [48, 32]
    assert document["config"]["similarity"] is True
    assert list(document["models"]) == models.split(",")
    for row in document["models"].values():
        assert set(row) == {
            "score",
            "window 48 px",
            "window 32 px",
            "sift ACE < 40 px",
            "sift ACE < 3 px",
            "RMSE",
            "PSNR dB",
            "SSIM",
        }
        found = (row["window 48 px"] + row["window 32 px"]) / 2
        assert row["score"] == pytest.approx(0.75 * found + 0.25 * row["sift ACE < 3 px"])
        # Four pairs: shares are quarters.
        assert 4 * row["window 48 px"] == int(4 * row["window 48 px"])
    assert document["models"]["structure"]["window 48 px"] >= 0.75
    assert document["models"]["none"]["RMSE"] > 0


def test_equal_images_have_no_finite_psnr(cli, simulated_pairs: Path, tmp_path: Path) -> None:
    root = tmp_path / "same"
    for modality in ("sar", "optical"):
        (root / modality).mkdir(parents=True)
        shutil.copy(simulated_pairs / "optical" / "place_0.png", root / modality / "place_0.png")
    words = ["--set", "windows_px=[48]", "--quiet", "--json", tmp_path / "found.json"]
    done = cli("evaluate", "none", root, *words)
    assert done.code == 0, done
    row = json.loads((tmp_path / "found.json").read_text())["models"]["none"]
    assert (row["score"], row["PSNR dB"], row["RMSE"], row["SSIM"]) == (1, None, 0, pytest.approx(1))
    assert done.out.splitlines()[1].split()[-2] == "–"


def test_bundles_by_name_and_by_folder(cli, simulated_pairs: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(find_bundle(DEFAULT_MODEL).folder, tmp_path / "bundles" / DEFAULT_MODEL)
    done = cli("evaluate", str(copy), simulated_pairs, "--limit", 1, *QUICK)
    again = cli("evaluate", "default", simulated_pairs, "--limit", 1, *QUICK)
    assert done.code == again.code == 0
    assert done.out == again.out
    assert done.out.splitlines()[1].startswith(f"{DEFAULT_MODEL}  ")
    both = cli("evaluate", f"default,{copy}", simulated_pairs, "--limit", 1, *QUICK)
    assert [line.split()[0] for line in both.out.splitlines()[1:3]] == [DEFAULT_MODEL, str(copy)]


def test_pairs_may_be_named_in_yaml(cli, simulated_pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.yaml").write_text(f"path: {simulated_pairs}\nbands_optical: [1]\n")
    done = cli("evaluate", "none", tmp_path / "pairs.yaml", "--limit", 100, *QUICK)
    assert done.code == 0, done
    assert "share of all 14 pairs." in done.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["structur", "PAIRS"], "'structur'"),
        ([",", "PAIRS"], "evaluate: no model is named; for instance structure,default."),
        (["structure", "nowhere"], "nowhere: there is no such collection of pairs"),
        (["structure", "PAIRS", "--set", "window_px=[48]"], "Did you mean 'windows_px'?"),
        (["structure", "PAIRS", "--set", "matchers=[surf]"], "matchers names 'surf'; known are sift, xfeat."),
        (["structure", "PAIRS", "--pairs-set", "bands_sar=[2]"], "there is no band 2"),
        (["structure", "PAIRS", "--limit", "0"], "--limit"),
        (["default", "PAIRS", "--pairs-set", "bands_optical=[1]"], "wants 3 optical band(s), B04, B03, B02; found 1"),
    ],
)
def test_what_cannot_be_measured_is_one_line(cli, simulated_pairs: Path, words: list[str], message: str) -> None:
    words = [str(simulated_pairs) if word == "PAIRS" else word for word in words]
    assert message in cli.fails("evaluate", *words, "--quiet")


def test_where_numbers_go_is_looked_at_before_anything_is_measured(cli, simulated_pairs: Path, tmp_path: Path) -> None:
    listing = tmp_path / "pairs.yaml"
    listing.write_text(f"path: {simulated_pairs}\nbands_sar: [7]\n")
    for target, message in (
        (listing, "the output is also an input"),
        (tmp_path / "nowhere" / "found.json", "its folder does not exist"),
    ):
        assert message in cli.fails("evaluate", "none", listing, "--json", target, "--quiet")
    assert [path.name for path in tmp_path.iterdir()] == ["pairs.yaml"]


def test_windows_that_do_not_fit_are_left_out_unless_they_are_asked_for(cli, simulated_pairs: Path) -> None:
    """The simulated places have 128 px."""
    words = ["evaluate", "none", simulated_pairs, "--limit", 1, "--pairs-set", "sar_scale=power", "--quiet"]
    done = cli(*words)
    assert done.code == 0, done
    assert "window 128 px" in done.out
    assert "window 176 px" not in done.out
    message = cli.fails(*words, "--set", "windows_px=[176,64]")
    assert message.startswith("midground: Windows of 176 px do not fit into the pair '")
