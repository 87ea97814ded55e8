"""Mapped images in cells, made ready to be correlated with one another where both hold data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
    stride_px: int
    """Side of a cell."""
    n_oriented: int
    """See ``turned``."""

    @classmethod
    def of(cls, image: Float[Tensor, "n c h w"], stride_px: int, n_oriented: int = 0) -> Cells:
        """Reduce mapped images, which are zero where there are no data, to cells of ``stride_px``."""
        data = (functional.avg_pool2d((image != 0).any(1, keepdim=True).float(), stride_px) > 0.5).float()
        cells, share = functional.avg_pool2d(image, stride_px), mean_around(data, _CONTRAST_CELLS).clamp_min(_TINY)
        apart = (cells - mean_around(cells * data, _CONTRAST_CELLS) / share) * data
        variance = mean_around(apart.square().sum(1, keepdim=True), _CONTRAST_CELLS) / share
        return cls(apart / variance.clamp_min(_MIN_CONTRAST).sqrt(), data, stride_px, n_oriented)

    @property
    def energy(self) -> Float[Tensor, "n 1 g_h g_w"]:
        """Sum of squares over channels."""
        return self.contrast.square().sum(1, keepdim=True)

    @property
    def inner(self) -> Cells:
        """Without the outermost cells of the data, in which a mapped image shows the outline."""
        share = functional.avg_pool2d(self.data, 3, 1, 1, count_include_pad=False)
        data = (share > 1 - _TINY).float()
        return replace(self, contrast=self.contrast * data, data=data)

    def repeated(self, n_times: int) -> Cells:
        """Each image several times, one after another."""
        contrast, data = (one.repeat_interleave(n_times, 0) for one in (self.contrast, self.data))
        return replace(self, contrast=contrast, data=data)

    def sampled(self, places_xy: Float[Tensor, "n 2 r k"]) -> Cells:
        """The cells as they lie at places of the image, px."""
        both = sampled(torch.cat([self.contrast, self.data], 1), places_xy, self.stride_px)
        data = (both[:, -1:] > 0.5).float()
        return replace(self, contrast=both[:, :-1] * data, data=data)

    def turned(self, rotation: Float[Tensor, " n"]) -> Float[Tensor, "n c g_h g_w"]:
        """The contrast, its channels as they would be, were the images turned."""
        return turned(self.contrast, rotation, self.n_oriented)


def turned(image: Float[Tensor, "n c h w"], rotation: Float[Tensor, " n"], n_oriented: int) -> Float[Tensor, "n c h w"]:
    """Channels as they would be, were the image turned; pixels stay where they are.

    Args:
        image: Images whose first ``n_oriented`` channels belong to orientations that divide a half turn evenly.
        rotation: Angle of each, radians, from x to y.
        n_oriented: 0 if channels stay what they are.
    """
    if n_oriented == 0:
        return image
    index = torch.arange(n_oriented, device=image.device, dtype=torch.float32)
    apart = index[:, None] - index - (rotation / (math.pi / n_oriented))[:, None, None]
    apart = apart - n_oriented * torch.round(apart / n_oriented)
    mixing = (1 - apart.abs()).clamp_min(0)
    oriented = (mixing @ image[:, :n_oriented].flatten(2)).unflatten(2, image.shape[-2:])
    return torch.cat([oriented, image[:, n_oriented:]], 1)


def mean_around(values: Float[Tensor, "n c g_h g_w"], side: int) -> Float[Tensor, "n c g_h g_w"]:
    """Mean of the square of an odd number of cells around each; beyond the border counts as zero."""
    return functional.avg_pool2d(values, side, 1, side // 2)
