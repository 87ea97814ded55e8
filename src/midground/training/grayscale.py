"""The criterion ``grayscale``: shared images are alike, and the SAR one has the structure of the grey optical image.

Source:
    Paper, equations (1), (2) and (4), and what its section 3.2.3 says of lambda.
"""

from __future__ import annotations

from midground.errors import ConfigError, DependencyError
from midground.training.criterion import CriterionResult, SharedBatch
from midground.training.criterion_configs import GrayscaleConfig
from midground.training.similarity import dissim, mse

try:
    import torch
    from torch import nn
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class GrayscaleCriterion(nn.Module):
    """``beta * MSE(fx, fy) + gamma * DiSSIM(fx, fy) + alpha * D``; nothing but the two networks is trained.

    Here ``D = lambda1 * DiSSIM(g(fx), g(y)) + lambda2 * DiSSIM(g(fy), g(y))``; y is the optical image, fx and fy are
    the shared SAR and optical image, and g averages channels: of y, the reference bands alone.

    Args:
        config: Weights and reference bands.
        n_optical_bands: Bands of the optical images.

    Raises:
        ConfigError: A reference band does not exist.
    """

    def __init__(self, config: GrayscaleConfig, *, n_optical_bands: int) -> None:
        super().__init__()
        self.config = config
        self._bands = list(range(n_optical_bands) if config.reference_bands is None else config.reference_bands)
        missing = [band for band in self._bands if band >= n_optical_bands]
        if missing:
            raise ConfigError(
                f"grayscale: reference_bands names {missing}, but the optical images have {n_optical_bands} bands, "
                f"counted from 0 to {n_optical_bands - 1}."
            )

    def forward(self, batch: SharedBatch) -> CriterionResult:
        """Loss, its terms and the grey reference."""
        config = self.config
        sar, optical = batch.shared_sar, batch.shared_optical
        reference = _grey(batch.optical[:, self._bands])
        shared_mse = mse(sar, optical, batch.valid)
        shared_dissim = dissim(sar.detach() if config.detach_sar else sar, optical, config.ssim, batch.valid)
        sar_likeness = dissim(_grey(sar), reference, config.ssim, batch.valid)
        optical_likeness = dissim(_grey(optical), reference, config.ssim, batch.valid)
        degeneracy = config.lambda1 * sar_likeness + config.lambda2 * optical_likeness
        parts = {
            "mse": shared_mse,
            "dissim": shared_dissim,
            "sar_reference_dissim": sar_likeness,
            "optical_reference_dissim": optical_likeness,
        }
        return CriterionResult(
            loss=config.beta * shared_mse + config.gamma * shared_dissim + config.alpha * degeneracy,
            parts={name: value.detach() for name, value in parts.items()},
            images={"grey reference": reference.detach()},
        )


def _grey(images: torch.Tensor) -> torch.Tensor:
    return images.mean(dim=1, keepdim=True)
