"""DeDoDe key points and descriptors, matched by a dual softmax: kornia's networks.

The weights are files that the user provides, or downloads where ``allow_download`` is set. torch and kornia come with
the extra ``matchers``.

Source:
    DeDoDe (Edstedt et al. 2024); paper, sections 3.4 and 4.6.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import DependencyError, ModelError
from midground.matching.channels import match_by_channel
from midground.matching.configs import DeDoDeConfig
from midground.matching.correlation import quadratic_tops
from midground.matching.dense import pixel_centres
from midground.matching.descriptors import dual_softmax
from midground.matching.ground import filled_rgb, is_flat
from midground.matching.heat import heat_peaks

try:
    import torch
    from kornia.feature import DeDoDe
    from kornia.feature.dedode.dedode import urls
    from kornia.feature.dedode.utils import sample_keypoints

    from midground.matching.torch_models import building, downloading, fetch_weights, read_weights
except ImportError as error:
    raise DependencyError("The matcher 'dedode'", extra="matchers") from error

_MULTIPLE_PX = 14
_MIN_PX = 28
_DESCRIPTOR_LENGTH = 256
_N_COLOURS = 3


class DeDoDeMatcher:
    """Matches DeDoDe descriptors by a dual softmax, three channels at a time, on the CPU.

    The networks take photographs: three channels are their red, green and blue, and a single one is all of them. Where
    kornia takes the hottest pixels, several of one peak, this takes one key point of each peak, refined to a fraction
    of a pixel: whole pixels would bias a shift by half a pixel.

    Args:
        config: How many key points, and how sure a match must be.
        network: kornia's DeDoDe, with detector and descriptor.
    """

    def __init__(self, config: DeDoDeConfig, network: Any) -> None:
        self._config = config
        self._network = network

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is the product of the two softmaxes."""
        return match_by_channel(moving, fixed, self._match_one, n_together=_N_COLOURS)

    def _match_one(self, moving: Image, fixed: Image) -> Correspondences:
        (moving_xy, moving_descriptors), (fixed_xy, fixed_descriptors) = map(self._describe, (moving, fixed))
        pairs = dual_softmax(
            moving_descriptors,
            fixed_descriptors,
            inverse_temperature=self._config.inverse_temperature,
            min_confidence=self._config.min_confidence,
        )
        return Correspondences(moving_xy[pairs.moving_index], fixed_xy[pairs.fixed_index], pairs.confidence)

    def _describe(self, image: Image) -> tuple[Float64[np.ndarray, "n 2"], Float32[np.ndarray, "n d"]]:
        """Positions and unit descriptors of the best key points on valid ground, best first."""
        nothing = np.zeros((0, 2)), np.zeros((0, _DESCRIPTOR_LENGTH), np.float32)
        if is_flat(image):
            return nothing
        height, width = image.hw
        colours = torch.from_numpy(_padded(filled_rgb(image)))[None]
        with torch.inference_mode():
            logits = self._network.detector(self._network.normalizer(colours))[0, 0, :height, :width]
            heat = torch.softmax(logits.flatten(), 0).reshape(height, width)
            pixels_xy = best_peaks(heat.numpy(), image.valid, max_keypoints=self._config.max_keypoints)
            if len(pixels_xy) == 0:
                return nothing
            points_xy = _refined(logits.numpy(), pixels_xy)
            unit_xy = torch.from_numpy(unit_coordinates(points_xy, image.hw).astype(np.float32))[None]
            described = self._network.describe(colours, unit_xy, crop_h=height, crop_w=width)[0]
            descriptors = torch.nn.functional.normalize(described, dim=1).numpy()
        return points_xy, descriptors


def best_peaks(
    heat: Float32[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"], *, max_keypoints: int
) -> Int64[np.ndarray, "n 2"]:
    """Peaks (x, y) of the heat on valid ground, best first: kornia's choice, which favours those with few around.

    Args:
        heat: The detector's probabilities, which add up to 1.
        valid: Pixels that hold data.
        max_keypoints: Most peaks.
    """
    columns, rows = heat_peaks(heat, valid).T
    alone = np.zeros_like(heat)
    alone[rows, columns] = heat[rows, columns]
    unit_xy, score = sample_keypoints(torch.from_numpy(alone)[None], num_samples=max_keypoints)
    chosen = unit_xy[0][score[0] > 0].numpy().astype(np.float64)
    return np.rint(pixel_centres(chosen, (heat.shape[0], heat.shape[1]))).astype(np.int64)


def _refined(logits: Float32[np.ndarray, "h w"], pixels_xy: Int64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
    """Tops of quadratics through the logits around their peaks, which no scale of the logits moves."""
    steps = np.arange(-1, 2)
    columns, rows = pixels_xy[:, 0, None, None] + steps, pixels_xy[:, 1, None, None] + steps[:, None]
    offset, _ = quadratic_tops(logits[rows, columns].astype(np.float64))
    return pixels_xy + np.clip(offset, -1, 1)


def unit_coordinates(points_xy: Float64[np.ndarray, "n 2"], hw: tuple[int, int]) -> Float64[np.ndarray, "n 2"]:
    """From pixel centres to coordinates that run from -1 to 1 between the outer edges of an image, as kornia's do.

    Args:
        points_xy: Points at pixel centres.
        hw: Height and width of the image.
    """
    return np.asarray((points_xy + 0.5) * 2 / np.array(hw[::-1]) - 1)


def _padded(colours: Float32[np.ndarray, "3 h w"]) -> Float32[np.ndarray, "3 r c"]:
    """Sides that the networks divide; nothing is resized, which would move pixel centres."""
    after = [max(side + -side % _MULTIPLE_PX, _MIN_PX) - side for side in colours.shape[1:]]
    return np.pad(colours, [(0, 0), *((0, extra) for extra in after)], mode="edge")


def build(config: DeDoDeConfig) -> DeDoDeMatcher:
    """Build the matcher ``dedode``.

    Raises:
        ModelError: Weights are missing, cannot be downloaded, or do not fit the network.
    """
    if config.descriptor.startswith("G") and not config.allow_download:
        raise ModelError(
            f"dedode: the descriptor '{config.descriptor}' needs the network DINOv2, which kornia downloads: set "
            "'allow_download' to true (--allow-download), or take the descriptor 'B-upright'."
        )
    detector_state = _state("detector", config.detector, config.detector_weights, config)
    descriptor_state = _state("descriptor", config.descriptor, config.descriptor_weights, config)
    with downloading("dedode"), building("dedode", f"DeDoDe with {config.detector} and {config.descriptor}"):
        network = DeDoDe(config.detector[:1], config.descriptor[:1])
        network.detector.load_state_dict(detector_state)
        network.descriptor.load_state_dict(descriptor_state)
    return DeDoDeMatcher(config, network.eval())


def _state(
    part: Literal["detector", "descriptor"], kind: str, path: Path | None, config: DeDoDeConfig
) -> dict[str, Any]:
    """Weights of one of the two networks."""
    if path is not None:
        return read_weights(path, "dedode")
    *_, published = urls[part][kind]
    if config.allow_download:
        return fetch_weights(published, "dedode")
    raise ModelError(
        f"dedode: there are no weights of the {part} '{kind}'; fetch {published} and give the file as the setting "
        f"'{part}_weights', or set 'allow_download' to true (--allow-download)."
    )
