"""vismatch: the matcher that the setting names, with its defaults; vismatch's own homography.

``minima-roma`` was trained for images of different sensors, and its weights are downloaded. ``sift-nn`` and ``orb-nn``
need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import vismatch

if TYPE_CHECKING:
    from run import Pair

_built: dict[str, vismatch.BaseMatcher] = {}


def prepare(matcher: str) -> None:
    """Build the matcher, so that missing weights are a reason to leave it out and no failure of every pair."""
    _built[matcher] = vismatch.get_matcher(matcher, device="cpu")


def register(pair: Pair, matcher: str) -> np.ndarray:
    """The homography that vismatch fits to the matches."""
    moving = np.repeat(pair.moving[None], 3, axis=0)
    images = [torch.from_numpy(np.float32(image) / 255) for image in (moving, pair.fixed)]
    matrix = _built[matcher](*images)["H"]
    if matrix is None:
        raise RuntimeError("vismatch has no homography")
    return matrix
