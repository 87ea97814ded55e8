"""A matcher of midground, named by the setting, on images of the mapper ``structure``; robust fit of what is assumed."""

from __future__ import annotations

import numpy as np

from midground.core.image import Image
from midground.matching.registry import build_matcher
from midground.modality.mappers import build_mapper
from midground.registration.estimate import estimate_transform

_mapper = build_mapper("structure")


def register(pair, matcher: str) -> np.ndarray:
    """The transform that most matches support."""
    moving = Image(pair.moving[None] / np.float32(255), pair.valid)
    fixed = Image.from_array(pair.fixed / np.float32(255))
    matches = build_matcher(matcher).match(_mapper.map(moving, "sar"), _mapper.map(fixed, "optical"))
    return estimate_transform(matches, pair.kind).transform.matrix
