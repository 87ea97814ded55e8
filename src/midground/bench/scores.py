"""The fast loop: from the matches of a run to its numbers, as the paper defines them and over all pairs.

Source:
    Paper, section 4.5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64

from midground.bench.methods import ContentBlindConfig, RegisterMethodConfig
from midground.bench.records import MANIFEST, PairMatches, load, pair_file, read_manifest, unfinished
from midground.core.metrics import (
    SUCCESS_ACE_PX,
    Summary,
    ace,
    mean_error_of_successes,
    mean_of_defined,
    median_error,
    mma,
    point_errors,
    success_rate,
)
from midground.core.transforms import Transform
from midground.errors import InputError, RegistrationError
from midground.evaluation.config import PAPER_ESTIMATE
from midground.registration.estimate import estimate_transform

Fit = Literal["paper", "affine"]
"""How a transform is fitted to matches: as in the paper (section 4.5), a homography by plain RANSAC; or as ``register``
does, an affine transform by MAGSAC, refitted to its inliers."""
CORRECT_PX = 5.0
"""A match is correct within this distance of the truth (the paper's delta in Table 2)."""
_N_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class PairScore:
    """What one pair's matches are worth."""

    name: str
    ace_px: float
    """Average corner error; infinite without a transform."""
    mma: float | None
    """Share of the matches within 3 px of the estimate; None without a match or an estimate."""
    errors_px: Float64[np.ndarray, " n"]
    """Distance of each match from the truth."""
    seconds: float
    n_threads: int
    """Processors that the process could use meanwhile."""

    def cmr(self, threshold_px: float) -> float | None:
        """Correct matches rate; None without a match."""
        return float((self.errors_px <= threshold_px).mean()) if self.errors_px.size else None

    def localization_error(self, threshold_px: float) -> float | None:
        """Mean error of the correct matches, px; None without one."""
        correct = self.errors_px[self.errors_px <= threshold_px]
        return float(correct.mean()) if correct.size else None


@dataclass(frozen=True)
class Run:
    """A run with the score of each pair; the numbers are means over pairs, and say over how many."""

    folder: Path
    manifest: dict[str, Any]
    scores: tuple[PairScore, ...]

    @property
    def model(self) -> str:
        """Name of the mapper."""
        return str(self.manifest["model"]["name"])

    @property
    def method(self) -> str:
        """Name of the matcher, or of what stands for one."""
        return str(self.manifest["method"]["name"])

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return str(self.manifest["protocol"])

    @property
    def is_control(self) -> bool:
        """Whether the method is there to show what a number is worth, not to be compared."""
        return self.method == ContentBlindConfig().name

    @property
    def guides(self) -> bool:
        """Whether the matches are those of a search around the method's own first transform."""
        return self.method == RegisterMethodConfig().name

    @property
    def n_threads(self) -> tuple[int, ...]:
        """Processors that a process could use, each number once; a run may be gone on with in another way."""
        return tuple(sorted({score.n_threads for score in self.scores}))

    @cached_property
    def corner_errors_px(self) -> Float64[np.ndarray, " n"]:
        """Average corner error of each pair, infinite for a failure."""
        return np.array([score.ace_px for score in self.scores], np.float64)

    def success(self, threshold_px: float = SUCCESS_ACE_PX) -> Summary:
        """Share of all pairs whose ACE is below a threshold; the paper's SR if it is omitted."""
        return success_rate(self.corner_errors_px, threshold_px=threshold_px)

    def success_interval(self, threshold_px: float) -> tuple[float, float]:
        """Bounds that hold 95 % of the shares of collections drawn from this one."""
        return bootstrap_interval(self.corner_errors_px < threshold_px)

    def median_ace(self) -> Summary:
        """Median of all pairs' ACE, px; infinite if half of them failed."""
        return median_error(self.corner_errors_px)

    def mean_ace(self) -> Summary:
        """Mean ACE of the successes alone, px: the paper's average."""
        return mean_error_of_successes(self.corner_errors_px)

    def mean_mma(self) -> Summary:
        """Mean MMA of the successes alone: the paper's average."""
        successful = [score.mma if score.ace_px < SUCCESS_ACE_PX else None for score in self.scores]
        return mean_of_defined(successful)

    def mean_point_error(self) -> Summary:
        """The paper's Delta_p, px: mean over pairs of the mean error of all matches."""
        return mean_of_defined([float(one.errors_px.mean()) if one.errors_px.size else None for one in self.scores])

    def n_matches(self) -> Summary:
        """Mean number of matches, none counting as 0: the paper's abs(P)."""
        return mean_of_defined([float(one.errors_px.size) for one in self.scores])

    def n_correct(self, threshold_px: float = CORRECT_PX) -> Summary:
        """Mean number of correct matches, none counting as 0."""
        return mean_of_defined([float((one.errors_px <= threshold_px).sum()) for one in self.scores])

    def cmr(self, threshold_px: float = CORRECT_PX) -> Summary:
        """Mean correct matches rate of the pairs with a match."""
        return mean_of_defined([one.cmr(threshold_px) for one in self.scores])

    def cmr_of_all(self, threshold_px: float = CORRECT_PX) -> Summary:
        """Mean correct matches rate of all pairs; it is 0 without a match."""
        return mean_of_defined([one.cmr(threshold_px) or 0.0 for one in self.scores])

    def localization_error(self, threshold_px: float = CORRECT_PX) -> Summary:
        """Mean localization error of the pairs with a correct match, px."""
        return mean_of_defined([one.localization_error(threshold_px) for one in self.scores])

    def median_seconds(self) -> float:
        """Median time of a pair for mapping and matching, s."""
        return float(np.median([score.seconds for score in self.scores]))


def score(found: PairMatches, fit: Fit = "paper") -> PairScore:
    """Score the matches of one pair.

    Args:
        found: The matches.
        fit: How a transform is fitted to them, unless the method gave its own.
    """
    estimate = found.transform if found.estimates else _fitted(found, fit)
    return PairScore(
        found.name,
        ace(estimate, found.truth, found.hw),
        mma(found.matches, estimate),
        point_errors(found.matches, found.truth),
        found.seconds,
        found.n_threads,
    )


def read_run(folder: Path, fit: Fit = "paper") -> Run:
    """Read a run and score it.

    Args:
        folder: Where it lies.
        fit: How transforms are fitted.

    Raises:
        InputError: There is no run, or it was not finished.
    """
    (run,) = read_fits(folder, (fit,))
    return run


def read_fits(folder: Path, fits: Sequence[Fit]) -> tuple[Run, ...]:
    """Read a run once, and score it with each of several fits.

    Args:
        folder: Where it lies.
        fits: How transforms are fitted; a run for each.

    Raises:
        InputError: There is no run, or it was not finished.
    """
    manifest = read_manifest(folder)
    if told := unfinished(folder, manifest):
        raise InputError(told)
    scores: list[list[PairScore]] = [[] for _ in fits]
    for index in range(int(manifest["pairs"]["n_pairs"])):
        found = load(pair_file(folder, index))
        for of_fit, fit in zip(scores, fits, strict=True):
            of_fit.append(score(found, fit))
    return tuple(Run(folder, manifest, tuple(of_fit)) for of_fit in scores)


def find_runs(folder: Path) -> list[Path]:
    """Folders of runs in a folder, or the folder itself.

    Raises:
        InputError: There is none.
    """
    found = sorted(path.parent for path in folder.rglob(MANIFEST))
    if not found:
        raise InputError(
            f"{folder}: holds no run; name a folder that 'midground bench predict PAIRS -o FOLDER' wrote."
            if folder.is_dir()
            else f"{folder}: there is no such folder; check the path."
        )
    return found


def find_finished(folder: Path) -> tuple[list[Path], list[str]]:
    """Folders of finished runs in a folder, and a sentence about each run that is not finished.

    Args:
        folder: That of one run is given back whatever it holds.

    Raises:
        InputError: There is no run, or none is finished.
    """
    told = {path: "" if path == folder else unfinished(path, read_manifest(path)) for path in find_runs(folder)}
    finished = [path for path, sentence in told.items() if not sentence]
    sentences = [sentence for sentence in told.values() if sentence]
    if not finished:
        raise InputError(" ".join(sentences))
    return finished, sentences


def bootstrap_interval(
    values: Sequence[float] | np.ndarray, *, statistic: Callable[[np.ndarray], float] = np.mean, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval that holds 95 % of what a statistic is for resampled pairs.

    Args:
        values: One value, or one row of them, for each pair.
        statistic: Of the values of as many pairs.
        seed: Seed of the draws.
    """
    numbers = np.asarray(values, np.float64)
    rng = np.random.default_rng(seed)
    found = [statistic(numbers[rng.integers(0, len(numbers), len(numbers))]) for _ in range(_N_RESAMPLES)]
    # Between two of them there may be no number: a median may be infinite.
    low, high = np.percentile(found, [2.5, 97.5], method="nearest")
    return float(low), float(high)


def _fitted(found: PairMatches, fit: Fit) -> Transform | None:
    try:
        if fit == "affine":
            return estimate_transform(found.matches, "affine").transform
        return estimate_transform(found.matches, "homography", PAPER_ESTIMATE).transform
    except RegistrationError:
        return None
