"""From what a dense network of photographs says to matches of two images; the networks here are written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import ConfigError, InputError
from midground.matching.configs import MatcherConfig, RomaConfig, Romav2Config
from midground.matching.dense import DenseMatcher, RgbNetwork, draw_spread, pixel_centres
from midground.matching.registry import MATCHERS

GRID = 40
Texture = Callable[..., np.ndarray]


def unit_grid() -> np.ndarray:
    """Centres of the cells of a grid between -1 and 1, row by row."""
    centres = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    x, y = np.meshgrid(centres, centres)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


class Network:
    """Says that everything lies shifted by so much, in units of half an image, and keeps what it was given."""

    def __init__(self, shift: tuple[float, float] = (0.0, 0.0), certainty: np.ndarray | None = None) -> None:
        self.shift = np.array(shift, np.float32)
        self.certainty = np.full(GRID**2, 0.9, np.float32) if certainty is None else certainty
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append((moving, fixed))
        return np.hstack([unit_grid(), unit_grid() + self.shift]), self.certainty


def matcher(network: RgbNetwork, **settings: float) -> DenseMatcher:
    return DenseMatcher(RomaConfig(**settings), network)


def image(hw: tuple[int, int], n_channels: int = 3, *, seed: int = 0) -> Image:
    return Image.from_array(np.random.default_rng(seed).random((n_channels, *hw), np.float32))


def test_edges_lie_half_a_pixel_outside_the_outer_centres() -> None:
    corners = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(pixel_centres(corners, (4, 10)), [[-0.5, -0.5], [9.5, 3.5], [4.5, 1.5]])
    # The centre of the first of ten cells is the centre of the first of ten pixels.
    np.testing.assert_allclose(pixel_centres(np.array([[-0.9, -0.75]]), (4, 10)), [[0.0, 0.0]], atol=1e-12)


def test_points_are_pixel_centres_of_each_image() -> None:
    found = matcher(Network((0.075, 0.0))).match(image((80, 160)), image((120, 40), seed=1))
    # Cells are 4 by 2 px in the moving image, 1 by 3 px in the fixed one; 0.075 is 1.5 px of 40.
    np.testing.assert_allclose(found.moving_xy[0], [1.5, 0.5], atol=1e-5)
    np.testing.assert_allclose(found.fixed_xy[0], [1.5, 1.0], atol=1e-5)
    np.testing.assert_allclose(found.fixed_xy[:, 0], (found.moving_xy[:, 0] - 1.5) / 4 + 1.5, atol=1e-4)
    # What would lie beyond the right edge is left out.
    assert len(found) == GRID * (GRID - 2)


def test_matches_lie_on_valid_pixels_of_both_images() -> None:
    left, top = np.zeros((120, 120), bool), np.zeros((120, 120), bool)
    left[:, :90], top[:60] = True, True
    moving = Image.from_array(image((120, 120)).channels, left)
    fixed = Image.from_array(image((120, 120)).channels, top)
    found = matcher(Network()).match(moving, fixed)
    assert len(found) == 30 * 20
    assert found.moving_xy[:, 0].max() == pytest.approx(88)
    assert found.fixed_xy[:, 1].max() == pytest.approx(58)


def test_the_edge_of_the_data_is_not_shown_to_the_network() -> None:
    left = np.zeros((40, 40), bool)
    left[:, :20] = True
    network = Network()
    moving = Image.from_array(0.5 + image((40, 40)).channels / 2, left)
    matcher(network).match(moving, moving)
    ((seen, _),) = network.seen
    np.testing.assert_array_equal(seen[:, :, :20], moving.channels[:, :, :20])
    np.testing.assert_array_equal(seen[:, :, 20:], np.repeat(moving.channels[:, :, 19:20], 20, axis=2))


@pytest.mark.parametrize(
    ("n_channels", "pictures"),
    [(1, [(0, 0, 0)]), (2, [(0, 1, 1)]), (3, [(0, 1, 2)]), (4, [(0, 1, 2), (3, 3, 3)]), (6, [(0, 1, 2), (3, 4, 5)])],
)
def test_channels_are_shown_three_at_a_time(n_channels: int, pictures: list[tuple[int, ...]]) -> None:
    network, moving, fixed = Network(), image((80, 80), n_channels), image((80, 80), n_channels, seed=1)
    found = matcher(network).match(moving, fixed)
    assert len(network.seen) == len(pictures)
    for (seen_moving, seen_fixed), members in zip(network.seen, pictures, strict=True):
        np.testing.assert_array_equal(seen_moving, moving.channels[list(members)])
        np.testing.assert_array_equal(seen_fixed, fixed.channels[list(members)])
    # Every picture says the same here, and what is found twice counts once.
    assert len(found) == GRID**2


def test_the_score_is_the_certainty_and_what_is_unsure_is_left_out() -> None:
    sure = np.linspace(0, 1, GRID**2, dtype=np.float32)
    found = matcher(Network(certainty=sure), min_certainty=0.75).match(image((64, 64)), image((64, 64)))
    np.testing.assert_array_equal(found.score, sure[sure >= 0.75])


def test_draws_are_repeatable_and_leave_the_global_generator_alone() -> None:
    moving, fixed = image((64, 64)), image((64, 64), seed=1)
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    first, second = (matcher(Network(), max_matches=100).match(moving, fixed) for _ in range(2))
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    other = matcher(Network(), max_matches=100, seed=1).match(moving, fixed)
    assert len(first) == len(other) == 100
    np.testing.assert_array_equal(first.moving_xy, second.moving_xy)
    assert not np.array_equal(first.moving_xy, other.moving_xy)


def test_draws_follow_the_score_and_spread_over_the_image() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(160.0), np.arange(80.0)))
    # One quarter is ten times as sure; in every block, every second row is hardly sure at all.
    score = np.where(x < 40, 1.0, 0.1) * np.where(y % 2 == 0, 1.0, 0.001)
    points_xy = np.stack([x, y], axis=1)
    drawn = draw_spread(Correspondences(points_xy, points_xy, score), (80, 160), 640, seed=0)
    assert len(np.unique(drawn.moving_xy, axis=0)) == 640
    per_block = np.histogram2d(*drawn.moving_xy.T, bins=(8, 4), range=[[0, 160], [0, 80]])[0]
    # Drawn by score alone, the surest blocks would hold 62, the others 6.
    assert per_block.min() >= 10
    assert per_block.max() <= 32
    assert np.mean(drawn.moving_xy[:, 1] % 2 == 0) > 0.98


def test_all_are_kept_if_there_are_no_more_than_wanted() -> None:
    points_xy = np.arange(20.0).reshape(10, 2)
    matches = Correspondences(points_xy, points_xy, np.linspace(0.1, 1, 10))
    np.testing.assert_array_equal(draw_spread(matches, (20, 20), 10, seed=0).moving_xy, points_xy)


def test_large_images_are_matched_whole_and_in_windows() -> None:
    network = Network()
    found = matcher(network, chunk_px=128).match(image((200, 300)), image((200, 300)))
    sizes = {moving.shape[1:] for moving, _ in network.seen}
    assert network.seen[0][0].shape == (3, 200, 300)
    assert len(network.seen) == 1 + 3 * 4
    assert all(max(size) <= 128 for size in sizes - {(200, 300)})
    assert len(found) == 4096
    # The second window in a row begins in the first, and the network takes the windows for the same ground.
    assert np.linalg.norm(found.moving_xy - found.fixed_xy, axis=1).max() < 1.01


def optical_flow(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A dense matcher that works: optical flow between the pictures, resized to squares of 256 px."""
    squares = [cv2.resize(picture[0], (256, 256), interpolation=cv2.INTER_AREA) * 255 for picture in (moving, fixed)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(
        *(np.rint(square).astype(np.uint8) for square in squares), None
    )
    centres = ((np.arange(256) + 0.5) / 128 - 1).astype(np.float32)
    here = np.stack(np.meshgrid(centres, centres), axis=-1)
    unit = np.concatenate([here, here + flow / 128], axis=-1).reshape(-1, 4)
    return unit, np.ones(len(unit), np.float32)


@pytest.mark.parametrize("shift_xy", [(8.0, 0.0), (8.5, -3.0), (-3.5, 8.5)], ids=str)
def test_shifts_by_whole_and_half_pixels_are_unbiased(texture: Texture, shift_xy: tuple[float, float]) -> None:
    moving, fixed = (Image.from_array(texture((256, 256), shift)) for shift in ((0.0, 0.0), shift_xy))
    found = matcher(optical_flow).match(moving, fixed)
    errors_px = found.fixed_xy - found.moving_xy - shift_xy
    assert np.mean(np.linalg.norm(errors_px, axis=1) < 1) > 0.8
    assert np.abs(np.median(errors_px, axis=0)).max() < 0.1


def test_windows_see_what_the_whole_image_does_not_show(texture: Texture) -> None:
    shift_xy = (25.5, -14.25)
    moving, fixed = (Image.from_array(texture((600, 720), shift)) for shift in ((0.0, 0.0), shift_xy))
    errors_px = {}
    for chunk_px in (None, 256):
        found = DenseMatcher(RomaConfig(chunk_px=chunk_px), optical_flow).match(moving, fixed)
        errors_px[chunk_px] = found.fixed_xy - found.moving_xy - shift_xy
        assert np.abs(np.median(errors_px[chunk_px], axis=0)).max() < 0.1
    whole, windows = (np.median(np.linalg.norm(errors, axis=1)) for errors in errors_px.values())
    assert windows < 0.6 * whole


def test_nothing_to_match_is_no_error_and_never_shown_to_the_network() -> None:
    whole, flat = image((40, 40)), Image.from_array(np.full((3, 40, 40), 0.4, np.float32))
    nothing = Image.from_array(whole.channels, np.zeros((40, 40), bool))
    network = Network()
    for moving, fixed in ((whole, flat), (flat, whole), (nothing, whole), (whole, nothing)):
        assert len(matcher(network).match(moving, fixed)) == 0
    assert network.seen == []


def test_channels_must_agree() -> None:
    with pytest.raises(InputError, match="The moving image has 3 channels, the fixed one 9"):
        matcher(Network()).match(image((20, 20), 3), image((20, 20), 9))


@pytest.mark.parametrize("name", ["roma", "romav2"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_matches": 0}, "max_matches must be 1 or more, found 0"),
        ({"min_certainty": 0.0}, "min_certainty must lie between 0 and 1"),
        ({"chunk_px": 127}, "chunk_px must be 128 or more, found 127"),
    ],
)
def test_settings_that_make_no_sense(name: str, settings: dict[str, float], message: str) -> None:
    config: type[MatcherConfig] = MATCHERS[name].config
    with pytest.raises(ConfigError, match=f"{name}: {message}"):
        config(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"coarse_px": 570}, "coarse_px must be a positive multiple of 56, found 570"),
        ({"coarse_px": 0}, "coarse_px must be a positive multiple of 56, found 0"),
        ({"upsample_px": 552}, "upsample_px must be a multiple of 8 and at least coarse_px, found 552"),
        ({"upsample_px": 866}, "upsample_px must be a multiple of 8 and at least coarse_px, found 866"),
        ({"weights": Path("a.pth")}, "weights and backbone_weights must be given together"),
        ({"backbone_weights": Path("a.pth")}, "weights and backbone_weights must be given together"),
    ],
)
def test_settings_of_roma_that_make_no_sense(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"roma: {message}"):
        RomaConfig(**settings)  # type: ignore[arg-type]


def test_whole_images_are_a_setting() -> None:
    assert RomaConfig(chunk_px=None).chunk_px is Romav2Config(chunk_px=None).chunk_px is None
