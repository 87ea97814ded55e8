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
from midground.training.matcher.grids import centres_xy

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

_MIN_OVERLAP = 0.06
"""Smallest part of an image that has to overlap with the other one."""
_N_AROUND, _AROUND_PX = 12, (24.0, 40.0)
"""A peak of likeness is compared with so many shifts at each of these distances: beyond its foot, in the same scene."""


def whole_similarity(
    moving: Cells, fixed: Cells, *, rotations_deg: Sequence[float], scales: Sequence[float]
) -> Similarity:
    """For each pair, the rotation, scale and shift of the highest correlation, to half a step of each.

    What counts is the normalised correlation times the square root of the overlap, so that neither a corner that
    happens to look alike nor a large overlap alone wins.

    Args:
        moving: Square mapped images; shifts are multiples of their cells.
        fixed: Likewise, in cells of the same size.
        rotations_deg: Rotations that are tried, from x to y.
        scales: Scales that are tried, each with every rotation.
    """
    stride_px = moving.stride_px
    n_pairs, side = int(moving.data.shape[0]), int(moving.data.shape[-1])
    # The circle around a square, so that no corner is lost as it turns; cells fall on cells where nothing is turned.
    seen = side + 2 * math.ceil((math.sqrt(2) - 1) / 2 * side)
    rotation, scale = (
        torch.tensor(values, dtype=torch.float32, device=moving.data.device)
        for values in zip(*((math.radians(turn), scale) for scale in scales for turn in rotations_deg), strict=True)
    )
    linear = scale[:, None, None] * torch.stack(
        [torch.stack([rotation.cos(), -rotation.sin()], 1), torch.stack([rotation.sin(), rotation.cos()], 1)], 1
    )
    middle_px = (side * stride_px - 1) / 2
    around = centres_xy(moving.data.new_zeros(1, 1, seen, seen), stride_px).flatten(1) - (seen * stride_px - 1) / 2
    # The inverse of a similarity is its transpose, over the squared scale.
    places = linear.transpose(1, 2) @ around / scale[:, None, None].square() + middle_px
    n_tried = len(rotation)
    turns = moving.repeated(n_tried).sampled(places.unflatten(2, (seen, seen)).repeat(n_pairs, 1, 1, 1))

    n = side + seen - 1
    images = torch.cat([fixed.contrast, fixed.energy, fixed.data], 1)
    kernels = torch.cat([turns.turned(rotation.repeat(n_pairs)), turns.energy, turns.data], 1)
    fixed_spectrum = _spectrum(images, n)[:, None]
    spectra = _spectrum(kernels, n).unflatten(0, (n_pairs, n_tried))
    channels, energy, data = slice(-2), slice(-2, -1), slice(-1, None)
    product, fixed_energy, energy_seen, shared = (
        _correlation(fixed_spectrum[:, :, one], spectra[:, :, other], n)
        for one, other in ((channels, channels), (energy, data), (data, energy), (data, data))
    )
    alike = product / (fixed_energy.clamp_min(1) * energy_seen.clamp_min(1)).sqrt()
    worth = torch.where(shared > _MIN_OVERLAP * side**2, alike * shared.clamp_min(0).sqrt(), -1)
    best = worth.flatten(1).argmax(1)
    chosen, row, column = best // n**2, best % n**2 // n, best % n
    # Shifts below zero lie at the end.
    x, y = (torch.where(index >= side, index - n, index).float() for index in (column, row))
    found_px = torch.stack([x, y], 1) * stride_px + (seen * stride_px - 1) / 2
    linear = linear[chosen]
    shift = found_px[:, :, None] - linear @ linear.new_full((2, 1), middle_px)
    return Similarity(linear, shift)


def overlap_likeness(moving: Cells, fixed: Cells, transform: Similarity) -> Float[Tensor, " n"]:
    """How alike the images are under a transform: normalised correlation of all cells that overlap, times their number.

    Args:
        moving: Mapped images.
        fixed: Likewise, in cells of the same size.
        transform: Fixed from moving, px.
    """
    correlation, shared = _overlap(moving, fixed, transform)
    return correlation * shared


def distinctness(moving: Cells, fixed: Cells, transform: Similarity) -> Float[Tensor, " n"]:
    """How far the likeness under a transform stands out from the likeness when it is shifted by some pixels, any way.

    Any two images have a transform under which they are most alike; only those of one place have a peak there.

    Args:
        moving: Mapped images.
        fixed: Likewise, in cells of the same size.
        transform: Fixed from moving, px.

    Returns:
        Difference of the normalised correlations, in standard errors of one of as many independent cells as overlap.
    """
    angles = torch.arange(_N_AROUND, device=moving.data.device) * (2 * math.pi / _N_AROUND)
    ring = torch.stack([angles.cos(), angles.sin()], 1)
    steps = torch.cat([ring.new_zeros(1, 2), *(distance_px * ring for distance_px in _AROUND_PX)])
    n_pairs, n_steps = len(transform.linear), len(steps)
    linear, shift = (one.repeat_interleave(n_steps, 0) for one in (transform.linear, transform.shift))
    stepped = Similarity(linear, shift + steps.repeat(n_pairs, 1)[:, :, None])
    correlation, shared = _overlap(moving.inner.repeated(n_steps), fixed.inner.repeated(n_steps), stepped)
    correlation, shared = correlation.unflatten(0, (n_pairs, n_steps)), shared.unflatten(0, (n_pairs, n_steps))
    return (correlation[:, 0] - correlation[:, 1:].amax(1)) * shared[:, 0].sqrt()


def _overlap(moving: Cells, fixed: Cells, transform: Similarity) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Normalised correlation of all cells that overlap, and how many they are."""
    places = transform(centres_xy(moving.data, moving.stride_px).flatten(1)[None])
    near = fixed.sampled(places.unflatten(2, moving.data.shape[-2:]))
    product = moving.turned(transform.rotation) * near.contrast
    alike, seen, near_seen, shared = (
        each.sum((1, 2, 3))
        for each in (product, moving.energy * near.data, near.energy * moving.data, moving.data * near.data)
    )
    return alike / (seen.clamp_min(1) * near_seen.clamp_min(1)).sqrt(), shared


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
