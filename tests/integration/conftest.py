"""Fixtures of tests that run commands."""

from __future__ import annotations

from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Cli:
    """Runs commands in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: object) -> Outcome:
        from midground.cli.app import main

        self._capsys.readouterr()
        code = main([str(word) for word in words])
        captured = self._capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    def fails(self, *words: object, code: int = 2) -> str:
        """Run a command that must fail, and give the one sentence it leaves."""
        outcome = self(*words)
        assert outcome.code == code, outcome
        assert outcome.out == ""
        (line,) = outcome.err.splitlines()
        assert line.startswith("midground: ")
        assert line.endswith((".", "?", "'"))
        return line


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command: ``cli("register", fixed, moving)``."""
    return Cli(capsys)
