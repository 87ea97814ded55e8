"""Shifts of training pairs that a run's folder keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PairSource, PixelWindow
from midground.errors import OutputError
from midground.modality.base import Mapper
from midground.modality.structure import GreyMapper, StructureMapper
from midground.training import alignments
from midground.training.alignments import ALIGNMENTS_FILE, kept_alignments
from midground.training.config import RealignConfig
from midground.training.realign import Realignment

CONFIG = RealignConfig(search_px=8)
FOUND = [Realignment({"a": (3, -5), "b": None}, 1), Realignment({}, 0)]


class Noise:
    """Pairs of noise."""

    def __init__(self, *names: str) -> None:
        self.names = self.places = names

    def __len__(self) -> int:
        return len(self.names)

    def hw(self, index: int) -> tuple[int, int]:
        return (64, 64)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        rng = np.random.default_rng(index)
        sar, optical = (Image.from_array(rng.random((64, 64), np.float32)) for _ in range(2))
        return Pair(self.names[index], self.places[index], sar, optical)


@pytest.fixture
def sources() -> list[PairSource]:
    """Two collections."""
    return [Noise("a", "b", "c"), Noise("d")]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Names of the pairs of every collection that was looked at."""
    names: list[tuple[str, ...]] = []

    def find(mapper: Mapper, pairs: PairSource, config: RealignConfig, *, progress: Any) -> Realignment:
        names.append(tuple(pairs.names))
        return FOUND["d" in pairs.names]

    monkeypatch.setattr(alignments, "realign", find)
    return names


def test_shifts_are_looked_for_once(tmp_path: Path, sources: list[PairSource], looked_at: list[tuple[str, ...]]):
    assert kept_alignments(tmp_path, GreyMapper(), sources, CONFIG) == FOUND
    assert looked_at == [("a", "b", "c"), ("d",)]
    assert kept_alignments(tmp_path, GreyMapper(), sources, CONFIG) == FOUND
    assert len(looked_at) == 2
    assert [path.name for path in tmp_path.iterdir()] == [ALIGNMENTS_FILE]
    kept = json.loads((tmp_path / ALIGNMENTS_FILE).read_text(encoding="utf-8"))
    assert kept["collections"][0] == {"shifts_xy": {"a": [3, -5], "b": None}, "n_undecided": 1}


def test_what_was_found_in_real_images_is_read_as_it_was(tmp_path: Path, sources: list[PairSource]):
    found = kept_alignments(tmp_path, GreyMapper(), sources, CONFIG)
    assert sum(len(one.shifts_xy) + one.n_undecided for one in found) == 4
    assert kept_alignments(tmp_path, GreyMapper(), sources, CONFIG) == found


@pytest.mark.parametrize("changed", ["model", "settings", "pairs", "collections"])
def test_those_of_anything_else_are_found_anew(
    tmp_path: Path, sources: list[PairSource], looked_at: list[tuple[str, ...]], changed: str
):
    kept_alignments(tmp_path, GreyMapper(), sources, CONFIG)
    looked_at.clear()
    mapper = StructureMapper() if changed == "model" else GreyMapper()
    config = replace(CONFIG, min_peak_ratio=2.0) if changed == "settings" else CONFIG
    if changed == "pairs":
        sources[0] = Noise("a", "b")
    if changed == "collections":
        sources.pop()
    kept_alignments(tmp_path, mapper, sources, config)
    assert len(looked_at) == len(sources)
    kept_alignments(tmp_path, mapper, sources, config)
    assert len(looked_at) == len(sources)


@pytest.mark.parametrize("content", ["", '{"schema": "midgr', "[]", "{}", '{"schema": "midground/alignments/0"}'])
def test_what_cannot_be_read_is_found_anew(
    tmp_path: Path, sources: list[PairSource], looked_at: list[tuple[str, ...]], content: str
):
    (tmp_path / ALIGNMENTS_FILE).write_text(content, encoding="utf-8")
    assert kept_alignments(tmp_path, GreyMapper(), sources, CONFIG) == FOUND
    assert kept_alignments(tmp_path, GreyMapper(), sources, CONFIG) == FOUND
    assert len(looked_at) == 2


@pytest.mark.usefixtures("looked_at")
def test_a_folder_that_is_not_there_is_said(tmp_path: Path, sources: list[PairSource]):
    with pytest.raises(OutputError, match=rf"{ALIGNMENTS_FILE}: cannot be written \(No such file or directory\)"):
        kept_alignments(tmp_path / "run", GreyMapper(), sources, CONFIG)
