"""Weights read without running code, and networks built without a trace; needs torch, downloads from a local folder."""

from __future__ import annotations

import random
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from midground.errors import ModelError

torch = pytest.importorskip("torch", reason="needs the extra matchers")

from midground.matching.torch_models import building, downloading, fetch_weights, read_weights  # noqa: E402

pytestmark = pytest.mark.extras


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """A folder for torch.hub to download into."""
    folder = tmp_path / "hub"
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(folder))
    yield folder
    torch.hub.set_dir(before)


def test_weights_are_read_as_they_were_saved(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth", "mine")["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"], ids=["empty", "text", "cut"])
def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=re.escape(f"mine: '{path}' is no file of weights")):
        read_weights(path, "mine")


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save({"a": print}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="no file of weights that torch reads without running code"):
        read_weights(tmp_path / "w.pth", "mine")


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds Tensor, not the weights of a network"):
        read_weights(tmp_path / "w.pth", "mine")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"mine: the weights '.*absent\.pth' cannot be read \(No such file"):
        read_weights(tmp_path / "absent.pth", "mine")


def test_a_download_is_silent_and_done_once(tmp_path: Path, hub: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "w.pth"
    torch.save({"a": torch.ones(2)}, source)
    assert fetch_weights(source.as_uri(), "mine")["a"].tolist() == [1, 1]
    assert (hub / "checkpoints" / "w.pth").read_bytes() == source.read_bytes()
    source.unlink()
    assert fetch_weights(source.as_uri(), "mine")["a"].tolist() == [1, 1]
    assert capfd.readouterr() == ("", "")


def test_a_download_that_fails_leaves_nothing(tmp_path: Path, hub: Path) -> None:
    with pytest.raises(
        ModelError, match=r"mine: the download failed, or .* \(.*\); fetch the files by hand and give them"
    ):
        fetch_weights((tmp_path / "absent.pth").as_uri(), "mine")
    assert list((hub / "checkpoints").iterdir()) == []


def test_what_is_printed_while_downloading_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with downloading("mine"):
        print("Downloading")
    assert capfd.readouterr().out == ""


def test_building_leaves_generators_and_warning_filters_alone() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), list(warnings.filters)
    with building("mine", "a network"):
        warnings.filterwarnings("ignore", message="of some package")
        warnings.warn("that would be an error in the tests", stacklevel=1)
        torch.nn.Linear(3, 3)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    assert list(warnings.filters) == before[3]


def test_weights_that_do_not_fit_are_explained_in_one_line() -> None:
    with (
        pytest.raises(ModelError, match=r"^mine: a network cannot be built from these files \(Error.*Linear") as caught,
        building("mine", "a network"),
    ):
        torch.nn.Linear(3, 3).load_state_dict({f"layer{index}": torch.zeros(1) for index in range(100)})
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)
