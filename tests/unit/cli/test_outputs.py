import os
from pathlib import Path

import pytest

from midground.cli.outputs import all_or_none, write_text
from midground.errors import OutputError


def test_results_appear_together(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "new" / "deep" / "b.tif"
    with all_or_none([]) as outputs:
        outputs.make_folder(second.parent)
        write_text(outputs.add(first), "1")
        write_text(outputs.add(second), "2")
        assert outputs[second].suffix == ".tif"
        assert not first.exists()
    assert (first.read_text(), second.read_text()) == ("1", "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "new"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_nothing_remains_after_a_failure(tmp_path: Path, failure: type[BaseException]) -> None:
    def work() -> None:
        with all_or_none([]) as outputs:
            outputs.make_folder(tmp_path / "new" / "deep")
            write_text(outputs.add(tmp_path / "new" / "deep" / "a.json"), "1")
            raise failure

    with pytest.raises(failure):
        work()
    assert list(tmp_path.iterdir()) == []


def test_earlier_results_survive_a_failure(tmp_path: Path) -> None:
    result = tmp_path / "a.json"
    result.write_text("before")

    def work() -> None:
        with all_or_none([]) as outputs:
            write_text(outputs.add(result), "after")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert result.read_text() == "before"


def test_dropped_results_do_not_appear(tmp_path: Path) -> None:
    result = tmp_path / "a.json"
    result.write_text("of an earlier run")
    with all_or_none([]) as outputs:
        outputs.add(result)
        assert list(outputs) == [result]
        outputs.drop(result)
        assert list(outputs) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("input.tif", "is also an input"),
        ("sub/../input.tif", "is also an input"),
        ("link.tif", "is also an input"),
        ("missing/out.tif", r"its folder does not exist; create it first \(mkdir -p .*missing\)"),
        ("input.tif/out.tif", "input.tif is a file"),
        ("sub", "this is a folder"),
    ],
)
def test_refused_outputs(tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "input.tif").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tif").symlink_to(tmp_path / "input.tif")
    with pytest.raises(OutputError, match=message), all_or_none([tmp_path / "input.tif"]) as outputs:
        outputs.add(tmp_path / output)


def test_two_outputs_of_one_name(tmp_path: Path) -> None:
    with all_or_none([]) as outputs:
        outputs.add(tmp_path / "a.json")
        with pytest.raises(OutputError, match="two outputs"):
            outputs.add(tmp_path / "a.json")
        outputs.drop(tmp_path / "a.json")


def test_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission to write"), all_or_none([]) as outputs:
        outputs.add(tmp_path / "a.json")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be created"), all_or_none([]) as outputs:
        outputs.make_folder(tmp_path / "file" / "sub")


def test_text_on_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OutputError, match="No space left"):
        write_text(Path("/dev/full"), "1")
