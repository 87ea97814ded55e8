"""Mean square error and structural similarity of batches of images, as losses: equation (2) of the paper.

Everything is computed in single precision or better, also under autocast: a window's variance is a small difference of
large numbers. For the same reason windows are summed by adding shifted images and not by a convolution, which a GPU may
compute in TF32.
"""

from __future__ import annotations

from jaxtyping import Float

from midground.errors import ConfigError, DependencyError
from midground.training.criterion_configs import SsimConfig

try:
    import torch
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

Images = Float[torch.Tensor, "n c h w"]
Mask = Float[torch.Tensor, "n 1 h w"]
Scalar = Float[torch.Tensor, ""]


def mse(a: torch.Tensor, b: torch.Tensor, valid: Mask | None = None) -> Scalar:
    """Mean square difference over pixels, channels and images.

    Args:
        a: Images (n, c, h, w).
        b: Images of the same shape.
        valid: 1 for pixels that count, 0 for others; all count if omitted.

    Returns:
        0 if no pixel counts.

    Raises:
        ConfigError: The shapes differ.
    """
    a, b = _comparable(a, b)
    return _mean((a - b) ** 2, valid)


def ssim(a: torch.Tensor, b: torch.Tensor, config: SsimConfig, valid: Mask | None = None) -> Scalar:
    """Structural similarity, -1 to 1, averaged over all windows inside the images, over channels and over images.

    With the means E, variances S2 and the covariance S of a window,
    ``(2 E[A]E[B] + c1)(2 S[AB] + c2) / ((E2[A] + E2[B] + c1)(S2[A] + S2[B] + c2))``. A uniform window of n pixels has
    *sample* variances, with n - 1 in the denominator, as the paper says and ``midground.core.metrics.ssim`` does; a
    Gaussian window has weighted ones without such a correction, as in Wang et al. 2004. (The reference code also counts
    windows that reach over the border into a reflected image.)

    Args:
        a: Images (n, c, h, w).
        b: Images of the same shape.
        config: Window and constants.
        valid: 1 for pixels that hold data, 0 for others; windows that touch one of these are left out.

    Returns:
        1 if no window counts, so that such a batch is no reason to change anything.

    Raises:
        ConfigError: The shapes differ, or the images are smaller than a window.

    Source:
        Paper, section 3.2.2.
    """
    a, b = _comparable(a, b)
    side = config.effective_side_px
    if min(a.shape[2:]) < side:
        raise ConfigError(
            f"Images of {a.shape[2]} × {a.shape[3]} px hold no window of ssim of {side} px: choose a smaller side_px."
        )
    counted = None if valid is None else 1 - functional.max_pool2d(1 - valid.float(), side, stride=1)
    return 1 - _mean(1 - _ssim_of_windows(a, b, config), counted)


def dissim(a: torch.Tensor, b: torch.Tensor, config: SsimConfig, valid: Mask | None = None) -> Scalar:
    """``1 - ssim``, 0 to 2, with the same arguments."""
    return 1 - ssim(a, b, config, valid)


def _ssim_of_windows(a: Images, b: Images, config: SsimConfig) -> torch.Tensor:
    weights = _weights(config)
    # Neither variances nor the covariance mind an offset; without a common one, less is lost in their differences.
    offset_a, offset_b = (images.detach().mean(dim=(2, 3), keepdim=True) for images in (a, b))
    a, b = a - offset_a, b - offset_b
    moments = _window_means(torch.stack([a, b, a * a, b * b, a * b]), weights)
    mean_a, mean_b, square_a, square_b, product = moments
    n_pixels = len(weights) ** 2
    correction = n_pixels / (n_pixels - 1) if config.window == "uniform" else 1.0
    variances = ((square_a - mean_a**2).clamp_min(0) + (square_b - mean_b**2).clamp_min(0)) * correction
    covariance = (product - mean_a * mean_b) * correction
    mean_a, mean_b = mean_a + offset_a, mean_b + offset_b
    c1, c2 = (config.k1 * config.data_range) ** 2, (config.k2 * config.data_range) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (variances + c2)


def _weights(config: SsimConfig) -> list[float]:
    """Weights along a side of the window; they add up to 1."""
    side = config.effective_side_px
    if config.window == "uniform":
        return [1 / side] * side
    steps = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    weights = torch.exp(-((steps / config.sigma_px) ** 2) / 2)
    return [float(weight) for weight in weights / weights.sum()]


def _window_means(values: torch.Tensor, weights: list[float]) -> torch.Tensor:
    """Weighted means over every window inside, of (..., h, w)."""
    for axis in (-1, -2):
        n_windows = values.shape[axis] - len(weights) + 1
        total = values.narrow(axis, 0, n_windows) * weights[0]
        for start, weight in enumerate(weights[1:], start=1):
            total = torch.add(total, values.narrow(axis, start, n_windows), alpha=weight)
        values = total
    return values


def _comparable(a: torch.Tensor, b: torch.Tensor) -> tuple[Images, Images]:
    if a.shape != b.shape:
        raise ConfigError(f"Images to compare must have the same shape, found {tuple(a.shape)} and {tuple(b.shape)}.")
    return (
        a.to(torch.promote_types(a.dtype, torch.float32)),
        b.to(torch.promote_types(b.dtype, torch.float32)),
    )


def _mean(values: torch.Tensor, counted: torch.Tensor | None) -> Scalar:
    """Mean of (n, c, h, w) where (n, 1, h, w) is 1; 0 if it is nowhere."""
    if counted is None:
        return values.mean()
    n_counted = counted.sum() * values.shape[1]
    return (values * counted).sum() / n_counted.clamp_min(1)
