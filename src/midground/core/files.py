"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from midground.errors import OutputError


@contextmanager
def whole_file(path: Path, *kinds: type[Exception]) -> Iterator[Path]:
    """Write a file under another name beside its own, which it gets when it is complete.

    On any failure, Ctrl-C included, an older file stays as it was, and nothing else remains. The other name is always
    the same, so that the next attempt replaces what a killed one has left: no two may write one file at a time.

    Args:
        path: Where the file shall lie; its folder must exist.
        kinds: Errors of what writes, beside OSError.

    Yields:
        The name to write to.

    Raises:
        OutputError: It cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.part")
    with _failures_of(path, *kinds):
        try:
            yield unfinished
            unfinished.replace(path)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole or not at all; see :func:`whole_file`.

    Raises:
        OutputError: It cannot be written.
    """
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path, *, replaces: bool = False) -> Iterator[Path]:
    """Fill a folder under another name beside its own, which it gets when it is complete.

    On any failure, Ctrl-C included, an older folder stays as it was, and nothing else remains.

    Args:
        folder: Where it shall lie; its parents are made.
        replaces: Whether it takes the place of an older folder.

    Yields:
        An empty folder to write to.

    Raises:
        OutputError: It cannot be written.
    """
    with _failures_of(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        old = scratch / "old"
        try:
            # One of its own inside: what mkdtemp makes is closed to others.
            fresh = scratch / "fresh"
            fresh.mkdir()
            yield fresh
            if replaces and folder.exists():
                folder.rename(old)
            fresh.rename(folder)
        finally:
            if old.exists() and not folder.exists():
                old.rename(folder)
            shutil.rmtree(scratch, ignore_errors=True)


def make_folder(folder: Path) -> None:
    """Make a folder for results, parents included, unless it is there.

    Raises:
        OutputError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made ({error.strerror}); choose another one.") from error


@contextmanager
def _failures_of(path: Path, *kinds: type[Exception]) -> Iterator[None]:
    """Say of what fails in writing, by an OSError or an error of some other kinds, which path it was."""
    failures: tuple[type[Exception], ...] = (OSError, *kinds)
    try:
        yield
    except OutputError:
        raise
    except failures as error:
        words = str(getattr(error, "strerror", None) or error).strip().rstrip(".")
        raise OutputError(f"{path}: cannot be written ({words}); make room, or choose another folder.") from error
