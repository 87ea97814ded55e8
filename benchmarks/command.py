"""What the command lines of the scripts share: lists of names, and errors told in one sentence."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection

from midground.cli.exits import EXIT_INPUT
from midground.errors import MidgroundError, unknown_name


def names_of(kind: str, known: Collection[str]) -> Callable[[str], list[str]]:
    """A type for argparse: names with commas between, all of them known.

    Args:
        kind: What a name names, for instance ``"row"``.
        known: The names that exist.
    """

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(str(unknown_name(kind, name, known)))
        return names

    return parse


def run_script(main: Callable[[], None]) -> None:
    """Run a script; an error that midground raises on purpose is told without a traceback, and the exit code is 2."""
    try:
        main()
    except MidgroundError as error:
        print(error, file=sys.stderr)
        raise SystemExit(EXIT_INPUT) from None
