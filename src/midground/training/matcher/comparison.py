"""What looks alike in two mapped images, with nothing learned: windows compared under rotations.

Mapped images may hold channels that are strengths of gradients along orientations, as those of ``structure`` do. When
an image turns, such channels change places, so windows of a turned image are read with its channels in their new order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.agreement import Similarity
from midground.training.matcher.grids import centres_xy, sampled, steps_xy

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_WINDOW_CELLS = 7
_TINY = 1e-4


@dataclass(frozen=True, slots=True)
class LocalSearch:
    """How the neighbourhood of an expected place is compared."""

    stride_px: int
    """Side of a cell, and distance of places."""
    radius: int
    """Cells that are tried either way."""
    window_cells: int
    """Side of a window, odd."""


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


def windows_around(
    image: Float[Tensor, "n c s s"], stride_px: int, *, rotation_deg: float = 0.0, n_oriented: int = 0
) -> Float[Tensor, "n d k"]:
    """The window around each place of a grid, as a unit vector: products of two are correlations over all channels.

    Args:
        image: Mapped images.
        stride_px: Side of a cell, and distance of places.
        rotation_deg: Windows are read as they lie in the image turned by this angle, from x to y.
        n_oriented: See ``turned``.
    """
    cells = functional.avg_pool2d(image, stride_px)
    rotation = math.radians(rotation_deg)
    cells = turned(cells, torch.full((len(cells),), rotation, device=image.device), n_oriented)
    x, y = steps_xy(_WINDOW_CELLS // 2, stride_px).to(image.device)
    cos, sin = math.cos(rotation), math.sin(rotation)
    around = torch.stack([cos * x + sin * y, cos * y - sin * x])
    places = centres_xy(cells, stride_px).flatten(1)[:, None] + around[:, :, None]
    windows = sampled(cells, places.expand(len(cells), -1, -1, -1), stride_px)
    return functional.normalize((windows - windows.mean(2, keepdim=True)).flatten(1, 2), dim=1)


def local_correlation(
    moving: Float[Tensor, "n c s s"],
    fixed: Float[Tensor, "n c s s"],
    around: Similarity,
    search: LocalSearch,
    n_oriented: int,
) -> Float[Tensor, "n k g g"]:
    """Correlation of the window around each place of the moving image with those near where it is expected.

    Args:
        moving: Mapped images.
        fixed: Likewise.
        around: Where places are expected; the fixed image is resampled by it, so that windows lie in the same way.
        search: Cells, steps and windows.
        n_oriented: See ``turned``.

    Returns:
        Normalised correlation, -1 to 1, of every step of ``steps_xy(search.radius, search.stride_px)``.
    """
    stride_px, radius, window_cells = search.stride_px, search.radius, search.window_cells
    cells = turned(functional.avg_pool2d(moving, stride_px), around.rotation, n_oriented)
    height, width = cells.shape[-2:]
    wider = functional.pad(cells[:, :1], (radius,) * 4)
    places = around((centres_xy(wider, stride_px) - radius * stride_px).flatten(1)[None])
    near = sampled(functional.avg_pool2d(fixed, stride_px), places.unflatten(2, wider.shape[-2:]), stride_px)

    def mean(values: Tensor) -> Tensor:
        return functional.avg_pool2d(values, window_cells, 1, window_cells // 2)

    def moments(image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean of each channel, and variance of all of them together."""
        means = mean(image)
        variance = mean(image.square().sum(1, keepdim=True)) - means.square().sum(1, keepdim=True)
        return means, variance.clamp_min(_TINY)

    (cells_mean, cells_variance), (near_mean, near_variance) = moments(cells), moments(near)
    found = []
    for row in range(2 * radius + 1):
        for column in range(2 * radius + 1):
            part = (..., slice(row, row + height), slice(column, column + width))
            product = mean((cells * near[part]).sum(1, keepdim=True))
            covariance = product - (cells_mean * near_mean[part]).sum(1, keepdim=True)
            found.append(covariance / (cells_variance * near_variance[part]).sqrt())
    return torch.cat(found, 1)
