"""Bundles are verified before they are used, and written as a whole."""

import shutil
from pathlib import Path

import pytest

from midground.errors import ModelError, OutputError
from midground.modality.bundle import Bundle, write_bundle
from midground.modality.catalogue import DEFAULT_MODEL, find_bundle

GRAPHS = {"sar": b"first graph", "optical": b"second graph"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the shipped bundle that may be damaged."""
    return shutil.copytree(find_bundle(DEFAULT_MODEL).folder, tmp_path / DEFAULT_MODEL)


def written(folder: Path, **options: bool) -> Bundle:
    return write_bundle(folder, find_bundle(DEFAULT_MODEL).card, GRAPHS, **options)


def test_the_shipped_bundle_holds_what_it_must() -> None:
    bundle = find_bundle(DEFAULT_MODEL)
    assert sorted(path.name for path in bundle.folder.iterdir()) == ["card.json", "optical.onnx", "sar.onnx"]
    assert bundle.card.licence == "Apache-2.0"
    assert bundle.card.imagery_notice == "Contains modified Copernicus Sentinel data 2017-2021."
    differences = [result.value for result in bundle.card.results if "difference from torch" in result.what]
    assert len(differences) == 2
    assert max(differences) <= 2e-3


@pytest.mark.parametrize("name", ["sar.onnx", "optical.onnx"])
@pytest.mark.parametrize("where", [0, -1])
def test_one_altered_byte_is_found(copy: Path, name: str, where: int) -> None:
    content = bytearray((copy / name).read_bytes())
    content[where] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: the file was altered or damaged: its sha256 is [0-9a-f]{{64}}"):
        Bundle.load(copy)


def test_a_file_altered_after_loading_is_found(copy: Path) -> None:
    bundle = Bundle.load(copy)
    (copy / "sar.onnx").write_bytes(b"something else")
    with pytest.raises(ModelError, match="altered or damaged"):
        bundle.read("sar")


@pytest.mark.parametrize("name", ["sar.onnx", "optical.onnx"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: .* cannot be read"):
        Bundle.load(copy)


def test_a_card_that_is_no_text(copy: Path) -> None:
    (copy / "card.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match="cannot be read"):
        Bundle.load(copy)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no model bundle here"):
        Bundle.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"which is a folder with card\.json; name one that 'midground models export'"):
        Bundle.load(tmp_path)


def test_what_is_written_can_be_loaded(tmp_path: Path) -> None:
    bundle = written(tmp_path / "fresh")
    assert Bundle.load(tmp_path / "fresh") == bundle
    assert {modality: bundle.read(modality) for modality in GRAPHS} == GRAPHS
    assert len(bundle.sha256) == 64


def test_the_digest_depends_on_every_file(tmp_path: Path) -> None:
    card = find_bundle(DEFAULT_MODEL).card
    other = write_bundle(tmp_path / "other", card, GRAPHS | {"sar": b"third graph"})
    assert written(tmp_path / "one").sha256 == written(tmp_path / "two").sha256 != other.sha256


def test_an_existing_folder_stays(tmp_path: Path) -> None:
    written(tmp_path / "fresh")
    with pytest.raises(OutputError, match=r"fresh: the bundle exists already; replace it with --overwrite, or choose"):
        written(tmp_path / "fresh")
    (tmp_path / "photos").mkdir()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"photos: exists already and holds no bundle.*; choose another one"):
            written(tmp_path / "photos", overwrite=overwrite)


def test_overwriting_replaces_the_bundle_and_leaves_nothing(tmp_path: Path) -> None:
    written(tmp_path / "fresh")
    write_bundle(tmp_path / "fresh", find_bundle(DEFAULT_MODEL).card, GRAPHS | {"sar": b"new"}, overwrite=True)
    assert Bundle.load(tmp_path / "fresh").read("sar") == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["fresh"]


def test_a_failure_while_writing_leaves_the_old_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "fresh")
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "fresh" and target.name == "fresh":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        write_bundle(tmp_path / "fresh", find_bundle(DEFAULT_MODEL).card, GRAPHS | {"sar": b"new"}, overwrite=True)
    assert Bundle.load(tmp_path / "fresh").read("sar") == GRAPHS["sar"]
    assert [path.name for path in tmp_path.iterdir()] == ["fresh"]


def test_a_parent_that_does_not_exist_is_made(tmp_path: Path) -> None:
    written(tmp_path / "missing" / "fresh")
    assert Bundle.load(tmp_path / "missing" / "fresh").read("sar") == GRAPHS["sar"]
