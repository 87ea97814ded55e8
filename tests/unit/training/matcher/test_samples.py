"""Pairs with known transforms; needs no torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.datasets.base import Pair, PixelWindow
from midground.datasets.catalogue import PairsConfig
from midground.evaluation.config import WarpConfig
from midground.modality.base import Modality
from midground.modality.structure import GreyMapper
from midground.training.augment import AugmentConfig
from midground.training.config import DataConfig, SourceConfig
from midground.training.matcher.config import MatcherTrainConfig, Pairing
from midground.training.matcher.samples import MatcherSamples
from midground.training.sampling import SampleStream

SIDE_PX = 128
CONFIG = MatcherTrainConfig(
    name="mine",
    data=DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),), crop_px=SIDE_PX),
    side_px=SIDE_PX,
    model="none",
    warp=WarpConfig(shift_px=20.0, rotation_deg=30.0, scale=(0.9, 1.1)),
    epochs=4,
    steps_per_epoch=5,
    batch_size=5,
)


class Ramps:
    """SAR holds the column, optical the row of each pixel."""

    names = places = ("a", "b")

    def __len__(self) -> int:
        return 2

    def hw(self, index: int) -> tuple[int, int]:
        return (SIDE_PX, SIDE_PX)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
        optical = np.repeat(rows[None], 3, axis=0)
        return Pair(self.names[index], self.places[index], Image.from_array(columns), Image.from_array(optical))


def samples(config: MatcherTrainConfig = CONFIG) -> MatcherSamples:
    augment = AugmentConfig(flips=False, quarter_turns=False)
    stream = SampleStream([Ramps()], [1.0], n_epoch=25, crop_px=SIDE_PX, augment=augment, seed=0)
    return MatcherSamples(stream, GreyMapper(), config)


@pytest.mark.parametrize("pairing", ["sar", "optical"])
@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 7])
def test_the_truth_says_where_each_pixel_of_the_moving_image_lies(pairing: Pairing, number: int) -> None:
    """Both images show one coordinate, standardised: along the truth, one is a straight line of the other."""
    sample = samples(replace(CONFIG, pairing=pairing)).sample(number)
    rows, columns = np.nonzero(sample.moving_valid[0])
    mapped = np.stack([columns, rows, np.ones(len(rows))], axis=1) @ sample.fixed_from_moving.T
    x, y = np.rint(mapped[:, :2] / mapped[:, 2:]).astype(int).T
    is_seen = (x >= 0) & (x < SIDE_PX) & (y >= 0) & (y < SIDE_PX)
    is_seen[is_seen] = sample.fixed_valid[0, y[is_seen], x[is_seen]] > 0
    moving, fixed = sample.moving[0, rows, columns][is_seen], sample.fixed[0, y[is_seen], x[is_seen]]
    assert is_seen.sum() > 500
    line = np.polyfit(moving, fixed, 1)
    # Rounding to whole pixels of a ramp over some 100 px leaves half a step of it.
    assert np.abs(np.polyval(line, moving) - fixed).max() < 0.05


def test_no_outline_of_the_warp_is_left() -> None:
    """Where an image lies in its square, it holds data everywhere."""
    sides = set()
    for number in range(12):
        sample = samples().sample(number)
        for valid in (sample.moving_valid[0], sample.fixed_valid[0]):
            height, width = (int(valid.any(axis=axis).sum()) for axis in (1, 0))
            assert valid[:height, :width].all()
            assert not valid[height:].any()
            assert not valid[:, width:].any()
            sides.add(height)
    assert len(sides) > 8


def test_either_image_is_the_smaller_one() -> None:
    drawn = [samples().sample(number) for number in range(16)]
    assert {sample.moving_valid.sum() < sample.fixed_valid.sum() for sample in drawn} == {True, False}


def test_a_sample_is_a_function_of_its_number() -> None:
    one, again, other = samples().sample(3), samples().sample(3), samples().sample(4)
    np.testing.assert_array_equal(one.moving, again.moving)
    np.testing.assert_array_equal(one.fixed, again.fixed)
    assert not np.array_equal(one.fixed_from_moving, other.fixed_from_moving)


def test_either_modality_moves_in_cross_pairs() -> None:
    roles = {samples().roles(number) for number in range(20)}
    assert roles == {("sar", "optical"), ("optical", "sar")}


def test_the_curriculum_goes_from_images_with_themselves_to_cross_pairs() -> None:
    config = replace(CONFIG, pairing="curriculum", curriculum_share=0.5)
    assert config.n_samples == 100
    is_cross = [len(set(samples(config).roles(number))) == 2 for number in range(100)]
    assert sum(is_cross[:10]) <= 4
    assert 10 < sum(is_cross[:50]) < 40
    assert all(is_cross[50:])


def test_masks_take_data_from_one_image_or_from_both() -> None:
    config = replace(CONFIG, warp=WarpConfig(), masked_share=1.0)
    kinds = set()
    for number in range(12):
        whole, masked = samples(replace(config, masked_share=0.0)).sample(number), samples(config).sample(number)
        cut = []
        for name in ("moving", "fixed"):
            valid, before = (getattr(sample, f"{name}_valid")[0] > 0 for sample in (masked, whole))
            assert not (valid & ~before).any()
            assert valid.sum() / before.sum() > 0.15
            assert not getattr(masked, name)[:, ~valid].any()
            cut.append(bool((valid != before).any()))
        kinds.add(tuple(cut))
    assert kinds == {(True, True), (True, False), (False, True)}


def test_no_place_of_an_unrelated_pair_is_seen() -> None:
    sample = samples(replace(CONFIG, unrelated_share=1.0)).sample(2)
    assert sample.moving_valid.any()
    assert not sample.fixed_valid.any()
    assert sample.fixed.any()


class Noting(GreyMapper):
    """Notes which images it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[Modality, float]] = []

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        self.given.append((modality, float(image.valid.mean())))
        return super().map(image, modality, progress=progress)


def test_images_are_cut_before_they_are_mapped() -> None:
    mapper = Noting()
    stream = SampleStream([Ramps()], [1.0], n_epoch=25, crop_px=SIDE_PX, augment=AugmentConfig(), seed=0)
    found = MatcherSamples(stream, mapper, CONFIG)
    found.sample(1)
    (one, one_share), (other, other_share) = mapper.given
    assert {one, other} == set(found.roles(1))
    assert one_share == other_share == 1
