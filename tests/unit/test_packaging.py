"""pyproject.toml and constraints.txt agree with each other and with the code."""

import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==")
        for line in (CHECKOUT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    )
}


UNPINNED = ("romatch", "romav2")
"""Never installed beside the tests: romatch brings another OpenCV. Their own bounds are single releases."""


def test_constraints_pin_a_version_of_everything() -> None:
    extras = PROJECT["optional-dependencies"]
    for line in [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]:
        requirement = Requirement(line)
        if requirement.name in UNPINNED:
            assert [part.operator for part in requirement.specifier] == ["=="]
            continue
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)]), line


def test_base_install_is_light() -> None:
    names = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert not names & {"torch", "torchvision", "kornia", "scipy", "onnx"}


def test_lower_bounds_are_found() -> None:
    printed = subprocess.run(
        [sys.executable, CHECKOUT / "scripts" / "lowest.py"], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert len(printed) == len(PROJECT["dependencies"])
    assert "numpy==2.0.0" in printed
