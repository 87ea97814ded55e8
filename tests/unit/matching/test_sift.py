import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import InputError
from midground.matching.configs import SiftConfig
from midground.matching.sift import build, to_uint8

GRID = [(x, y) for x in range(40, 360, 40) for y in range(40, 280, 40)]


def blobs(*, size_px: float, offset_xy: tuple[float, float] = (0.0, 0.0), hw=(320, 400)) -> np.ndarray:
    """Gaussian blobs, each beside a smaller one in another direction so that descriptors differ."""
    rows, columns = np.mgrid[: hw[0], : hw[1]].astype(np.float64)
    image = np.full(hw, 0.1)
    for index, (x, y) in enumerate(GRID):
        centre = np.array([x, y]) + offset_xy
        image += (0.4 + 0.007 * index) * _bump(rows, columns, centre, size_px)
        angle = 2.4 * index
        beside = centre + (10 + 4 * size_px) * np.array([np.cos(angle), np.sin(angle)]) * 0.7
        image += 0.25 * _bump(rows, columns, beside, 1.5)
    return image.astype(np.float32)


def _bump(rows, columns, centre_xy, size_px) -> np.ndarray:
    return np.exp(-((columns - centre_xy[0]) ** 2 + (rows - centre_xy[1]) ** 2) / (2 * size_px**2))


def texture(hw=(160, 200), *, seed: int = 0) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).normal(size=hw).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return 0.5 + 0.15 * smooth / smooth.std()


@pytest.mark.parametrize("size_px", [1.6, 2.5, 4.0])
@pytest.mark.parametrize("offset_xy", [(0.0, 0.0), (0.5, 0.25), (-0.3, 0.4)], ids=str)
def test_key_points_lie_where_the_blobs_are(size_px, offset_xy):
    """OpenCV's default puts every point 0.25 px too far right and down; no shift between two images shows that."""
    image = Image.from_array(blobs(size_px=size_px, offset_xy=offset_xy))

    points_xy = build(SiftConfig(ratio=1.0)).match(image, image).moving_xy

    centres_xy = np.array(GRID) + offset_xy
    errors = points_xy[:, None] - centres_xy
    nearest = np.linalg.norm(errors, axis=2).argmin(axis=1)
    errors = errors[np.arange(len(errors)), nearest]
    on_blob = errors[np.linalg.norm(errors, axis=1) < 1]
    assert len(on_blob) >= len(GRID) // 2
    assert np.abs(np.median(on_blob, axis=0)).max() < 0.05


def test_an_image_matches_itself_with_certainty():
    image = Image.from_array(texture())

    matches = build(SiftConfig()).match(image, image)

    assert len(matches) > 100
    np.testing.assert_array_equal(matches.moving_xy, matches.fixed_xy)
    np.testing.assert_array_equal(matches.score, 1)


def test_a_quarter_turn_is_found():
    turned = np.ascontiguousarray(np.rot90(texture()))
    moving, fixed = Image.from_array(texture()), Image.from_array(turned)

    matches = build(SiftConfig()).match(moving, fixed)

    expected_xy = np.stack([matches.moving_xy[:, 1], 199 - matches.moving_xy[:, 0]], axis=-1)
    assert len(matches) > 100
    assert np.median(np.linalg.norm(matches.fixed_xy - expected_xy, axis=1)) < 0.1


def test_no_more_key_points_than_asked_for_strongest_first():
    image = Image.from_array(texture())
    few = build(SiftConfig(max_keypoints=30, ratio=1.0)).match(image, image)
    many = build(SiftConfig(ratio=1.0)).match(image, image)

    assert 0 < len(few) <= 30 < len(many)
    assert {tuple(point) for point in few.moving_xy} <= {tuple(point) for point in many.moving_xy}


def test_no_two_matches_join_the_same_two_points():
    image = Image.from_array(np.stack([texture(), texture()]))

    matches = build(SiftConfig()).match(image, image)

    points = np.hstack([matches.moving_xy, matches.fixed_xy])
    assert len(np.unique(points, axis=0)) == len(points)


def test_channels_together_tell_what_each_alone_does_not():
    """Every channel is half noise, another one in each image."""
    noise = np.stack([texture(seed=seed) for seed in range(8)])
    moving, fixed = (
        Image.from_array((np.stack([texture(seed=10 + index) for index in range(4)]) + noise[own]) / 2)
        for own in (slice(0, 4), slice(4, 8))
    )

    def n_right(channels: slice) -> int:
        matches = build(SiftConfig(ratio=0.95)).match(
            *(Image.from_array(i.channels[channels]) for i in (moving, fixed))
        )
        return int((np.linalg.norm(matches.moving_xy - matches.fixed_xy, axis=1) < 2).sum())

    assert n_right(slice(0, 4)) > 2 * sum(n_right(slice(index, index + 1)) for index in range(4))


def test_channels_share_the_key_points():
    image = Image.from_array(np.stack([texture(seed=0), texture(seed=1), texture(seed=2)]))

    assert 20 < len(build(SiftConfig(max_keypoints=30, ratio=1.0)).match(image, image)) <= 30


def test_channels_are_matched_with_their_own_kind():
    """The mean of these channels is constant, and each channel of one image resembles another of the other."""
    one, other = texture(seed=0), texture(seed=1)
    moving = Image.from_array(np.stack([one, other, 1 - (one + other) / 2, np.full_like(one, 0.5)]))
    crossed = Image.from_array(moving.channels[[3, 2, 1, 0]])

    assert len(build(SiftConfig()).match(moving, moving)) > 200
    assert len(build(SiftConfig()).match(moving, crossed)) < 20


def test_key_points_stay_clear_of_invalid_pixels():
    valid = np.ones((160, 200), bool)
    valid[60:100, 80:120] = False
    image = Image.from_array(texture(), valid)

    points_xy = build(SiftConfig(ratio=1.0)).match(image, image).moving_xy

    inside = np.all((points_xy > [80 - 3, 60 - 3]) & (points_xy < [119 + 3, 99 + 3]), axis=1)
    assert len(points_xy) > 50
    assert not inside.any()


def test_a_higher_contrast_threshold_finds_fewer():
    image = Image.from_array(0.5 + 0.2 * (texture() - 0.5))

    low, high = (len(build(SiftConfig(contrast_threshold=threshold)).match(image, image)) for threshold in (0.005, 0.1))

    assert low > high


def test_values_are_clipped_and_rounded_once():
    values = np.array([-0.5, 0, 0.5 / 255 - 1e-4, 0.5 / 255 + 1e-4, 1, 1.7], np.float32)

    assert to_uint8(values).tolist() == [0, 0, 0, 1, 255, 255]


def test_different_numbers_of_channels_are_refused():
    with pytest.raises(InputError, match="channels"):
        build(SiftConfig()).match(Image.from_array(texture()), Image.from_array(np.stack([texture()] * 2)))
