"""Likeness as the paper's table 1 has it."""

from dataclasses import dataclass

import numpy as np
import pytest

from midground.bench.similarity import LOW_CONTRAST, published_similarity, similarity, similarity_table
from midground.core.image import Image
from midground.core.metrics import rmse, ssim
from midground.datasets.base import Pair
from midground.errors import InputError
from midground.modality.structure import GreyMapper, StructureMapper


@dataclass(frozen=True)
class Listed:
    """Pairs from a list."""

    pairs: tuple[Pair, ...]

    @property
    def names(self):
        return tuple(pair.name for pair in self.pairs)

    @property
    def places(self):
        return self.names

    def __len__(self):
        return len(self.pairs)

    def hw(self, index):
        return self.pairs[index].sar.hw

    def read(self, index, window=None):
        return self.pairs[index]


class Low(StructureMapper):
    """Three channels that use a hundredth of the range, as little as those of criterion (3)."""

    name = "low"

    def map(self, image, modality, **_):
        grey = np.repeat(image.channels.mean(axis=0, keepdims=True), 3, axis=0)
        return Image((np.float32(0.4 if modality == "sar" else 0.7) + grey / 100).astype(np.float32), image.valid)


def pair(name: str, seed: int) -> Pair:
    rng = np.random.default_rng(seed)
    colours = rng.random((3, 24, 30)).astype(np.float32)
    return Pair(name, name, Image.from_array(colours.mean(axis=0)), Image.from_array(colours))


@pytest.fixture
def pairs() -> Listed:
    return Listed(tuple(pair(str(index), index) for index in range(3)))


def scaled(values: np.ndarray, everything: np.ndarray) -> np.ndarray:
    low, high = np.percentile(everything, [0.5, 99.5])
    return np.clip((values - low) / (high - low), 0, 1)


def test_none_is_the_colours_against_the_sar_band_repeated_between_percentiles_of_all_pairs(pairs):
    found, _, likeness = similarity(GreyMapper(), pairs, is_scaled=True)
    all_sar, all_optical = (
        np.stack([getattr(one, name).channels for one in pairs.pairs]) for name in ("sar", "optical")
    )
    images = [
        (scaled(np.repeat(sar, 3, axis=0), all_sar), scaled(optical, all_optical))
        for sar, optical in zip(all_sar, all_optical, strict=True)
    ]
    assert found.value == pytest.approx(np.mean([rmse(*both) for both in images]), rel=1e-3)
    assert likeness.value == pytest.approx(np.mean([ssim(*both) for both in images]), rel=1e-3)
    # The grey of the colours is the SAR image, so that nothing would differ.
    assert found.value > 0.2


def test_images_of_little_contrast_are_scaled_first(pairs):
    raw, _, _ = similarity(Low(), pairs, is_scaled=False)
    found, _, _ = similarity(Low(), pairs, is_scaled=True)
    assert raw.value == pytest.approx(0.3, abs=1e-3)
    assert found.value == pytest.approx(0, abs=1e-2)
    table = similarity_table({"none": GreyMapper(), LOW_CONTRAST: Low(), "ours-2": Low()}, pairs)
    values = {row.labels[0]: row.cells[0].value for row in table.rows}
    assert values[LOW_CONTRAST] == found.value
    assert values["ours-2"] == raw.value
    assert values["none"] > 0.2
    assert "none and ours-1: scaled between percentiles 0.5 and 99.5 of all pixels." in table.title
    assert published_similarity().rows[0].cells[0].value == 0.41


def test_pairs_without_data(pairs):
    nothing = Image(np.zeros((1, 24, 30), np.float32), np.zeros((24, 30), bool))
    with pytest.raises(InputError, match="No pixel of the pairs holds data"):
        similarity(GreyMapper(), Listed((Pair("a", "a", nothing, nothing),)), is_scaled=True)
