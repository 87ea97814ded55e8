import io
from contextlib import redirect_stderr

import pytest

from midground.cli import progress
from midground.core.progress import silent


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def work(stream: io.StringIO, *, quiet: bool = False) -> str:
    """Report two stages, and give what was shown."""
    with redirect_stderr(stream), progress.progress_bars(quiet=quiet) as report:
        if stream.isatty() and not quiet:
            assert report is not silent
        else:
            assert report is silent
        report("matching", 1, 2)
        report("warp", 1, 4)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def _terminal_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_silent_without_a_terminal() -> None:
    assert work(io.StringIO()) == ""


def test_silent_when_quiet() -> None:
    assert work(Terminal(), quiet=True) == ""


def test_quick_work_shows_nothing() -> None:
    assert work(Terminal()) == ""


def test_slow_work_shows_its_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_QUICK_S", -1.0)
    shown = work(Terminal())
    assert "matching" in shown
    assert "warp" in shown
