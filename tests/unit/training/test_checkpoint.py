"""What a checkpoint says, and files that are none; needs torch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from midground.core.radiometry import Scaling
from midground.errors import ModelError
from midground.modality.base import InputSpec

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")

from midground.training.checkpoint import find_checkpoint, load_checkpoint, read_state  # noqa: E402
from midground.training.compact import CompactUnet  # noqa: E402

pytestmark = pytest.mark.extras


def test_a_checkpoint_says_what_it_was_trained_for_and_on(trained) -> None:
    found = load_checkpoint(trained.folder)
    assert found.path == trained.folder / "best.ckpt"
    assert found.inputs == {
        "sar": InputSpec(bands=("any",), scaling=Scaling()),
        "optical": InputSpec(bands=("B04", "B03", "B02"), scaling=Scaling()),
    }
    assert found.card == trained.config.card
    assert found.data == ("places: 10 pairs",)
    assert found.score == trained.score
    assert found.recipe.startswith(
        "compact networks, criterion correlation, adamw 0.005 (cosine), batches of 8 pairs of 64 px, 120 steps "
        "planned, seed 0; "
    )
    for modality, n_bands in (("sar", 1), ("optical", 3)):
        network = found.networks[modality]
        assert isinstance(network, CompactUnet)
        assert (network.in_channels, network.out_channels, network.widths) == (n_bands, 4, (8, 12))
        assert not network.training


def test_of_a_folder_the_best_is_taken_else_the_last(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").touch()
    assert find_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    (tmp_path / "best.ckpt").touch()
    assert find_checkpoint(tmp_path) == tmp_path / "best.ckpt"
    assert find_checkpoint(tmp_path / "last.ckpt") == tmp_path / "last.ckpt"


def test_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no checkpoint of a training run \(best\.ckpt or last\.ckpt\)"):
        find_checkpoint(tmp_path)
    with pytest.raises(ModelError, match=r"there is no such checkpoint"):
        find_checkpoint(tmp_path / "best.ckpt")


def cut(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])


def turned(path: Path, content: bytes) -> None:
    """One byte of the pickled part is another."""
    position = content.index(b"midground/checkpoint/1")
    path.write_bytes(content[: position - 4] + bytes([content[position - 4] ^ 0xFF]) + content[position - 3 :])


def text(path: Path, content: bytes) -> None:
    path.write_text("nothing of the kind")


def code(path: Path, content: bytes) -> None:
    torch.save({"state_dict": {}, "config": Path("x")}, path)


@pytest.mark.parametrize("damage", [cut, turned, text, code], ids=lambda damage: damage.__name__)
def test_a_damaged_or_foreign_file_gives_one_sentence(
    trained, tmp_path: Path, damage: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "odd.ckpt"
    damage(path, (trained.folder / "best.ckpt").read_bytes())
    with pytest.raises(ModelError, match=r"odd\.ckpt: cannot be read as a checkpoint \(") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("content", [{"state_dict": {}}, [1, 2], {"midground": 3}, {"midground": {"schema": "other"}}])
def test_the_checkpoint_of_another_program(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(ModelError, match=r"is not a checkpoint of this version's 'midground train'\.$"):
        read_state(tmp_path / "odd.ckpt")


def test_weights_that_do_not_belong_to_what_is_said(trained, tmp_path: Path) -> None:
    state = read_state(trained.folder / "best.ckpt")
    state["midground"]["network"]["widths"] = [8, 16]
    torch.save(state, tmp_path / "odd.ckpt")
    with pytest.raises(ModelError, match=r"odd\.ckpt: the sar network's weights do not fit its settings"):
        load_checkpoint(tmp_path / "odd.ckpt")
    del state["midground"]["inputs"]
    torch.save(state, tmp_path / "odd.ckpt")
    with pytest.raises(ModelError, match=r"odd\.ckpt: lacks 'inputs'"):
        load_checkpoint(tmp_path / "odd.ckpt")
