"""RoMa in full, of the package ``romatch``: trained as the compact network is, and exported for the matcher ``roma``.

DINOv2 stays as it is: ``romatch`` keeps it out of what is trained and saved. Images are seen as the matcher shows them.

Source:
    Paper, sections 3.4 and 4.3; RoMa (Edstedt et al. 2024).
"""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from jaxtyping import Float, Float32

from midground.core.files import whole_folder
from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import ConfigError, DependencyError, ModelError
from midground.matching.configs import RomaConfig
from midground.matching.dense import DenseMatcher
from midground.matching.ground import filled_rgb
from midground.matching.roma import BACKBONE_URL, RomaNetwork, as_square, build_model
from midground.matching.roma_card import CARD_FILE
from midground.matching.torch_models import read_weights
from midground.training.checkpoint import find_checkpoint
from midground.training.matcher.config import FullConfig, MatcherTrainConfig
from midground.training.matcher.export import FULL_SCHEMA, MATCHER_FOLDER, load_weights
from midground.training.matcher.module import Architecture
from midground.training.matcher.network import Coarse, Matches
from midground.training.matcher.samples import MatcherSamples, Shown

try:
    import torch
    from romatch.models.matcher import RegressionMatcher
    from torch import Tensor, nn
except ImportError as error:
    raise DependencyError("Training RoMa", extra="roma") from error

WEIGHTS_FILE = "roma.pth"
_CARD_SCHEMA = "midground/roma/1"
_PREFIX = "model."
_SCALES = (16, 8, 4, 2, 1)
"""Names that romatch gives to what it refines, coarse to fine; the patches of 16 are 14 px wide."""
_ANCHORS = 64
"""Cells of the fixed image in a row, and rows, among which RoMa classifies."""
_NATIVE_PX = 560
"""Side to which romatch relates displacements, as its ``match`` does at any size."""
_VALIDATED_AT = 1.5
"""Side of the squares in which a validation refines matches, relative to the network's (romatch: 864 to 560 px)."""


class FullRoma(nn.Module):
    """RoMa as its training wants it.

    Args:
        model: The ``RegressionMatcher`` of romatch.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, moving: Float[Tensor, "n 3 s s"], fixed: Float[Tensor, "n 3 s s"]
    ) -> tuple[Coarse, list[Matches]]:
        """Match pictures as ``as_square`` gives them, in training mode.

        Returns:
            The coarse classification, and the matches from coarse to fine.
        """
        side_px = moving.shape[-1]
        # Half precision would round places; where it does no harm, romatch turns it on by itself.
        with torch.autocast(moving.device.type, enabled=False):
            found = self.model({"im_A": moving, "im_B": fixed}, scale_factor=side_px / _NATIVE_PX)
        matches = [_matches(found[scale], side_px) for scale in _SCALES]
        logits = found[_SCALES[0]]["gm_cls"].float().flatten(2)
        return Coarse(logits, matches[0].stride_px, side_px / _ANCHORS), matches


def _matches(found: dict[str, Tensor], side_px: int) -> Matches:
    """From places between -1 and 1, at the outer edges of the image, to pixels counted at their centres."""
    fixed_xy = (found["flow"].float() + 1) / 2 * side_px - 0.5
    return Matches(fixed_xy, found["certainty"].float(), side_px // fixed_xy.shape[-1])


def stretched(image: Image, side_px: int) -> Shown:
    """An image of up to three channels as the matcher ``roma`` shows it: as a picture that fills the square."""
    scale_x, scale_y = (side_px / length for length in image.hw[::-1])
    valid = cv2.resize(image.valid.astype(np.float32), (side_px, side_px), interpolation=cv2.INTER_LINEAR)
    square_from_image = Transform(
        np.array([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]], np.float64)
    )
    picture = filled_rgb(image) if image.valid.any() else np.zeros((3, *image.hw), np.float32)
    return Shown(as_square(picture, side_px)[0].numpy(), valid[None], square_from_image)


def full_roma(config: MatcherTrainConfig, network: FullConfig, n_channels: int, *, on_gpu: bool) -> Architecture:
    """RoMa from its weights to what training needs.

    Args:
        config: Settings of the run.
        network: Those of the network.
        n_channels: Channels that the mapper gives.
        on_gpu: Where it runs.

    Raises:
        ConfigError: RoMa cannot see the mapper's images, or cannot be trained in this precision.
        ModelError: Weights are missing or do not fit.
    """
    if n_channels > 3:
        raise ConfigError(
            f"The network roma sees three channels as red, green and blue, and '{config.model}' has {n_channels}: set "
            "model to a mapper of up to three, or network.name to compact."
        )
    precision, device = ("16-mixed", "GPU") if on_gpu else ("32-true", "processor")
    if config.precision != precision:
        # On a GPU, romatch computes in half precision whatever is asked for, which needs its gradients scaled.
        raise ConfigError(f"On a {device}, the network roma needs precision {precision}, found {config.precision}.")
    model, matcher_config = _model(config.side_px, network, on_gpu=on_gpu)
    match = RomaNetwork(model, matcher_config)

    def match_in_training(
        moving: Float32[np.ndarray, "3 h w"], fixed: Float32[np.ndarray, "3 k l"]
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
        try:
            return match(moving, fixed)
        finally:
            model.train()

    return Architecture(
        network=FullRoma(model).train(),
        rates=((model.decoder, 1.0), (model.encoder, network.encoder_rate)),
        matcher=DenseMatcher(matcher_config, match_in_training),
        export=_export,
        view=stretched,
    )


def _model(side_px: int, network: FullConfig, *, on_gpu: bool) -> tuple[Any, RomaConfig]:
    """The model of romatch, and the settings of the matcher that validates it."""
    if network.backbone_weights is None:
        raise ModelError(
            f"The network roma needs DINOv2 ViT-L/14: fetch {BACKBONE_URL} and give the file as "
            "network.backbone_weights."
        )
    config = RomaConfig(
        device="cuda" if on_gpu else "cpu", coarse_px=side_px, upsample_px=8 * round(_VALIDATED_AT * side_px / 8)
    )
    backbone_weights = read_weights(network.backbone_weights, "network.backbone_weights")
    if network.weights is not None:
        return build_model(config, read_weights(network.weights, "network.weights"), backbone_weights), config
    # romatch loads weights into whatever it builds, so what it loads them by does nothing here: the random ones stay.
    with mock.patch.object(RegressionMatcher, "load_state_dict"):
        return build_model(config, {}, backbone_weights), config


def _export(folder: Path, samples: MatcherSamples) -> None:
    """Write the weights of a run's best checkpoint as the matcher ``roma`` reads them, and a card."""
    del samples
    weights, facts = load_weights(find_checkpoint(folder), FULL_SCHEMA)
    with whole_folder(folder / MATCHER_FOLDER, replaces=True) as fresh:
        path = fresh / WEIGHTS_FILE
        torch.save({name.removeprefix(_PREFIX): value for name, value in weights.items()}, path)
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        card = {"schema": _CARD_SCHEMA, "sha256": sha256, "generator": f"midground {version('midground')}"} | {
            name: value for name, value in facts.items() if name not in ("schema", "card")
        }
        text = json.dumps(card | facts["card"], indent=2, ensure_ascii=False)
        (fresh / CARD_FILE).write_text(f"{text}\n", encoding="utf-8")
