"""What the documents say is true: the README's blocks run, and links, targets, options and keys exist."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = sorted([*CHECKOUT.glob("*.md"), *(CHECKOUT / "docs").rglob("*.md")])
MAX_PICTURE_BYTES = 400_000
SMALLER = ["--size", "384"]
"""Added to every `simulate` of a document, so that its commands are quick."""


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(path: Path, program: str) -> Iterator[list[str]]:
    for block in blocks(path, "sh"):
        for line in block.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == program:
                yield words[1:]


def anchors(text: str) -> set[str]:
    """What headings can be linked by."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene_pair) -> Path:
    shutil.copy(scene_pair.optical, tmp_path / "optical.tif")
    shutil.copy(scene_pair.sar, tmp_path / "sar.tif")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_blocks_run(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(CHECKOUT / "README.md", "python")
    assert len([line for line in block.splitlines() if line.strip()]) <= 8
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    assert capsys.readouterr().out.startswith("accept ")
    assert {path.name for path in (workplace / "result").iterdir()} >= {"aligned.tif", "result.json", "transform.json"}
    assert json.loads((workplace / "result" / "result.json").read_text())["verdict"] == "accept"


def test_commands_run(workplace: Path, cli) -> None:
    n_run = 0
    for words in commands(CHECKOUT / "README.md", "midground"):
        outcome = cli(*words, *(SMALLER if words[0] == "simulate" else []))
        assert outcome.code == 0, (words, outcome)
        n_run += 1
    assert n_run >= 5
    for name in ("demo/result/aligned.tif", "other_band.tif", "shared.tif", "matches.png"):
        assert (workplace / name).is_file()


def test_commands_of_the_other_documents_run(workplace: Path, cli) -> None:
    for path in DOCUMENTS:
        if path.name != "README.md":
            for words in commands(path, "midground"):
                assert cli(*words).code == 0, (path, words)


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for path in DOCUMENTS:
        named = {words[-1] for words in commands(path, "make")}
        named |= set(re.findall(r"`make (?:PYTHON=\S+ )?([a-z-]+)`", path.read_text(encoding="utf-8")))
        assert named <= targets, path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(CHECKOUT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = path if not name else path.parent / name
        assert target.is_file(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(CHECKOUT).as_posix())
def test_scripts_that_are_named_exist(path: Path) -> None:
    named = re.findall(r"\b((?:benchmarks|examples|tests|scripts)/[\w/]+\.py)\b", path.read_text(encoding="utf-8"))
    assert [name for name in named if not (CHECKOUT / name).is_file()] == []


def test_options_that_are_named_exist() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / "src" / "midground" / "cli").glob("*.py"))
    known = set(re.findall(r'"(--[a-z][a-z-]+)"', source))
    # Typer makes an option's name from its argument's where none is given.
    known |= {
        f"--{name.replace('_', '-')}" for name in re.findall(r"^    (\w+): (?:Annotated|options\.)", source, re.M)
    }
    known |= {"--help"}
    for block in (CHECKOUT / "README.md").read_text(encoding="utf-8").split("<!-- numbers"):
        named = set(re.findall(r"`[^`\n]*?(--[a-z][a-z-]+)", block.rpartition("<!-- /numbers -->")[2]))
        assert named <= known


def test_every_room_and_module_is_in_the_architecture() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = CHECKOUT / "src" / "midground"
    rooms = [path for path in package.iterdir() if (path / "__init__.py").is_file()]
    assert [room.name for room in rooms if f"      {room.name}/" not in text] == []
    listed = ("core", "geo", "modality", "matching", "registration")
    modules = [path.name for room in listed for path in (package / room).glob("*.py") if path.name != "__init__.py"]
    assert [name for name in modules if not re.search(rf"\b{name}\b", text)] == []


def test_keys_of_the_result_are_documented(workplace: Path) -> None:
    from midground.registration.api import register
    from midground.registration.result import InputInfo, Witness

    text = (CHECKOUT / "docs" / "result-json.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE))))
    result = register("optical.tif", "sar.tif", model=None)
    assert set(result.to_dict()) <= documented
    assert result.correction is not None
    assert set(result.correction.to_dict()) <= documented
    for kind in (InputInfo, Witness):
        assert {field.name for field in dataclasses.fields(kind)} <= documented


def test_the_card_is_documented() -> None:
    from midground.modality.card import Card

    text = (CHECKOUT / "docs" / "models.md").read_text(encoding="utf-8")
    assert [field.name for field in dataclasses.fields(Card) if f"`{field.name}" not in text] == []


def test_limits_of_the_verdict_are_documented() -> None:
    from midground.registration import evidence, verdict

    text = (CHECKOUT / "docs" / "verdict.md").read_text(encoding="utf-8")
    checks = text.partition("## The checks")[2].partition("## Trust")[0]
    rows = {row.split("|")[1].strip(): row for row in checks.splitlines() if row.startswith("| ")}
    for name, limits in (
        ("trust", verdict.MIN_TRUST),
        ("number", verdict.MIN_INLIERS),
        ("halves", verdict.MAX_HALVES_PX),
        ("held out", verdict.MAX_CE90_PX),
        ("stability", verdict.MAX_STD_PX),
        ("coverage", tuple(100 * limit for limit in verdict.MIN_COVERAGE)),
        ("witness", (verdict.WITNESS_AGREES_PX,)),
        ("plausibility", (*verdict.MAX_ROTATION_DEG.values(), *verdict.MAX_SCALE.values())),
    ):
        wanted = {limit for limit in limits if limit != 180.0}
        assert wanted <= {float(number) for number in re.findall(r"\d+(?:\.\d+)?", rows[name])}, name
    assert f"{verdict.ERROR_FLOOR_PX} working pixels" in text
    for weight in evidence.WEIGHTS:
        assert f"| {weight:+.3f} |".replace("-", "−") in text


def test_pictures_are_small() -> None:
    for path in (CHECKOUT / "docs" / "images").iterdir():
        assert path.stat().st_size < MAX_PICTURE_BYTES, path
