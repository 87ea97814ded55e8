"""SAR images mapped in a frame of their own.

A network can tell from the padding at its borders where in the image a pixel lies. In two equal frames it would match
such places instead of what the images show, and would favour no shift at all.
"""

from __future__ import annotations

import numpy as np

from midground.core.image import Image
from midground.modality.base import Mapper


def map_in_frame(mapper: Mapper, sar: Image, index: int, frame_shift_px: int) -> Image:
    """Map a SAR image without some of its first rows and columns, which are invalid in the result.

    Args:
        mapper: What maps.
        sar: One unit-scaled image.
        index: Number of the pair; it decides how many rows and columns.
        frame_shift_px: Most rows and columns, px; at most a quarter of the image is left out.
    """
    height, width = sar.hw
    top, left = np.random.default_rng([index]).integers(0, frame_shift_px + 1, 2).tolist()
    top, left = min(top, height // 4), min(left, width // 4)
    framed = mapper.map(sar.crop(top, left, height - top, width - left), "sar")
    return framed.crop_padded(-top, -left, height, width)
