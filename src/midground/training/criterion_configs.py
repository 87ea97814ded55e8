"""One frozen config per criterion; imports no torch, so that a file of settings is checked without it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from midground.core.settings import require
from midground.errors import unknown_name

SsimWindow = Literal["uniform", "gaussian"]
_SIDES_PX: dict[SsimWindow, int] = {"uniform": 5, "gaussian": 11}
TEMPERATURES = (0.005, 1.0)
"""Bounds that the temperature of the criterion ``correlation`` is kept within."""


def _require_weights(criterion: str, **weights: float) -> None:
    for name, weight in weights.items():
        require(0 <= weight < math.inf, f"{criterion}: {name} must be a number from 0 up, found {weight}.")
    require(any(weights.values()), f"{criterion}: one of {', '.join(weights)} must be more than 0, or nothing is left.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SsimConfig:
    """Window and constants of the structural similarity in a loss."""

    window: SsimWindow = "uniform"
    """``uniform``: all pixels alike (paper, section 3.2.2). ``gaussian``: weighted, as the reference code computes."""
    side_px: int | None = None
    """Side of the window, px, 2 or more; if omitted 5 (``uniform``; paper, section 3.2.2) or 11 (``gaussian``)."""
    sigma_px: float = 1.5
    """``gaussian``: standard deviation of the weights, px, more than 0."""
    k1: float = 0.01
    """``c1 = (k1 * data_range)^2``, more than 0; Wang et al. 2004, as the paper gives none (reference code: 0.001)."""
    k2: float = 0.03
    """``c2 = (k2 * data_range)^2``, more than 0; Wang et al. 2004, as the paper gives none (reference code: 0.003)."""
    data_range: float = 1.0
    """Largest possible value, more than 0."""

    def __post_init__(self) -> None:
        if self.window not in get_args(SsimWindow):
            raise unknown_name("window of ssim", self.window, get_args(SsimWindow))
        require(self.effective_side_px >= 2, f"ssim: side_px must be 2 or more, found {self.side_px}.")
        for name in ("sigma_px", "k1", "k2", "data_range"):
            value = getattr(self, name)
            require(0 < value < math.inf, f"ssim: {name} must be a number above 0, found {value}.")

    @property
    def effective_side_px(self) -> int:
        """Side of the window, px, whether it was given or follows from its kind."""
        return _SIDES_PX[self.window] if self.side_px is None else self.side_px


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationConfig:
    """Windows, search range and tolerance of the criterion ``correlation``."""

    name: Literal["correlation"] = "correlation"
    """Tag of this criterion."""
    window_px: tuple[int, int] = (48, 96)
    """Smallest and largest side of a window, px, 8 or more; drawn anew for each window of a step."""
    search_px: int = 32
    """Largest shift in x and y that a window is searched over, px, 1 or more."""
    frame_shift_px: int = 32
    """Largest shift of the frames in which the two networks see a sample, px; a multiple of 32. In one and the same
    frame, both could tell from its borders where a pixel lies, and would find windows without looking at them."""
    n_windows: int = 4
    """Windows of each pair and step, 1 or more; their places and true shifts are drawn for each pair."""
    n_coarse: int = 0
    """Further windows, 0 or more, cut from images of half the size: as much to learn from for a quarter of the work."""
    n_local: int = 0
    """How many channels, the first ones, also have to find the windows without the others, and to keep their part of
    the contrast. Otherwise, what lies around a pixel tells most, and the image of the pixel itself fades away."""
    tolerance_px: float = 0.8
    """Standard deviation of the target around the true shift, px, 0 or more: real pairs are not aligned exactly."""
    temperature: float = 0.05
    """First value of the learned temperature of the distribution, 0.005 to 1."""
    min_valid: float = 0.8
    """Smallest share of valid pixels in a window and in the area it is searched in, 0 to 1."""

    def __post_init__(self) -> None:
        low, high = self.window_px
        require(
            8 <= low <= high,
            f"correlation: window_px must be two sides from 8 px up, smallest first; found {list(self.window_px)}.",
        )
        require(self.search_px >= 1, f"correlation: search_px must be 1 or more, found {self.search_px}.")
        require(
            self.frame_shift_px >= 0 and self.frame_shift_px % 32 == 0,
            f"correlation: frame_shift_px must be a multiple of 32 from 0 up, found {self.frame_shift_px}.",
        )
        require(self.n_windows >= 1, f"correlation: n_windows must be 1 or more, found {self.n_windows}.")
        require(self.n_coarse >= 0, f"correlation: n_coarse must be 0 or more, found {self.n_coarse}.")
        require(self.n_local >= 0, f"correlation: n_local must be 0 or more, found {self.n_local}.")
        require(
            0 <= self.tolerance_px < math.inf,
            f"correlation: tolerance_px must be a number from 0 up, found {self.tolerance_px}.",
        )
        low_t, high_t = TEMPERATURES
        # Outside, the temperature would be clamped and never move.
        require(
            low_t <= self.temperature <= high_t,
            f"correlation: temperature must lie between {low_t} and {high_t:g}, found {self.temperature}.",
        )
        require(0 <= self.min_valid <= 1, f"correlation: min_valid must lie between 0 and 1, found {self.min_valid}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionConfig:
    """Weights of the criterion ``reconstruction``: equations (1) to (3) of the paper, its Ours-1."""

    name: Literal["reconstruction"] = "reconstruction"
    """Tag of this criterion."""
    alpha: float = 1.0
    """Weight of the reconstructions, 0 or more (paper, section 4.4: 1)."""
    beta: float = 3.0
    """Weight of the MSE of the shared images, 0 or more (paper, section 4.4: 3)."""
    gamma: float = 16.0
    """Weight of the DiSSIM of the shared images, 0 or more (paper, section 4.4: 16; reference code: 8)."""
    eta: float = 1.0
    """Weight of the optical reconstruction relative to that of SAR, 0 or more (paper, section 4.4: 1)."""
    ssim: SsimConfig = field(default_factory=SsimConfig)
    """Similarity of the shared images."""
    reconstruction_ssim: SsimConfig = field(default_factory=SsimConfig)
    """Similarity of an image and its reconstruction (reference code: k1 0.01 and k2 0.03, unlike its ``ssim``)."""

    def __post_init__(self) -> None:
        _require_weights("reconstruction", alpha=self.alpha, beta=self.beta, gamma=self.gamma)
        require(0 <= self.eta < math.inf, f"reconstruction: eta must be a number from 0 up, found {self.eta}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GrayscaleConfig:
    """Weights of the criterion ``grayscale``: equations (1), (2) and (4) of the paper, its Ours-2."""

    name: Literal["grayscale"] = "grayscale"
    """Tag of this criterion."""
    alpha: float = 16.0
    """Weight of the likeness to the grey optical image, 0 or more (paper, section 4.4: 16)."""
    beta: float = 1.0
    """Weight of the MSE of the shared images, 0 or more (paper, section 4.4: 1)."""
    gamma: float = 3.0
    """Weight of the DiSSIM of the shared images, 0 or more (reference code: 3; the paper gives none)."""
    lambda1: float = 1.0
    """Share of the SAR image in the likeness, 0 or more (paper, section 3.2.3: 1)."""
    lambda2: float = 0.0
    """Share of the optical image, 0 or more (paper, section 3.2.3: 0, more was worse)."""
    detach_sar: bool = False
    """Whether the DiSSIM of the shared images trains the optical network alone (reference code: true)."""
    reference_bands: tuple[int, ...] | None = None
    """Optical bands averaged to grey, counted from 0, such as those of RGB (paper, section 3.2.3); all if omitted."""
    ssim: SsimConfig = field(default_factory=SsimConfig)
    """Similarity of the shared images, and of them and the grey optical image."""

    def __post_init__(self) -> None:
        _require_weights("grayscale", alpha=self.alpha, beta=self.beta, gamma=self.gamma)
        _require_weights("grayscale", lambda1=self.lambda1, lambda2=self.lambda2)
        bands = self.reference_bands
        require(
            bands is None or (len(bands) > 0 and min(bands) >= 0 and len(set(bands)) == len(bands)),
            "grayscale: reference_bands must be one or more different numbers from 0 up, "
            f"found {list(bands or ())}; leave it out for all bands.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pix2pixConfig:
    """pix2pix (Isola et al. 2017): a SAR image becomes one that a discriminator takes for its optical image."""

    name: Literal["pix2pix"] = "pix2pix"
    """Tag of this criterion."""
    lambda_l1: float = 100.0
    """Weight of the L1 distance between translation and optical image, 0 or more (its section 3.1: 100)."""
    discriminator_rate: float = 2e-4
    """Learning rate of the discriminator, more than 0 (its section 3.3: 2e-4)."""

    def __post_init__(self) -> None:
        _require_adversarial("pix2pix", self.discriminator_rate, lambda_l1=self.lambda_l1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LsganConfig:
    """CycleGAN (Zhu et al. 2017) with the loss of LSGAN (Mao et al. 2017), as the paper trains it (section 4.3).

    SAR images become optical ones and back, and the other way round; pairs are not compared. There is no identity loss.
    """

    name: Literal["lsgan"] = "lsgan"
    """Tag of this criterion."""
    lambda_cycle: float = 10.0
    """Weight of the L1 distance between an image and what comes back, 0 or more (CycleGAN, section 4: 10)."""
    n_pool: int = 50
    """Earlier translations that the discriminators are also shown, 1 or more (CycleGAN, section 4: 50)."""
    discriminator_rate: float = 1e-3
    """Learning rate of the discriminators, more than 0 (paper, section 4.3: 1e-3, after Heusel et al. 2017)."""

    def __post_init__(self) -> None:
        _require_adversarial("lsgan", self.discriminator_rate, lambda_cycle=self.lambda_cycle)
        require(self.n_pool >= 1, f"lsgan: n_pool must be 1 or more, found {self.n_pool}.")


def _require_adversarial(criterion: str, discriminator_rate: float, **weights: float) -> None:
    for name, weight in weights.items():
        require(0 <= weight < math.inf, f"{criterion}: {name} must be a number from 0 up, found {weight}.")
    require(
        0 < discriminator_rate < math.inf,
        f"{criterion}: discriminator_rate must be a number above 0, found {discriminator_rate}.",
    )


TranslationConfig = LsganConfig | Pix2pixConfig
CriterionConfig = CorrelationConfig | GrayscaleConfig | ReconstructionConfig | TranslationConfig
