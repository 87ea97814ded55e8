"""``midground.register`` with its defaults; the setting names the transform. A rejected result is a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import midground as mg
from midground.core.image import Image

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair, transform: str) -> np.ndarray:
    """The transform of an accepted or suspect result; half the image is searched."""
    moving = Image(pair.moving[None].astype(np.float32), pair.valid)
    result = mg.register(pair.fixed, moving, transform=transform)
    if result.verdict == "reject":
        raise RuntimeError("rejected")
    return result.fixed_from_moving
