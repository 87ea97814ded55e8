"""Scenes in windows, on a small network whose parts are plain arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from midground.modality.windowed import WindowSizes, map_scene, map_whole


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


def given(context: np.ndarray | None, index: int, mean: np.ndarray) -> np.ndarray:
    return (mean if context is None else context[:, index : index + 1])[:, :, None, None]


@pytest.fixture
def scene() -> np.ndarray:
    return np.random.default_rng(3).random((1, 1, 160, 224), np.float32)


def reported(
    network: ArithmeticNetwork, scene: np.ndarray, sizes: WindowSizes
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
