"""Pairs looked at before the first step."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow
from midground.errors import ConfigError, InputError
from midground.training import checking
from midground.training.augment import AugmentConfig
from midground.training.checking import check_pairs, require_room
from midground.training.sampling import SampleStream

HW = (64, 64)


class Halves:
    """Pairs of which both images hold data in the left half, or the SAR image in the right one."""

    def __init__(self, *has_common: bool) -> None:
        self._has_common = has_common
        self.names = tuple(f"pair {index}" for index in range(len(has_common)))
        self.places = self.names

    def __len__(self) -> int:
        return len(self.names)

    def hw(self, index: int) -> tuple[int, int]:
        return HW

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        left = np.zeros(HW, bool)
        left[:, : HW[1] // 2] = True
        values = np.full((1, *HW), 0.5, np.float32)
        sar = Image(values, left if self._has_common[index] else ~left)
        return Pair(self.names[index], self.places[index], sar, Image(values, left))


def test_a_pair_that_nothing_can_be_learned_from_is_named() -> None:
    message = r"^The pair 'pair 1' has no pixel that holds data in both images; exclude the pair 'pair 1'\.$"
    for training, validation in (([Halves(True), Halves(True, False)], Halves(True)), ([], Halves(True, False))):
        with pytest.raises(InputError, match=message):
            check_pairs(training, validation, print)
    augment = AugmentConfig(flips=False, quarter_turns=False)
    stream = SampleStream([Halves(True, False)], [1.0], n_epoch=2, crop_px=64, augment=augment, seed=0)
    with pytest.raises(InputError, match=message):
        list(map(stream.sample, range(2)))


def test_a_collection_that_takes_long_to_read_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    check_pairs([Halves(True, True)], Halves(True), told.append)
    assert told == []
    monkeypatch.setattr(checking, "_MAX_S", -1.0)
    check_pairs([Halves(True, False)], Halves(True), told.append)
    assert told == ["0 of 2 pairs were looked at before the first step; 'midground data check' reads all"]


def test_misregistrations_are_smaller_than_the_images() -> None:
    require_room([Halves(True)], 32)
    with pytest.raises(ConfigError, match=r"the pair 'pair 0' is 64 px wide or high; found 33\.$"):
        require_room([Halves(True)], 33)
