"""The criterion ``reconstruction``: shared images are alike, and the original images can be made of them again.

Source:
    Paper, equations (1) to (3).
"""

from __future__ import annotations

from collections.abc import Mapping

from midground.errors import ConfigError, DependencyError
from midground.modality.base import MODALITIES, Modality
from midground.training.criterion import CriterionResult, SharedBatch
from midground.training.criterion_configs import ReconstructionConfig
from midground.training.similarity import dissim, mse

try:
    import torch
    from torch import nn
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class ReconstructionCriterion(nn.Module):
    """``L(fx, fy) + alpha * (L_D(x, x^) + eta * L_D(y, y^))``; the decoders are trained along.

    Here ``L = beta * MSE + gamma * DiSSIM`` and ``L_D = MSE + DiSSIM``; x is the SAR and y the optical image, fx and fy
    are their shared images, and x^ and y^ what the decoders make of these.

    Args:
        config: Weights.
        decoders: Networks from the shared modality to the bands of each modality (paper: without activation).

    Raises:
        ConfigError: There is not one decoder for each modality.
    """

    def __init__(self, config: ReconstructionConfig, decoders: Mapping[Modality, nn.Module]) -> None:
        super().__init__()
        if set(decoders) != set(MODALITIES):
            raise ConfigError(f"reconstruction: needs decoders for {', '.join(MODALITIES)}, found {sorted(decoders)}.")
        self.config = config
        self.decoders = nn.ModuleDict(decoders)

    def forward(self, batch: SharedBatch) -> CriterionResult:
        """Loss, its terms and both reconstructions."""
        config = self.config
        sar, optical = self.decoders["sar"](batch.shared_sar), self.decoders["optical"](batch.shared_optical)
        shared_mse = mse(batch.shared_sar, batch.shared_optical, batch.valid)
        shared_dissim = dissim(batch.shared_sar, batch.shared_optical, config.ssim, batch.valid)
        sar_loss = self._reconstruction_loss(batch.sar, sar, batch.valid)
        optical_loss = self._reconstruction_loss(batch.optical, optical, batch.valid)
        likeness = config.beta * shared_mse + config.gamma * shared_dissim
        parts = {
            "mse": shared_mse,
            "dissim": shared_dissim,
            "sar_reconstruction": sar_loss,
            "optical_reconstruction": optical_loss,
        }
        return CriterionResult(
            loss=likeness + config.alpha * (sar_loss + config.eta * optical_loss),
            parts={name: value.detach() for name, value in parts.items()},
            images={"reconstructed SAR": sar.detach(), "reconstructed optical": optical.detach()},
        )

    def _reconstruction_loss(self, image: torch.Tensor, made: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        return mse(image, made, valid) + dissim(image, made, self.config.reconstruction_ssim, valid)
