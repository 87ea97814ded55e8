"""``midground.register`` with its defaults; the setting names the transform. A rejected result is a failure.

With ``:told`` behind it, the largest shift is told, as it is to the peers: 3 px beyond it are searched, no rotation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import midground as mg
from midground.core.image import Image
from midground.registration.config import InputConfig, RegisterConfig

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair, setting: str) -> np.ndarray:
    """The transform of an accepted or suspect result; half the image is searched if nothing is told."""
    transform, _, told = setting.partition(":")
    # An array of 8 bits tells its scale; an image with a mask holds floats, which would be taken for amplitudes.
    moving = pair.moving if pair.valid.all() else Image(pair.moving[None].astype(np.float32), pair.valid)
    config = RegisterConfig(moving=InputConfig(modality="sar", sar_scale="8bit"), transform=transform)
    result = mg.register(pair.fixed, moving, config=config, search_px=pair.max_shift_px + 3 if told else None)
    if result.verdict == "reject":
        raise RuntimeError("rejected")
    return result.fixed_from_moving
