"""Random changes to training pairs: what a network must not mind.

Geometry changes both images alike, so that a pair stays a pair; radiometry changes each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32

from midground.errors import ConfigError

_HAZE_CELLS = 4
_SHUFFLE_SHARE = 0.5
_MEAN_LOOKS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Which changes are drawn, and how large they get. Zero, or false, leaves a change out."""

    flips: bool = True
    """Mirror at random (paper, section 4.4)."""
    quarter_turns: bool = True
    """Turn by a random multiple of 90 degrees (paper, section 4.4)."""
    rotation_deg: float = 0.0
    """Largest further rotation, degrees, 0 to 180."""
    zoom: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest enlargement; images that hold no larger window than the crop are never reduced."""
    speckle: float = 0.0
    """SAR: largest standard deviation of added speckle, in units of the scaled image; speckle adds in decibels."""
    sar_gain: float = 0.0
    """SAR: standard deviation of gain, offset (a third of it) and logarithm of the exponent."""
    optical_gain: float = 0.0
    """Optical: the same for each band, and for the exponent of all bands."""
    band_mixing: float = 0.0
    """Optical: probability that the bands are shuffled or replaced by random mixtures of them, 0 to 1."""
    haze: float = 0.0
    """Optical: largest share of a smooth white veil, 0 to 1; every second image gets one."""

    def __post_init__(self) -> None:
        if not 0 < self.zoom[0] <= self.zoom[1] < np.inf:
            raise ConfigError(f"augment.zoom must be two positive factors, smallest first; found {list(self.zoom)}.")
        if not 0 <= self.rotation_deg <= 180:
            raise ConfigError(f"augment.rotation_deg must lie between 0 and 180, found {self.rotation_deg}.")
        for name in ("speckle", "sar_gain", "optical_gain"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"augment.{name} must be a number from 0 up, found {getattr(self, name)}.")
        for name in ("band_mixing", "haze"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"augment.{name} must lie between 0 and 1, found {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class Placement:
    """Which square of a source image a crop shows, and how it is turned."""

    side_px: float
    """Side of the square in the source image, px."""
    rotation_deg: float
    n_quarter_turns: int
    is_mirrored: bool

    @property
    def window_px(self) -> int:
        """Side of the upright window that holds the turned square, px."""
        angle = np.deg2rad(self.rotation_deg)
        return int(np.ceil(self.side_px * (abs(np.cos(angle)) + abs(np.sin(angle))) - 1e-6))

    def apply(self, channels: Float32[np.ndarray, "c h w"], crop_px: int) -> Float32[np.ndarray, "c p p"]:
        """Cut the square out of its window, bring it to ``crop_px``, turn and mirror it; zeros outside."""
        height, width = channels.shape[1:]
        if self.rotation_deg == 0 and height == width == self.side_px == crop_px:
            out = channels
        else:
            matrix = cv2.getRotationMatrix2D(
                ((width - 1) / 2, (height - 1) / 2), self.rotation_deg, crop_px / self.side_px
            )
            matrix[:, 2] = matrix[:, 2] + (crop_px - 1) / 2 - np.array([(width - 1) / 2, (height - 1) / 2])
            out = np.stack([cv2.warpAffine(channel, matrix, (crop_px, crop_px)) for channel in channels])
        out = np.rot90(out, self.n_quarter_turns, axes=(1, 2))
        return np.ascontiguousarray(out[:, :, ::-1] if self.is_mirrored else out)


def draw_placement(config: AugmentConfig, crop_px: int, hw: tuple[int, int], rng: np.random.Generator) -> Placement:
    """Draw how a crop is cut from an image of the given size; the square never exceeds the image."""
    zoom = float(np.exp(rng.uniform(*np.log(config.zoom))))
    rotation_deg = float(rng.uniform(-config.rotation_deg, config.rotation_deg))
    turns, is_mirrored = int(rng.integers(4)), bool(rng.integers(2))
    side_px = min(crop_px / zoom, float(min(hw)))
    if Placement(side_px, rotation_deg, 0, False).window_px > min(hw):
        rotation_deg = 0.0
    return Placement(
        side_px, rotation_deg, turns if config.quarter_turns else 0, is_mirrored if config.flips else False
    )


def vary_sar(
    sar: Float32[np.ndarray, "c h w"], config: AugmentConfig, rng: np.random.Generator
) -> Float32[np.ndarray, "c h w"]:
    """Change gain, offset, exponent and speckle of a log-scaled SAR image between 0 and 1."""
    if config.sar_gain:
        sar = _regraded(sar, config.sar_gain, 1, rng)
    if config.speckle:
        # The logarithm of gamma-distributed intensity: skewed towards dark, as speckle in decibels is.
        noise = np.log(rng.gamma(_MEAN_LOOKS, 1 / _MEAN_LOOKS, sar.shape) + 1e-3)
        sar = sar + rng.uniform(0, config.speckle) * (noise - noise.mean()) / noise.std()
    return np.clip(sar, 0, 1).astype(np.float32)


def vary_optical(
    optical: Float32[np.ndarray, "c h w"], config: AugmentConfig, rng: np.random.Generator
) -> Float32[np.ndarray, "c h w"]:
    """Mix bands, change gain, offset and exponent, and add haze to an optical image between 0 and 1."""
    n_bands = len(optical)
    if rng.random() < config.band_mixing:
        if rng.random() < _SHUFFLE_SHARE:
            optical = optical[rng.permutation(n_bands)]
        else:
            mixture = rng.dirichlet(np.full(n_bands, 0.7), n_bands).astype(np.float32)
            optical = np.einsum("ij,jhw->ihw", mixture, optical)
    if config.optical_gain:
        optical = _regraded(optical, config.optical_gain, n_bands, rng)
    if config.haze and rng.random() < 0.5:
        cells = rng.uniform(0, config.haze, (_HAZE_CELLS, _HAZE_CELLS)).astype(np.float32)
        veil = cv2.resize(cells, optical.shape[:0:-1], interpolation=cv2.INTER_CUBIC).clip(0, 1)
        optical = optical * (1 - veil) + veil
    return np.clip(optical, 0, 1).astype(np.float32)


def _regraded(image: np.ndarray, spread: float, n_gains: int, rng: np.random.Generator) -> np.ndarray:
    exponent = np.exp(rng.normal(0, spread))
    gain = np.exp(rng.normal(0, spread, (n_gains, 1, 1)))
    offset = rng.normal(0, spread / 3, (n_gains, 1, 1))
    return np.clip(image, 0, 1) ** exponent * gain + offset
