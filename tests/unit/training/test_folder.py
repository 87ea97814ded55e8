"""Folders of training runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, OutputError
from midground.training.config import DataConfig, SourceConfig, TrainConfig
from midground.training.folder import begin_folder, check_folder

CONFIG = TrainConfig(name="one", data=DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),)))


def test_a_run_begins_in_a_new_folder_and_goes_on_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    check_folder(CONFIG, folder, resume=False)
    begin_folder(CONFIG, folder)
    check_folder(CONFIG, folder, resume=True)
    with pytest.raises(OutputError, match="is there and not an empty folder"):
        check_folder(CONFIG, folder, resume=False)


def test_other_settings_are_named(tmp_path: Path) -> None:
    begin_folder(CONFIG, tmp_path)
    other = replace(CONFIG, seed=1, data=replace(CONFIG.data, crop_px=192))
    with pytest.raises(ConfigError, match=r"other settings \(data\.crop_px, seed\)"):
        check_folder(other, tmp_path, resume=True)
    check_folder(replace(CONFIG, patience=3), tmp_path, resume=True)


def test_pairs_may_be_left_out_of_a_run_whose_places_held_out_are_named(tmp_path: Path) -> None:
    pairs = PairsConfig(path=Path("pairs"))
    fewer = (SourceConfig(pairs=replace(pairs, exclude=Path("damaged.txt"))),)
    begin_folder(CONFIG, tmp_path / "drawn")
    with pytest.raises(ConfigError, match=r"other settings \(data\.train\)"):
        check_folder(replace(CONFIG, data=replace(CONFIG.data, train=fewer)), tmp_path / "drawn", resume=True)
    named = replace(CONFIG.data, validation=replace(pairs, include=Path("held_out.txt")))
    begin_folder(replace(CONFIG, data=named), tmp_path / "named")
    check_folder(replace(CONFIG, data=replace(named, train=fewer)), tmp_path / "named", resume=True)
    other = (SourceConfig(pairs=fewer[0].pairs, share=2.0),)
    with pytest.raises(ConfigError, match=r"other settings \(data\.train\)"):
        check_folder(replace(CONFIG, data=replace(named, train=other)), tmp_path / "named", resume=True)


def test_there_must_be_a_run_to_resume(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="there is no run to resume"):
        check_folder(CONFIG, tmp_path, resume=True)
    (tmp_path / "settings.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match=r"settings\.json: the settings of the run are damaged"):
        check_folder(CONFIG, tmp_path, resume=True)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / "file" / "runs" / "run"):
        for resume in (False, True):
            with pytest.raises(
                OutputError,
                match=rf"^{folder}: no run can be written there \({tmp_path}/file: .*; choose another folder",
            ):
                check_folder(CONFIG, folder, resume=resume)
    with pytest.raises(OutputError, match="cannot be written"):
        begin_folder(CONFIG, tmp_path / "file" / "run")


def test_settings_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text = Path.write_text

    def run_full(path: Path, text: str, *args: str, **kwargs: str) -> int:
        write_text(path, text[:20], *args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", run_full)
    with pytest.raises(OutputError, match="No space left on device"):
        begin_folder(CONFIG, tmp_path / "run")
    monkeypatch.undo()
    check_folder(CONFIG, tmp_path / "run", resume=False)
    begin_folder(CONFIG, tmp_path / "run")
    check_folder(CONFIG, tmp_path / "run", resume=True)
