"""Oriented gradients as the first, fixed layer of a network: what both sensors see before anything is learned."""

from __future__ import annotations

import math

from midground.errors import DependencyError

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training or converting a network", extra="train") from error

_SMOOTHING_PX = 1.0
_SPREAD_PX = 1.2
_RADIUS_PX = 4
"""Of both filters."""
_FLOOR = 0.005
"""Gradient (per px, of values between 0 and 1) at which a place counts half: noise below it is not blown up."""


class OrientedGradients(nn.Module):
    """Strength of the gradient along each orientation, whatever its sign, relative to all orientations.

    The mean of the bands (n, c, h, w) becomes (n, o, h, w) between 0 and 1. Nothing here is trained.

    Source:
        CFOG, Ye et al. 2019 (reference [32] of the paper), as ``midground.modality.structure``; but the floor is
        fixed, so that no pixel depends on the rest of the scene.
    """

    radius_px = 2 * _RADIUS_PX
    """How far a pixel of the result sees, px."""
    derivatives: torch.Tensor
    blur: torch.Tensor

    def __init__(self, n_orientations: int) -> None:
        super().__init__()
        self.n_orientations = n_orientations
        smooth = functional.pad(_gaussian(_SMOOTHING_PX, _RADIUS_PX - 1), (1, 1))
        slope = (smooth.roll(-1) - smooth.roll(1)) / 2
        angles = torch.arange(n_orientations)[:, None, None] * (math.pi / n_orientations)
        derivatives = angles.cos() * torch.outer(smooth, slope) + angles.sin() * torch.outer(slope, smooth)
        spread = _gaussian(_SPREAD_PX, _RADIUS_PX)
        self.register_buffer("derivatives", derivatives[:, None], persistent=False)
        self.register_buffer("blur", torch.outer(spread, spread).repeat(n_orientations, 1, 1, 1), persistent=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Gradients of a batch, never in half precision: those of faint edges are smaller than what it resolves."""
        with torch.autocast(image.device.type, enabled=False):
            return self._gradients(image.to(self.derivatives))

    def _gradients(self, image: torch.Tensor) -> torch.Tensor:
        grey = functional.pad(image.mean(dim=1, keepdim=True), (_RADIUS_PX,) * 4, mode="replicate")
        # The blur of single channels is several times faster with channels last.
        strength = functional.conv2d(grey, self.derivatives).abs().contiguous(memory_format=torch.channels_last)
        padded = functional.pad(strength, (_RADIUS_PX,) * 4, mode="replicate")
        spread = functional.conv2d(padded, self.blur, groups=self.n_orientations)
        return spread / (torch.linalg.vector_norm(spread, dim=1, keepdim=True) + _FLOOR)


def _gaussian(sigma_px: float, radius: int) -> torch.Tensor:
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-(steps**2) / (2 * sigma_px**2))
    return weights / weights.sum()
