"""Pairs for the benchmarks: real ones from the data folder, with a shift that is known because it was added."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from midground.core.image import Image
from midground.datasets.base import Pair as AlignedPair
from midground.datasets.base import PairSource, PixelWindow
from midground.datasets.catalogue import PairsConfig, open_pairs

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two crops of one place; ``fixed_from_moving`` is a shift by ``shift_px``."""

    name: str
    moving: np.ndarray
    """SAR, (h, w) uint8."""
    fixed: np.ndarray
    """Optical, (3, h, w) uint8."""
    shift_px: tuple[int, int]
    """Shift (x, y) that takes moving pixels to fixed ones, as far as the data are aligned."""


def data_root(argument: str | None = None) -> Path:
    """The folder with real data: an argument, MIDGROUND_SHARED, or ``shared`` beside the checkout."""
    default = os.environ.get("MIDGROUND_SHARED", Path(__file__).resolve().parents[2] / "shared")
    root = Path(argument or default) / "data"
    if not root.is_dir():
        raise SystemExit(f"{root}: no data here; pass --data FOLDER, or set MIDGROUND_SHARED.")
    return root


def usable_ombria(root: Path, split: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Pairs by name with under 10 % black optical pixels and some contrast, as (name, SAR, optical)."""
    folder = root / "ombria" / split
    if not folder.is_dir():
        raise SystemExit(
            f"{folder}: not a folder; --data FOLDER, or MIDGROUND_SHARED, has to hold data/ombria/{split}."
        )
    for path in sorted((folder / "sar").iterdir()):
        optical = _read(folder / "optical" / path.name)
        grey = optical.mean(axis=0)
        if (grey < 1).mean() < 0.10 and grey.std() >= 6:
            yield path.stem, _read(path).mean(axis=0).astype(np.uint8), optical


def training_data(root: Path, collection: str = "ombria") -> list[str]:
    """Settings of a training on a collection, without what configs/sar1-rgb.yaml holds out, validated on ``ombria``."""
    lists = CONFIGS / "sar1-rgb"
    ombria = f"path: {root / 'ombria' / 'train'}, bands_sar: [1], place_pattern: '(\\d+)_', in_memory: true"
    pairs = ombria if collection == "ombria" else f"path: {root / collection}, in_memory: true"
    return [
        f"data.train=[{{pairs: {{{pairs}, exclude: {lists / f'{collection}-left-out.txt'}}}}}]",
        f"data.validation={{{ombria}, include: {lists / 'ombria-validation.txt'}}}",
    ]


def ombria_shift(root: Path, *, split: str = "test", n: int = 60, seed: int = 7, max_px: int = 20) -> Iterator[Pair]:
    """The ``ombria-shift`` protocol: fixed = optical [32:224, 32:224], moving = SAR cropped by an integer shift."""
    rng = np.random.default_rng(seed)
    for index, (name, sar, optical) in enumerate(usable_ombria(root, split)):
        if index == n:
            return
        dy, dx = (int(value) for value in rng.integers(-max_px, max_px + 1, 2))
        moving = sar[32 + dy : 224 + dy, 32 + dx : 224 + dx]
        yield Pair(name, moving, optical[:, 32:224, 32:224], (dx, dy))


def us_scenes(root: Path, split: str) -> list[dict[str, str]]:
    """Rows of the scene table of ``s1s2-us`` for one split."""
    with (root / "s1s2-us" / "scenes.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["split"] == split]


def us_paths(root: Path, scene: str) -> tuple[Path, Path]:
    """Optical and SAR file of a scene of ``s1s2-us``."""
    return root / "s1s2-us" / "optical" / f"{scene}.tif", root / "s1s2-us" / "sar" / f"{scene}.tif"


class Ombria:
    """The usable test pairs, unit-scaled."""

    def __init__(self, root: Path, split: str = "test") -> None:
        self._pairs = list(usable_ombria(root, split))
        self.names = tuple(name for name, _, _ in self._pairs)
        self.places = self.names

    def __len__(self) -> int:
        return len(self._pairs)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width, px."""
        height, width = self._pairs[index][1].shape
        return height, width

    def read(self, index: int, window: PixelWindow | None = None) -> AlignedPair:
        """One whole pair."""
        name, sar, optical = self._pairs[index]
        return AlignedPair(name, name, Image.from_array(sar / 255.0), Image.from_array(optical / 255.0))


def vhr_aligned(root: Path) -> PairSource:
    """The pairs of ``vhr-aligned``, unit-scaled."""
    # Grey SAR in three bands that differ by compression alone (one grey level); the models want one band.
    return open_pairs(PairsConfig(path=root / "vhr-aligned", bands_sar=(1,)))


def _read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"{path}: cannot be read.")
    return np.moveaxis(image[..., ::-1], -1, 0)
