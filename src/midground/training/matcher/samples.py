"""Pairs of shared-modality images whose transform is known.

An image is warped before it is mapped, as it will be in use. The other order is quicker, and wrong for most mappers:
channels that hold the gradients of one orientation change places when the image turns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64

from midground.core.image import Image
from midground.evaluation.warps import draw_warp
from midground.matching.roma_shared import standardised
from midground.modality.base import MODALITIES, Mapper, Modality
from midground.registration.pair import warp_image
from midground.training.matcher.config import MatcherTrainConfig
from midground.training.sampling import Sample, SampleStream

_ELSEWHERE = 1_000_003
"""Samples that are so far apart show different places, but for rare chance."""
_MAX_CUT = 0.25
"""Largest distance of a line beyond which data are missing from the middle, as a share of the side."""


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
        rng = np.random.default_rng([self._config.seed, 6, number])
        is_related = rng.random() >= self._config.unrelated_share
        roles = self.roles(number)
        pair = self._stream.sample(number)
        moving = _image(pair, roles[0])
        fixed = _image(pair if is_related else self._stream.sample(number + _ELSEWHERE), roles[1])
        moving_from_fixed = draw_warp(self._config.warp, number, moving.hw)
        moving = warp_image(moving, moving_from_fixed, moving.hw)
        moving, fixed = self._masked(moving, fixed, rng)
        moving, fixed = self._mapper.map(moving, roles[0]), self._mapper.map(fixed, roles[1])
        return MatcherSample(
            standardised(moving),
            standardised(fixed),
            moving.valid[None].astype(np.float32),
            # No place of the moving image is seen in one that shows another place.
            fixed.valid[None].astype(np.float32) * is_related,
            moving_from_fixed.inverse().matrix,
        )

    def _masked(self, moving: Image, fixed: Image, rng: np.random.Generator) -> tuple[Image, Image]:
        """Take data away beyond a line, from one image or from both at the same place."""
        if rng.random() >= self._config.masked_share:
            return moving, fixed
        which = rng.integers(3)
        angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(-_MAX_CUT, _MAX_CUT)
        height, width = moving.hw
        y, x = np.mgrid[:height, :width]
        kept = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5) < distance
        return (_cut(moving, kept) if which != 0 else moving), (_cut(fixed, kept) if which != 1 else fixed)

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


def _image(pair: Sample, modality: Modality) -> Image:
    valid = pair.valid[0] > 0
    channels = pair.sar if modality == "sar" else pair.optical
    return Image(np.where(valid, channels, np.float32(0)), valid)


def _cut(image: Image, kept: Bool[np.ndarray, "h w"]) -> Image:
    valid = image.valid & kept
    return Image(np.where(valid, image.channels, np.float32(0)), valid)
