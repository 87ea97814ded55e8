"""Where whole images lie alike: correlated as they are, under rotations and scales.

Windows are found one by one, and most of them may be wrong. Whole images correlated at once need no window to be right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.agreement import Similarity
from midground.training.matcher.cells import Cells
from midground.training.matcher.comparison import turned
from midground.training.matcher.grids import centres_xy

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_MIN_OVERLAP = 0.06
"""Smallest part of an image that has to overlap with the other one."""


def whole_similarity(
    moving: Float[Tensor, "n c s s"],
    fixed: Float[Tensor, "n c s s"],
    *,
    stride_px: int,
    rotations_deg: Sequence[float],
    scales: Sequence[float],
    n_oriented: int,
) -> Similarity:
    """For each pair, the rotation, scale and shift of the highest correlation, to half a step of each.

    What counts is the normalised correlation times the square root of the overlap, so that neither a corner that
    happens to look alike nor a large overlap alone wins.

    Args:
        moving: Mapped images, zero where there are no data.
        fixed: Likewise.
        stride_px: Side of the cells that are compared; shifts are multiples of it.
        rotations_deg: Rotations that are tried, from x to y.
        scales: Scales that are tried, each with every rotation.
        n_oriented: See ``turned``.
    """
    n_pairs, side = int(moving.shape[0]), int(moving.shape[-1]) // stride_px
    # The circle around a square, so that no corner is lost as it turns; cells fall on cells where nothing is turned.
    seen = side + 2 * math.ceil((math.sqrt(2) - 1) / 2 * side)
    rotation, scale = (
        torch.tensor(values, dtype=torch.float32, device=moving.device)
        for values in zip(*((math.radians(turn), scale) for scale in scales for turn in rotations_deg), strict=True)
    )
    linear = scale[:, None, None] * torch.stack(
        [torch.stack([rotation.cos(), -rotation.sin()], 1), torch.stack([rotation.sin(), rotation.cos()], 1)], 1
    )
    middle_px = (side * stride_px - 1) / 2
    around = centres_xy(moving.new_zeros(1, 1, seen, seen), stride_px).flatten(1) - (seen * stride_px - 1) / 2
    # The inverse of a similarity is its transpose, over the squared scale.
    places = linear.transpose(1, 2) @ around / scale[:, None, None].square() + middle_px
    cells, still = Cells.of(moving, stride_px), Cells.of(fixed, stride_px)
    n_tried = len(rotation)
    repeated = Cells(*(one.repeat_interleave(n_tried, 0) for one in (cells.contrast, cells.data)))
    turns = repeated.sampled(places.unflatten(2, (seen, seen)).repeat(n_pairs, 1, 1, 1), stride_px)

    n = side + seen - 1
    images = torch.cat([still.contrast, still.energy, still.data], 1)
    kernels = turned(turns.contrast, rotation.repeat(n_pairs), n_oriented)
    kernels = torch.cat([kernels, turns.energy, turns.data], 1)
    still_spectrum = _spectrum(images, n)[:, None]
    spectra = _spectrum(kernels, n).unflatten(0, (n_pairs, n_tried))
    channels, energy, data = slice(-2), slice(-2, -1), slice(-1, None)
    product, still_energy, energy_seen, shared = (
        _correlation(still_spectrum[:, :, one], spectra[:, :, other], n)
        for one, other in ((channels, channels), (energy, data), (data, energy), (data, data))
    )
    alike = product / (still_energy.clamp_min(1) * energy_seen.clamp_min(1)).sqrt()
    worth = torch.where(shared > _MIN_OVERLAP * side**2, alike * shared.clamp_min(0).sqrt(), -1)
    best = worth.flatten(1).argmax(1)
    chosen, row, column = best // n**2, best % n**2 // n, best % n
    # Shifts below zero lie at the end.
    x, y = (torch.where(index >= side, index - n, index).float() for index in (column, row))
    found_px = torch.stack([x, y], 1) * stride_px + (seen * stride_px - 1) / 2
    linear = linear[chosen]
    shift = found_px[:, :, None] - linear @ linear.new_full((2, 1), middle_px)
    return Similarity(linear, shift)


def overlap_likeness(
    moving: Float[Tensor, "n c s s"],
    fixed: Float[Tensor, "n c s s"],
    transform: Similarity,
    *,
    stride_px: int,
    n_oriented: int,
) -> Float[Tensor, " n"]:
    """How alike the images are under a transform: normalised correlation of all cells that overlap, times their number.

    Args:
        moving: Mapped images, zero where there are no data.
        fixed: Likewise.
        transform: Fixed from moving, px.
        stride_px: Side of the cells.
        n_oriented: See ``turned``.
    """
    cells, still = Cells.of(moving, stride_px), Cells.of(fixed, stride_px)
    places = transform(centres_xy(cells.data, stride_px).flatten(1)[None])
    near = still.sampled(places.unflatten(2, cells.data.shape[-2:]), stride_px)
    product = turned(cells.contrast, transform.rotation, n_oriented) * near.contrast
    alike, seen, near_seen, shared = (
        each.sum((1, 2, 3))
        for each in (product, cells.energy * near.data, near.energy * cells.data, cells.data * near.data)
    )
    return alike / (seen.clamp_min(1) * near_seen.clamp_min(1)).sqrt() * shared


def _spectrum(images: Float[Tensor, "b c h w"], n: int) -> Float[Tensor, "b c 2 n m"]:
    """Real and imaginary part of the discrete Fourier transform over n × n; by products, which every graph knows."""
    height, width = (int(length) for length in images.shape[-2:])
    rows, columns = _waves(n, height, n, images.device), _waves(n // 2 + 1, width, n, images.device)
    cos, sin = (images @ wave.T for wave in columns)
    return torch.stack([rows[0] @ cos - rows[1] @ sin, rows[0] @ sin + rows[1] @ cos], 2)


def _correlation(
    images: Float[Tensor, "p 1 c 2 n m"], kernels: Float[Tensor, "p k c 2 n m"], n: int
) -> Float[Tensor, "p k n n"]:
    """Sum over channels of the cyclic correlation of images with kernels."""
    (a, b), (u, v) = images.unbind(3), kernels.unbind(3)
    real, imaginary = (a * u + b * v).sum(2), (b * u - a * v).sum(2)
    rows, columns = _waves(n, n, n, images.device), _waves(n, n // 2 + 1, n, images.device)
    # Half of the spectrum stands for the other half too, but for its first column, and its last one if n is even.
    twice = torch.full((n // 2 + 1,), 2.0, device=images.device)
    twice[0] = 1
    if n % 2 == 0:
        twice[-1] = 1
    cos, sin = rows[0] @ real + rows[1] @ imaginary, rows[0] @ imaginary - rows[1] @ real
    return ((twice * cos) @ columns[0].T + (twice * sin) @ columns[1].T) / n**2


def _waves(n_frequencies: int, length: int, n: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and minus sine of every frequency at every place, (frequency, place)."""
    frequency, place = (torch.arange(count, dtype=torch.float64, device=device) for count in (n_frequencies, length))
    angle = 2 * math.pi / n * ((frequency[:, None] * place) % n)
    return angle.cos().float(), -angle.sin().float()
