"""Matched points of two images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Integer


@dataclass(frozen=True, slots=True)
class Correspondences:
    """Conjugate points: ``moving_xy[i]`` and ``fixed_xy[i]`` show the same place.

    Coordinates are (x, y) with integer values at pixel centres.
    """

    moving_xy: Float64[np.ndarray, "n 2"]
    fixed_xy: Float64[np.ndarray, "n 2"]
    score: Float64[np.ndarray, " n"]
    """Confidence between 0 and 1; comparable within one matcher only."""

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def empty(cls) -> Correspondences:
        """No matches."""
        return cls(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0))

    @classmethod
    def concatenate(cls, parts: Iterable[Correspondences]) -> Correspondences:
        """Pool several sets of matches, in order."""
        parts = [cls.empty(), *parts]
        return cls(
            np.concatenate([part.moving_xy for part in parts]),
            np.concatenate([part.fixed_xy for part in parts]),
            np.concatenate([part.score for part in parts]),
        )

    def select(self, which: Bool[np.ndarray, " n"] | Integer[np.ndarray, " k"]) -> Correspondences:
        """Keep the matches that a mask or an index array names."""
        return Correspondences(self.moving_xy[which], self.fixed_xy[which], self.score[which])

    def swapped(self) -> Correspondences:
        """Exchange the roles of the moving and the fixed image."""
        return Correspondences(self.fixed_xy, self.moving_xy, self.score)
