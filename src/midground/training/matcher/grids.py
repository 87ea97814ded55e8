"""Places of a grid of cells over an image, and reading images between them."""

from __future__ import annotations

from jaxtyping import Float

from midground.errors import DependencyError

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error


def centres_xy(features: Float[Tensor, "n d g_h g_w"], stride_px: int) -> Float[Tensor, "2 g_h g_w"]:
    """Place (x, y) of the centre of each cell of a feature map, px of the image."""
    height, width = features.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=features.device),
        torch.arange(width, dtype=torch.float32, device=features.device),
        indexing="ij",
    )
    return (torch.stack([x, y]) + 0.5) * stride_px - 0.5


def steps_xy(radius: int, stride_px: int) -> Float[Tensor, "2 k"]:
    """Steps (x, y) of up to ``radius`` cells either way, px; row by row."""
    steps = torch.arange(-radius, radius + 1, dtype=torch.float32) * stride_px
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()])


def sampled(
    features: Float[Tensor, "n d g_h g_w"], places_xy: Float[Tensor, "n 2 r k"], stride_px: int
) -> Float[Tensor, "n d r k"]:
    """Features at places of the image, px, between cells too; zero beyond the outermost cells."""
    size = torch.tensor(features.shape[:-3:-1], dtype=torch.float32, device=features.device) * stride_px
    unit = (2 * places_xy.permute(0, 2, 3, 1) + 1) / size - 1
    return functional.grid_sample(features.float(), unit, align_corners=False)
