"""What a criterion is: from a batch of pairs and their shared images to a loss."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.criterion_configs import CriterionConfig

try:
    import torch
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedBatch:
    """A batch of pairs, before and after both networks."""

    sar: Float[torch.Tensor, "n sar_bands h w"]
    """What the SAR network was given, between 0 and 1."""
    optical: Float[torch.Tensor, "n optical_bands h w"]
    """What the optical network was given, between 0 and 1."""
    shared_sar: Float[torch.Tensor, "n k h w"]
    """What the SAR network made of it."""
    shared_optical: Float[torch.Tensor, "n k h w"]
    """What the optical network made of it."""
    valid: Float[torch.Tensor, "n 1 h w"]
    """1 where both images hold data, 0 elsewhere."""
    rng: np.random.Generator
    """For whatever a criterion draws at random."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CriterionResult:
    """What a criterion says about a batch."""

    loss: Float[torch.Tensor, ""]
    """What is minimised."""
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    """Unweighted terms of the loss and the like, by name: scalars without gradient."""
    images: dict[str, torch.Tensor] = field(default_factory=dict)
    """What else can be looked at, by name: batches (n, c, h, w) without gradient."""


@runtime_checkable
class Criterion(Protocol):
    """A loss as a torch module, with whatever parameters it trains along."""

    @property
    def config(self) -> CriterionConfig:
        """Its settings."""
        ...

    def __call__(self, batch: SharedBatch) -> CriterionResult:
        """Compute the loss in single precision, whatever the precision of the networks."""
        ...
