"""Which pairs of a collection are used, and which place each of them shows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from midground.errors import ConfigError, InputError

_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Names to keep, and how a name tells the place."""

    include: frozenset[str] | None = None
    """Names of the pairs that are used; all if omitted."""
    exclude: frozenset[str] = frozenset()
    """Names of pairs that are left out; one that is in no collection does no harm."""
    place_pattern: str | None = None
    """Regular expression whose first group, searched for in the name, is the place; the whole name if omitted."""

    def __post_init__(self) -> None:
        if self.place_pattern is None:
            return
        try:
            n_groups = re.compile(self.place_pattern).groups
        except re.error as error:
            raise ConfigError(f"place_pattern '{self.place_pattern}' is not a regular expression: {error}.") from error
        if n_groups == 0:
            raise ConfigError(
                f"place_pattern '{self.place_pattern}' has no group: put the part of the name that is the place in "
                r"parentheses, for instance '(\d+)_'."
            )

    def keeps(self, name: str) -> bool:
        """Whether the pair is used."""
        return (self.include is None or name in self.include) and name not in self.exclude

    def place(self, name: str) -> str:
        """The place that a pair shows.

        Raises:
            InputError: The pattern finds none in the name.
        """
        if self.place_pattern is None:
            return name
        found = re.search(self.place_pattern, name)
        if found is None or not found.group(1):
            raise InputError(
                f"place_pattern '{self.place_pattern}' finds no place in the name '{name}': change the pattern, or "
                "exclude the pair."
            )
        return found.group(1)

    def not_among(self, names: Iterable[str]) -> list[str]:
        """Names that are included and not excluded, but are not among those that were found."""
        return sorted((self.include or frozenset()) - self.exclude - set(names))

    def require_found(self, names: Sequence[str], where: Path) -> None:
        """Make sure that there are pairs, that no two share a name, and that none that is included is missing.

        Args:
            names: Names that were found and are kept.
            where: The collection, for the message.

        Raises:
            InputError: One of these does not hold.
        """
        known = set(names)
        if len(known) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise InputError(f"{where}: {listed('name', twice)} more than one pair; names must be unique.")
        missing = self.not_among(names)
        if missing:
            raise InputError(f"{where}: {listed('included name', missing)} no pair; correct the list of names.")
        if not names:
            raise InputError(f"{where}: there is no pair of images here that is included and not excluded.")


EVERY_PAIR = Selection()
"""Nothing left out, every pair a place of its own."""


def read_names(path: Path) -> frozenset[str]:
    """Read names, one a line; empty lines are skipped.

    Raises:
        InputError: The file cannot be read, or is empty.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        words = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise InputError(
            f"{path}: the list of names cannot be read ({words}); write one name of a pair a line."
        ) from error
    names = frozenset(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(f"{path}: the list of names is empty; write one name of a pair a line.")
    return names


def listed(what: str, names: Sequence[str]) -> str:
    """Begin a sentence about names: ``2 images 'a', 'b' have``; of many, the first few."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{len(names)} {what}s {shown}{more} have" if len(names) > 1 else f"the {what} {shown} has"


def summed_up(problems: Iterable[str]) -> str:
    """Several sentences as one message: the only one, or how many there are and the first few."""
    problems = list(problems)
    if len(problems) == 1:
        return problems[0]
    rest = len(problems) - _SHOWN
    more = f" And {rest} more." if rest > 0 else ""
    return f"{len(problems)} problems: {' '.join(problems[:_SHOWN])}{more}"
