"""RoMa (Edstedt et al. 2024), trained on photographs: the package ``romatch`` with weights that the user provides.

Source:
    Paper, section 4.3, which matches modality-shared images with it, also without training it on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float32

from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.configs import RomaConfig
from midground.matching.dense import DenseMatcher

try:
    import torch
    from loguru import logger
    from romatch import roma_outdoor
    from romatch.models.model_zoo import weight_urls
    from torch.nn import functional

    from midground.matching.torch_models import building, fetch_weights, read_weights
except ImportError as error:
    raise DependencyError("The matcher 'roma'", extra="roma") from error

WEIGHTS_URL: str = weight_urls["romatch"]["outdoor"]
BACKBONE_URL: str = weight_urls["dinov2"]

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colours of ImageNet, which both backbones were trained on."""


class RomaNetwork:
    """RoMa as a network of two pictures: resized to squares, matched coarsely, refined at a higher resolution."""

    def __init__(self, model: Any, config: RomaConfig) -> None:
        self._model, self._config = model, config

    def __call__(
        self, moving: Float32[np.ndarray, "3 h w"], fixed: Float32[np.ndarray, "3 k l"]
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
        """Match two pictures; see ``RgbNetwork``."""
        coarse, fine = (
            [as_square(picture, side_px).to(self._config.device) for picture in (moving, fixed)]
            for side_px in (self._config.coarse_px, self._config.upsample_px)
        )
        warp, certainty = self._model.match(*coarse, im_A_high_res=fine[0], im_B_high_res=fine[1])
        return warp.reshape(-1, 4).float().cpu().numpy(), certainty.flatten().float().cpu().numpy()


def as_square(picture: Float32[np.ndarray, "3 h w"], side_px: int) -> Any:
    """One picture as a batch (1, 3, side_px, side_px), in the range that the backbones know."""
    size = (side_px, side_px)
    resized = functional.interpolate(
        torch.from_numpy(picture)[None], size=size, mode="bicubic", align_corners=False, antialias=True
    )
    mean, deviation = (torch.tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (resized.clamp(0, 1) - mean) / deviation


def build(config: RomaConfig) -> DenseMatcher:
    """Build the matcher ``roma``.

    Raises:
        ConfigError: A GPU was asked for, and there is none.
        ModelError: The weights are missing or do not fit the network.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("roma: device is 'cuda', but torch finds no GPU; set it to 'cpu'.")
    return DenseMatcher(config, RomaNetwork(build_model(config, *_weights(config)), config))


def build_model(config: RomaConfig, weights: Mapping[str, Any], backbone_weights: Mapping[str, Any]) -> Any:
    """Build the model of the package with weights that were read.

    Raises:
        ModelError: They do not fit.
    """
    logger.disable("romatch")
    with building("roma", "RoMa with DINOv2 ViT-L/14"):
        return roma_outdoor(
            config.device,
            weights=weights,
            dinov2_weights=backbone_weights,
            coarse_res=config.coarse_px,
            upsample_res=config.upsample_px,
            use_custom_corr=False,
        )


def _weights(config: RomaConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    if config.weights is not None and config.backbone_weights is not None:
        return read_weights(config.weights, "roma"), read_weights(config.backbone_weights, "roma")
    if config.allow_download:
        return fetch_weights(WEIGHTS_URL, "roma"), fetch_weights(BACKBONE_URL, "roma")
    raise ModelError(
        f"roma: there are no weights; fetch {WEIGHTS_URL} and {BACKBONE_URL} and give the files as the settings "
        "'weights' and 'backbone_weights', or set 'allow_download' to true (--allow-download)."
    )
