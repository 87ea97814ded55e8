"""Rotation, scale and shift between two whole images: by trying them all on reduced maps, and by dense matches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import RegistrationError
from midground.matching.base import Matcher
from midground.matching.correlation import ShiftCorrelation
from midground.matching.registry import build_matcher
from midground.modality.base import Mapper, Modality
from midground.registration.coarse import reduce
from midground.registration.config import SimilarityConfig
from midground.registration.estimate import estimate_transform
from midground.registration.pair import warp_image

_SIDE_PX = 256
"""Longest side of the images that are mapped; larger ones are reduced first."""
_POOL = 4
"""How many times maps are reduced for the first search: they blur far better than the images do."""
_FINE_POOL = 2
_ROTATION_STEP_DEG = 6.0
_SCALE_STEP = 1.1
_N_HALVINGS = 3
"""How often the steps are halved around the best hypothesis."""
_RIVAL_DEG = 15.0
"""Hypotheses turned by more than this are rivals of the best one, not its neighbours."""
_TINY = 1e-6
_MIN_OVERLAP = 0.2
"""Smallest common area at a shift, as a share of the smaller image."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One rotation and scale, with the shift that suits it best."""

    score: float
    """Correlation times the root of the common share: by chance, small overlaps correlate higher."""
    rotation_deg: float
    scale: float
    transform: Transform
    """Fixed from moving: a similarity."""


@dataclass(frozen=True, slots=True)
class FoundSimilarity:
    """A candidate, and how it compares with other rotations."""

    transform: Transform
    """Fixed from moving."""
    score_ratio: float | None
    """Best score of the first search at its rotation over the best at clearly other ones; None if there are none."""


def search_similarity(
    mapper: Mapper, moving: tuple[Image, Modality], fixed: tuple[Image, Modality], config: SimilarityConfig
) -> Iterator[FoundSimilarity]:
    """Find the similarity that brings two images into line, whatever their rotation.

    Maps are not invariant to rotation, so the moving image is turned before it is mapped.

    Args:
        mapper: A quick one, whose images ``config.matcher`` takes; it maps one image for each rotation.
        moving: Unit-scaled image as the mapper wants it, and what it is.
        fixed: The same, of the reference.
        config: Rotations and scales to try.

    Yields:
        The best of all that were tried, right to about the last step in rotation and scale. Who goes on gets what the
        dense matcher finds, if it finds anything in the range.
    """
    factor = max(1, int(np.ceil(max(*moving[0].hw, *fixed[0].hw) / _SIDE_PX)))
    small_moving, small_fixed = reduce(moving[0], factor), reduce(fixed[0], factor)
    fixed_map = mapper.map(small_fixed, fixed[1])
    coarse, fine = (_Level(mapper, (small_moving, moving[1]), fixed_map, pool) for pool in (_POOL, _FINE_POOL))
    rotations, scales = _rotations_deg(config), _scales(config)
    tried = [one for rotation in rotations for one in coarse.at(rotation, scales)]
    best = max(tried, key=_score)
    ratio = _score_ratio(best.rotation_deg, tried)
    step_deg, scale_step = _ROTATION_STEP_DEG, _SCALE_STEP
    for _ in range(_N_HALVINGS):
        step_deg, scale_step = step_deg / 2, float(np.sqrt(scale_step))
        around_deg = [best.rotation_deg + step * step_deg for step in (-1, 0, 1)]
        around = [best.scale * scale_step**step for step in (-1, 0, 1)]
        best = max((one for rotation in around_deg for one in fine.at(rotation, around)), key=_score)
    yield FoundSimilarity(_enlarged(best.transform, factor), ratio)

    if config.matcher is None:
        return
    matched = _matched(_shared_matcher(config.matcher), mapper.map(small_moving, moving[1]), fixed_map)
    if matched is not None and _is_within(matched, config):
        yield FoundSimilarity(_enlarged(matched, factor), _score_ratio(_rotation_deg(matched), tried))


def _matched(matcher: Matcher, moving_map: Image, fixed_map: Image) -> Transform | None:
    """The similarity that a matcher's matches agree on, if there is one."""
    try:
        return estimate_transform(matcher.match(moving_map, fixed_map), "similarity").transform
    except RegistrationError:
        return None


@cache
def _shared_matcher(name: str) -> Matcher:
    """One for all registrations of a process: reading its weights takes longer than it matches."""
    return build_matcher(name)


def _is_within(transform: Transform, config: SimilarityConfig) -> bool:
    """Whether a similarity lies in the ranges, or a step beyond."""
    smallest, largest = config.scale
    scale = float(np.sqrt(abs(np.linalg.det(transform.matrix[:2, :2]))))
    return (
        abs(_rotation_deg(transform)) <= config.rotation_deg + _ROTATION_STEP_DEG
        and smallest / _SCALE_STEP <= scale <= largest * _SCALE_STEP
    )


def _rotation_deg(transform: Transform) -> float:
    return float(np.degrees(np.arctan2(transform.matrix[1, 0], transform.matrix[0, 0])))


class _Level:
    """Hypotheses on maps of one resolution; transforms are in pixels of the images before they were mapped."""

    def __init__(self, mapper: Mapper, moving: tuple[Image, Modality], fixed_map: Image, pool: int) -> None:
        self._mapper, self._pool = mapper, pool
        self._moving, self._modality = moving
        self._fixed = reduce(fixed_map, pool)

    def at(self, rotation_deg: float, scales: list[float]) -> list[Hypothesis]:
        """The best shift for each scale at one rotation."""
        turned, turned_from_moving = _framed(self._moving, rotation_deg, 1.0)
        pooled = reduce(self._mapper.map(turned, self._modality), self._pool)
        return [self._best_shift(pooled, turned_from_moving, rotation_deg, scale) for scale in scales]

    def _best_shift(
        self, pooled: Image, turned_from_moving: Transform, rotation_deg: float, scale: float
    ) -> Hypothesis:
        fixed = self._fixed
        moving, scaled = _framed(pooled, 0.0, scale)
        hw = (fixed.hw[0] + moving.hw[0], fixed.hw[1] + moving.hw[1])
        values, overlap = ShiftCorrelation(fixed, hw).of(moving)
        share = np.clip(overlap / max(min(int(moving.valid.sum()), int(fixed.valid.sum())), 1), 0, 1)
        scores = np.where(share < _MIN_OVERLAP, -np.inf, values * np.sqrt(share))
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        # The second half of the cyclic shifts is negative.
        dy, dx = (
            int(shift) - (size if shift >= side else 0)
            for shift, size, side in zip((row, column), scores.shape, fixed.hw, strict=True)
        )
        shifted = Transform.translation(dx, dy) @ scaled
        transform = _enlarged(shifted, self._pool) @ turned_from_moving
        return Hypothesis(float(scores[row, column]), rotation_deg, scale, transform)


def _rotations_deg(config: SimilarityConfig) -> list[float]:
    largest = config.rotation_deg
    n_steps = int(np.ceil(2 * largest / _ROTATION_STEP_DEG))
    rotations = np.linspace(-largest, largest, n_steps + 1).tolist()
    # A half turn either way is the same.
    return rotations[:-1] if largest == 180 else rotations


def _scales(config: SimilarityConfig) -> list[float]:
    smallest, largest = config.scale
    n_steps = int(np.ceil(np.log(largest / smallest) / np.log(_SCALE_STEP)))
    return np.geomspace(smallest, largest, n_steps + 1).tolist()


def _score_ratio(rotation_deg: float, tried: list[Hypothesis]) -> float | None:
    """Best score near a rotation over the best at clearly other ones."""
    apart_deg = [abs((one.rotation_deg - rotation_deg + 180) % 360 - 180) for one in tried]
    rivals = [one.score for one, apart in zip(tried, apart_deg, strict=True) if apart > _RIVAL_DEG]
    if not rivals:
        return None
    near = (one.score for one, apart in zip(tried, apart_deg, strict=True) if apart <= _ROTATION_STEP_DEG)
    return max(0.0, *near) / max(*rivals, _TINY)


def _score(hypothesis: Hypothesis) -> float:
    return hypothesis.score


def _framed(image: Image, rotation_deg: float, scale: float) -> tuple[Image, Transform]:
    """An image turned and scaled about its middle, in a frame that holds all of it; and the transform to there."""
    height, width = image.hw
    about = Transform.similarity(scale=scale, rotation_deg=rotation_deg, dx=0.0, dy=0.0)
    reach_x, reach_y = np.abs(about.matrix[:2, :2]) @ (width, height)
    hw = (int(np.ceil(reach_y)), int(np.ceil(reach_x)))
    middle = Transform.translation((hw[1] - 1) / 2, (hw[0] - 1) / 2)
    transform = middle @ about @ Transform.translation(-(width - 1) / 2, -(height - 1) / 2)
    return warp_image(image, transform, hw), transform


def _enlarged(transform: Transform, factor: int) -> Transform:
    """What a transform between reduced images, whose pixels are means of blocks, is between the images themselves."""
    offset = (factor - 1) / 2
    grown = Transform.similarity(scale=factor, rotation_deg=0.0, dx=offset, dy=offset)
    return grown @ transform @ grown.inverse()
