"""What training leaves behind: an error that all matches of a network share, which is taken off.

The robust penalty is flat where errors are large, so a bias of some tenths of a pixel costs it next to nothing while
many matches are wrong. A transform fitted to thousands of matches shows nothing but that bias.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from midground.errors import DependencyError
from midground.training.matcher.grids import centres_xy
from midground.training.matcher.module import dense_network
from midground.training.matcher.network import FINEST_STRIDE, SharedRoma
from midground.training.matcher.samples import MatcherSample

try:
    import torch
except ImportError as error:
    raise DependencyError("Training a matcher", extra="train") from error

N_PAIRS = 32
"""Pairs that are looked at."""
_MIN_CERTAINTY = 0.3
_MAX_ERROR_PX = 6.0
_FEWEST = 50


@runtime_checkable
class PairsWithTruth(Protocol):
    """An endless sequence of pairs."""

    def sample(self, number: int) -> MatcherSample:
        """The pair with this number, from 0 on."""
        ...


def shared_error_px(
    network: SharedRoma, samples: PairsWithTruth, first: int, n_pairs: int = N_PAIRS
) -> Float64[np.ndarray, " 2"]:
    """Median over pairs of the median error (x, y) of their certain matches, px; zero if no pair has enough of them.

    Either modality moves in about half of the pairs, so that what the pairs are misregistered by cancels.

    Args:
        network: What is measured.
        samples: Pairs with their truth.
        first: Number of the first one; they should not have been trained on.
        n_pairs: How many are looked at.
    """
    run = dense_network(network)
    errors = []
    for number in range(first, first + n_pairs):
        sample = samples.sample(number)
        fixed_xy, certainty = run(sample.moving[None], sample.fixed[None])
        stride_px = sample.moving.shape[-1] // certainty.shape[-1]
        grid_xy = centres_xy(torch.from_numpy(fixed_xy)[None], stride_px).numpy().reshape(2, -1)
        true_xy = sample.fixed_from_moving @ np.vstack([grid_xy, np.ones(grid_xy.shape[1])])
        error = (fixed_xy.reshape(2, -1) - true_xy[:2] / true_xy[2:]).T
        counts = (certainty.ravel() >= _MIN_CERTAINTY) & (np.linalg.norm(error, axis=1) < _MAX_ERROR_PX)
        if counts.sum() >= _FEWEST:
            errors.append(np.median(error[counts], axis=0))
    return np.asarray(np.median(errors, axis=0) if errors else np.zeros(2), np.float64)


def take_off(network: SharedRoma, error_px: Float64[np.ndarray, " 2"]) -> None:
    """Subtract an error from all matches of a network, in its last layer."""
    bias = network.refiners[str(FINEST_STRIDE)].correction.head.bias
    with torch.no_grad():
        bias[:2] -= torch.from_numpy(error_px / FINEST_STRIDE).to(bias)
