"""The criterion ``correlation``: a window of one mapped image has to find its place in the other one.

Both requirements of a shared modality in one loss. The normalised cross-correlation of a window with the other image,
over all shifts within a radius, is read as a distribution over shifts; the loss is its cross-entropy against the true
shift. Images that differ correlate nowhere, and constant images correlate everywhere alike, so neither is a way out.

Source:
    Requirements: paper, section 3.1. The criterion is this library's own; the correlation is the one that
    ``midground.matching.correlation`` matches with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from midground.errors import ConfigError, DependencyError
from midground.training.criterion import CriterionResult, SharedBatch
from midground.training.criterion_configs import TEMPERATURES, CorrelationConfig

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_TINY = 1e-6
_CONTRAST_WEIGHT = 0.25
_COARSE = 2
"""How many times the images of coarse windows are reduced."""


class CorrelationCriterion(nn.Module):
    """Cross-entropy of the correlation over shifts; the temperature is a parameter and trained along."""

    def __init__(self, config: CorrelationConfig) -> None:
        super().__init__()
        self.config = config
        self.log_temperature = nn.Parameter(torch.tensor(math.log(config.temperature)))

    def forward(self, batch: SharedBatch) -> CriterionResult:
        """Loss of a batch; windows, their true shifts and which image they are cut from are drawn from its ``rng``."""
        config = self.config
        lowest, highest = (math.log(temperature) for temperature in TEMPERATURES)
        temperature = torch.exp(self.log_temperature.clamp(lowest, highest))
        images = {1: (batch.shared_sar, batch.shared_optical, batch.valid)}
        if config.n_coarse:
            # The mean of four pixels, valid where all of them are.
            images[_COARSE] = tuple(functional.avg_pool2d(image.float(), _COARSE) for image in images[1])
        losses, weights = [], []
        for index, scale in enumerate([1] * config.n_windows + [_COARSE] * config.n_coarse):
            sar, optical, valid = images[scale]
            template_of, search_of = (sar, optical) if index % 2 == 0 else (optical, sar)
            draw = _draw(config, scale, valid.shape, batch.rng)
            template, search = draw.templates(template_of), draw.searches(search_of)
            target = draw.target(config.tolerance_px / scale).to(template.device)
            loss = _cross_entropy(template, search, target, temperature)
            if config.n_local:
                local = slice(config.n_local)
                loss = loss + _cross_entropy(template[:, local], search[:, local], target, temperature)
            losses.append(loss)
            weights.append(_weight(draw.templates(valid), draw.searches(valid), config.min_valid))
        weight = torch.stack(weights)
        loss = (torch.stack(losses) * weight).sum() / weight.sum().clamp_min(1.0)
        parts = {"temperature": temperature.detach()}
        if config.n_local:
            shares = [_contrast_share(image, config.n_local) for image in (batch.shared_sar, batch.shared_optical)]
            due = config.n_local / batch.shared_sar.shape[1]
            loss = loss + _CONTRAST_WEIGHT * sum(torch.log(share / due) ** 2 for share in shares)
            parts["local_contrast"] = (sum(shares) / len(shares)).detach()
        return CriterionResult(loss=loss, parts=parts)


def _contrast_share(images: torch.Tensor, n_local: int) -> torch.Tensor:
    """Part of the first channels in the variance of all of them: what they weigh in a correlation."""
    variance = images.float().var(dim=(2, 3)).mean(dim=0) + _TINY
    return variance[:n_local].sum() / variance.sum()


def _cross_entropy(
    template: torch.Tensor, search: torch.Tensor, target: torch.Tensor, temperature: torch.Tensor
) -> torch.Tensor:
    """Of each pair (n,): how far the distribution over shifts is from the target."""
    surface = correlation_surfaces(template, search)
    log_share = torch.log_softmax((surface / temperature).flatten(1), dim=1)
    return -(log_share * target).sum(dim=1)


@dataclass(frozen=True, slots=True)
class _Draw:
    """A window of each pair, the area it is searched in, and where in that area it belongs; all of one size."""

    size: int
    search_px: int
    corners_xy: npt.NDArray[np.int64]
    """(n, 2), left and top of the areas."""
    true_xy: npt.NDArray[np.int64]
    """(n, 2), left and top of the windows, counted in their areas."""

    def templates(self, images: torch.Tensor) -> torch.Tensor:
        """The windows (n, k, size, size) of images (n, k, h, w)."""
        return _squares(images, self.corners_xy + self.true_xy, self.size)

    def searches(self, images: torch.Tensor) -> torch.Tensor:
        """The areas (n, k, size + 2 search_px, size + 2 search_px) of images (n, k, h, w)."""
        return _squares(images, self.corners_xy, self.size + 2 * self.search_px)

    def target(self, tolerance_px: float) -> torch.Tensor:
        """The distribution over shifts (n, shifts) that the criterion wants: a Gaussian around the true ones."""
        steps = np.arange(2 * self.search_px + 1, dtype=np.float32)
        offsets = steps - self.true_xy[:, :, None]
        x, y = np.exp(-(offsets**2) / (2 * max(tolerance_px, 1e-3) ** 2)).astype(np.float32).swapaxes(0, 1)
        target = (y[:, :, None] * x[:, None, :]).reshape(len(x), -1)
        return torch.from_numpy(target / target.sum(axis=1, keepdims=True))


def _draw(config: CorrelationConfig, scale: int, shape: Sequence[int], rng: np.random.Generator) -> _Draw:
    """Windows of images (n, k, h, w) that were reduced ``scale`` times."""
    n, _, *hw = shape
    (low, high), search_px = config.window_px, config.search_px // scale
    largest_px = min(high, scale * (min(hw) - 2 * search_px))
    if largest_px < low:
        raise ConfigError(
            f"Images of {scale * hw[0]} × {scale * hw[1]} px hold no window of {low} px with a search of "
            f"±{config.search_px} px: choose a smaller criterion.window_px or criterion.search_px."
        )
    size = int(rng.integers(low, largest_px + 1)) // scale
    free = np.subtract(hw, size + 2 * search_px)
    corners = rng.integers(0, free[::-1] + 1, (n, 2))
    return _Draw(size, search_px, corners, rng.integers(0, 2 * search_px + 1, (n, 2)))


def _squares(images: torch.Tensor, corners_xy: npt.NDArray[np.int64], side: int) -> torch.Tensor:
    """One square (n, k, side, side) of each image (n, k, h, w), from its left top corner."""
    steps = np.arange(side)
    columns, rows = corners_xy[:, :1] + steps, corners_xy[:, 1:] + steps
    places = torch.from_numpy((rows[:, :, None] * images.shape[3] + columns[:, None, :]).reshape(len(rows), 1, -1))
    places = places.to(images.device).expand(-1, images.shape[1], -1)
    return images.flatten(2).gather(2, places).unflatten(2, (side, side))


def correlation_surfaces(template: torch.Tensor, search: torch.Tensor) -> torch.Tensor:
    """Zero-mean normalised cross-correlation over all shifts, channels together, in single precision.

    Args:
        template: Windows (n, k, t, t).
        search: Areas (n, k, s, s), s larger than t.

    Returns:
        (n, s - t + 1, s - t + 1); the value at (row, column) belongs to the window whose top left pixel that is.
    """
    size, side = template.shape[-1], search.shape[-1]
    n_shifts = side - size + 1
    template, search = template.float(), search.float()
    template = template - template.mean(dim=(2, 3), keepdim=True)
    search = search - search.mean(dim=(2, 3), keepdim=True)
    spectrum = torch.fft.rfft2(template, s=(side, side)).conj() * torch.fft.rfft2(search)
    numerator = torch.fft.irfft2(spectrum.sum(dim=1), s=(side, side))[:, :n_shifts, :n_shifts]
    total, squares = _box_sums(search, size), _box_sums((search**2).sum(dim=1, keepdim=True), size)
    energy = squares[:, 0] - (total**2).sum(dim=1) / size**2
    template_energy = (template**2).sum(dim=(1, 2, 3))[:, None, None]
    return numerator / torch.sqrt((energy.clamp_min(0) + _TINY * size**2) * (template_energy + _TINY * size**2))


def _box_sums(values: torch.Tensor, size: int) -> torch.Tensor:
    """Sums over every square of ``size`` px that lies inside."""
    sums = functional.pad(values, (1, 0, 1, 0)).cumsum(dim=2).cumsum(dim=3)
    return sums[..., size:, size:] - sums[..., :-size, size:] - sums[..., size:, :-size] + sums[..., :-size, :-size]


def _weight(template_valid: torch.Tensor, search_valid: torch.Tensor, min_valid: float) -> torch.Tensor:
    shares = torch.minimum(template_valid.mean(dim=(1, 2, 3)), search_valid.mean(dim=(1, 2, 3)))
    return (shares >= min_valid).float()
