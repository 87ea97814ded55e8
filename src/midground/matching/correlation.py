"""Normalised cross-correlation of multi-channel images with valid masks, and sub-pixel peaks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32

from midground.core.image import Image

_REJECTED = np.float32(-1)
_TINY = 1e-9
_FLAT = 1e-9
"""Energy per pixel below which a window has no contrast; channels lie between 0 and 1."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The maximum of a correlation surface."""

    x: float
    """Column with sub-pixel fraction."""
    y: float
    """Row with sub-pixel fraction."""
    value: float
    """Correlation at the peak, -1 to 1."""
    ratio: float
    """Height over the highest value elsewhere, both above the median of the surface; 1 means ambiguous."""
    curvature: float
    """Smallest second derivative at the peak, negated: sharpness along the worst direction, per px²."""
    at_edge: bool
    """Whether the maximum lies on the border of what could be scored, so that the true one may lie outside."""


def correlation_surface(template: Image, search: Image, *, min_valid: float = 0.5) -> Float32[np.ndarray, "sh sw"]:
    """Slide a template over a larger image, channels together.

    The value at (row, column) is the zero-mean normalised cross-correlation with the window whose top left pixel that
    is, products and energies being summed over channels. Invalid pixels of either image carry no weight; windows with
    less than ``min_valid`` of the template's pixels in common get -1.

    Args:
        template: Window of (th, tw) pixels.
        search: Image of at least that size, the same number of channels.
        min_valid: Smallest common share of valid pixels, 0 to 1.
    """
    n_needed = max(min_valid * template.valid.size, 2.0)
    shape = (search.hw[0] - template.hw[0] + 1, search.hw[1] - template.hw[1] + 1)
    if template.valid.sum() < n_needed:
        return np.full(shape, _REJECTED)
    template, search = _without_empty_border(template, search)
    centred_template, centred_search = _centred(template), _centred(search)
    numerator = cv2.matchTemplate(_channels_last(centred_search), _channels_last(centred_template), cv2.TM_CCORR)
    search_energy, n_common, search_sum = _window_energy(centred_search, search.valid, template.valid)
    template_energy: np.ndarray | float = float((centred_template**2).sum())
    if not search.valid.all():
        # The template's mean over the pixels in common is no longer zero.
        template_energy, template_sum = _common_energy(centred_template, search.valid, n_common)
        numerator = numerator - (template_sum * search_sum).sum(axis=-1) / np.maximum(n_common, 1)
    surface = numerator / np.sqrt(np.maximum(template_energy * search_energy, _TINY))
    surface[np.minimum(search_energy, template_energy) < _FLAT * template.valid.sum()] = 0
    surface[n_common < n_needed] = _REJECTED
    return np.clip(surface, -1, 1).astype(np.float32)


def shift_surface(
    moving: Image, fixed: Image, max_shift_px: int, *, min_overlap: float = 0.25
) -> Float32[np.ndarray, "s s"]:
    """Correlate two whole images over all shifts within ±``max_shift_px``.

    The value at (row, column) belongs to the shift (column - max_shift_px, row - max_shift_px) that takes moving
    pixels to fixed pixels. Only pixels valid in both at that shift take part.

    Args:
        moving: Image to be shifted.
        fixed: Reference, the same number of channels; the size may differ.
        max_shift_px: Largest shift in x and y, px.
        min_overlap: Shifts whose common valid area is below this share of the smaller one get -1.
    """
    height = cv2.getOptimalDFTSize(max(moving.hw[0], fixed.hw[0]) + max_shift_px)
    width = cv2.getOptimalDFTSize(max(moving.hw[1], fixed.hw[1]) + max_shift_px)
    size = (height, width)
    a, b = _centred(moving), _centred(fixed)
    numerator = sum(
        (_spectrum(one, size).conj() * _spectrum(other, size) for one, other in zip(a, b, strict=True)),
        start=np.zeros((height, width // 2 + 1), np.complex64),
    )
    mask_a, mask_b = _spectrum(moving.valid, size), _spectrum(fixed.valid, size)
    energy_a, energy_b = _spectrum((a**2).sum(axis=0), size), _spectrum((b**2).sum(axis=0), size)

    def shifts(spectrum: np.ndarray) -> np.ndarray:
        full = np.fft.irfft2(spectrum, s=size)
        window = np.arange(-max_shift_px, max_shift_px + 1)
        return full[np.ix_(window, window)]

    overlap = shifts(mask_a.conj() * mask_b)
    product = np.maximum(shifts(energy_a.conj() * mask_b), 0) * np.maximum(shifts(mask_a.conj() * energy_b), 0)
    surface = shifts(numerator) / np.sqrt(np.maximum(product, _TINY))
    surface[overlap < min_overlap * min(int(moving.valid.sum()), int(fixed.valid.sum()))] = _REJECTED
    return np.clip(surface, -1, 1).astype(np.float32)


def find_peak(surface: Float32[np.ndarray, "h w"], *, exclusion_px: int = 5) -> Peak:
    """Locate the maximum of a surface to a fraction of a pixel, and say how distinct it is.

    Args:
        surface: Correlation values.
        exclusion_px: Half side of the square around the peak in which no rival is looked for.
    """
    row, column = np.unravel_index(int(surface.argmax()), surface.shape)
    around = surface[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
    at_edge = around.size < 9 or bool((around <= _REJECTED).any())
    value = float(surface[row, column])
    dx = dy = curvature = 0.0
    if not at_edge:
        dx, dy, curvature = _quadratic_offset(around.astype(np.float64))
    rivals = surface.copy()
    rivals[
        max(0, row - exclusion_px) : row + exclusion_px + 1, max(0, column - exclusion_px) : column + exclusion_px + 1
    ] = _REJECTED
    level = float(np.median(surface[surface > _REJECTED])) if value > _REJECTED else -1.0
    rival = max(float(rivals.max()) - level, 1e-3)
    ratio = max((value - level) / rival, 0.0)
    return Peak(float(column) + dx, float(row) + dy, value, ratio, curvature, at_edge)


def _quadratic_offset(patch: np.ndarray) -> tuple[float, float, float]:
    """Offset (dx, dy) of the maximum of the least-squares quadratic through 3×3 values, and its smallest curvature."""
    gx = (patch[:, 2] - patch[:, 0]).sum() / 6
    gy = (patch[2] - patch[0]).sum() / 6
    hxx = (patch[:, 2] - 2 * patch[:, 1] + patch[:, 0]).sum() / 3
    hyy = (patch[2] - 2 * patch[1] + patch[0]).sum() / 3
    hxy = (patch[2, 2] - patch[2, 0] - patch[0, 2] + patch[0, 0]) / 4
    hessian = np.array([[hxx, hxy], [hxy, hyy]])
    curvature = -float(np.linalg.eigvalsh(hessian)[-1])
    if curvature <= 0:
        return 0.0, 0.0, 0.0
    dx, dy = -np.linalg.solve(hessian, np.array([gx, gy]))
    return float(np.clip(dx, -1, 1)), float(np.clip(dy, -1, 1)), curvature


def _without_empty_border(template: Image, search: Image) -> tuple[Image, Image]:
    """Cut rows and columns without data off the template, and off the search image what only they would meet."""
    if (
        template.valid[0].any()
        and template.valid[-1].any()
        and template.valid[:, 0].any()
        and template.valid[:, -1].any()
    ):
        return template, search
    rows, columns = np.flatnonzero(template.valid.any(axis=1)), np.flatnonzero(template.valid.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    cut = template.crop(int(rows[0]), int(columns[0]), int(height), int(width))
    spare_h, spare_w = search.hw[0] - template.hw[0], search.hw[1] - template.hw[1]
    return cut, search.crop(int(rows[0]), int(columns[0]), int(height) + spare_h, int(width) + spare_w)


def _centred(image: Image) -> np.ndarray:
    """Channels minus their mean over valid pixels; invalid pixels zero."""
    n_valid = max(int(image.valid.sum()), 1)
    mean = (image.channels * image.valid).sum(axis=(1, 2), keepdims=True) / n_valid
    return ((image.channels - mean) * image.valid).astype(np.float32)


def _channels_last(channels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(channels.transpose(1, 2, 0))


def _window_energy(
    centred: np.ndarray, search_valid: np.ndarray, template_valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per window: sum of squares about its own mean, over channels; number of common pixels; sum of each channel."""
    if template_valid.all():
        n_common = _box(search_valid.astype(np.float32), template_valid.shape)
        total = _box(_channels_last(centred), template_valid.shape)
        squares = _box((centred**2).sum(axis=0), template_valid.shape)
        total = total[..., None] if total.ndim == 2 else total
    else:
        kernel = template_valid.astype(np.float32)
        n_common = cv2.matchTemplate(search_valid.astype(np.float32), kernel, cv2.TM_CCORR)
        total = np.stack([cv2.matchTemplate(channel, kernel, cv2.TM_CCORR) for channel in centred], axis=-1)
        squares = cv2.matchTemplate((centred**2).sum(axis=0), kernel, cv2.TM_CCORR)
    energy = squares - (total**2).sum(axis=-1) / np.maximum(n_common, 1)
    return np.maximum(energy, 0), n_common, total


def _common_energy(
    centred_template: np.ndarray, search_valid: np.ndarray, n_common: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per window: the template's sum of squares about its mean, and its sums, over the pixels in common."""
    valid = search_valid.astype(np.float32)
    squares = cv2.matchTemplate(valid, (centred_template**2).sum(axis=0), cv2.TM_CCORR)
    total = np.stack([cv2.matchTemplate(valid, channel, cv2.TM_CCORR) for channel in centred_template], axis=-1)
    return np.maximum(squares - (total**2).sum(axis=-1) / np.maximum(n_common, 1), 0), total


def _box(values: np.ndarray, window_hw: tuple[int, int]) -> np.ndarray:
    """Sums over every window that lies inside."""
    height, width = window_hw
    sums = cv2.boxFilter(
        values, cv2.CV_32F, (width, height), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return sums[: values.shape[0] - height + 1, : values.shape[1] - width + 1]


def _spectrum(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.fft.rfft2(values.astype(np.float32), s=size)
