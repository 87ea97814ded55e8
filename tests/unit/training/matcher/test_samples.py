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
@pytest.mark.parametrize("number", [0, 7])
def test_the_truth_says_where_each_pixel_of_the_moving_image_came_from(pairing: Pairing, number: int) -> None:
    sample = samples(replace(CONFIG, pairing=pairing)).sample(number)
    valid = sample.moving_valid[0] > 0
    assert 0.3 < valid.mean() < 1
    rows, columns = np.nonzero(valid)
    mapped = np.stack([columns, rows, np.ones(len(rows))], axis=1) @ sample.fixed_from_moving.T
    came_from = mapped[:, 0 if pairing == "sar" else 1] / mapped[:, 2]
    expected = (came_from - came_from.mean()) / came_from.std()
    # At its border, the warped image mixes in up to 1 % of what lies outside.
    assert np.quantile(np.abs(sample.moving[0][valid] - expected), 0.99) < 1e-3
    assert not sample.moving[0][~valid].any()
    assert sample.fixed_valid.all()


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


def test_masks_take_data_from_one_image_or_from_both_at_the_same_place() -> None:
    still = replace(CONFIG, warp=WarpConfig(), masked_share=1.0)
    kinds = set()
    for number in range(12):
        sample = samples(still).sample(number)
        moving, fixed = sample.moving_valid[0] > 0, sample.fixed_valid[0] > 0
        assert 0.2 < (moving & fixed).mean() < 0.8
        assert not sample.moving[:, ~moving].any()
        assert not sample.fixed[:, ~fixed].any()
        kinds.add("both" if np.array_equal(moving, fixed) else "moving" if fixed.all() else "fixed")
        assert moving.all() or fixed.all() or "both" in kinds
    assert kinds == {"both", "moving", "fixed"}


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


def test_the_moving_image_is_warped_before_it_is_mapped() -> None:
    mapper = Noting()
    stream = SampleStream([Ramps()], [1.0], n_epoch=25, crop_px=SIDE_PX, augment=AugmentConfig(), seed=0)
    found = MatcherSamples(stream, mapper, CONFIG)
    found.sample(1)
    (moving, moving_share), (fixed, fixed_share) = mapper.given
    assert (moving, fixed) == found.roles(1)
    assert moving_share < 1
    assert fixed_share == 1
