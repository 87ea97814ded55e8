"""A dense matcher trained on images in the shared modality: compact RoMa on ONNX Runtime.

The network sees both whole images in squares of one size, and says for a grid of places in the moving image where they
lie in the fixed one, and how sure that is.

Source:
    Paper, sections 3.4 and 4.3; RoMa (Edstedt et al. 2024) in its compact form on XFeat (Potje et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from jaxtyping import Float32, Float64
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.processors import usable_cpus
from midground.errors import InputError, ModelError
from midground.matching.configs import RomaSharedConfig
from midground.matching.dense import draw_spread
from midground.matching.ground import on_valid_pixels, standardised
from midground.matching.roma_card import GRAPH_FILE, SHIPPED, RomaCard, load_matcher

_LOAD_ERRORS = (ort_errors.Fail, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf, ort_errors.NotImplemented)
_SILENT = 4

DenseNetwork = Callable[
    [Float32[np.ndarray, "1 c s s"], Float32[np.ndarray, "1 c s s"]],
    tuple[Float32[np.ndarray, "2 g g"], Float32[np.ndarray, "g g"]],
]
"""From squares (moving, fixed) to a grid over the moving one: place (x, y) in the fixed one, px, and certainty."""


class RomaSharedMatcher:
    """Matches by a dense network; larger images are reduced to its size, smaller ones are padded.

    Args:
        config: How matches are chosen.
        network: What finds them.
        n_channels: Channels that the network takes.
        side_px: Height and width that the network takes, px.
        model: Mapper whose images the network knows, for messages.
    """

    def __init__(
        self, config: RomaSharedConfig, network: DenseNetwork, *, n_channels: int, side_px: int, model: str
    ) -> None:
        self._config, self._network = config, network
        self._n_channels, self._side_px, self._model = n_channels, side_px, model

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two shared images; the score is the certainty.

        Raises:
            InputError: The images are not those of the mapper that the network was trained on.
        """
        for role, image in (("moving", moving), ("fixed", fixed)):
            if image.n_channels != self._n_channels:
                raise InputError(
                    f"The matcher 'roma-shared' takes the {self._n_channels} channels of the model '{self._model}', "
                    f"found {image.n_channels} in the {role} image: map both images with '{self._model}'."
                )
        factor = min(1.0, self._side_px / max(*moving.hw, *fixed.hw))
        squares = [Square.of(image, self._side_px, factor) for image in (moving, fixed)]
        if not all(square.channels.any() for square in squares):
            return Correspondences.empty()
        fixed_xy, certainty = self._network(squares[0].channels[None], squares[1].channels[None])
        side = certainty.shape[0]
        columns, rows = np.meshgrid(np.arange(side), np.arange(side))
        square_xy = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) * (self._side_px / side) - 0.5
        matches = Correspondences(
            squares[0].to_image(square_xy),
            squares[1].to_image(fixed_xy.reshape(2, -1).T.astype(np.float64)),
            certainty.ravel().astype(np.float64),
        )
        usable = (
            (matches.score >= self._config.min_certainty)
            & on_valid_pixels(matches.moving_xy, moving)
            & on_valid_pixels(matches.fixed_xy, fixed)
        )
        return draw_spread(matches.select(usable), moving.hw, self._config.max_matches, seed=self._config.seed)


@dataclass(frozen=True, slots=True)
class Square:
    """An image as the network takes it: in the upper left corner of a square, zero where there is no data."""

    channels: Float32[np.ndarray, "c s s"]
    scale_xy: Float64[np.ndarray, " 2"]
    """Pixels of the square for one pixel of the image."""

    @classmethod
    def of(cls, image: Image, side_px: int, factor: float = 1.0) -> Square:
        """Standardise an image, and reduce it by a factor so that it fits."""
        height, width = (max(1, round(length * factor)) for length in image.hw)
        square = np.zeros((image.n_channels, side_px, side_px), np.float32)
        for target, channel in zip(square, standardised(image), strict=True):
            target[:height, :width] = cv2.resize(channel, (width, height), interpolation=cv2.INTER_AREA)
        return cls(square, np.array([width, height]) / image.hw[::-1])

    def to_image(self, square_xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Places in the image of places in the square, px."""
        return (square_xy + 0.5) / self.scale_xy - 0.5


class _OnnxNetwork:
    """The exported graph; see ``DenseNetwork``."""

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session

    def __call__(self, moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fixed_xy, certainty = self._session.run(["fixed_xy", "certainty"], {"moving": moving, "fixed": fixed})
        return fixed_xy[0], certainty[0, 0]


def build(config: RomaSharedConfig) -> RomaSharedMatcher:
    """Build the matcher ``roma-shared``.

    Raises:
        ModelError: The weights are missing, were altered, or are not a matcher's.
    """
    card, graph = load_matcher(config.weights)
    return RomaSharedMatcher(
        config,
        _OnnxNetwork(_session(graph, card, (config.weights or SHIPPED) / GRAPH_FILE)),
        n_channels=card.n_channels,
        side_px=card.side_px,
        model=card.model,
    )


def _session(graph: bytes, card: RomaCard, where: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = usable_cpus()
    options.log_severity_level = _SILENT
    try:
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _LOAD_ERRORS as error:
        raise ModelError(f"{where}: ONNX Runtime cannot load the network ({error}).") from error
    wanted = [1, card.n_channels, card.side_px, card.side_px]
    inputs = {item.name: item.shape for item in session.get_inputs()}
    if inputs != {"moving": wanted, "fixed": wanted}:
        raise ModelError(f"{where}: the network takes {inputs}, but its card says that both images are {wanted}.")
    return session
