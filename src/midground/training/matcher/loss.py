"""What the matcher learns from pairs whose transform is known.

Source:
    RoMa (Edstedt et al. 2024), section 3: coarse matching as classification of places, robust regression with the
    generalised Charbonnier function for refinement, and binary cross-entropy of the certainty.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float

from midground.errors import DependencyError
from midground.training.matcher.grids import centres_xy, sampled
from midground.training.matcher.network import Coarse, Matches

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_SOFTNESS_PX = 0.03
"""RoMa: errors far below this, times the stride, count as none."""
_RIGHT_STRIDES = 1.5
"""A match is right up to this error, in strides: what its certainty says."""
_CERTAINTY_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a batch of pairs of squares."""

    fixed_from_moving: Float[Tensor, "n 3 3"]
    """Acts on column vectors (x, y, 1), px."""
    moving_valid: Float[Tensor, "n 1 s s"]
    """1 where the moving image holds data, else 0."""
    fixed_valid: Float[Tensor, "n 1 s s"]
    """Likewise."""

    def at(self, grid_xy: Float[Tensor, "2 g g"]) -> tuple[Float[Tensor, "n 2 g g"], Bool[Tensor, "n g g"]]:
        """Where places of the moving image lie in the fixed one, and whether both hold data there."""
        x, y = grid_xy.flatten(1)
        mapped = self.fixed_from_moving @ torch.stack([x, y, torch.ones_like(x)])
        fixed_xy = (mapped[:, :2] / mapped[:, 2:]).unflatten(2, grid_xy.shape[1:])
        places = ((self.moving_valid, grid_xy.expand_as(fixed_xy)), (self.fixed_valid, fixed_xy))
        is_seen = torch.stack([sampled(valid, xy, 1)[:, 0] > 1 - 1e-3 for valid, xy in places])
        return fixed_xy, is_seen.all(0)


def loss_parts(coarse: Coarse, matches: list[Matches], truth: Truth) -> dict[str, Float[Tensor, ""]]:
    """Parts of the loss by name; their sum is what is minimised."""
    parts = {"coarse": classification(coarse, truth, matches[0])}
    for found in matches:
        name = f"at stride {found.stride_px}"
        true_xy, is_seen = truth.at(centres_xy(found.fixed_xy, found.stride_px))
        error_px = (found.fixed_xy - true_xy).norm(dim=1)
        parts[f"error {name}"] = _mean(charbonnier(error_px, found.stride_px), is_seen)
        is_right = is_seen & (error_px.detach() <= _RIGHT_STRIDES * found.stride_px)
        parts[f"certainty {name}"] = _CERTAINTY_WEIGHT * functional.binary_cross_entropy_with_logits(
            found.certainty[:, 0], is_right.to(found.certainty.dtype)
        )
    return parts


def classification(coarse: Coarse, truth: Truth, like: Matches) -> Float[Tensor, ""]:
    """Cross-entropy of the cell in the fixed image, over the places of the moving one that it shows."""
    height, width = (round(side_px / coarse.fixed_px) for side_px in truth.fixed_valid.shape[-2:])
    true_xy, is_seen = truth.at(centres_xy(like.fixed_xy, coarse.stride_px))
    x, y = ((true_xy + 0.5) / coarse.fixed_px).floor().long().unbind(1)
    target = y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
    entropy = functional.cross_entropy(coarse.logits, target.flatten(1), reduction="none")
    return _mean(entropy, is_seen.flatten(1))


def charbonnier(error_px: Float[Tensor, "*n"], stride_px: int) -> Float[Tensor, "*n"]:
    """RoMa's robust penalty of an error: its square root, made smooth near zero."""
    softness = _SOFTNESS_PX * stride_px
    return (error_px.square() + softness**2) ** 0.25


def _mean(values: Float[Tensor, "*n"], where: Bool[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Mean where the truth is known; 0 if it is nowhere."""
    return (values * where).sum() / where.sum().clamp(min=1)
