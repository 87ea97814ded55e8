"""How good matches, transforms and shared-modality images are; every aggregate states what it was taken over.

Written for ``matches`` = pairs (m, f) of P, the estimate E and the truth T (fixed from moving, both). What is not
defined is None, never zero: a pair of images without a correct match has no localization error. A failed registration
has an infinite error. Equations from the paper, section 4.5, where nothing else is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform, corner_error
from midground.errors import ConfigError

SUCCESS_ACE_PX = 40.0
"""Paper: a registration succeeds if its ACE is below this."""
CONSISTENT_PX = 3.0
"""Paper: a match is consistent with a transform within this."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A number over many image pairs, with its denominators."""

    value: float | None
    """None if nothing was defined."""
    n_defined: int
    """Pairs that the value was taken over."""
    n_total: int
    """Pairs that were tried."""


def ace(estimate: Transform | None, truth: Transform, hw: tuple[int, int]) -> float:
    """Average corner error, px: ``1/4 * sum over corners c of |E(c) - T(c)|``; infinite for a failure.

    The paper's truth is the identity; its corners (0, 0) ... (W, H) are taken at the centres of the corner pixels.

    Args:
        estimate: The estimated transform; None if the registration failed.
        truth: The true transform.
        hw: Height and width of the moving image, px.
    """
    return float("inf") if estimate is None else corner_error(estimate, truth, hw)


def success_rate(errors_px: Iterable[float], *, threshold_px: float = SUCCESS_ACE_PX) -> Summary:
    """Share of all pairs whose error is below a threshold: ``|{k : ACE_k < threshold}| / n``.

    Args:
        errors_px: One error for each pair tried, infinite for a failure.
        threshold_px: Exclusive bound, px.
    """
    errors = _checked_errors(errors_px)
    value = float((errors < threshold_px).mean()) if errors.size else None
    return Summary(value, errors.size, errors.size)


def median_error(errors_px: Iterable[float]) -> Summary:
    """Median over all pairs, failures being infinite: so infinite itself if half of the pairs failed or more.

    Args:
        errors_px: One error for each pair tried, infinite for a failure.
    """
    errors = np.sort(_checked_errors(errors_px))
    if errors.size == 0:
        return Summary(None, 0, 0)
    lower, upper = errors[(errors.size - 1) // 2], errors[errors.size // 2]
    return Summary(float((lower + upper) / 2), errors.size, errors.size)


def mean_error_of_successes(errors_px: Iterable[float], *, threshold_px: float = SUCCESS_ACE_PX) -> Summary:
    """Mean of the errors below a threshold, as the paper averages ACE: read it with the success rate only.

    Args:
        errors_px: One error for each pair tried, infinite for a failure.
        threshold_px: Exclusive bound, px.
    """
    errors = _checked_errors(errors_px)
    return mean_of_defined([float(error) if error < threshold_px else None for error in errors])


def mean_of_defined(values: Sequence[float | None]) -> Summary:
    """Mean of the values that are defined.

    Args:
        values: One value for each pair tried, None where it is not defined.
    """
    defined = [value for value in values if value is not None]
    return Summary(float(np.mean(defined)) if defined else None, len(defined), len(values))


def mma(matches: Correspondences, estimate: Transform | None, *, threshold_px: float = CONSISTENT_PX) -> float | None:
    """Mean matching accuracy of one pair: ``|{(m, f) in P : |E(m) - f| <= threshold}| / |P|``.

    This is the share of inliers of the *estimated* transform; `cmr` compares with the truth.

    Args:
        matches: All putative matches.
        estimate: The estimated transform; None if the registration failed.
        threshold_px: Inclusive bound, px.

    Returns:
        None without a match or without an estimate.
    """
    return None if estimate is None else cmr(matches, estimate, threshold_px=threshold_px)


def cmr(matches: Correspondences, truth: Transform, *, threshold_px: float) -> float | None:
    """Correct matches rate of one pair: ``|{(m, f) in P : |T(m) - f| <= threshold}| / |P|``; None without a match.

    Args:
        matches: All putative matches.
        truth: The true transform.
        threshold_px: Inclusive bound, px (the paper's delta).
    """
    if len(matches) == 0:
        return None
    return float((point_errors(matches, truth) <= threshold_px).mean())


def localization_error(matches: Correspondences, truth: Transform, *, threshold_px: float) -> float | None:
    """Localization error of one pair, px: the mean of ``|T(m) - f|`` over correct matches; None if none is correct.

    Args:
        matches: All putative matches.
        truth: The true transform.
        threshold_px: A match is correct up to this distance, px (the paper's delta).
    """
    errors = point_errors(matches, truth)
    return _mean_or_none(errors[errors <= threshold_px])


def mean_point_error(matches: Correspondences, truth: Transform) -> float | None:
    """The paper's Delta_p of one pair, px: ``1/|P| * sum over P of |T(m) - f|``; None without a match.

    Args:
        matches: All putative matches.
        truth: The true transform.
    """
    return _mean_or_none(point_errors(matches, truth))


def point_errors(matches: Correspondences, transform: Transform) -> Float64[np.ndarray, " n"]:
    """Distance ``|T(m) - f|`` of each match, px of the fixed image."""
    return np.asarray(np.linalg.norm(transform(matches.moving_xy) - matches.fixed_xy, axis=1), dtype=np.float64)


def ce90(errors_px: Float[np.ndarray, " n"]) -> float | None:
    """Circular error at 90 %: the 90th percentile of radial errors (linear between ranks); None without any.

    Args:
        errors_px: Radial errors.
    """
    return float(np.percentile(errors_px, 90)) if errors_px.size else None


def rmse(
    moving: Float[np.ndarray, "c h w"], fixed: Float[np.ndarray, "c h w"], valid: Bool[np.ndarray, "h w"] | None = None
) -> float | None:
    """Root mean square difference of two images: ``sqrt(MSE)``; None without a valid pixel.

    Args:
        moving: Channels of one image.
        fixed: Channels of the other, on the same grid.
        valid: Pixels to compare; all if omitted.
    """
    squares = (moving.astype(np.float64) - fixed) ** 2
    mean = _mean_or_none(squares if valid is None else squares[:, valid])
    return None if mean is None else float(np.sqrt(mean))


def psnr(
    moving: Float[np.ndarray, "c h w"],
    fixed: Float[np.ndarray, "c h w"],
    valid: Bool[np.ndarray, "h w"] | None = None,
    *,
    data_range: float = 1.0,
) -> float | None:
    """Peak signal-to-noise ratio, dB: ``10 lg(MAX^2 / MSE)``; infinite for equal images, None without a valid pixel.

    Args:
        moving: Channels of one image.
        fixed: Channels of the other, on the same grid.
        valid: Pixels to compare; all if omitted.
        data_range: Largest possible value (MAX).
    """
    error = rmse(moving, fixed, valid)
    if error is None:
        return None
    return float("inf") if error == 0 else float(20 * np.log10(data_range / error))


@dataclass(frozen=True, slots=True, kw_only=True)
class SsimConfig:
    """The constants of `ssim`."""

    window_px: int = 5
    """Side of the window, px (paper, section 3.2.2: 5)."""
    k1: float = 0.01
    """``c1 = (k1 * data_range)^2``; Wang et al. 2004, as the paper gives no value."""
    k2: float = 0.03
    """``c2 = (k2 * data_range)^2``; Wang et al. 2004, as the paper gives no value."""
    data_range: float = 1.0
    """Largest possible value."""

    def __post_init__(self) -> None:
        if self.window_px < 2 or min(self.k1, self.k2) <= 0 or self.data_range <= 0:
            raise ConfigError("ssim: window_px must be 2 or more, k1, k2 and data_range positive.")


def ssim(
    moving: Float[np.ndarray, "c h w"],
    fixed: Float[np.ndarray, "c h w"],
    valid: Bool[np.ndarray, "h w"] | None = None,
    *,
    config: SsimConfig | None = None,
) -> float | None:
    """Structural similarity, -1 to 1, averaged over all uniform windows inside the image and over the channels.

    With the means E, sample variances S2 and the sample covariance S of a window,
    ``(2 E[A]E[B] + c1)(2 S[AB] + c2) / ((E2[A] + E2[B] + c1)(S2[A] + S2[B] + c2))``.

    Args:
        moving: Channels of one image.
        fixed: Channels of the other, on the same grid.
        valid: Windows that hold another pixel are left out; all windows count if omitted.
        config: Window and constants; the defaults if omitted.

    Returns:
        None if no window lies inside the image and on valid pixels.

    Source:
        Paper, section 3.2.2, with w = 5.
    """
    config = config or SsimConfig()
    side = config.window_px
    if min(moving.shape[1:]) < side:
        return None
    a, b = moving.astype(np.float64), fixed.astype(np.float64)
    n = side**2
    mean_a, mean_b = _window_sums(a, side) / n, _window_sums(b, side) / n
    variance_a = (_window_sums(a**2, side) - n * mean_a**2) / (n - 1)
    variance_b = (_window_sums(b**2, side) - n * mean_b**2) / (n - 1)
    covariance = (_window_sums(a * b, side) - n * mean_a * mean_b) / (n - 1)
    c1, c2 = (config.k1 * config.data_range) ** 2, (config.k2 * config.data_range) ** 2
    similarity = ((2 * mean_a * mean_b + c1) * (2 * covariance + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    )
    if valid is not None:
        similarity = similarity[:, np.rint(_window_sums(valid[None].astype(np.float64), side)[0]) == n]
    return _mean_or_none(similarity)


def _window_sums(values: Float64[np.ndarray, "c h w"], side: int) -> Float64[np.ndarray, "c wh ww"]:
    """Sums over every square window that lies inside, from cumulative sums."""
    total = np.pad(values.cumsum(axis=1).cumsum(axis=2), ((0, 0), (1, 0), (1, 0)))
    sums: np.ndarray = (
        total[:, side:, side:] - total[:, :-side, side:] - total[:, side:, :-side] + total[:, :-side, :-side]
    )
    return sums


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None


def _checked_errors(errors_px: Iterable[float]) -> Float64[np.ndarray, " n"]:
    errors = np.fromiter(errors_px, dtype=np.float64)
    if np.isnan(errors).any() or (errors < 0).any():
        raise ConfigError("Errors must be numbers of 0 or more; give a failed registration an infinite one.")
    return errors
