"""The examples run, each in a process of its own, as a reader would run them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {
    "map_and_match.py": ["--size", "256"],
    "register_scene.py": ["--size", "512"],
}
"""Arguments that make an example quick."""


def run(name: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *SMALL[name]],
        cwd=folder,
        env=os.environ | {"PYTHONWARNINGS": "error"},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(SMALL)


def test_register_scene(tmp_path: Path) -> None:
    printed = run("register_scene.py", tmp_path)
    assert printed.startswith("accept: ")
    error_px = float(printed.partition("true error ")[2].partition(" px")[0])
    assert error_px < 1.0
    assert sorted(path.name for path in (tmp_path / "demo" / "result").iterdir()) == [
        "aligned.tif",
        "before_after.png",
        "report.html",
        "result.json",
        "tie_points.csv",
        "tie_points.gpkg",
        "transform.json",
    ]
    assert (tmp_path / "demo" / "result" / "before_after.png").read_bytes().startswith(b"\x89PNG")


def test_map_and_match(tmp_path: Path) -> None:
    header, _, *rows = run("map_and_match.py", tmp_path).splitlines()
    assert header == "| mapper | channels | matcher | matches | right |"
    table = {(cells[1], cells[3]): cells for cells in ([part.strip() for part in row.split("|")] for row in rows)}
    assert len(table) == 6
    assert float(table["structure", "template"][5].rstrip("%")) >= 90


@pytest.mark.parametrize("name", sorted(SMALL))
def test_examples_explain_themselves(name: str) -> None:
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert text.startswith('"""')
    assert f"python examples/{name}" in text
