"""Mapped images in cells, made ready to be correlated with one another where both hold data."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.grids import sampled

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_CONTRAST_CELLS = 15
"""Side of the neighbourhood whose contrast is made the same everywhere."""
_MIN_CONTRAST, _TINY = 1e-2, 1e-3


@dataclass(frozen=True, slots=True)
class Cells:
    """Images in cells, without the mean of what lies around each, and as strong everywhere."""

    contrast: Float[Tensor, "n c g_h g_w"]
    """Zero where there are no data."""
    data: Float[Tensor, "n 1 g_h g_w"]
    """1 where there are data, else 0."""

    @classmethod
    def of(cls, image: Float[Tensor, "n c h w"], stride_px: int) -> Cells:
        """Reduce mapped images, which are zero where there are no data, to cells of ``stride_px``."""
        data = (functional.avg_pool2d((image != 0).any(1, keepdim=True).float(), stride_px) > 0.5).float()
        cells, share = functional.avg_pool2d(image, stride_px), mean_around(data, _CONTRAST_CELLS).clamp_min(_TINY)
        apart = (cells - mean_around(cells * data, _CONTRAST_CELLS) / share) * data
        variance = mean_around(apart.square().sum(1, keepdim=True), _CONTRAST_CELLS) / share
        return cls(apart / variance.clamp_min(_MIN_CONTRAST).sqrt(), data)

    def sampled(self, places_xy: Float[Tensor, "n 2 r k"], stride_px: int) -> Cells:
        """The cells as they lie at places of the image, px."""
        both = sampled(torch.cat([self.contrast, self.data], 1), places_xy, stride_px)
        data = (both[:, -1:] > 0.5).float()
        return Cells(both[:, :-1] * data, data)

    @property
    def energy(self) -> Float[Tensor, "n 1 g_h g_w"]:
        """Sum of squares over channels."""
        return self.contrast.square().sum(1, keepdim=True)


def mean_around(values: Float[Tensor, "n c g_h g_w"], side: int) -> Float[Tensor, "n c g_h g_w"]:
    """Mean of the square of an odd number of cells around each; beyond the border counts as zero."""
    return functional.avg_pool2d(values, side, 1, side // 2)
