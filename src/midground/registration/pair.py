"""From two mapped images on one working grid to a transform and the evidence for it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.transforms import TRANSFORM_KINDS, Transform, TransformKind
from midground.errors import RegistrationError, TooFewMatchesError
from midground.matching.template import TemplateMatcher, TemplateMatches
from midground.registration.coarse import MappedPair
from midground.registration.config import RegisterConfig
from midground.registration.estimate import Estimate, estimate_transform, residuals_px
from midground.registration.validation import Fit, HeldOut, hold_out, spatial_blocks, weighted_fit

GUIDED_SEARCH_PX = 6
LINEAR_SIGMA = 0.01
"""Expected deviation of the linear part from the prior (1 %): decides only where few tie points leave it open."""
_MAX_UNWARPED = 0.015


@dataclass(frozen=True, slots=True)
class TiePointSearch:
    """Tie points of one mapper, and the transform they support."""

    name: str
    """The mapper."""
    transform: Transform
    """Fixed from moving, on the working grid."""
    matches: Correspondences
    """Matches of the search around the first estimate, outliers included."""
    inliers: Bool[np.ndarray, " n"]
    blind: TemplateMatches
    """Matches of the first search: over the whole range, before any transform was known; in blocks of a large scene,
    around the transform of the reduced grid."""
    blind_support: float
    """Share of them that agree with the transform; over the whole range, chance alone gives a few per cent."""
    held_out: HeldOut


def search_tie_points(
    pair: MappedPair,
    coarse: Transform,
    config: RegisterConfig,
    *,
    progress: Progress = silent,
) -> TiePointSearch:
    """Match windows around a coarse shift, fit, match again close to the fit, and fit again.

    Args:
        pair: The two mapped images.
        coarse: First transform, fixed from moving.
        config: Template, estimate and transform settings.
        progress: Told about the windows matched.

    Raises:
        TooFewMatchesError: Too few windows matched.
        NoConsensusError: The matches do not agree on a transform.
    """
    matcher = TemplateMatcher(config.template)
    blind = matcher.match_around(pair.moving, pair.fixed, coarse, progress=progress)
    first = _robust(blind.matches, _first_kind(config), config)
    guided = _match_guided(matcher, pair, first.transform, progress)
    return fit_tie_points(pair.name, blind, guided, coarse, config, pair.moving.hw)


def fit_tie_points(
    name: str,
    blind: TemplateMatches,
    matches: Correspondences,
    prior: Transform,
    config: RegisterConfig,
    hw: tuple[int, int],
) -> TiePointSearch:
    """Fit the transform that the config asks for, and test it on tie points held out.

    Args:
        name: The mapper.
        blind: Matches of the first search.
        matches: Matches to fit.
        prior: What was expected before any match was seen; its linear part is the prior of the fit.
        config: Transform and estimate settings.
        hw: Size of the moving image.

    Raises:
        TooFewMatchesError: Too few matches.
        NoConsensusError: The matches do not agree on a transform.
    """
    fit = weighted_fit(prior, LINEAR_SIGMA)
    kind, estimate = _choose_kind(matches, hw, fit, config)
    transform, inliers = _settle(matches, estimate, kind, fit, config)
    threshold_px = config.estimate.threshold_px
    held_out = hold_out(matches, inliers, kind, hw, fit, threshold_px=threshold_px)
    support = residuals_px(transform, blind.matches) <= threshold_px
    return TiePointSearch(
        name, transform, matches, inliers, blind, float(support.mean()) if len(support) else 0.0, held_out
    )


def _first_kind(config: RegisterConfig) -> TransformKind:
    """Model of the first fit: a homography has too much freedom for matches of a blind search."""
    wanted = config.transform
    return wanted if wanted in ("translation", "similarity") else "affine"


def _robust(matches: Correspondences, kind: TransformKind, config: RegisterConfig) -> Estimate:
    """Fit robustly; too few matches for an affine transform may still hold a shift."""
    try:
        return estimate_transform(matches, kind, config.estimate)
    except TooFewMatchesError:
        raise
    except RegistrationError:
        if kind == "translation":
            raise
        return estimate_transform(matches, "translation", config.estimate)


def _match_guided(matcher: TemplateMatcher, pair: MappedPair, around: Transform, progress: Progress) -> Correspondences:
    """Match close to a first transform; the moving image is warped first if it is turned or scaled noticeably."""
    smallest, largest = around.scale_at(np.array(pair.moving.hw[::-1]) / 2)
    skew = abs(around.matrix[1, 0] - around.matrix[0, 1]) / 2
    if max(abs(smallest - 1), abs(largest - 1), skew) <= _MAX_UNWARPED:
        return matcher.match_around(
            pair.moving, pair.fixed, around, search_px=GUIDED_SEARCH_PX, progress=progress
        ).matches
    warped = warp_image(pair.moving, around, pair.fixed.hw)
    found = matcher.match_around(
        warped, pair.fixed, Transform.identity(), search_px=GUIDED_SEARCH_PX, progress=progress
    ).matches
    return Correspondences(around.inverse()(found.moving_xy), found.fixed_xy, found.score)


def _choose_kind(
    matches: Correspondences, hw: tuple[int, int], fit: Fit, config: RegisterConfig
) -> tuple[TransformKind, Estimate]:
    """The wanted kind, or under `auto` the simplest whose held-out error is within one standard error of the best.

    Source:
        Breiman et al. 1984: the one-standard-error rule; here the errors are means over spatial blocks.
    """
    wanted = config.transform
    if wanted != "auto":
        return wanted, _robust(matches, wanted, config)
    candidates: list[tuple[float, float, TransformKind, Estimate]] = []
    block = spatial_blocks(matches.moving_xy, hw)
    limit_px = 2 * config.estimate.threshold_px
    for kind in TRANSFORM_KINDS:
        try:
            estimate = estimate_transform(matches, kind, config.estimate)
        except RegistrationError:
            continue
        held = hold_out(matches, estimate.inliers, kind, hw, fit, threshold_px=config.estimate.threshold_px)
        # Points that a model cannot reach count at the limit, so that dropping them never pays.
        squared = np.minimum(held.residual_px, limit_px) ** 2
        errors = np.array([squared[block == one].mean() for one in np.unique(block)])
        spread = float(errors.std() / np.sqrt(len(errors)))
        candidates.append((float(errors.mean()), spread, kind, estimate))
    if not candidates:
        return "translation", estimate_transform(matches, "translation", config.estimate)
    best, spread, _, _ = min(candidates, key=lambda candidate: candidate[0])
    _, _, kind, estimate = next(candidate for candidate in candidates if candidate[0] <= best + spread)
    return kind, estimate


def _settle(
    matches: Correspondences, estimate: Estimate, kind: TransformKind, fit: Fit, config: RegisterConfig
) -> tuple[Transform, Bool[np.ndarray, " n"]]:
    """Alternate the weighted fit and the choice of inliers until neither changes."""
    transform, inliers = estimate.transform, estimate.inliers
    for _ in range(10):
        refined = fit(matches.select(inliers), kind)
        now = residuals_px(refined, matches) <= config.estimate.threshold_px
        if int(now.sum()) < config.estimate.min_inliers:
            break
        settled = bool((now == inliers).all())
        transform, inliers = refined, now
        if settled:
            break
    return transform, inliers


def warp_image(image: Image, fixed_from_moving: Transform, hw: tuple[int, int]) -> Image:
    """Resample an image into the frame of the fixed one; what has no source is invalid."""
    matrix = fixed_from_moving.matrix
    size = (hw[1], hw[0])
    channels = np.stack(
        [cv2.warpPerspective(channel, matrix, size, flags=cv2.INTER_LINEAR) for channel in image.channels]
    )
    valid = warp_mask(image.valid, fixed_from_moving, hw)
    return Image(np.where(valid, channels, np.float32(0)), valid)


def warp_mask(
    valid: Bool[np.ndarray, "h w"], fixed_from_moving: Transform, hw: tuple[int, int]
) -> Bool[np.ndarray, "fh fw"]:
    """Carry a mask into the frame of the fixed image; a pixel stays valid if all its neighbours are."""
    size = (hw[1], hw[0])
    share = cv2.warpPerspective(valid.astype(np.float32), fixed_from_moving.matrix, size, flags=cv2.INTER_LINEAR)
    return np.asarray(share > 0.99)
