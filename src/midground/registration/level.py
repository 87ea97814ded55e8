"""One registration attempt on one working grid: coarse shift, tie points, independent estimates, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.errors import RegistrationError
from midground.matching.template import window_sizes
from midground.registration.coarse import Coarse, MappedPair, coarse_shifts
from midground.registration.config import RegisterConfig
from midground.registration.estimate import confidence_weight, fit_least_squares, residuals_px
from midground.registration.evidence import Evidence, SearchEvidence, trust
from midground.registration.pair import LINEAR_SIGMA, TiePointSearch, search_tie_points, warp_mask
from midground.registration.validation import coverage, halves, mean_distance_px
from midground.registration.verdict import Judgement, judge

_FEWEST_IN_A_HALF = 4
_WITNESS_POINTS = 100
"""Enough to tell whether the second mapper agrees."""


class Testimony(NamedTuple):
    """The estimate of a mapper that does not lead, and the shift that it started from."""

    search: TiePointSearch
    coarse: Coarse


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one working grid gave."""

    pairs: tuple[MappedPair, ...]
    """The mapped images, the lead's first."""
    coarse: Coarse
    lead: TiePointSearch | None
    """None if no transform found support."""
    witness: Testimony | None
    evidence: Evidence | None
    judgement: Judgement


def attempt(
    pairs: Sequence[MappedPair],
    search_px: int,
    config: RegisterConfig,
    *,
    georeferenced: bool,
    min_overlap: float = 0.25,
    progress: Progress = silent,
) -> Attempt:
    """Register two mapped images that differ by a shift of up to ``search_px`` and a little of everything else.

    The lead follows its own coarse shift; if that is not accepted, it also follows the other mappers', which then are
    no longer independent witnesses.

    Args:
        pairs: The images under every mapper; the first leads, the second is the independent witness.
        search_px: Largest shift searched, px.
        config: Settings.
        georeferenced: Whether the grid comes from the images' georeference.
        min_overlap: Smallest common area at a shift, as a share of the smaller image.
        progress: Told about the windows matched.
    """
    coarse = coarse_shifts(pairs, search_px, min_overlap=min_overlap)
    witness = _ask_witness(pairs, coarse, config)
    best = _follow(pairs, coarse[0], witness, config, georeferenced=georeferenced, progress=progress)
    for other in coarse[1:]:
        if best.judgement.verdict == "accept":
            break
        second = _follow(pairs[:1], other, None, config, georeferenced=georeferenced, progress=progress)
        best = min(best, second, key=lambda one: one.judgement.rank)
    return best


def _follow(
    pairs: Sequence[MappedPair],
    coarse: Coarse,
    witness: Testimony | None,
    config: RegisterConfig,
    *,
    georeferenced: bool,
    progress: Progress,
) -> Attempt:
    """Search the lead's tie points around a coarse shift, and judge."""
    try:
        lead = search_tie_points(pairs[0], coarse.transform, config, progress=progress)
    except RegistrationError as error:
        return Attempt(tuple(pairs), coarse, None, None, None, Judgement("reject", (str(error),), None, 0.0))
    evidence = gather_evidence(pairs, coarse, lead, witness, config, georeferenced=georeferenced)
    return Attempt(tuple(pairs), coarse, lead, witness, evidence, judge(evidence))


def gather_evidence(
    pairs: Sequence[MappedPair],
    coarse: Coarse,
    lead: TiePointSearch,
    witness: Testimony | None,
    config: RegisterConfig,
    *,
    georeferenced: bool,
) -> Evidence:
    """Everything that the verdict looks at."""
    moving = pairs[0].moving
    overlap = overlap_mask(pairs[0], lead.transform)
    used = lead.matches.select(lead.inliers)
    window = window_sizes(config.template, moving.hw, pairs[0].fixed.hw)[0]
    n_independent = max(1.0, float(overlap.sum()) / window**2)
    return Evidence(
        search=search_evidence(lead, coarse, n_independent),
        n_matches=len(lead.matches),
        n_inliers=len(used),
        at_edge=coarse.at_edge,
        coverage=coverage(used.fixed_xy, overlap, window / 2),
        ce90_px=lead.held_out.ce90_px,
        transform_std_px=lead.held_out.transform_std_px,
        halves_px=halves_distance_px(lead, moving.hw),
        witness_name=pairs[1].name if len(pairs) > 1 else None,
        witness_px=None if witness is None else mean_distance_px(witness.search.transform, lead.transform, moving.hw),
        witness_trust=None if witness is None else trust(search_evidence(*witness, n_independent)),
        deviation=lead.transform,
        georeferenced=georeferenced,
    )


def search_evidence(search: TiePointSearch, coarse: Coarse, n_independent: float) -> SearchEvidence:
    """What a search saw.

    Args:
        search: The search.
        coarse: The shift that it started from.
        n_independent: Windows that fit side by side into the overlap.
    """
    n_blind = len(search.blind.matches)
    residual = residuals_px(search.transform, search.matches.select(search.inliers))
    return SearchEvidence(
        peak_ratio=coarse.peak_ratio,
        n_windows=search.blind.n_windows,
        n_blind=n_blind,
        n_supporting=round(search.blind_support * n_blind),
        n_independent=n_independent,
        residual_rmse_px=float(np.sqrt((residual**2).mean())),
    )


def halves_distance_px(lead: TiePointSearch, hw: tuple[int, int]) -> float | None:
    """Mean distance between the fits to two disjoint halves of the tie points; None if a half holds too few."""
    first = halves(lead.matches.moving_xy, hw)
    # A homography extrapolates wildly from half of the points; what is compared is where the halves put the image.
    kind = "affine" if lead.transform.kind == "homography" else lead.transform.kind
    fits: list[Transform] = []
    for half in (first, ~first):
        chosen = lead.matches.select(lead.inliers & half)
        if len(chosen) < _FEWEST_IN_A_HALF:
            return None
        fits.append(
            fit_least_squares(
                chosen,
                kind,
                weight=confidence_weight(chosen.score),
                prior=lead.transform,
                prior_sigma=LINEAR_SIGMA,
            )
        )
    return mean_distance_px(fits[0], fits[1], hw)


def overlap_mask(pair: MappedPair, transform: Transform) -> Bool[np.ndarray, "h w"]:
    """Pixels of the fixed image that the moved image covers with data."""
    moved = warp_mask(pair.moving.valid, transform, pair.fixed.hw)
    return np.asarray(pair.fixed.valid & moved)


def _ask_witness(pairs: Sequence[MappedPair], coarse: Sequence[Coarse], config: RegisterConfig) -> Testimony | None:
    """The second mapper's estimate from its own coarse shift; None if there is none, or it found nothing."""
    if len(pairs) < 2:
        return None
    fewer = replace(
        config, template=replace(config.template, max_points=min(_WITNESS_POINTS, config.template.max_points))
    )
    try:
        return Testimony(search_tie_points(pairs[1], coarse[1].transform, fewer), coarse[1])
    except RegistrationError:
        return None
