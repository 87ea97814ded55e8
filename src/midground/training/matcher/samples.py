"""Pairs of shared-modality images whose transform is known.

An image is warped before it is mapped, as it will be in use. The other order is quicker, and wrong for most mappers:
channels that hold the gradients of one orientation change places when the image turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from midground.core.image import Image
from midground.evaluation.warps import draw_warp
from midground.matching.roma_shared import standardised
from midground.modality.base import MODALITIES, Mapper, Modality
from midground.registration.pair import warp_image
from midground.training.matcher.config import MatcherTrainConfig
from midground.training.sampling import SampleStream


@dataclass(frozen=True, slots=True)
class MatcherSample:
    """Two squares as the network takes them, and the truth."""

    moving: Float32[np.ndarray, "c s s"]
    fixed: Float32[np.ndarray, "c s s"]
    moving_valid: Float32[np.ndarray, "1 s s"]
    fixed_valid: Float32[np.ndarray, "1 s s"]
    fixed_from_moving: Float64[np.ndarray, "3 3"]


class MatcherSamples:
    """The endless sequence of training pairs; each is a function of the seed and its number.

    Args:
        stream: Pairs of SAR and optical images.
        mapper: Brings them into the shared modality.
        config: Pairing and warps.
    """

    def __init__(self, stream: SampleStream, mapper: Mapper, config: MatcherTrainConfig) -> None:
        self._stream, self._mapper, self._config = stream, mapper, config

    def sample(self, number: int) -> MatcherSample:
        """The pair with this number, from 0 on."""
        pair = self._stream.sample(number)
        valid = pair.valid[0] > 0
        images: dict[Modality, Image] = {
            "sar": Image(np.where(valid, pair.sar, np.float32(0)), valid),
            "optical": Image(np.where(valid, pair.optical, np.float32(0)), valid),
        }
        roles = self.roles(number)
        moving_from_fixed = draw_warp(self._config.warp, number, valid.shape)
        moving = self._mapper.map(warp_image(images[roles[0]], moving_from_fixed, valid.shape), roles[0])
        fixed = self._mapper.map(images[roles[1]], roles[1])
        return MatcherSample(
            standardised(moving),
            standardised(fixed),
            moving.valid[None].astype(np.float32),
            fixed.valid[None].astype(np.float32),
            moving_from_fixed.inverse().matrix,
        )

    def roles(self, number: int) -> tuple[Modality, Modality]:
        """What the moving and the fixed image show."""
        config = self._config
        rng = np.random.default_rng([config.seed, 5, number])
        one, other = (MODALITIES[index] for index in rng.permutation(len(MODALITIES)))
        if config.pairing in MODALITIES:
            return config.pairing, config.pairing
        progress = number / (config.curriculum_share * config.n_samples)
        if config.pairing == "curriculum" and rng.random() >= progress:
            return one, one
        return one, other
