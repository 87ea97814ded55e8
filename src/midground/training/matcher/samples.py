"""Pairs of shared-modality images whose transform is known.

An image is warped before it is mapped, as it will be in use. The other order is quicker, and wrong for most mappers:
channels that hold the gradients of one orientation change places when the image turns. What is shown are random squares
of both images that hold data everywhere: see ``evaluation.cuts``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.datasets.base import PixelWindow
from midground.evaluation.cuts import cut_out, random_square
from midground.evaluation.warps import draw_warp
from midground.matching.roma_shared import Square
from midground.modality.base import MODALITIES, Mapper, Modality
from midground.registration.pair import warp_image
from midground.training.matcher.config import MatcherTrainConfig
from midground.training.sampling import Sample, SampleStream

_ELSEWHERE = 1_000_003
"""Samples that are so far apart show different places, but for rare chance."""
_MAX_CUT = 0.25
"""Largest distance of a line beyond which data are missing from the middle, as a share of the side."""
_SMALL, _LARGE = (0.5, 1.0), (0.75, 1.0)
"""Sides of the squares cut out of the warped image and of the other one, as shares of the network's side."""
_INSIDE = 0.15
"""Least distance of the middle of the former from the border of the latter, as a share of its side."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An image as a network takes it."""

    channels: Float32[np.ndarray, "c s s"]
    valid: Float32[np.ndarray, "1 s s"]
    """1 where the image holds data, else 0; between pixels that do and do not, less than 1."""
    square_from_image: Transform


View = Callable[[Image, int], Shown]
"""Shows an image in a square of a side, px."""


def padded(image: Image, side_px: int) -> Shown:
    """An image that fits as the matcher ``roma-shared`` shows it: standardised, beside zeros."""
    valid = image.crop_padded(0, 0, side_px, side_px).valid
    return Shown(Square.of(image, side_px).channels, valid[None].astype(np.float32), Transform.identity())


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
        view: How the network takes a mapped image.
    """

    def __init__(self, stream: SampleStream, mapper: Mapper, config: MatcherTrainConfig, view: View = padded) -> None:
        self._stream, self._mapper, self._config, self._view = stream, mapper, config, view

    def sample(self, number: int) -> MatcherSample:
        """The pair with this number, from 0 on."""
        config = self._config
        rng = np.random.default_rng([config.seed, 6, number])
        is_related = rng.random() >= config.unrelated_share
        pair = self._stream.sample(number)
        other_pair = pair if is_related else self._stream.sample(number + _ELSEWHERE)
        # Which of (moving, fixed) is warped; then which stays.
        order = (0, 1) if rng.random() < 0.5 else (1, 0)
        roles = self.roles(number)
        one, other = _image(pair, roles[order[0]]), _image(other_pair, roles[order[1]])
        warp = draw_warp(config.warp, number, other.hw)
        one, other, still_from_warped = _random_squares(one, other, warp, config.side_px, rng)
        images = self._masked(one, other, rng)
        shown = [
            self._view(self._mapper.map(image, roles[role]), config.side_px)
            for image, role in zip(images, order, strict=True)
        ]
        moving, fixed = (shown[role] for role in order)
        truth = still_from_warped if order == (0, 1) else still_from_warped.inverse()
        truth = fixed.square_from_image @ truth @ moving.square_from_image.inverse()
        # No place of the moving image is seen in one that shows another place.
        return MatcherSample(moving.channels, fixed.channels, moving.valid, fixed.valid * is_related, truth.matrix)

    def _masked(self, one: Image, other: Image, rng: np.random.Generator) -> tuple[Image, Image]:
        """Take data away beyond a line, from one image or from both at the same place."""
        if rng.random() >= self._config.masked_share:
            return one, other
        which = rng.integers(3)
        line = rng.uniform(0, 2 * np.pi), rng.uniform(-_MAX_CUT, _MAX_CUT)
        return (_cut(one, *line) if which != 0 else one), (_cut(other, *line) if which != 1 else other)

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


def _random_squares(
    one: Image, other: Image, warp: Transform, side_px: int, rng: np.random.Generator
) -> tuple[Image, Image, Transform]:
    """A random square of one image under a warp, one of the other image around it, and the truth, other from one."""
    one = warp_image(one, warp, other.hw)
    small = random_square(one.valid, _sides(_SMALL, side_px), rng)
    middle_xy = np.array([small.left + small.width // 2, small.top + small.height // 2], np.float64)
    large = _around(warp.inverse()(middle_xy), _sides(_LARGE, side_px), other.hw, rng)
    return cut_out(one, other, (small, large), warp.inverse())


def _sides(shares: tuple[float, float], side_px: int) -> tuple[int, int]:
    return int(shares[0] * side_px), int(shares[1] * side_px)


def _around(
    place_xy: Float64[np.ndarray, " 2"], sides_px: tuple[int, int], hw: tuple[int, int], rng: np.random.Generator
) -> PixelWindow:
    """A random square of an image that holds a place, as far as the image reaches."""
    side = int(rng.integers(sides_px[0], sides_px[1] + 1))
    height, width = min(side, hw[0]), min(side, hw[1])
    left, top = (
        int(np.clip(place - rng.uniform(_INSIDE, 1 - _INSIDE) * length, 0, limit - length))
        for place, length, limit in zip(place_xy, (width, height), hw[::-1], strict=True)
    )
    return PixelWindow(top, left, height, width)


def _cut(image: Image, angle: float, distance: float) -> Image:
    height, width = image.hw
    y, x = np.mgrid[:height, :width]
    kept = np.cos(angle) * (x / width - 0.5) + np.sin(angle) * (y / height - 0.5) < distance
    valid = image.valid & kept
    return Image(np.where(valid, image.channels, np.float32(0)), valid)
