"""``midground match`` with several matchers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from midground.matching.registry import MATCHERS

MODALITIES = ("--moving-modality", "sar", "--fixed-modality", "optical")


def without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the base install; matchers that need torch are imported anew."""
    monkeypatch.setitem(sys.modules, "torch", None)
    for spec in MATCHERS.values():
        if spec.extra:
            monkeypatch.delitem(sys.modules, spec.target.split(":")[0], raising=False)


@pytest.fixture(scope="module")
def place(simulated_pairs: Path) -> list[Path]:
    """An optical and a SAR image of one place, 128 px, aligned."""
    return [sorted((simulated_pairs / modality).iterdir())[0] for modality in ("optical", "sar")]


def test_all_are_those_that_can_be_built(cli, tmp_path: Path, place, monkeypatch) -> None:
    without_torch(monkeypatch)
    picture, listing = tmp_path / "all.png", tmp_path / "all.json"
    words = ("--matcher", "all", "--model", "structure", "--set", "sift.ratio=0.9", "-o", picture, "--json", listing)
    outcome = cli("match", *place, *words, *MODALITIES)

    assert (outcome.code, outcome.err) == (0, "")
    document = json.loads(listing.read_text())
    found = {one["matcher"]: one for one in document["matchers"]}
    assert document["schema"] == "midground/match-comparison/1"
    assert set(document["left_out"]) == {name for name, spec in MATCHERS.items() if spec.extra}
    assert list(found) == [name for name, spec in MATCHERS.items() if not spec.extra]
    assert {one["schema"] for one in found.values()} == {"midground/matches/1"}
    assert found["template"]["residual_rmse_px"] < 3

    head, *rows = outcome.out.splitlines()
    assert head.split() == ["matcher", "matches", "inliers", "share", "residual", "px", "seconds"]
    row = dict(zip(("matcher", "matches", "inliers", "share", "residual"), rows[1].split(), strict=False))
    template = found["template"]
    n_matches, n_inliers = len(template["inliers"]), sum(template["inliers"])
    assert row == {
        "matcher": "template",
        "matches": str(n_matches),
        "inliers": str(n_inliers),
        "share": f"{n_inliers / n_matches:.0%}",
        "residual": f"{template['residual_rmse_px']:.2f}",
    }
    assert any(
        line.startswith("xfeat: left out: The matcher 'xfeat' needs an extra that is not installed") for line in rows
    )
    assert rows[-3:] == ["Written:", f"  {picture}", f"  {listing}"]
    # Four panels in two columns: each shows both images, enlarged four times, a gap between them, and a header.
    assert len(found) == 4
    assert cv2.imread(str(picture)).shape == (2 * (512 + 30) + 12, 2 * (512 + 12 + 512) + 12, 3)


def test_a_matcher_that_does_not_take_the_images_is_left_out(cli, place, monkeypatch) -> None:
    without_torch(monkeypatch)
    outcome = cli("match", *place, "--matcher", "all", "--model", "none", "--json", "-", *MODALITIES)
    left_out = json.loads(outcome.out)["left_out"]
    assert left_out["roma-shared"].startswith("The matcher 'roma-shared' takes the 9 channels of the model 'structure'")
    assert f"roma-shared: left out: {left_out['roma-shared']}" in outcome.err.splitlines()
    line = cli.fails("match", *place, "--matcher", "sift,roma-shared", "--model", "none", *MODALITIES)
    assert "9 channels" in line
    assert line.endswith("map both images with 'structure' (--model structure).")


def test_all_without_a_model_names_the_option_for_what_is_left_out(cli, place, monkeypatch) -> None:
    without_torch(monkeypatch)
    outcome = cli("match", *place, "--matcher", " all", "--set", "rift2.max_keypoints=50", "--json", "-", *MODALITIES)
    document = json.loads(outcome.out)
    assert document["left_out"]["roma-shared"].endswith("(--model structure).")
    assert {one["model"] for one in document["matchers"]} == {"default"}
    assert "Mapped with" not in outcome.err


@pytest.mark.parametrize("names", ["roma-shared", "template, roma-shared"])
def test_the_mapper_that_a_matcher_was_trained_on_is_used_and_said(cli, place, names: str) -> None:
    outcome = cli("match", *place, "--matcher", names, "--json", "-", *MODALITIES)
    document = json.loads(outcome.out)
    documents = document.get("matchers", [document])
    assert [one["model"] for one in documents] == ["structure"] * len(documents)
    assert (
        "Mapped with 'structure', which roma-shared was trained on; --model names another." in outcome.err.splitlines()
    )


def test_a_matcher_trained_on_a_model_that_is_not_here(cli, place, tmp_path: Path) -> None:
    from midground.matching.roma_card import SHIPPED

    shutil.copytree(SHIPPED, tmp_path / "mine")
    card = json.loads((SHIPPED / "card.json").read_text(encoding="utf-8"))
    (tmp_path / "mine" / "card.json").write_text(json.dumps(card | {"model": "ours"}), encoding="utf-8")
    words = ("--matcher", "roma-shared", "--set", f"weights={tmp_path / 'mine'}")
    line = cli.fails("match", *place, *words, *MODALITIES)
    assert line.endswith("no model has this name here; give the folder of its bundle as --model.")
    assert "trained on images of 'ours'" in line
    assert cli("match", *place, *words, *MODALITIES, "--model", "structure").code in (0, 3)


def test_it_says_how_the_images_were_read(cli, place) -> None:
    outcome = cli("match", place[0], place[0], "--matcher", "sift", "--model", "none", "--json", "-")
    inputs = json.loads(outcome.out)["inputs"]
    for role in ("fixed", "moving"):
        assert inputs[role]["modality"] == "optical"
        assert inputs[role]["path"] == str(place[0])
        assert f"--{role}-modality sar says otherwise" in inputs[role]["assumptions"][0]
        (line,) = [line for line in outcome.err.splitlines() if line.startswith(f"  {role}")]
        assert line == f"  {role:<6}  {'; '.join(inputs[role]['assumptions'])}"
    outcome = cli("match", *place, "--matcher", "template", "--json", "-", *MODALITIES)
    inputs = json.loads(outcome.out)["inputs"]
    assert (inputs["fixed"]["modality"], inputs["moving"]["modality"]) == ("optical", "sar")


def test_a_list_is_compared_in_its_order(cli, place) -> None:
    words = ("--matcher", "template,sift", "--model", "none", "--json", "-")
    outcome = cli("match", place[0], place[0], *words, "--moving-modality", "optical", "--fixed-modality", "optical")
    assert outcome.code == 0
    document = json.loads(outcome.out)
    assert [one["matcher"] for one in document["matchers"]] == ["template", "sift"]
    assert [one["failure"] for one in document["matchers"]] == [None, None]
    assert document["left_out"] == {}
    assert [line.split()[0] for line in outcome.err.splitlines()[:3]] == ["matcher", "template", "sift"]


@pytest.mark.parametrize(("min_peak_ratio", "code"), [(1.15, 0), (1e6, 3)])
def test_exit_3_only_if_no_matcher_supports_a_transform(cli, place, min_peak_ratio: float, code: int) -> None:
    settings = ("--set", "sift.ratio=0.01", "--set", f"template.min_peak_ratio={min_peak_ratio}")
    words = ("--matcher", "sift,template", *settings, "--model", "structure", "--json", "-", "--quiet")
    outcome = cli("match", *place, *words, *MODALITIES)
    assert outcome.code == code
    sift, template = json.loads(outcome.out)["matchers"]
    assert sift["failure"] == "0 matches were found; a transform of kind affine needs at least 3."
    assert (template["failure"] is None) == (code == 0)
    assert outcome.err == ("" if code == 0 else "midground: no transform: none of the 2 matchers supports one.\n")


def test_a_matcher_that_was_named_is_needed(cli, place, monkeypatch) -> None:
    without_torch(monkeypatch)
    assert "'xfeat' needs an extra" in cli.fails("match", *place, "--matcher", "sift,xfeat", "--model", "none")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--matcher", "sift,templat"), "Unknown matcher 'templat'. Did you mean 'template'?"),
        (("--matcher", "sift,"), "Unknown matcher ''."),
        (("--matcher", "al"), "Did you mean 'all'?"),
        (("--matcher", "all,sift"), "--matcher takes all alone, or names with commas between; found 'all,sift'."),
        (("--matcher", "sift, all"), "--matcher takes all alone, or names with commas between; found 'sift, all'."),
        (
            ("--matcher", "sift,template", "--set", "ratio=0.9"),
            "--set takes MATCHER.KEY=VALUE with one of sift, template for MATCHER; found 'ratio=0.9'.",
        ),
        (("--matcher", "all", "--set", "sift.ratoi=0.9"), "unknown setting 'ratoi'. Did you mean 'ratio'?"),
    ],
)
def test_refused(cli, place, words: tuple[str, ...], message: str) -> None:
    assert message in cli.fails("match", *place, *words)
