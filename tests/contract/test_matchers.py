"""What every matcher in the table promises, whatever its method."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import DependencyError
from midground.matching.base import Matcher
from midground.matching.configs import MatcherConfig, TemplateConfig
from midground.matching.registry import MATCHERS, build_matcher
from midground.modality.base import Mapper
from midground.modality.mappers import build_mapper

NEED_WEIGHTS = ("roma", "romav2")
"""Matchers that are built from the user's own weights only."""
MODELS = {"roma-shared": "structure"}
"""Mappers whose images a matcher wants; the others take any image."""

UNTRAINED = {"dedode": "untrained_dedode"}
"""Matchers whose weights are not shipped: the fixture whose settings name random weights of the real networks."""

MAX_BIAS_PX = {"roma-shared": 0.7}
"""Bias that is allowed where it is not a tenth of a pixel. The finest cells of the network are 2 px wide, and the mean
over steps leans to the middle one; tests/integration/test_real_data.py holds it to less on real pairs."""

CONFIGS: dict[str, MatcherConfig] = {"template": TemplateConfig(search_px=16)}
"""Settings that differ from the defaults: the template matcher has to be told how far to search."""

SHIFTS = [(8.0, 0.0), (0.0, 8.0), (8.0, -5.0), (8.5, -3.0), (-3.0, 8.5), (8.5, 3.5), (-8.5, 5.25)]


@dataclass
class Mapped:
    """A matcher behind the mapper that it was trained on."""

    matcher: Matcher
    mapper: Mapper
    max_bias_px: float

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        return self.matcher.match(self.mapper.map(moving, "optical"), self.mapper.map(fixed, "optical"))


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=[pytest.mark.extras] * bool(spec.extra)) for name, spec in MATCHERS.items()],
)
def matcher(request: pytest.FixtureRequest) -> Matcher:
    if request.param in NEED_WEIGHTS:
        pytest.skip(f"no weights of {request.param} are shipped")
    fixture = UNTRAINED.get(request.param)
    config = request.getfixturevalue(fixture) if fixture else CONFIGS.get(request.param, request.param)
    try:
        matcher = build_matcher(config)
    except DependencyError as error:
        pytest.skip(str(error))
    if request.param not in MODELS:
        return matcher
    return Mapped(matcher, build_mapper(MODELS[request.param]), MAX_BIAS_PX[request.param])


@lru_cache
def texture(hw: tuple[int, int], shift_xy: tuple[float, float] = (0.0, 0.0), *, seed: int = 0) -> np.ndarray:
    """Waves and blobs of many sizes, evaluated where the pixels lie: a shift involves no interpolation."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    x, y = columns - shift_xy[0], rows - shift_xy[1]
    values = np.zeros(hw)
    for frequency in rng.uniform(0.02, 0.3, 50):
        angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
        wave = np.cos(2 * np.pi * frequency * (np.cos(angle) * x + np.sin(angle) * y) + phase)
        values += wave / np.hypot(1, frequency / 0.05)
    for _ in range(150):
        centre_x, centre_y = rng.uniform(-20, hw[1] + 20), rng.uniform(-20, hw[0] + 20)
        size, height = rng.uniform(1.2, 5), rng.uniform(-6, 6)
        values += height * np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * size**2))
    pixels = np.clip(0.5 + 0.04 * values, 0, 1).astype(np.float32)
    pixels.flags.writeable = False
    return pixels


def image(hw: tuple[int, int], shift_xy: tuple[float, float] = (0.0, 0.0), *, n_channels: int = 1) -> Image:
    return Image.from_array(np.stack([texture(hw, shift_xy, seed=channel) for channel in range(n_channels)]))


def masked(whole: Image, valid: np.ndarray) -> Image:
    return Image.from_array(whole.channels, valid)


def assert_sound(matches: Correspondences, moving: Image, fixed: Image) -> None:
    """Shapes, types, bounds, and every point on a valid pixel."""
    n = len(matches)
    for points_xy, image in ((matches.moving_xy, moving), (matches.fixed_xy, fixed)):
        assert points_xy.shape == (n, 2)
        assert points_xy.dtype == np.float64
        height, width = image.hw
        assert np.isfinite(points_xy).all()
        assert (points_xy >= 0).all()
        assert (points_xy <= [width - 1, height - 1]).all()
        columns, rows = np.rint(points_xy).astype(int).T
        assert image.valid[rows, columns].all()
    assert matches.score.shape == (n,)
    assert matches.score.dtype == np.float64
    assert (matches.score >= 0).all()
    assert (matches.score <= 1).all()


def errors_px(matches: Correspondences, shift_xy: tuple[float, float]) -> np.ndarray:
    return matches.fixed_xy - matches.moving_xy - shift_xy


def assert_unbiased(
    matcher: Matcher, matches: Correspondences, shift_xy: tuple[float, float], *, min_inliers: int
) -> None:
    """The median error of the matches within 2 px of the truth is below a tenth of a pixel in x and in y."""
    limit_px = matcher.max_bias_px if isinstance(matcher, Mapped) else 0.1
    errors = errors_px(matches, shift_xy)
    inliers = errors[np.linalg.norm(errors, axis=1) < 2]
    assert len(inliers) >= min_inliers
    assert np.abs(np.median(inliers, axis=0)).max() < limit_px


@pytest.mark.parametrize("shift_xy", SHIFTS, ids=str)
def test_bias_of_a_known_shift_is_below_a_tenth_of_a_pixel_along_each_axis(matcher, shift_xy):
    moving, fixed = image((256, 256)), image((256, 256), shift_xy)

    matches = matcher.match(moving, fixed)

    assert_unbiased(matcher, matches, shift_xy, min_inliers=max(10, len(matches) // 2))
    assert_sound(matches, moving, fixed)


@pytest.mark.parametrize("n_channels", [2, 3, 9])
def test_takes_any_number_of_channels(matcher, n_channels):
    moving, fixed = image((128, 160), n_channels=n_channels), image((128, 160), (4.0, -6.0), n_channels=n_channels)

    matches = matcher.match(moving, fixed)

    assert_unbiased(matcher, matches, (4.0, -6.0), min_inliers=4)
    assert_sound(matches, moving, fixed)


def test_same_input_gives_the_same_result(matcher):
    moving, fixed = image((160, 192)), image((160, 192), (8.5, -3.0))

    first, second = matcher.match(moving, fixed), matcher.match(moving, fixed)

    assert len(first) > 0
    np.testing.assert_array_equal(first.moving_xy, second.moving_xy)
    np.testing.assert_array_equal(first.fixed_xy, second.fixed_xy)
    np.testing.assert_array_equal(first.score, second.score)


def test_leaves_its_input_alone(matcher):
    moving, fixed = image((128, 128)), image((128, 128), (3.0, 1.0))
    before = moving.channels.copy(), fixed.channels.copy()

    matcher.match(moving, fixed)

    np.testing.assert_array_equal(moving.channels, before[0])
    np.testing.assert_array_equal(fixed.channels, before[1])


@pytest.mark.parametrize(
    ("moving_hw", "fixed_hw"),
    [((128, 256), (128, 256)), ((131, 257), (131, 257)), ((200, 151), (257, 301)), ((255, 301), (192, 200))],
    ids=str,
)
def test_takes_any_size_and_shape(matcher, moving_hw, fixed_hw):
    wide = image((320, 320))
    moving, fixed = (wide.crop(0, 0, *hw) for hw in (moving_hw, fixed_hw))

    matches = matcher.match(moving, fixed)

    assert_unbiased(matcher, matches, (0.0, 0.0), min_inliers=4)
    assert_sound(matches, moving, fixed)


@pytest.mark.parametrize("hw", [(1, 1), (3, 40), (16, 16), (17, 31)], ids=str)
def test_tiny_images_are_no_error(matcher, hw):
    moving, fixed = image(hw), image(hw, (1.0, 0.0))

    assert_sound(matcher.match(moving, fixed), moving, fixed)
    assert_sound(matcher.match(moving, image((96, 96))), moving, image((96, 96)))


@pytest.mark.parametrize("which", ["moving", "fixed", "both"])
def test_no_valid_pixel_gives_no_match(matcher, which):
    whole = image((128, 128))
    nothing = masked(whole, np.zeros((128, 128), bool))
    moving, fixed = (nothing if which in (role, "both") else whole for role in ("moving", "fixed"))

    assert len(matcher.match(moving, fixed)) == 0


@pytest.mark.parametrize("which", ["moving", "fixed", "both"])
@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
def test_a_constant_image_gives_no_match(matcher, which, value):
    whole, constant = image((128, 128)), Image.from_array(np.full((128, 128), value))
    moving, fixed = (constant if which in (role, "both") else whole for role in ("moving", "fixed"))

    assert len(matcher.match(moving, fixed)) == 0


@pytest.mark.parametrize("which", ["moving", "fixed", "both"])
@pytest.mark.parametrize("side", ["left", "bottom", "diagonal"])
def test_points_keep_to_the_valid_part(matcher, which, side):
    rows, columns = np.mgrid[:192, :224]
    valid = {"left": columns < 112, "bottom": rows >= 96, "diagonal": rows * 224 > columns * 192}[side]
    moving, fixed = image((192, 224)), image((192, 224), (4.0, -2.0))
    moving = masked(moving, valid) if which in ("moving", "both") else moving
    fixed = masked(fixed, valid) if which in ("fixed", "both") else fixed

    matches = matcher.match(moving, fixed)

    assert_unbiased(matcher, matches, (4.0, -2.0), min_inliers=4)
    assert_sound(matches, moving, fixed)


@pytest.mark.parametrize("which", ["moving", "fixed", "both"])
def test_no_point_lies_in_a_hole(matcher, which):
    rows, columns = np.mgrid[:192, :224]
    valid = (rows % 32 - 16) ** 2 + (columns % 32 - 16) ** 2 > 9**2
    moving, fixed = image((192, 224)), image((192, 224), (4.0, -2.0))
    moving = masked(moving, valid) if which in ("moving", "both") else moving
    fixed = masked(fixed, valid) if which in ("fixed", "both") else fixed

    assert_sound(matcher.match(moving, fixed), moving, fixed)


def test_the_edge_of_the_data_is_no_feature(matcher):
    """Different textures behind the same mask: its outline must not match itself.

    Without a mask 1 to 2 % of the matches of such pairs lie within 2 px of each other, by chance.
    """
    rows, columns = np.mgrid[:192, :192]
    valid = (rows - 96) ** 2 + (columns - 96) ** 2 > 60**2
    n_matches, n_unmoved = 0, 0
    for seed in (1, 3, 5):
        moving, fixed = (masked(Image.from_array(texture((192, 192), seed=seed + i)), valid) for i in (0, 1))
        matches = matcher.match(moving, fixed)
        n_matches += len(matches)
        n_unmoved += int((np.linalg.norm(errors_px(matches, (0.0, 0.0)), axis=1) < 2).sum())

    assert n_unmoved <= max(2, 0.05 * n_matches)
