"""Each network sees a sample in a frame of its own.

Padding at the borders tells a network where in its frame a pixel lies. If both networks had the same frame, they could
write that place into their images, and would find every window again without looking at what it shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midground.errors import DependencyError
from midground.modality.base import MODALITIES, Modality
from midground.training.config import TrainConfig
from midground.training.criterion_configs import CorrelationConfig

try:
    import torch
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


@dataclass(frozen=True, slots=True)
class Frame:
    """A square of a sample that one network sees, and the part of it that the other one sees too."""

    rows: slice
    columns: slice
    common_rows: slice
    """Counted within the frame, as ``common_columns``."""
    common_columns: slice

    def cut(self, sample: torch.Tensor) -> torch.Tensor:
        """The frame of a batch of samples (n, c, p, p)."""
        return sample[..., self.rows, self.columns]

    def cut_common(self, seen: torch.Tensor) -> torch.Tensor:
        """Of what was seen in the frame, or made of it: what lies in both frames."""
        return seen[..., self.common_rows, self.common_columns]


def draw_frames(config: TrainConfig, rng: np.random.Generator) -> dict[Modality, Frame]:
    """Draw where in the sample each network's frame lies; both are the whole sample if the criterion shifts none."""
    shift_px = config.criterion.frame_shift_px if isinstance(config.criterion, CorrelationConfig) else 0
    side_px = config.data.crop_px - shift_px
    corners = rng.integers(0, shift_px + 1, (len(MODALITIES), 2))
    low, high = corners.max(axis=0), corners.min(axis=0) + side_px
    return {
        modality: Frame(
            *(slice(int(start), int(start) + side_px) for start in corner),
            *(slice(int(a), int(b)) for a, b in zip(low - corner, high - corner, strict=True)),
        )
        for modality, corner in zip(MODALITIES, corners, strict=True)
    }
