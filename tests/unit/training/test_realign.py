"""Misregistered training pairs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow
from midground.modality.structure import GreyMapper
from midground.training.config import RealignConfig
from midground.training.realign import Realignment, realign

CONFIG = RealignConfig(every_epochs=1, search_px=8)


class Shifted:
    """The same texture twice, the SAR image moved; ``None``: two textures that have nothing in common."""

    def __init__(self, shifts_xy: list[tuple[int, int] | None]) -> None:
        self.names = tuple(f"pair {index}" for index in range(len(shifts_xy)))
        self.places = self.names
        self._shifts_xy = shifts_xy

    def __len__(self) -> int:
        return len(self.names)

    def hw(self, index: int) -> tuple[int, int]:
        return (64, 64)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        textures = [cv2.GaussianBlur(np.random.default_rng([index, k]).random((96, 96)), (0, 0), 2) for k in (0, 1)]
        shift = self._shifts_xy[index]
        x, y = shift or (0, 0)
        optical = textures[0][16:80, 16:80]
        # The place of optical pixel (0, 0) is SAR pixel (x, y).
        sar = textures[0 if shift else 1][16 - y : 80 - y, 16 - x : 80 - x]
        images = [Image.from_array(image.astype(np.float32)) for image in (sar, optical)]
        return Pair(self.names[index], self.places[index], *images)


def test_shifts_are_found_with_their_sign() -> None:
    found = realign(GreyMapper(), Shifted([(3, -5), (0, 0), (-7, 2)]), CONFIG)
    assert found.shifts_xy == {"pair 0": (3, -5), "pair 1": (0, 0), "pair 2": (-7, 2)}
    assert found.n_undecided == 0


def test_pairs_that_match_nowhere_are_dropped() -> None:
    strict = RealignConfig(search_px=8, min_peak_ratio=3.0, drop_peak_ratio=2.5)
    found = realign(GreyMapper(), Shifted([(1, 1), None]), strict)
    assert found.shifts_xy == {"pair 0": (1, 1), "pair 1": None}


def test_what_is_not_clear_is_left_as_it_is() -> None:
    cautious = RealignConfig(search_px=8, min_peak_ratio=1e6, drop_peak_ratio=1.0)
    found = realign(GreyMapper(), Shifted([(1, 1)]), cautious)
    assert found.shifts_xy == {}
    assert found.n_undecided == 1


def test_it_says_what_it_found() -> None:
    assert str(Realignment({"a": (3, 4), "b": None, "c": (0, 0)}, 3)) == (
        "2 pairs confident, off by 2.5 px (median) and 5.0 px at most; 3 undecided, left as they are; 1 dropped"
    )


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    realign(GreyMapper(), Shifted([(0, 0), (1, 0)]), CONFIG, progress=lambda *args: told.append(args))
    assert told == [("realigning pairs", 1, 2), ("realigning pairs", 2, 2)]


def test_ratios_out_of_order() -> None:
    with pytest.raises(ValueError, match="1 <= drop_peak_ratio <= min_peak_ratio must hold"):
        RealignConfig(min_peak_ratio=1.1, drop_peak_ratio=1.2)
