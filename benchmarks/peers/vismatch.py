"""vismatch: MINIMA's RoMa, trained for images of different sensors, with its defaults; its homography.

The weights are downloaded when the adapter is imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import vismatch

if TYPE_CHECKING:
    from run import Pair

_matcher = vismatch.get_matcher("minima-roma", device="cpu")


def register(pair: Pair) -> np.ndarray:
    """The homography that vismatch fits to the matches."""
    moving = np.repeat(pair.moving[None], 3, axis=0)
    images = [torch.from_numpy(np.float32(image) / 255) for image in (moving, pair.fixed)]
    matrix = _matcher(*images)["H"]
    if matrix is None:
        raise RuntimeError("vismatch has no homography")
    return matrix
