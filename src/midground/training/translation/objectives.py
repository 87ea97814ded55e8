"""What translators are trained for: to deceive discriminators, which are trained against them.

Source:
    Goodfellow et al. 2014; Isola et al. 2017 (pix2pix), section 3; Zhu et al. 2017 (CycleGAN), sections 3 and 4; Mao et
    al. 2017 (LSGAN).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from midground.errors import DependencyError
from midground.modality.base import Modality
from midground.training.config import TrainConfig
from midground.training.criterion_configs import LsganConfig, Pix2pixConfig
from midground.training.loading import Batch
from midground.training.translation.networks import PatchDiscriminator, Translator
from midground.training.translation.pool import ImagePool

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

Images = dict[str, Tensor]
"""Batches (n, c, p, p) by name."""
AdversarialLoss = Literal["cross_entropy", "least_squares"]


@runtime_checkable
class Objective(Protocol):
    """A game of translators and discriminators."""

    discriminators: nn.ModuleDict
    """Trained against the translators."""
    generators: nn.ModuleDict
    """Trained beside the translator from SAR to optical."""

    def translate(self, translator: nn.Module, batch: Batch) -> Images:
        """Everything that is made of a batch; each network is run once for each image."""
        ...

    def discriminator_parts(self, batch: Batch, made: Images, rng: np.random.Generator) -> dict[str, Tensor]:
        """Terms of the discriminators' loss, which is their sum; the translators get no gradient."""
        ...

    def generator_parts(self, batch: Batch, made: Images) -> dict[str, Tensor]:
        """Terms of the translators' loss, which is their sum."""
        ...


class Pix2pix(nn.Module):
    """Translates SAR images to optical ones that look real beside them and are near the true ones.

    Args:
        config: Settings.
        run: Settings of the run.
        n_bands: Bands of each modality.
    """

    def __init__(self, config: Pix2pixConfig, run: TrainConfig, n_bands: Mapping[Modality, int]) -> None:
        super().__init__()
        self.config = config
        judge = PatchDiscriminator(sum(n_bands.values()), run.network.base_width, "batch")
        self.discriminators, self.generators = nn.ModuleDict({"optical": judge}), nn.ModuleDict()

    def translate(self, translator: nn.Module, batch: Batch) -> Images:
        """The optical image made of the SAR image."""
        return {"optical": _filled(translator(batch["sar"]), batch, "optical")}

    def discriminator_parts(self, batch: Batch, made: Images, rng: np.random.Generator) -> dict[str, Tensor]:
        """How wrongly true and made images are told apart, each beside its SAR image."""
        del rng
        real, translated = self._scores(batch, batch["optical"]), self._scores(batch, made["optical"].detach())
        return {"discriminator": _told_apart(real, translated, "cross_entropy")}

    def generator_parts(self, batch: Batch, made: Images) -> dict[str, Tensor]:
        """How often the discriminator is not deceived, and how far the made image is from the true one."""
        deceived = adversarial_loss(self._scores(batch, made["optical"]), is_real=True, kind="cross_entropy")
        distance = l1_distance(made["optical"], batch["optical"], batch["valid"])
        return {"adversarial": deceived, "l1": self.config.lambda_l1 * distance}

    def _scores(self, batch: Batch, optical: Tensor) -> Tensor:
        scores: Tensor = self.discriminators["optical"](torch.cat([batch["sar"], optical], dim=1))
        return scores


class CycleGan(nn.Module):
    """Translates SAR images to optical ones that look real, and of which the SAR images can be made again; and back.

    Args:
        config: Settings.
        run: Settings of the run.
        n_bands: Bands of each modality.
    """

    def __init__(self, config: LsganConfig, run: TrainConfig, n_bands: Mapping[Modality, int]) -> None:
        super().__init__()
        self.config = config
        side_px, network = run.data.crop_px, run.network
        bands = (n_bands["optical"], n_bands["sar"])
        back = Translator(network.name, *bands, base_width=network.base_width, window_px=side_px)
        self.generators = nn.ModuleDict({"sar": back})
        self.discriminators = nn.ModuleDict(
            {name: PatchDiscriminator(n, network.base_width, "instance") for name, n in n_bands.items()}
        )
        self.pools = nn.ModuleDict({name: ImagePool(config.n_pool, n, side_px) for name, n in n_bands.items()})

    def translate(self, translator: nn.Module, batch: Batch) -> Images:
        """Both images made of each other, and made again of what was made of them."""
        back = self.generators["sar"]
        optical = _filled(translator(batch["sar"]), batch, "optical")
        sar = _filled(back(batch["optical"]), batch, "sar")
        return {"optical": optical, "sar": sar, "sar again": back(optical), "optical again": translator(sar)}

    def discriminator_parts(self, batch: Batch, made: Images, rng: np.random.Generator) -> dict[str, Tensor]:
        """How wrongly true images and those made now or earlier are told apart."""
        parts = {}
        for name, judge in self.discriminators.items():
            shown = self.pools[name].exchange(made[name].detach(), rng)
            parts[f"discriminator {name}"] = _told_apart(judge(batch[name]), judge(shown), "least_squares")
        return parts

    def generator_parts(self, batch: Batch, made: Images) -> dict[str, Tensor]:
        """How often each discriminator is not deceived, and how far each image is from what came back."""
        parts = {}
        for name, judge in self.discriminators.items():
            parts[f"adversarial {name}"] = adversarial_loss(judge(made[name]), is_real=True, kind="least_squares")
            distance = l1_distance(made[f"{name} again"], batch[name], batch["valid"])
            parts[f"cycle {name}"] = self.config.lambda_cycle * distance
        return parts


def build_objective(config: TrainConfig, n_bands: Mapping[Modality, int]) -> Objective:
    """The objective that the settings name, with random weights."""
    if isinstance(config.criterion, Pix2pixConfig):
        return Pix2pix(config.criterion, config, n_bands)
    assert isinstance(config.criterion, LsganConfig)
    return CycleGan(config.criterion, config, n_bands)


def adversarial_loss(scores: Float[Tensor, "n 1 a b"], *, is_real: bool, kind: AdversarialLoss) -> Float[Tensor, ""]:
    """How far a discriminator's scores are from those of real or made images."""
    target = torch.full_like(scores, float(is_real), dtype=torch.float32)
    if kind == "least_squares":
        return functional.mse_loss(scores.float(), target)
    return functional.binary_cross_entropy_with_logits(scores.float(), target)


def l1_distance(
    one: Float[Tensor, "n c h w"], other: Float[Tensor, "n c h w"], valid: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, ""]:
    """Mean absolute difference of valid pixels, twice: the papers' images lie between -1 and 1."""
    difference = (one.float() - other.float()).abs().mean(dim=1, keepdim=True)
    return 2 * (difference * valid).sum() / valid.sum().clamp(min=1)


def _told_apart(real: Tensor, made: Tensor, kind: AdversarialLoss) -> Tensor:
    """The papers halve it, so that the discriminator learns more slowly."""
    real_loss = adversarial_loss(real, is_real=True, kind=kind)
    return (real_loss + adversarial_loss(made, is_real=False, kind=kind)) / 2


def _filled(made: Tensor, batch: Batch, name: Modality) -> Tensor:
    """A made image, but as the true one where data lack: else its filling would give it away."""
    return torch.where(batch["valid"] > 0, made.to(batch[name].dtype), batch[name])
