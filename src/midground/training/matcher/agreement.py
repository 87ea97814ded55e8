"""The similarity transform that most matches of a grid agree on.

Scenes seen from orbit lie on one plane, nearly. So where a photograph needs a decoder that may bend the image, here
most places have to agree on one rotation, scale and shift; what relief adds is found around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float

from midground.errors import DependencyError

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_TINY = 1e-6


@dataclass(frozen=True, slots=True)
class Similarity:
    """One transform for each pair of a batch: fixed from moving, px."""

    linear: Float[Tensor, "n 2 2"]
    shift: Float[Tensor, "n 2 1"]

    def __call__(self, places_xy: Float[Tensor, "m 2 k"]) -> Float[Tensor, "n 2 k"]:
        """Map places (x, y); the same for all pairs if there is one set of them."""
        mapped: Tensor = self.linear @ places_xy + self.shift
        return mapped

    @classmethod
    def by_pair(cls, each: Sequence[Similarity]) -> Similarity:
        """Several for every pair of a batch, pair after pair."""
        linear = torch.stack([one.linear for one in each], 1)
        shift = torch.stack([one.shift for one in each], 1)
        return cls(linear.flatten(0, 1), shift.flatten(0, 1))

    @property
    def rotation(self) -> Float[Tensor, " n"]:
        """Angle, radians, from x to y."""
        return torch.atan2(self.linear[:, 1, 0], self.linear[:, 0, 0])


@dataclass(frozen=True, slots=True)
class Agreement:
    """A transform, and how much speaks for it."""

    transform: Similarity
    support: Float[Tensor, " n"]
    """Of ``agreed``: weight of the matches that agree, times the share of it in the weight of all."""

    def strongest(self, n_each: int) -> Similarity:
        """Of every ``n_each`` transforms, which belong to one pair, the one with the most support."""
        chosen = self.support.unflatten(0, (-1, n_each)).argmax(1)
        index = chosen + n_each * torch.arange(len(chosen), device=chosen.device)
        return Similarity(self.transform.linear[index], self.transform.shift[index])


def agreed(
    moving_xy: Float[Tensor, "m 2 k"],
    fixed_xy: Float[Tensor, "n 2 k"],
    weight: Float[Tensor, "n 1 k"],
    scales_px: Sequence[float],
) -> Agreement:
    """Fit all matches by their weight, then again and again those that lie closer and closer.

    Args:
        moving_xy: Places in the moving image.
        fixed_xy: Where they were found.
        weight: How sure that is, 0 or more.
        scales_px: Distances at which a match counts a quarter, from loose to tight.

    Source:
        Iteratively reweighted least squares with the weights of Geman and McClure (1987), tightened step by step.
    """
    transform, left = _fitted(moving_xy, fixed_xy, weight), weight
    for scale_px in scales_px:
        squared_px = (transform(moving_xy) - fixed_xy).square().sum(1, keepdim=True)
        left = weight / (1 + squared_px / scale_px**2).square()
        transform = _fitted(moving_xy, fixed_xy, left)
    kept, whole = left.sum((1, 2)), weight.sum((1, 2))
    return Agreement(transform, kept.square() / whole.clamp_min(_TINY))


def _fitted(
    moving_xy: Float[Tensor, "m 2 k"], fixed_xy: Float[Tensor, "n 2 k"], weight: Float[Tensor, "n 1 k"]
) -> Similarity:
    """Weighted least squares."""
    whole = weight.sum(2, keepdim=True).clamp_min(_TINY)
    moving_mean, fixed_mean = ((weight * places).sum(2, keepdim=True) / whole for places in (moving_xy, fixed_xy))
    (x, y), (u, v) = ((places - mean).unbind(1) for places, mean in ((moving_xy, moving_mean), (fixed_xy, fixed_mean)))
    each = weight[:, 0]
    spread = (each * (x.square() + y.square())).sum(1).clamp_min(_TINY)
    cos = (each * (x * u + y * v)).sum(1) / spread
    sin = (each * (x * v - y * u)).sum(1) / spread
    linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    return Similarity(linear, fixed_mean - linear @ moving_mean)
