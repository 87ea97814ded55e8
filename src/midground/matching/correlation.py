"""Normalised cross-correlation of multi-channel images with valid masks, and sub-pixel peaks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64

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


class ShiftCorrelation:
    """Correlates images with a reference over all shifts; what depends on the reference alone is computed once.

    Args:
        fixed: The reference.
        hw: Fewest rows and columns of the results. Shifts are cyclic: those that differ by a whole side share a value,
            so a side holds the larger image and the largest shift that is asked for.
    """

    def __init__(self, fixed: Image, hw: tuple[int, int]) -> None:
        self._hw = (cv2.getOptimalDFTSize(hw[0]), cv2.getOptimalDFTSize(hw[1]))
        self._channels, self._energy, self._mask = self._spectra(fixed)

    def of(self, moving: Image) -> tuple[Float32[np.ndarray, "h w"], Float32[np.ndarray, "h w"]]:
        """Correlation, and number of pixels in common, for each shift (column, row) of an image; negative shifts last.

        Args:
            moving: Image to be shifted, the same number of channels.
        """
        channels, energy, mask = self._spectra(moving)
        overlap = self._shifts(mask.conj() * self._mask)
        product = np.maximum(self._shifts(energy.conj() * self._mask), 0)
        product *= np.maximum(self._shifts(mask.conj() * self._energy), 0)
        values = self._shifts((channels.conj() * self._channels).sum(axis=0)) / np.sqrt(np.maximum(product, _TINY))
        return np.clip(values, -1, 1).astype(np.float32), overlap.astype(np.float32)

    def _spectra(self, image: Image) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        centred = _centred(image)
        spectra = (centred, (centred**2).sum(axis=0), image.valid.astype(np.float32))
        channels, energy, mask = (np.fft.rfft2(values, s=self._hw) for values in spectra)
        return channels, energy, mask

    def _shifts(self, spectrum: np.ndarray) -> np.ndarray:
        return np.fft.irfft2(spectrum, s=self._hw)


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
    height, width = (max(sides) + max_shift_px for sides in zip(moving.hw, fixed.hw, strict=True))
    values, overlap = ShiftCorrelation(fixed, (height, width)).of(moving)
    window = np.ix_(*(np.arange(-max_shift_px, max_shift_px + 1),) * 2)
    surface = values[window]
    surface[overlap[window] < min_overlap * min(int(moving.valid.sum()), int(fixed.valid.sum()))] = _REJECTED
    return surface


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
        offsets, curvatures = quadratic_tops(around.astype(np.float64)[None])
        (dx, dy), curvature = np.clip(offsets[0], -1, 1).tolist(), max(float(curvatures[0]), 0.0)
    rivals = surface.copy()
    rivals[
        max(0, row - exclusion_px) : row + exclusion_px + 1, max(0, column - exclusion_px) : column + exclusion_px + 1
    ] = _REJECTED
    level = float(np.median(surface[surface > _REJECTED])) if value > _REJECTED else -1.0
    rival = max(float(rivals.max()) - level, 1e-3)
    ratio = max((value - level) / rival, 0.0)
    return Peak(float(column) + dx, float(row) + dy, value, ratio, curvature, at_edge)


def quadratic_tops(
    patches: Float64[np.ndarray, "n 3 3"],
) -> tuple[Float64[np.ndarray, "n 2"], Float64[np.ndarray, " n"]]:
    """Fit a quadratic to each patch by least squares, and find its top.

    Returns:
        Offset (x, y) of the top from the middle, px, 0 where the quadratic has none; and the smallest curvature there,
        per px², not above 0 where it has none.
    """
    gx = (patches[:, :, 2] - patches[:, :, 0]).sum(axis=1) / 6
    gy = (patches[:, 2] - patches[:, 0]).sum(axis=1) / 6
    hxx = (patches[:, :, 2] - 2 * patches[:, :, 1] + patches[:, :, 0]).sum(axis=1) / 3
    hyy = (patches[:, 2] - 2 * patches[:, 1] + patches[:, 0]).sum(axis=1) / 3
    hxy = (patches[:, 2, 2] - patches[:, 2, 0] - patches[:, 0, 2] + patches[:, 0, 0]) / 4
    curvature = -(hxx + hyy + np.hypot(hxx - hyy, 2 * hxy)) / 2
    has_top = curvature > 0
    determinant = np.where(has_top, hxx * hyy - hxy**2, 1)
    offset = np.stack([hxy * gy - hyy * gx, hxy * gx - hxx * gy], axis=-1) / determinant[:, None]
    return np.where(has_top[:, None], offset, 0), curvature


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
