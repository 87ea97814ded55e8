"""The sequence of training samples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow
from midground.errors import InputError
from midground.training.augment import AugmentConfig
from midground.training.sampling import SampleStream

NONE = AugmentConfig(flips=False, quarter_turns=False)


class Numbered:
    """Pairs whose pixels say where they come from: pair / 100 + column / 10 000; the SAR image lies off by a shift."""

    def __init__(self, n: int, *, hw: tuple[int, int] = (96, 96), shift_xy: tuple[int, int] = (0, 0)) -> None:
        self.names = tuple(f"pair {index}" for index in range(n))
        self.places = self.names
        self._hw, self._shift_xy = hw, shift_xy
        self.read_names: list[str] = []

    def __len__(self) -> int:
        return len(self.names)

    def hw(self, index: int) -> tuple[int, int]:
        return self._hw

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        self.read_names.append(self.names[index])
        height, width = self._hw
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        optical = np.stack([np.full(self._hw, index / 100, np.float32) + columns / 10_000, rows / 1000])
        x, y = self._shift_xy
        sar = np.stack([optical[0] - x / 10_000, optical[1] - y / 1000])
        window = window or PixelWindow(0, 0, height, width)
        cut = [
            Image.from_array(image).crop(window.top, window.left, window.height, window.width)
            for image in (sar, optical)
        ]
        return Pair(self.names[index], self.places[index], *cut)


def stream(*sources: Numbered, n_epoch: int = 20, crop_px: int = 64, **settings: object) -> SampleStream:
    augment = settings.pop("augment", NONE)
    assert isinstance(augment, AugmentConfig)
    return SampleStream(sources, [1.0] * len(sources), n_epoch=n_epoch, crop_px=crop_px, augment=augment, seed=1)


def test_a_sample_is_a_function_of_its_number() -> None:
    augment = AugmentConfig(rotation_deg=10, zoom=(0.8, 1.2), speckle=0.1, optical_gain=0.1)
    one, other = stream(Numbered(4), augment=augment), stream(Numbered(4), augment=augment)
    later = other.sample(17)
    for number in range(17):
        one.sample(number)
    repeated = one.sample(17)
    assert np.array_equal(repeated.sar, later.sar)
    assert np.array_equal(repeated.optical, later.optical)
    assert not np.array_equal(repeated.sar, one.sample(18).sar)


def test_all_pairs_are_seen_once_before_any_is_seen_again() -> None:
    source = Numbered(5)
    samples = stream(source, n_epoch=20)
    for number in range(20):
        samples.sample(number)
    assert Counter(source.read_names) == Counter(dict.fromkeys(source.names, 4))
    samples.sample(20)
    assert len(source.read_names) == 21


def test_collections_give_their_shares() -> None:
    few, many = Numbered(3), Numbered(7)
    samples = SampleStream([few, many], [1.0, 3.0], n_epoch=40, crop_px=64, augment=NONE, seed=0)
    for number in range(80):
        samples.sample(number)
    assert len(few.read_names) == 20
    assert len(many.read_names) == 60


def test_crops_lie_anywhere_inside() -> None:
    samples = stream(Numbered(1), n_epoch=50)
    starts = {round(float(samples.sample(number).optical[0, 0, 0]) * 10_000) for number in range(50)}
    assert min(starts) >= 0
    assert max(starts) <= 32
    assert len(starts) > 15


@pytest.mark.parametrize("shift_xy", [(4, -7), (0, 3), (-9, 0)])
def test_a_known_misregistration_is_corrected(shift_xy: tuple[int, int]) -> None:
    source = Numbered(1, shift_xy=shift_xy)
    samples = stream(source)
    wrong = samples.sample(0)
    assert not np.allclose(wrong.sar, wrong.optical, atol=1e-5)
    samples.align([{"pair 0": shift_xy}])
    for number in range(10):
        right = samples.sample(number)
        assert right.valid.all()
        np.testing.assert_allclose(right.sar, right.optical, atol=1e-5)


def test_what_a_correction_moves_out_of_the_image_is_invalid() -> None:
    samples = stream(Numbered(1, hw=(64, 64), shift_xy=(4, 0)))
    samples.align([{"pair 0": (4, 0)}])
    sample = samples.sample(0)
    assert sample.valid.mean() == pytest.approx(60 / 64)
    inside = sample.valid[0] > 0
    np.testing.assert_allclose(sample.sar[:, inside], sample.optical[:, inside], atol=1e-5)
    assert sample.sar[0][~inside] == pytest.approx(sample.sar[0][inside].mean(), abs=1e-5)


def test_dropped_pairs_are_not_seen() -> None:
    source = Numbered(4)
    samples = stream(source)
    samples.align([{"pair 1": None, "pair 2": (1, 1)}])
    for number in range(20):
        samples.sample(number)
    assert set(source.read_names) == {"pair 0", "pair 2", "pair 3"}


def test_a_collection_cannot_be_dropped_whole() -> None:
    with pytest.raises(InputError, match=r"None of the 1 pairs of a collection .* matches anywhere"):
        stream(Numbered(1)).align([{"pair 0": None}])


def test_pairs_smaller_than_a_crop_are_named() -> None:
    with pytest.raises(InputError, match=r"'pair 0' has 48 × 80 px, less than a crop of 64 px"):
        stream(Numbered(2, hw=(48, 80)))


def test_the_order_is_drawn_once_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    draw, seeds = np.random.default_rng, []

    def counted(seed: list[int]) -> np.random.Generator:
        seeds.append(tuple(seed))
        return draw(seed)

    monkeypatch.setattr(np.random, "default_rng", counted)
    samples = stream(Numbered(3), Numbered(40), n_epoch=20)
    # Samples far ahead are drawn in between, as the training of a matcher does.
    for number in range(40):
        samples.sample(number)
        samples.sample(number + 2000)
    orders = Counter(seed for seed in seeds if seed[1] in (2, 3))
    assert {seed: n for seed, n in orders.items() if seed[1] == 2} == {(1, 2, epoch): 1 for epoch in (0, 1, 100, 101)}
    # A turn through a collection may reach into a second epoch.
    assert max(orders.values()) <= 2


@pytest.mark.parametrize("n_epoch", [7, 20])
def test_the_order_is_that_of_two_draws(n_epoch: int) -> None:
    sources = [Numbered(3), Numbered(5), Numbered(2)]
    shares = [1.0, 2.0, 0.01]
    samples = SampleStream(sources, shares, n_epoch=n_epoch, crop_px=64, augment=NONE, seed=4)
    samples.sample(0)
    samples.align([{}, {"pair 2": None}, {}])
    kept = [np.arange(3), np.array([0, 1, 3, 4]), np.arange(2)]
    edges = np.rint(np.cumsum([0.0, *shares]) / sum(shares) * n_epoch).astype(int)
    for number in range(3 * n_epoch):
        epoch, position = divmod(number, n_epoch)
        position = int(np.random.default_rng([4, 2, epoch]).permutation(n_epoch)[position])
        which = int(np.searchsorted(edges[1:], position, side="right"))
        within = position - edges[which] + epoch * (edges[which + 1] - edges[which])
        turn, place = divmod(int(within), len(kept[which]))
        index = np.random.default_rng([4, 3, which, turn]).permutation(kept[which])[place]
        for source in sources:
            source.read_names.clear()
        samples.sample(number)
        assert [source.read_names for source in sources] == [[f"pair {index}"] if k == which else [] for k in range(3)]
