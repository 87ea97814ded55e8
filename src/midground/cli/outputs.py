"""The files of one command: all of them appear, or none."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from midground.errors import OutputError


class Outputs:
    """Hands out a hidden path beside each final one, and moves them into place at the end."""

    def __init__(self, inputs: Iterable[Path]) -> None:
        self._inputs = tuple(inputs)
        self._staged: dict[Path, Path] = {}
        self._outdated: list[Path] = []
        self._made: list[Path] = []

    def make_folder(self, folder: Path) -> Path:
        """Create a folder that takes results, parents included; taken away again if the command fails.

        Raises:
            OutputError: It cannot be created, or a file has its name.
        """
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{folder}: the output folder cannot be created ({error.strerror}); choose another --out-dir."
            ) from error
        self._made.extend(missing)
        return folder

    def add(self, path: Path) -> Path:
        """Announce a result.

        Args:
            path: Where it is to be in the end.

        Returns:
            Where to write it; the suffix stays, as formats go by it.

        Raises:
            OutputError: The path is an input, its folder is missing or cannot be written, or it was announced already.
        """
        self._check(path)
        staged = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
        self._staged[path] = staged
        return staged

    def drop(self, path: Path) -> None:
        """Take back a result that there is none of; an older file of its name goes too, since it would pass for it."""
        del self._staged[path]
        self._outdated.append(path)

    def __iter__(self) -> Iterator[Path]:
        return iter(self._staged)

    def __getitem__(self, path: Path) -> Path:
        return self._staged[path]

    def commit(self) -> None:
        """Move every result into place.

        Raises:
            OutputError: A file of the same name cannot be replaced.
        """
        for path, staged in self._staged.items():
            try:
                for beside in _files_beside(staged):
                    beside.replace(path.with_name(beside.name.replace(staged.name, path.name)))
                staged.replace(path)
            except OSError as error:
                raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
        for path in self._outdated:
            path.unlink(missing_ok=True)

    def with_final_names(self, message: str) -> str:
        """Put the names that the user gave in place of the hidden ones."""
        for path, staged in self._staged.items():
            message = message.replace(str(staged), str(path)).replace(staged.name, path.name)
        return message

    def discard(self) -> None:
        """Remove what was staged, and folders that were made for it."""
        for staged in self._staged.values():
            for path in (*_files_beside(staged), staged):
                path.unlink(missing_ok=True)
        for folder in self._made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _check(self, path: Path) -> None:
        from midground.geo.output import refuse_overwrite

        folder = path.parent
        refuse_overwrite(path, *self._inputs)
        if path in self._staged:
            raise OutputError(f"{path}: two outputs have this name; choose another for one of them.")
        if path.is_dir():
            raise OutputError(f"{path}: this is a folder; name a file in it.")
        if not folder.exists():
            raise OutputError(f"{path}: its folder does not exist; create it first (mkdir -p {folder}).")
        if not folder.is_dir():
            raise OutputError(f"{path}: {folder} is a file, so nothing can be written in it.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise OutputError(f"{path}: no permission to write in {folder}; choose another folder.")


def _files_beside(staged: Path) -> list[Path]:
    """Files that a raster library put beside a result, such as ``.aux.xml``."""
    return [path for path in staged.parent.iterdir() if path.name.startswith(f"{staged.name}.")]


@contextmanager
def all_or_none(inputs: Iterable[Path]) -> Iterator[Outputs]:
    """Collect the results of a command: moved into place on success, removed on any failure or interruption.

    Args:
        inputs: Files that must not be overwritten.
    """
    outputs = Outputs(inputs)
    try:
        yield outputs
        outputs.commit()
    except OutputError as error:
        outputs.discard()
        raise OutputError(outputs.with_final_names(str(error))) from error
    except BaseException:
        outputs.discard()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
