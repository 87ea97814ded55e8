from functools import lru_cache

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, InputError
from midground.matching.configs import Rift2Config
from midground.matching.phase_congruency import phase_congruency
from midground.matching.rift2 import Rift2Matcher, build

ANGLES_DEG = range(15, 181, 15)


@pytest.fixture(scope="module")
def matcher() -> Rift2Matcher:
    return build(Rift2Config(max_keypoints=1500))


@lru_cache
def scene(size_px: int = 320) -> np.ndarray:
    from midground.simulate import SceneConfig, render_pair

    optical = render_pair(SceneConfig(seed=3, size_px=size_px)).optical.channels[1]
    return ((optical - optical.min()) / np.ptp(optical)).astype(np.float32)


def turned(pixels: np.ndarray, angle_deg: float) -> tuple[Image, np.ndarray]:
    """An image turned about its middle, and the matrix that takes its pixels there."""
    height, width = pixels.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1)
    valid = cv2.warpAffine(np.ones_like(pixels), matrix, (width, height)) > 0.99
    return Image(cv2.warpAffine(pixels, matrix, (width, height))[None] * valid, valid), matrix


def share_right(matcher: Rift2Matcher, pixels: np.ndarray, angle_deg: float) -> float:
    """Share of matches within 3 px of a known rotation."""
    image, matrix = turned(pixels, angle_deg)
    matches = matcher.match(Image.from_array(pixels), image)
    assert len(matches) > 200
    apart = matches.moving_xy @ matrix[:, :2].T + matrix[:, 2] - matches.fixed_xy
    return float((np.linalg.norm(apart, axis=1) < 3).mean())


@pytest.mark.parametrize("angle_deg", ANGLES_DEG)
def test_turned_images_match(matcher: Rift2Matcher, angle_deg: float) -> None:
    assert share_right(matcher, scene(), angle_deg) > 0.8


@pytest.mark.parametrize("angle_deg", ANGLES_DEG)
def test_turned_real_images_match(matcher: Rift2Matcher, shared_data, angle_deg: float) -> None:
    path = sorted((shared_data / "data" / "ombria" / "test" / "optical").iterdir())[0]
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    assert share_right(matcher, image, angle_deg) > 0.8


def test_inverted_contrast_still_matches(matcher: Rift2Matcher) -> None:
    pixels = scene()
    matches = matcher.match(Image.from_array(pixels), Image.from_array(1 - 0.3 * pixels))
    apart = np.linalg.norm(matches.moving_xy - matches.fixed_xy, axis=1)
    assert (apart < 1).mean() > 0.9


def test_key_points_near_the_border_are_kept(matcher: Rift2Matcher) -> None:
    height, width = scene().shape
    points_xy = matcher.describe(Image.from_array(scene())).xy
    to_border = np.minimum(points_xy, [width - 1, height - 1] - points_xy).min(axis=1)
    assert (to_border < 24).mean() > 0.1


def test_blank_images_give_nothing(matcher: Rift2Matcher) -> None:
    blank = Image.from_array(np.full((128, 128), 0.4, np.float32))
    assert len(matcher.match(blank, blank)) == 0


def test_channels_have_to_agree(matcher: Rift2Matcher) -> None:
    one, two = (Image.from_array(np.zeros((n, 64, 64), np.float32)) for n in (1, 2))
    with pytest.raises(InputError, match="1 channels, the fixed one 2"):
        matcher.match(one, two)


def test_a_step_is_a_feature_where_it_is_whatever_its_height() -> None:
    steps = np.zeros((1, 96, 128), np.float32)
    steps[0, :, 40:] = 1
    steps[0, :, 80:] = 1.1
    found = phase_congruency(steps, np.ones((96, 128), bool))
    row = found.moment[48]
    high, low = (int(row[column - 8 : column + 8].argmax()) + column - 8 for column in (40, 80))
    assert (high, low) in {(39, 79), (40, 80), (39, 80), (40, 79)}
    assert row[low] > 0.3 * row[high]
    # The wave vector of a vertical step lies along x: the first orientation.
    assert found.amplitude[:, 48, 40].argmax() == 0


def test_the_index_map_knows_directions_between_the_filters() -> None:
    rows, columns = np.mgrid[:128, :128]
    for angle_deg, index in ((0, 0), (30, 1), (90, 3)):
        angle = np.deg2rad(angle_deg)
        wave = np.cos((np.cos(angle) * columns + np.sin(angle) * rows) / 1.5)
        found = phase_congruency(wave[None].astype(np.float32), np.ones((128, 128), bool))
        assert found.amplitude[:, 64, 64].argmax() == index


@pytest.mark.parametrize("contrast", [1, -1, 0.1])
def test_an_edge_has_the_direction_across_it_whichever_side_is_bright(contrast: float) -> None:
    rows, columns = np.mgrid[:128, :128]
    for angle_deg in (10, 45, 80, 120, 170):
        angle = np.deg2rad(angle_deg)
        across_px = np.cos(angle) * (columns - 64) + np.sin(angle) * (rows - 64)
        edge = (contrast * np.tanh(across_px)).astype(np.float32)
        found = phase_congruency(edge[None], np.ones((128, 128), bool))
        assert np.rad2deg(found.direction[64, 64]) == pytest.approx(angle_deg, abs=3)
        assert 0.4 < found.congruency[64, 64] <= 1
        assert found.congruency[64, 64] > 2 * found.congruency[np.abs(across_px) > 16].max()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_keypoints": 0}, "max_keypoints must be 1 or more, found 0"),
        ({"n_scales": 1}, "n_scales must lie between 2 and 8, found 1"),
        ({"n_orientations": 2}, "n_orientations must lie between 3 and 12, found 2"),
        ({"patch_px": 8}, "patch_px must be 24 or more, found 8"),
        ({"fast_threshold": 0}, "fast_threshold must lie between 1 and 254, found 0"),
        ({"ratio": 1.5}, "ratio must lie between 0 and 1, found 1.5"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Rift2Config(**settings)
