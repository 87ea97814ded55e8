"""What is known about a transform, and how much that is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from midground.core.transforms import Transform


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchEvidence:
    """What one search for tie points saw: the numbers that trust is computed from."""

    peak_ratio: float
    """Distinctness of the coarse correlation peak."""
    n_windows: int
    """Windows that held enough data."""
    n_blind: int
    """Of those, matched in the search over the whole range: with a distinct peak that matches back."""
    n_supporting: int
    """Of those, in agreement with the transform."""
    n_independent: float
    """Windows that fit side by side into the overlap: overlapping windows are not independent."""
    residual_rmse_px: float
    """Root mean square residual of the inliers, working pixels."""

    @property
    def matched_share(self) -> float:
        """Share of the windows that matched without guidance; unrelated images reach about half."""
        return self.n_blind / max(self.n_windows, 1)

    @property
    def supporting_share(self) -> float:
        """Share of the unguided matches that agree with the transform."""
        return self.n_supporting / max(self.n_blind, 1)

    @property
    def support_bound(self) -> float:
        """Lower 95 % bound of the supporting share, counting independent windows only."""
        n = min(float(self.n_blind), self.n_independent)
        return wilson_lower_bound(self.supporting_share * n, n)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about a transform. Pixels are those of the working grid.

    Of a large scene, ``search``, ``at_edge`` and the witness are those of the reduced grid, on which the transform was
    found; everything else is of the tie points in blocks of the finer one.
    """

    search: SearchEvidence
    """What the search that found the transform saw."""
    n_matches: int
    """Matches of the search around the transform."""
    n_inliers: int
    """Of those, within the threshold."""
    at_edge: bool
    """Whether the coarse peak lies at the edge of the search range."""
    coverage: float
    """Share of the overlap near a tie point, 0 to 1."""
    ce90_px: float | None
    """90th percentile of held-out residuals."""
    transform_std_px: float | None
    """Jackknife standard deviation of the transform."""
    halves_px: float | None
    """Mean distance between the transforms of two disjoint halves of the tie points."""
    witness_name: str | None
    """The mapper that was asked for an independent estimate."""
    witness_px: float | None
    """Mean distance to that estimate; None if it found none."""
    witness_trust: float | None
    """Trust in that estimate by itself."""
    deviation: Transform
    """Fixed from moving on the working grid, where an exact georeference would give the identity."""
    georeferenced: bool
    """Whether the working grid comes from the images' georeference."""
    rotation_ratio: float | None = None
    """Score of the rotation that was searched and found, over the best at other rotations; None without a search."""
    n_blocks: int | None = None
    """Blocks of a finer grid that tie points were searched in, around the transform; None without a finer grid."""


FEATURES = ("peak_ratio", "matched", "support", "residual")


def features(evidence: SearchEvidence) -> Float64[np.ndarray, " k"]:
    """The numbers that trust is computed from, in the order of ``FEATURES``."""
    return np.array(
        [
            np.log(np.clip(evidence.peak_ratio, 1.0, 3.0)),
            evidence.matched_share,
            evidence.support_bound,
            min(evidence.residual_rmse_px, 3.0),
        ]
    )


WEIGHTS = np.array([4.254, 6.588, 6.934, -0.147, -7.763])
"""One per feature, then the constant: logistic regression by benchmarks/calibrate_verdict.py."""


def trust(evidence: SearchEvidence) -> float:
    """Share of transforms with this evidence that were right in the calibration, 0 to 1.

    Calibrated on Sentinel-1 and Sentinel-2 pairs at 10 m (docs/verdict.md): for other sensors it ranks results, and its
    absolute value is a guess.
    """
    return float(1 / (1 + np.exp(-(features(evidence) @ WEIGHTS[:-1] + WEIGHTS[-1]))))


def wilson_lower_bound(n_hits: float, n: float, *, z: float = 1.64) -> float:
    """Lower 95 % bound of a share (Wilson 1927): small samples prove less."""
    if n <= 0:
        return 0.0
    share = n_hits / n
    centre = share + z**2 / (2 * n)
    spread = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float((centre - spread) / (1 + z**2 / n))
