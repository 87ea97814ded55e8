"""Print the lower bounds of the base dependencies as pins: what `make test-lowest` installs."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement


def lower_bound(requirement: Requirement) -> str:
    """Pin a requirement to the version after its ``>=``.

    Args:
        requirement: One entry of the project's dependencies.

    Raises:
        SystemExit: The requirement has no lower bound.
    """
    bounds = [specifier.version for specifier in requirement.specifier if specifier.operator == ">="]
    if len(bounds) != 1:
        sys.exit(f"pyproject.toml: '{requirement}' needs exactly one lower bound (>=).")
    return f"{requirement.name}=={bounds[0]}"


def main() -> None:
    """Print one pin per line."""
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"]:
        print(lower_bound(Requirement(line)))


if __name__ == "__main__":
    main()
