"""What looks alike in two mapped images, with nothing learned: windows compared under rotations.

Mapped images may hold channels that are strengths of gradients along orientations, as those of ``structure`` do. When
an image turns, such channels change places, so windows of a turned image are read with its channels in their new order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.agreement import Similarity
from midground.training.matcher.cells import Cells, mean_around, turned
from midground.training.matcher.grids import centres_xy, sampled, steps_xy

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_WINDOW_CELLS = 7
_TINY = 1e-6
_MIN_ENERGY = 0.1
"""Added to the mean square of a window: one that hardly overlaps with the other is not alike by chance."""


@dataclass(frozen=True, slots=True)
class LocalSearch:
    """How the neighbourhood of an expected place is compared."""

    radius: int
    """Cells that are tried either way."""
    window_cells: int
    """Side of a window, odd."""


def windows_around(
    image: Float[Tensor, "n c s s"], stride_px: int, rotations_deg: Sequence[float] = (0.0,), n_oriented: int = 0
) -> Float[Tensor, "n r d k"]:
    """The window around each place of a grid, as a unit vector: products of two are correlations over all channels.

    Args:
        image: Mapped images.
        stride_px: Side of a cell, and distance of places.
        rotations_deg: Windows are read as they lie in the image turned by each of these angles, from x to y.
        n_oriented: See ``turned``.
    """
    cells = functional.avg_pool2d(image, stride_px)
    n_pairs, n_turns = int(cells.shape[0]), len(rotations_deg)
    rotations = torch.tensor(rotations_deg, dtype=torch.float32, device=image.device).deg2rad()
    cells = turned(cells.repeat_interleave(n_turns, 0), rotations.repeat(n_pairs), n_oriented)
    x, y = steps_xy(_WINDOW_CELLS // 2, stride_px).to(image.device)
    cos, sin = rotations.cos()[:, None], rotations.sin()[:, None]
    around = torch.stack([cos * x + sin * y, cos * y - sin * x], 1)
    places = centres_xy(cells, stride_px).flatten(1)[:, None] + around[..., None]
    windows = sampled(cells, places.repeat(n_pairs, 1, 1, 1), stride_px)
    windows = functional.normalize((windows - windows.mean(2, keepdim=True)).flatten(1, 2), dim=1)
    return windows.unflatten(0, (n_pairs, n_turns))


def local_correlation(moving: Cells, fixed: Cells, around: Similarity, search: LocalSearch) -> Float[Tensor, "n k g g"]:
    """Correlation of the window around each place of the moving image with those near where it is expected.

    Only cells count that hold data in both windows: the outline of one image is nothing that the other one shows.

    Args:
        moving: Mapped images.
        fixed: Likewise, in cells of the same size.
        around: Where places are expected; the fixed image is resampled by it, so that windows lie in the same way.
        search: Steps and windows.

    Returns:
        Normalised correlation, -1 to 1, of every step of ``steps_xy(search.radius, moving.stride_px)``; zero around
        places without data.
    """
    stride_px, radius, side = moving.stride_px, search.radius, search.window_cells
    mine = torch.cat([moving.turned(around.rotation), moving.energy, moving.data], 1)
    height, width = mine.shape[-2:]
    wider = functional.pad(moving.data, (radius,) * 4)
    places = around((centres_xy(wider, stride_px) - radius * stride_px).flatten(1)[None])
    near = fixed.sampled(places.unflatten(2, wider.shape[-2:]))
    # Where the one's energy counts, the other has data, and the other way round.
    theirs = torch.cat([near.contrast, near.data, near.energy], 1)
    steps = [(row, column) for row in range(2 * radius + 1) for column in range(2 * radius + 1)]
    stepped = torch.stack([theirs[..., row : row + height, column : column + width] for row, column in steps], 1)
    product = mine[:, None] * stepped
    sums = torch.cat([product[:, :, :-2].sum(2, keepdim=True), product[:, :, -2:]], 2)
    alike, seen, near_seen = mean_around(sums.flatten(1, 2), side).unflatten(1, (len(steps), 3)).unbind(2)
    return alike / ((seen + _MIN_ENERGY) * (near_seen + _MIN_ENERGY)).sqrt() * moving.data


def peak_xy(correlation: Float[Tensor, "n k g_h g_w"]) -> Float[Tensor, "n 2 g_h g_w"]:
    """Step (x, y) of the highest correlation at each place, in cells, between cells by the parabola through it.

    Args:
        correlation: Of the steps of a square, row by row, as ``steps_xy`` has them.
    """
    side = math.isqrt(correlation.shape[1])
    index = correlation.argmax(1, keepdim=True)
    highest = correlation.gather(1, index)
    steps = []
    for position, stride in ((index % side, 1), (index // side, side)):
        # At the edge of what was searched there is no parabola.
        is_inner = (position > 0) & (position < side - 1)
        below, above = (correlation.gather(1, torch.where(is_inner, index + way * stride, index)) for way in (-1, 1))
        bend = (2 * highest - below - above).clamp_min(_TINY)
        steps.append(position - side // 2 + (above - below) / (2 * bend))
    return torch.cat(steps, 1)
