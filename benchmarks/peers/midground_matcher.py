"""A matcher of midground on images of a mapper, named by the setting as MATCHER:MAPPER, and a robust fit.

Area-based ones are told what their user would know: they search 3 px beyond the largest shift.
"""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from midground.bench.methods import Method, build_method, method_config_type
from midground.core.image import Image
from midground.modality.mappers import build_mapper
from midground.registration.estimate import estimate_transform

if TYPE_CHECKING:
    from run import Pair


@lru_cache(maxsize=1)
def built(setting: str, search_px: int) -> Method:
    """The matcher behind its mapper; networks are loaded once."""
    matcher, _, mapper = setting.partition(":")
    config = method_config_type(matcher)()
    if hasattr(config, "search_px"):
        config = dataclasses.replace(config, search_px=search_px)
    return build_method(config, build_mapper(mapper), mapper)


def register(pair: Pair, setting: str) -> np.ndarray:
    """The transform that most matches support."""
    moving = Image(pair.moving[None] / np.float32(255), pair.valid)
    fixed = Image.from_array(pair.fixed / np.float32(255))
    matches = built(setting, pair.max_shift_px + 3).find(moving, fixed).matches
    return estimate_transform(matches, pair.kind).transform.matrix
