"""A matcher of midground, named by the setting, on images of the mapper ``structure``, and a robust fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from midground.core.image import Image
from midground.matching.registry import build_matcher
from midground.modality.mappers import build_mapper
from midground.registration.estimate import estimate_transform

if TYPE_CHECKING:
    from run import Pair

_mapper = build_mapper("structure")


def register(pair: Pair, matcher: str) -> np.ndarray:
    """The transform that most matches support."""
    moving = Image(pair.moving[None] / np.float32(255), pair.valid)
    fixed = Image.from_array(pair.fixed / np.float32(255))
    matches = build_matcher(matcher).match(_mapper.map(moving, "sar"), _mapper.map(fixed, "optical"))
    return estimate_transform(matches, pair.kind).transform.matrix
