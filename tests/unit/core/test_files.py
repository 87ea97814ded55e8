"""Files and folders that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from midground.core.files import whole_file, whole_folder, write_text
from midground.errors import InputError, OutputError


class LibraryError(Exception):
    """What a library that writes may raise."""


def fill(folder: Path, text: str, *, replaces: bool = False) -> None:
    with whole_folder(folder, replaces=replaces) as fresh:
        (fresh / "a.txt").write_text(text, encoding="utf-8")


def fail_in_a_file(path: Path, error: BaseException) -> None:
    with whole_file(path, LibraryError) as unfinished:
        unfinished.write_text("half", encoding="utf-8")
        raise error


def fail_in_a_folder(folder: Path, error: BaseException) -> None:
    with whole_folder(folder, replaces=True) as fresh:
        (fresh / "a.txt").write_text("half", encoding="utf-8")
        raise error


def test_a_file_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as unfinished:
        unfinished.write_text("whole", encoding="utf-8")
        assert not path.exists()
    assert path.read_text(encoding="utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_attempt_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as left:
        left.write_text("old", encoding="utf-8")
    left.write_text("left over", encoding="utf-8")
    write_text(path, "whole")
    assert {found.name: found.read_text(encoding="utf-8") for found in tmp_path.iterdir()} == {"a.txt": "whole"}


@pytest.mark.parametrize(
    ("error", "seen", "message"),
    [
        (OSError(28, "No space left on device"), OutputError, r"a: cannot be written \(No space left on device\);"),
        (LibraryError("The disk is gone."), OutputError, r"a: cannot be written \(The disk is gone\);"),
        (OutputError("b: cannot be written."), OutputError, r"^b: cannot be written\.$"),
        (InputError("c: is damaged."), InputError, r"^c: is damaged\.$"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_failure_leaves_the_older_file_and_nothing_else(
    tmp_path: Path, error: BaseException, seen: type[BaseException], message: str
) -> None:
    path = tmp_path / "a"
    write_text(path, "old")
    with pytest.raises(seen, match=message):
        fail_in_a_file(path, error)
    assert {found.name: found.read_text(encoding="utf-8") for found in tmp_path.iterdir()} == {"a": "old"}


def test_a_folder_has_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    with whole_folder(folder) as fresh:
        (fresh / "a.txt").write_text("whole", encoding="utf-8")
        assert not folder.exists()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["a", "a/a.txt"]
    # Others may read it where they may read any folder made here.
    (tmp_path / "b").mkdir()
    assert folder.stat().st_mode == (tmp_path / "b").stat().st_mode


def test_an_older_folder_is_replaced_if_that_is_wanted(tmp_path: Path) -> None:
    fill(tmp_path / "a", "old")
    with pytest.raises(OutputError, match="a: cannot be written"):
        fill(tmp_path / "a", "new")
    assert (tmp_path / "a" / "a.txt").read_text(encoding="utf-8") == "old"
    fill(tmp_path / "a", "new", replaces=True)
    assert (tmp_path / "a" / "a.txt").read_text(encoding="utf-8") == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), InputError("damaged"), KeyboardInterrupt()])
def test_a_failure_leaves_the_older_folder_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    fill(tmp_path / "a", "old")
    with pytest.raises(OutputError if type(error) is OSError else type(error)):
        fail_in_a_folder(tmp_path / "a", error)
    assert (tmp_path / "a" / "a.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_place_that_does_not_exist_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for parent, reason in (("missing", "No such file or directory"), ("file", "Not a directory")):
        with pytest.raises(OutputError, match=rf"a: cannot be written \({reason}\)"):
            write_text(tmp_path / parent / "a", "text")
    with pytest.raises(OutputError, match=r"a: cannot be written \((File exists|Not a directory)\)"):
        fill(tmp_path / "file" / "a", "text")


def test_the_parents_of_a_folder_are_made(tmp_path: Path) -> None:
    fill(tmp_path / "models" / "new" / "a", "text")
    assert (tmp_path / "models" / "new" / "a" / "a.txt").read_text(encoding="utf-8") == "text"
