"""From what the dense network says to matches of two images; the networks here are written down, not trained."""

from __future__ import annotations

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, InputError
from midground.matching.configs import RomaSharedConfig
from midground.matching.roma_card import SHIPPED, load_matcher
from midground.matching.roma_shared import DenseNetwork, RomaSharedMatcher, build

SIDE_PX, GRID = 128, 64


def centres_xy() -> np.ndarray:
    """Places of the grid: the first cell covers pixels 0 and 1, so that its centre lies at 0.5."""
    x, y = np.meshgrid(2 * np.arange(GRID) + 0.5, 2 * np.arange(GRID) + 0.5)
    return np.stack([x, y]).astype(np.float32)


def network(shift_xy: tuple[float, float] = (0.0, 0.0), certainty: np.ndarray | None = None) -> DenseNetwork:
    """Says that everything lies shifted by so many pixels of the square."""
    sure = np.full((GRID, GRID), 0.9, np.float32) if certainty is None else certainty

    def run(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert moving.shape == fixed.shape == (1, 2, SIDE_PX, SIDE_PX)
        return centres_xy() + np.array(shift_xy, np.float32)[:, None, None], sure

    return run


def matcher(dense: DenseNetwork, **settings: float) -> RomaSharedMatcher:
    return RomaSharedMatcher(RomaSharedConfig(**settings), dense, n_channels=2, side_px=SIDE_PX, model="mine")


def image(hw: tuple[int, int], *, seed: int = 0) -> Image:
    return Image.from_array(np.random.default_rng(seed).random((2, *hw), np.float32))


@pytest.mark.parametrize("hw", [(128, 128), (100, 90), (256, 256), (200, 151), (511, 300)], ids=str)
def test_a_network_that_moves_nothing_gives_equal_points(hw: tuple[int, int]) -> None:
    found = matcher(network()).match(image(hw), image(hw, seed=1))
    assert len(found) > 500
    np.testing.assert_allclose(found.moving_xy, found.fixed_xy, atol=1e-3)
    assert (found.moving_xy.max(axis=0) > 0.95 * np.array(hw[::-1])).all()


def test_points_are_pixel_centres_of_the_images_whatever_their_size() -> None:
    whole = matcher(network((8.5, -3.0))).match(image((128, 128)), image((128, 128)))
    np.testing.assert_allclose(whole.fixed_xy - whole.moving_xy, np.tile([8.5, -3.0], (len(whole), 1)), atol=1e-4)
    assert tuple(whole.moving_xy[np.lexsort(whole.moving_xy.T)[0]]) == (0.5, 4.5)
    # At half the size, a cell of the grid covers four pixels, and a shift counts twice.
    reduced = matcher(network((8.5, -3.0))).match(image((256, 256)), image((256, 256)))
    np.testing.assert_allclose(
        reduced.fixed_xy - reduced.moving_xy, np.tile([17.0, -6.0], (len(reduced), 1)), atol=1e-4
    )
    assert set(np.unique(reduced.moving_xy % 4)) == {1.5}


def test_both_images_are_reduced_alike() -> None:
    found = matcher(network()).match(image((256, 256)), image((128, 128)))
    np.testing.assert_allclose(found.moving_xy, found.fixed_xy, atol=1e-4)
    assert found.fixed_xy.max() < 128


def test_matches_lie_on_valid_pixels_of_both_images() -> None:
    moving, fixed = image((128, 128)), image((128, 128), seed=1)
    left, top = np.zeros((128, 128), bool), np.zeros((128, 128), bool)
    left[:, :70], top[:50] = True, True
    found = matcher(network((4.0, 0.0))).match(
        Image.from_array(moving.channels, left), Image.from_array(fixed.channels, top)
    )
    assert len(found) > 100
    assert found.moving_xy[:, 0].max() == 68.5
    assert found.fixed_xy[:, 1].max() == 48.5


def test_the_score_is_the_certainty_and_what_is_unsure_is_left_out() -> None:
    sure = np.linspace(0, 1, GRID * GRID, dtype=np.float32).reshape(GRID, GRID)
    found = matcher(network(certainty=sure), min_certainty=0.75, max_matches=5000).match(
        image((128, 128)), image((128, 128))
    )
    assert len(found) == (sure >= 0.75).sum()
    np.testing.assert_array_equal(found.score, sure[sure >= 0.75])


def test_draws_are_repeatable_and_spread_over_the_image() -> None:
    # Almost all certainty lies in the upper left quarter.
    sure = np.full((GRID, GRID), 0.3, np.float32)
    sure[:32, :32] = 1
    moving, fixed = image((128, 128)), image((128, 128))
    first, second = (matcher(network(certainty=sure), max_matches=320).match(moving, fixed) for _ in range(2))
    other = matcher(network(certainty=sure), max_matches=320, seed=1).match(moving, fixed)
    assert len(first) == 320
    np.testing.assert_array_equal(first.moving_xy, second.moving_xy)
    assert not np.array_equal(first.moving_xy, other.moving_xy)
    per_block = np.histogram2d(*first.moving_xy.T, bins=4, range=[[0, 128], [0, 128]])[0]
    assert per_block.min() >= 10
    # Drawn by certainty alone, each of the four surest would hold 50.
    assert per_block.max() <= 40


def test_nothing_to_match_is_no_error() -> None:
    whole, flat = image((128, 128)), Image.from_array(np.full((2, 128, 128), 0.4, np.float32))
    nothing = Image.from_array(whole.channels, np.zeros((128, 128), bool))
    for moving, fixed in ((whole, flat), (flat, whole), (nothing, whole), (whole, nothing)):
        assert len(matcher(network()).match(moving, fixed)) == 0


def test_images_of_another_mapper_are_refused() -> None:
    three = Image.from_array(np.zeros((3, 64, 64)))
    with pytest.raises(
        InputError,
        match=r"takes the 2 channels of the model 'mine', found 3 in the fixed image: map both images with 'mine'",
    ):
        matcher(network()).match(image((64, 64)), three)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_matches": 0}, "roma-shared: max_matches must be 1 or more, found 0"),
        ({"min_certainty": 0.0}, "roma-shared: min_certainty must lie between 0 and 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RomaSharedConfig(**settings)


def test_the_shipped_weights_are_those_that_their_card_names() -> None:
    card, _ = load_matcher(SHIPPED)
    assert (card.name, card.model, card.n_channels) == ("roma-shared", "structure", 9)
    assert "Copernicus Sentinel" in card.imagery_notice
    assert any("XFeat" in source for source in card.sources)
    assert isinstance(build(RomaSharedConfig()), RomaSharedMatcher)
