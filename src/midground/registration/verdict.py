"""Accept, suspect or reject: what the evidence for a transform amounts to, in words.

Every check gives a level and a sentence. One failed check rejects; one weak check makes the result suspect. The limits
come from pairs that show the same place and pairs that do not; docs/verdict.md holds the measurements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

import numpy as np

from midground.registration.evidence import Evidence, trust

Verdict = Literal["accept", "suspect", "reject"]
_VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
"""The best first."""


class Level(IntEnum):
    """How a check went."""

    GOOD = 0
    WEAK = 1
    FAILED = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One piece of evidence, judged."""

    level: Level
    sentence: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict and why."""

    verdict: Verdict
    reasons: tuple[str, ...]
    expected_error_px: float | None
    trust: float

    @property
    def rank(self) -> tuple[int, float]:
        """Sorts judgements, the best first: the better verdict, then the higher trust."""
        return _VERDICTS.index(self.verdict), -self.trust


MIN_TRUST = (0.7, 0.93)
"""Share of right transforms among those with such evidence: below the first failed, below the second weak."""
MOST_CERTAIN = 0.99
"""No share is stated as more certain than the calibration can tell."""
MIN_INLIERS = (6, 9)
MIN_COVERAGE = (0.10, 0.35)
MAX_CE90_PX = (5.6, 4.8)
MAX_HALVES_PX = (6.0, 2.5)
MAX_STD_PX = (4.0, 1.5)
WITNESS_AGREES_PX = 3.0
MIN_ROTATION_RATIO = (0.8, 1.25)
"""Images of different places reached 1.20. Below 1 the search found another one, and dense matches this."""
MIN_ROTATION_RATIO_ALONE = 1.15
"""Below it the rest of the evidence has to be good: of images of different places, that rejects most that are left."""
MAX_SCALE = {True: 1.10, False: 4.0}
MAX_ROTATION_DEG = {True: 5.0, False: 180.0}
ERROR_FLOOR_PX = 0.8
"""Error that no internal check can see: the two sensors do not show an edge at the same place."""


def judge(evidence: Evidence) -> Judgement:
    """Weigh the evidence.

    Returns:
        The verdict, its reasons, the decisive ones first, and the expected error in working pixels.
    """
    checks = [check(evidence) for check in _CHECKS]
    worst = max(check.level for check in checks)
    order = sorted((check for check in checks if check.sentence), key=lambda check: -check.level)
    return Judgement(
        _VERDICTS[worst],
        tuple(check.sentence for check in order),
        expected_error_px(evidence),
        trust(evidence.search),
    )


def expected_error_px(evidence: Evidence) -> float | None:
    """Root of the sum of two squares: the larger of the jackknife error and half the distance of the halves; the floor.

    None without a jackknife error.
    """
    if evidence.transform_std_px is None:
        return None
    halves = (evidence.halves_px or 0.0) / 2
    return float(np.sqrt(max(evidence.transform_std_px, halves) ** 2 + ERROR_FLOOR_PX**2))


def _level(value: float, limits: tuple[float, float], *, larger_is_better: bool) -> Level:
    failed, weak = limits
    if not larger_is_better:
        value, failed, weak = -value, -failed, -weak
    if value < failed:
        return Level.FAILED
    return Level.WEAK if value < weak else Level.GOOD


def _trust(e: Evidence) -> Check:
    share, seen = trust(e.search), e.search
    level = _level(share, MIN_TRUST, larger_is_better=True)
    where = "" if e.n_blocks is None else "On the reduced grid, "
    said = f"{where}{seen.n_supporting} of {seen.n_blind} windows matched without guidance agree with the transform"
    tried = f"{said}, out of {seen.n_windows} tried, and the best shift stands out {seen.peak_ratio:.1f} times"
    said_share = "over 99 %" if share > MOST_CERTAIN else "under 1 %" if share < 1 - MOST_CERTAIN else f"{share:.0%}"
    return Check(level, f"{tried}: in the calibration, {said_share} of the transforms with such evidence were right.")


def _number(e: Evidence) -> Check:
    level = _level(e.n_inliers, MIN_INLIERS, larger_is_better=True)
    if e.n_blocks is None:
        return Check(level, f"{e.n_inliers} of {e.n_matches} tie points fit the transform.")
    blocks = "1 block" if e.n_blocks == 1 else f"{e.n_blocks} blocks"
    searched = f"searched around the transform in {blocks} of the finer grid"
    return Check(level, f"{e.n_inliers} of {e.n_matches} tie points, {searched}, fit it.")


def _coverage(e: Evidence) -> Check:
    level = _level(e.coverage, MIN_COVERAGE, larger_is_better=True)
    return Check(level, f"Tie points cover {e.coverage:.0%} of the overlap.")


def _held_out(e: Evidence) -> Check:
    if e.ce90_px is None:
        return Check(Level.WEAK, "There are too few tie points to hold some out and test the transform on them.")
    level = _level(e.ce90_px, MAX_CE90_PX, larger_is_better=False)
    return Check(level, f"90 % of the tie points held out of the fit lie within {e.ce90_px:.1f} working pixels.")


def _stability(e: Evidence) -> Check:
    if e.transform_std_px is None:
        return Check(Level.GOOD, "")
    level = _level(e.transform_std_px, MAX_STD_PX, larger_is_better=False)
    moved = f"{e.transform_std_px:.1f} working pixels"
    return Check(level, f"Leaving out parts of the scene moves the transform by about {moved}.")


def _halves(e: Evidence) -> Check:
    if e.halves_px is None:
        return Check(Level.WEAK, "There are too few tie points to compare two halves of them.")
    level = _level(e.halves_px, MAX_HALVES_PX, larger_is_better=False)
    apart = f"{e.halves_px:.1f} working pixels"
    return Check(level, f"Two disjoint halves of the tie points give transforms {apart} apart.")


def _witness(e: Evidence) -> Check:
    if e.witness_name is None:
        return Check(Level.GOOD, "")
    unit = "working pixels" if e.n_blocks is None else "pixels of the reduced grid"
    if e.witness_px is not None and e.witness_px <= WITNESS_AGREES_PX:
        apart = f"{e.witness_px:.1f} {unit}"
        return Check(Level.GOOD, f"The independent estimate from '{e.witness_name}' lies {apart} away.")
    if e.witness_px is None:
        return Check(Level.GOOD, f"The second mapper, '{e.witness_name}', found no answer of its own.")
    apart = f"{e.witness_px:.1f} {unit} away"
    if (e.witness_trust or 0.0) >= MIN_TRUST[1]:
        return Check(Level.WEAK, f"The independent estimate from '{e.witness_name}' contradicts it, {apart}.")
    return Check(Level.GOOD, f"The estimate from '{e.witness_name}' lies {apart}, with too little evidence to count.")


def _plausibility(e: Evidence) -> Check:
    limit, limit_deg = MAX_SCALE[e.georeferenced], MAX_ROTATION_DEG[e.georeferenced]
    matrix = e.deviation.matrix[:2, :2]
    smallest, largest = np.linalg.svd(matrix, compute_uv=False)[::-1]
    rotation = abs(float(np.degrees(np.arctan2(matrix[1, 0] - matrix[0, 1], matrix[0, 0] + matrix[1, 1]))))
    if np.linalg.det(matrix) <= 0:
        return Check(Level.FAILED, "The transform mirrors the image, which no pair of satellite images needs.")
    if largest > limit or smallest < 1 / limit or rotation > limit_deg or largest / smallest > 1.5:
        said = f"scales by {smallest:.2f} to {largest:.2f} and turns by {rotation:.1f} degrees"
        return Check(Level.FAILED, f"The transform {said}, which is implausible for this pair.")
    return Check(Level.GOOD, "")


def _edge(e: Evidence) -> Check:
    if not e.at_edge:
        return Check(Level.GOOD, "")
    remedy = " (--search)" if e.georeferenced else ""
    return Check(
        Level.WEAK, f"The best shift lies at the edge of the search range: the true one may lie outside{remedy}."
    )


def _rotation(e: Evidence) -> Check:
    if e.rotation_ratio is None:
        return Check(Level.GOOD, "")
    level = _level(e.rotation_ratio, MIN_ROTATION_RATIO, larger_is_better=True)
    said = f"the one found is {e.rotation_ratio:.2f} times as good as the best other one"
    if e.rotation_ratio < MIN_ROTATION_RATIO_ALONE and trust(e.search) < MIN_TRUST[1]:
        return Check(
            Level.FAILED, f"All rotations were searched; {said}, and its other evidence does not outweigh that."
        )
    return Check(level, f"All rotations were searched; {said}.")


_CHECKS: tuple[Callable[[Evidence], Check], ...] = (
    _trust,
    _number,
    _witness,
    _halves,
    _held_out,
    _stability,
    _coverage,
    _plausibility,
    _edge,
    _rotation,
)
