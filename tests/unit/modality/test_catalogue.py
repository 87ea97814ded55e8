"""Bundles are found by name, by path, and in further folders."""

import shutil
from pathlib import Path

import pytest

from midground.errors import ConfigError, ModelError
from midground.modality.catalogue import DEFAULT_MODEL, SEARCH_VARIABLE, bundle_names, find_bundle


def test_the_default_is_shipped() -> None:
    assert DEFAULT_MODEL in bundle_names()
    assert find_bundle(DEFAULT_MODEL).card.name == DEFAULT_MODEL


def test_a_path_is_a_bundle() -> None:
    bundle = find_bundle(DEFAULT_MODEL)
    assert find_bundle(bundle.folder) == bundle
    assert find_bundle(str(bundle.folder)) == bundle


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{DEFAULT_MODEL}'"):
        find_bundle(DEFAULT_MODEL.replace("-", "_"))


def test_a_path_without_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model bundle here"):
        find_bundle(tmp_path / "nowhere")


def test_a_folder_without_a_bundle_is_not_an_unknown_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"^mine: there is no model bundle here, which is a folder with card\.json"):
        find_bundle("mine")


def test_folders_of_the_environment_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = find_bundle(DEFAULT_MODEL)
    ours = shutil.copytree(shipped.folder, tmp_path / "models" / DEFAULT_MODEL)
    (tmp_path / "models" / "no-bundle").mkdir()
    monkeypatch.setenv(SEARCH_VARIABLE, f"{tmp_path / 'absent'}:{tmp_path / 'models'}")
    assert find_bundle(DEFAULT_MODEL).folder == ours
    assert "no-bundle" not in bundle_names()


def test_a_folder_of_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(find_bundle(DEFAULT_MODEL).folder, tmp_path / "renamed")
    monkeypatch.setenv(SEARCH_VARIABLE, str(tmp_path))
    with pytest.raises(ModelError, match=f"the card names the model '{DEFAULT_MODEL}', the folder 'renamed'"):
        find_bundle("renamed")
