"""Known warps, so that truth is more than the identity."""

from __future__ import annotations

import numpy as np

from midground.core.transforms import Transform
from midground.evaluation.config import WarpConfig


def draw_warp(config: WarpConfig, index: int, hw: tuple[int, int]) -> Transform:
    """The warp of one pair: rotation and scale about the middle of the image, then a shift.

    Args:
        config: Ranges and seed.
        index: Number of the pair.
        hw: Height and width of the image, px.
    """
    if config.is_identity:
        return Transform.identity()
    rng = np.random.default_rng([config.seed, index])
    dx, dy = rng.uniform(-config.shift_px, config.shift_px, 2)
    rotation_deg = rng.uniform(-config.rotation_deg, config.rotation_deg)
    scale = float(np.exp(rng.uniform(*np.log(config.scale))))
    x, y = (hw[1] - 1) / 2, (hw[0] - 1) / 2
    about_middle = Transform.similarity(scale=scale, rotation_deg=float(rotation_deg), dx=x + dx, dy=y + dy)
    return about_middle @ Transform.translation(-x, -y)
