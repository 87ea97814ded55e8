"""Scenes in windows, on small networks whose parts are plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from midground.modality.squares import SquareNetwork
from midground.modality.windowed import LocalNetwork, Network, WindowSizes, map_scene, map_whole


def shrink(array: np.ndarray, factor: int) -> np.ndarray:
    n, c, h, w = array.shape
    return array.reshape(n, c, h // factor, factor, w // factor, factor).mean(axis=(3, 5), dtype=np.float32)


def grow(array: np.ndarray, factor: int) -> np.ndarray:
    return array.repeat(factor, axis=2).repeat(factor, axis=3)


def weighted(array: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (array * weight).sum(axis=(2, 3))


class ArithmeticNetwork:
    """Every part depends on a mean of the scene, and each mean on the one before."""

    n_channels = 1
    stride_px = 32
    halo_px = 16
    means = (range(2), range(2, 3), range(3, 5))
    mean_slices = [slice(index, index + 1) for index in range(5)]  # noqa: RUF012

    def __init__(self) -> None:
        self.largest_px = 0

    def encode(
        self, image: np.ndarray, weight: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self.largest_px = max(self.largest_px, image[0, 0].size)
        first = weighted(image, weight)
        scaled = image * given(context, 0, first)
        second = weighted(scaled**2, weight)
        features = shrink(scaled, 4) * given(context, 1, second)
        return [shrink(scaled, 2), features], [(first, second)[index] for index in means]

    def middle(
        self, features: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        mean = features.mean(axis=(2, 3))
        return [features + given(context, 2, mean)], [mean for _ in means]

    def decode(
        self, inputs: tuple[np.ndarray, np.ndarray, np.ndarray], context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        decoded, stem, weight = inputs
        joined = grow(decoded, 4) + grow(stem, 2)
        first = weighted(joined, weight)
        scaled = joined * given(context, 3, first)
        second = weighted(scaled, weight)
        return [scaled + given(context, 4, second)], [(first, second)[index - 3] for index in means]


class AveragingNetwork:
    """In one part: squares of 4 px, averaged over 3 by 3 of them; nothing lies outside of the image."""

    n_channels = 2
    stride_px = 4
    halo_px = 4

    def __init__(self) -> None:
        self.seen_hw: list[tuple[int, int]] = []

    def map(self, image: np.ndarray) -> np.ndarray:
        self.seen_hw.append(image.shape[2:])
        coarse = np.pad(shrink(image, 4), ((0, 0), (0, 0), (1, 1), (1, 1)))
        near = sum(
            coarse[..., row : row + image.shape[2] // 4, column : column + image.shape[3] // 4]
            for row in range(3)
            for column in range(3)
        )
        return np.concatenate([image, grow(near / 9, 4)], axis=1)


def given(context: np.ndarray | None, index: int, mean: np.ndarray) -> np.ndarray:
    return (mean if context is None else context[:, index : index + 1])[:, :, None, None]


@pytest.fixture
def scene() -> np.ndarray:
    return np.random.default_rng(3).random((1, 1, 160, 224), np.float32)


def reported(
    network: ArithmeticNetwork | AveragingNetwork, scene: np.ndarray, sizes: WindowSizes
) -> tuple[np.ndarray, list[tuple[int, int]]]:
    steps: list[tuple[int, int]] = []
    shared = map_scene(network, scene, sizes, lambda stage, done, total: steps.append((done, total)), "map")
    return shared, steps


def test_windows_give_what_the_whole_scene_gives(scene: np.ndarray) -> None:
    network = ArithmeticNetwork()
    shared, steps = reported(network, scene, WindowSizes(whole_px=1, core_px=64))
    whole, _ = map_whole(network, scene)
    assert np.abs(shared - whole).max() < 1e-6
    # 3 by 4 windows; two means and the result of the first part, two and the result of the third.
    assert steps == [(done, 72) for done in range(1, 73)]


def test_windows_are_small(scene: np.ndarray) -> None:
    network = ArithmeticNetwork()
    reported(network, scene, WindowSizes(whole_px=1, core_px=64))
    assert network.largest_px <= (64 + 2 * 16) ** 2


def test_a_small_scene_is_one_piece(scene: np.ndarray) -> None:
    network = ArithmeticNetwork()
    shared, steps = reported(network, scene, WindowSizes(whole_px=160 * 224))
    assert np.array_equal(shared, map_whole(network, scene)[0])
    assert steps[-1] == (1, 1)


def test_means_of_the_whole_are_returned_in_order(scene: np.ndarray) -> None:
    network = ArithmeticNetwork()
    shared, means = map_whole(network, scene, with_means=True)
    assert means.shape == (1, 5)
    assert means[0, 0] == pytest.approx(scene.mean(), rel=1e-5)
    again, _ = map_whole(network, scene, means)
    assert np.abs(again - shared).max() < 1e-6


def test_blocks_are_joined_without_seams(scene: np.ndarray) -> None:
    network = ArithmeticNetwork()
    sizes = WindowSizes(whole_px=1, exact_px=1, block_core_px=64, block_halo_px=32, max_samples=4)
    shared, steps = reported(network, scene, sizes)
    assert steps[-1] == (4 + 12, 4 + 12)
    assert network.largest_px <= (64 + 2 * 32) ** 2
    # The means are a sample's, and the same for all blocks: the result is the whole scene's up to a straight line.
    whole, _ = map_whole(network, scene)
    slope, offset = np.polyfit(whole.ravel(), shared.ravel(), 1)
    assert np.abs(slope * whole + offset - shared).max() < 0.02
    assert slope == pytest.approx(1, abs=0.2)


def test_the_two_kinds_of_network_are_told_apart() -> None:
    assert isinstance(ArithmeticNetwork(), Network)
    assert not isinstance(ArithmeticNetwork(), LocalNetwork)
    assert isinstance(AveragingNetwork(), LocalNetwork)
    assert not isinstance(AveragingNetwork(), Network)


def test_windows_of_a_network_in_one_part_are_exact(scene: np.ndarray) -> None:
    network = AveragingNetwork()
    shared, steps = reported(network, scene, WindowSizes(window_px=40))
    # Cores of up to 32 px: 5 rows, 7 columns. The outer windows have no margin outside of the scene.
    assert steps == [(done, 35) for done in range(36)]
    assert set(network.seen_hw) == {(height, width) for height in (36, 40) for width in (36, 40)}
    assert np.array_equal(shared, AveragingNetwork().map(scene))


def test_a_margin_that_is_too_narrow_leaves_seams(scene: np.ndarray) -> None:
    network = AveragingNetwork()
    network.halo_px = 0
    shared, _ = reported(network, scene, WindowSizes(window_px=40))
    differs = (shared != AveragingNetwork().map(scene)).any(axis=(0, 1))
    assert differs.any()
    # The first core is 40 px high and 36 px wide; its last column of squares needs the next core.
    assert not differs[:36, :32].any()
    assert differs[:36, 32:36].all()


@pytest.mark.parametrize("window_px", [192, 224, 2048])
def test_a_scene_of_no_more_pixels_than_a_window_is_one_piece(scene: np.ndarray, window_px: int) -> None:
    network = AveragingNetwork()
    _, steps = reported(network, scene, WindowSizes(window_px=window_px))
    assert network.seen_hw == [(160, 224)]
    assert steps == [(0, 1), (1, 1)]


def test_a_core_is_never_narrower_than_its_margin(scene: np.ndarray) -> None:
    network = AveragingNetwork()
    network.halo_px = 32
    shared, steps = reported(network, scene, WindowSizes(window_px=64))
    assert steps[-1] == (35, 35)
    assert max(network.seen_hw) == (96, 96)
    assert np.array_equal(shared, AveragingNetwork().map(scene))


class BlurNetwork:
    """In one part: the mean of a square of 2 × 8 + 1 px, with zeros beyond the image as convolutions have them."""

    n_channels = 2
    stride_px = 8
    halo_px = 8

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def map(self, image: np.ndarray) -> np.ndarray:
        self.shapes.append(image.shape)
        side = 2 * self.halo_px + 1
        padded = np.pad(image, ((0, 0), (0, 0), (self.halo_px,) * 2, (self.halo_px,) * 2))
        squares = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(2, 3))
        return np.repeat(squares.mean(axis=(-2, -1)), self.n_channels, axis=1).astype(np.float32)


def test_a_local_network_in_windows_gives_what_the_whole_gives(scene: np.ndarray) -> None:
    network = BlurNetwork()
    assert isinstance(network, LocalNetwork)
    assert not isinstance(network, Network)
    steps: list[tuple[str, int, int]] = []
    sizes = WindowSizes(window_px=64 + 2 * 8)
    shared = map_scene(network, scene, sizes, lambda *step: steps.append(step), "map")
    assert shared.shape == (1, 2, 160, 224)
    assert np.abs(shared - network.map(scene)).max() < 1e-5
    # 3 by 4 windows, each with its margin where there is room for one.
    assert len(network.shapes) == 12 + 1
    assert max(shape[2] * shape[3] for shape in network.shapes[:-1]) <= (64 + 2 * 8) ** 2
    assert steps == [("map", done, 12) for done in range(13)]


def test_a_margin_that_is_too_narrow_shows(scene: np.ndarray) -> None:
    network = BlurNetwork()
    whole = network.map(scene)

    class Narrow(BlurNetwork):
        def map(self, image: np.ndarray) -> np.ndarray:
            self.halo_px = 8
            mapped = super().map(image)
            self.halo_px = 0
            return mapped

    narrow = Narrow()
    narrow.halo_px = 0
    shared = map_scene(narrow, scene, WindowSizes(window_px=64), lambda *step: None, "map")
    assert np.abs(shared - whole).max() > 0.05


def test_a_local_network_maps_a_small_scene_in_one_go(scene: np.ndarray) -> None:
    network = BlurNetwork()
    shared = map_scene(network, scene, WindowSizes(window_px=200), lambda *step: None, "map")
    assert network.shapes == [(1, 1, 160, 224)]
    assert np.array_equal(shared, network.map(scene))


@pytest.mark.parametrize("hw", [(8, 400), (72, 64), (64, 64)])
def test_windows_of_a_local_network_cover_any_shape(hw: tuple[int, int]) -> None:
    network, image = BlurNetwork(), np.random.default_rng(1).random((1, 1, *hw), np.float32)
    shared = map_scene(network, image, WindowSizes(window_px=32), lambda *step: None, "map")
    assert np.abs(shared - network.map(image)).max() < 1e-5


class Doubling:
    """For squares of 16 px: doubles every value, and notes what it was given."""

    n_channels = 1
    stride_px = 1
    window_px = 16

    def __init__(self, halo_px: int, *, offsets: bool = False) -> None:
        self.halo_px, self._offsets = halo_px, offsets
        self.shapes: list[tuple[int, ...]] = []

    def map(self, image: np.ndarray) -> np.ndarray:
        self.shapes.append(image.shape)
        # With offsets, each square is brighter than the one before.
        return np.asarray(2 * image + (len(self.shapes) if self._offsets else 0), np.float32)


@pytest.mark.parametrize("halo_px", [0, 4, 7])
@pytest.mark.parametrize("hw", [(16, 16), (17, 40), (5, 33), (3, 2)])
def test_squares_of_one_size_cover_images_of_any(hw: tuple[int, int], halo_px: int) -> None:
    image = np.random.default_rng(0).random((1, 3, *hw), np.float32)
    network = Doubling(halo_px)
    assert isinstance(network, SquareNetwork)
    told: list[tuple[str, int, int]] = []
    mapped = map_scene(network, image, WindowSizes(), lambda *step: told.append(step), "map")
    np.testing.assert_allclose(mapped, 2 * image, rtol=1e-5)
    assert set(network.shapes) == {(1, 3, 16, 16)}
    assert told == [("map", done + 1, len(told)) for done in range(len(network.shapes))]


def test_squares_fade_into_each_other() -> None:
    mapped = map_scene(
        Doubling(4, offsets=True), np.zeros((1, 1, 16, 32), np.float32), WindowSizes(), lambda *_: None, "map"
    )
    row = mapped[0, 0, 8]
    # Three squares that overlap by half: at 0, 8 and 16 px.
    assert (row[0], row[-1]) == (1, 3)
    np.testing.assert_allclose(row[8:16], 1 + np.arange(1, 9) / 9, rtol=1e-5)
    np.testing.assert_allclose(row[16:24], 2 + np.arange(1, 9) / 9, rtol=1e-5)
