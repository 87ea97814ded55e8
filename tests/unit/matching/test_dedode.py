"""DeDoDe with random weights of its real networks; the trained ones are nowhere near the tests."""

import dataclasses
import socket
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.configs import DeDoDeConfig

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def dedode():
    """The module, where the extra is installed."""
    try:
        from midground.matching import dedode
    except DependencyError as error:
        pytest.skip(str(error))
    return dedode


@pytest.fixture(scope="module")
def matcher(dedode, untrained_dedode):
    return dedode.build(untrained_dedode)


def texture(hw=(96, 128), *, seed: int = 0, n_channels: int = 1) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).normal(size=(n_channels, *hw)).astype(np.float32)
    smooth = np.stack([cv2.GaussianBlur(channel, (0, 0), 2) for channel in noise])
    return 0.5 + 0.15 * smooth / smooth.std()


def blobs(centres_xy: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    """Dark ground with a bright spot at each place, evaluated where the pixels lie."""
    rows, columns = np.mgrid[: hw[0], : hw[1]]
    apart = (columns[..., None] - centres_xy[:, 0]) ** 2 + (rows[..., None] - centres_xy[:, 1]) ** 2
    return 0.1 + 0.8 * np.exp(-apart / (2 * 1.5**2)).sum(axis=-1)


def test_an_image_matches_itself(matcher):
    image = Image.from_array(texture())

    matches = matcher.match(image, image)

    assert len(matches) > 100
    np.testing.assert_array_equal(matches.moving_xy, matches.fixed_xy)


@pytest.mark.parametrize("shift_xy", [(8.0, 0.0), (0.0, 8.0)], ids=str)
def test_bright_spots_are_found_where_they_are_moved_to(matcher, shift_xy):
    centres_xy = np.random.default_rng(3).uniform(12, [116, 84], (40, 2))
    moving, fixed = (Image.from_array(blobs(centres_xy + shift, (112, 140))) for shift in ((0, 0), shift_xy))

    matches = matcher.match(moving, fixed)

    errors = matches.fixed_xy - matches.moving_xy - shift_xy
    inliers = errors[np.linalg.norm(errors, axis=1) < 2]
    assert len(inliers) > 50
    assert np.abs(np.median(inliers, axis=0)).max() < 0.01


def test_agrees_with_the_wrapper_of_kornia(dedode, matcher, monkeypatch):
    """Its points count pixels from the corner, and it describes them as this does."""
    import torch

    monkeypatch.setattr(dedode, "_refined", lambda logits, pixels_xy: pixels_xy.astype(np.float64))
    colours = texture((112, 140), n_channels=3)

    points_xy, descriptors = matcher._describe(Image.from_array(colours))
    expected_xy, _, expected = matcher._network(torch.from_numpy(colours.astype(np.float32))[None], n=112 * 140)

    row_of = {tuple(point): row for row, point in enumerate((expected_xy[0].numpy() - 0.5).round().astype(int))}
    rows = [row_of[tuple(point)] for point in points_xy.astype(int)]
    theirs = torch.nn.functional.normalize(expected[0][rows], dim=1).numpy()
    np.testing.assert_allclose(descriptors, theirs, atol=1e-4)


def test_kornias_coordinates_run_between_the_outer_edges(dedode):
    corners = np.array([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.0]])

    pixels_xy = np.array([[-0.5, -0.5], [39.5, 9.5], [19.5, 4.5]])
    np.testing.assert_allclose(dedode.unit_coordinates(pixels_xy, (10, 40)), corners)
    np.testing.assert_allclose(dedode.pixel_centres(corners, (10, 40)), pixels_xy)


def test_planted_peaks_are_found_strongest_first(dedode):
    heat = np.full((60, 90), 1e-6, np.float32)
    planted = [(70, 11), (15, 40), (40, 25)]
    for (x, y), value in zip(planted, (0.4, 0.3, 0.2), strict=True):
        heat[y, x] = value
    valid = np.ones((60, 90), bool)

    assert dedode.best_peaks(heat, valid, max_keypoints=3).tolist() == [list(point) for point in planted]
    valid[:, 65:] = False
    assert dedode.best_peaks(heat, valid, max_keypoints=2).tolist() == [list(point) for point in planted[1:]]


def test_peaks_are_refined_to_a_fraction_of_a_pixel_whatever_their_scale(dedode):
    rows, columns = np.mgrid[:20, :30].astype(np.float32)
    for scale in (1e-3, 10):
        logits = -scale * ((columns - 12.3) ** 2 + (rows - 7.4) ** 2)
        np.testing.assert_allclose(dedode._refined(logits, np.array([[12, 7]])), [[12.3, 7.4]], atol=1e-3)


def test_padding_moves_nothing(matcher):
    whole = Image.from_array(texture((112, 140)))

    matches = matcher.match(whole, whole.crop(0, 0, 101, 127))

    errors = matches.fixed_xy - matches.moving_xy
    inliers = errors[np.linalg.norm(errors, axis=1) < 2]
    assert len(inliers) > 100
    assert np.abs(np.median(inliers, axis=0)).max() < 0.01


def test_no_more_key_points_than_asked_for(dedode, untrained_dedode, matcher):
    few = dedode.DeDoDeMatcher(dataclasses.replace(untrained_dedode, max_keypoints=20), matcher._network)
    image = Image.from_array(texture())

    assert 0 < len(few.match(image, image)) <= 20


def test_without_permission_no_connection_is_opened(dedode, untrained_dedode, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    for part in ("detector", "descriptor"):
        with pytest.raises(
            ModelError, match=rf"there are no weights of the {part} '.*'; fetch .* '{part}_weights', or"
        ):
            dedode.build(dataclasses.replace(untrained_dedode, **{f"{part}_weights": None}))
    with pytest.raises(ModelError, match="'G-C4' needs the network DINOv2, which kornia downloads: set 'allow_downl"):
        dedode.build(dataclasses.replace(untrained_dedode, descriptor="G-C4"))


def test_with_permission_missing_weights_are_fetched_by_kornias_address(dedode, untrained_dedode, monkeypatch):
    fetched = []
    monkeypatch.setattr(dedode, "fetch_weights", lambda url, matcher: fetched.append((url, matcher)) or {"w": 1})
    config = dataclasses.replace(untrained_dedode, detector_weights=None, allow_download=True)

    with pytest.raises(ModelError, match="cannot be built from these files"):
        dedode.build(config)

    ((url, matcher),) = fetched
    assert matcher == "dedode"
    assert url.endswith("/v2/dedode_detector_L_v2.pth")


def test_weights_of_the_other_network_are_refused(dedode, untrained_dedode):
    with pytest.raises(ModelError, match="dedode: DeDoDe with L-C4-v2 and B-upright cannot be built from these files"):
        dedode.build(
            DeDoDeConfig(
                detector_weights=untrained_dedode.descriptor_weights,
                descriptor_weights=untrained_dedode.detector_weights,
            )
        )


def test_a_missing_file_is_named(dedode, untrained_dedode):
    with pytest.raises(ModelError, match=r"dedode: the weights 'absent\.pth' cannot be read"):
        dedode.build(
            DeDoDeConfig(detector_weights=Path("absent.pth"), descriptor_weights=untrained_dedode.descriptor_weights)
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_keypoints": 0}, "dedode: max_keypoints must be 1 or more, found 0"),
        ({"inverse_temperature": 0}, "dedode: inverse_temperature must be positive, found 0"),
        ({"min_confidence": -0.1}, r"dedode: min_confidence must lie between 0 and 1, found -0\.1"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        DeDoDeConfig(**settings)
