"""Networks that translate images from one sensor's bands to another's, and the one that judges translations.

Source:
    Isola et al. 2017 (pix2pix), appendix 6.1: U-Net and PatchGAN; Zhu et al. 2017 (CycleGAN), appendix 7.2: ResNet;
    Johnson et al. 2016; Ulyanov et al. 2016 (instance normalisation).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from jaxtyping import Float

from midground.errors import ConfigError, DependencyError
from midground.training.config import TRANSLATOR_STRIDES_PX, NetworkName, Norm

try:
    import torch
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training or exporting a network", extra="train") from error

_UNET_WIDTHS = (1, 2, 4, 8, 8, 8, 8, 8)
"""Channels at 1/2, 1/4, ... 1/256 of the size, in base widths."""
_N_DROPOUTS = 3
"""Layers of the U-Net's decoder with dropout, the deepest ones."""
_N_BLOCKS = 9
_LEAK = 0.2
_FIRST_DEVIATION = 0.02
"""Of weights before training (both papers)."""
_MARGINS_PER_WINDOW = 4


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that uses an image's own statistics after training too, as pix2pix does (its section 3.3)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__(n_channels, track_running_stats=False)

    def forward(self, features: Tensor) -> Tensor:
        """Normalise by the batch while training, else image by image."""
        if self.training:
            normalised: Tensor = super().forward(features)
            return normalised
        return functional.instance_norm(features, weight=self.weight, bias=self.bias)


_NORMS: dict[Norm, Callable[[int], nn.Module]] = {"batch": BatchNorm, "instance": nn.InstanceNorm2d}


class UnetGenerator(nn.Module):
    """The U-Net of pix2pix, eight levels deep, with batch normalisation and dropout.

    Maps (n, c, h, w), h and w multiples of 256, to numbers of any size.

    Args:
        in_channels: Bands that it takes.
        out_channels: Bands that it gives.
        base_width: Channels at half the size; 64 in the paper.
    """

    def __init__(self, in_channels: int, out_channels: int, base_width: int) -> None:
        super().__init__()
        widths = [in_channels, *(base_width * factor for factor in _UNET_WIDTHS)]
        last = len(widths) - 2
        # Neither the first layer nor the innermost one, which may be a single pixel, is normalised.
        self.down = nn.ModuleList(
            _down(before, after, leaks=level > 0, norm="batch" if 0 < level < last else None)
            for level, (before, after) in enumerate(pairwise(widths))
        )
        # Each layer but the deepest also takes the encoder's features of its size.
        up = list(reversed(widths[1:]))
        self.up = nn.ModuleList(
            _up(before if depth == 0 else 2 * before, after, drops=depth < _N_DROPOUTS)
            for depth, (before, after) in enumerate(pairwise(up))
        )
        self.head = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(2 * up[-1], out_channels, 4, 2, 1))

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Translate a batch."""
        skips = [image]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        features = skips.pop()
        for layer in self.up:
            features = torch.cat([layer(features), skips.pop()], dim=1)
        out: Tensor = self.head(features)
        return out


class ResnetGenerator(nn.Module):
    """The network of CycleGAN: nine residual blocks at a quarter of the size, with instance normalisation.

    Maps (n, c, h, w), h and w multiples of 4, to numbers of any size.

    Args:
        in_channels: Bands that it takes.
        out_channels: Bands that it gives.
        base_width: Channels at full size; 64 in the paper.
    """

    def __init__(self, in_channels: int, out_channels: int, base_width: int) -> None:
        super().__init__()
        fine, middle, coarse = base_width, 2 * base_width, 4 * base_width
        self.layers = nn.Sequential(
            *(nn.ReflectionPad2d(3), nn.Conv2d(in_channels, fine, 7), nn.InstanceNorm2d(fine), nn.ReLU()),
            *(nn.Conv2d(fine, middle, 3, 2, 1), nn.InstanceNorm2d(middle), nn.ReLU()),
            *(nn.Conv2d(middle, coarse, 3, 2, 1), nn.InstanceNorm2d(coarse), nn.ReLU()),
            *(_Residual(coarse) for _ in range(_N_BLOCKS)),
            *(nn.ConvTranspose2d(coarse, middle, 3, 2, 1, 1), nn.InstanceNorm2d(middle), nn.ReLU()),
            *(nn.ConvTranspose2d(middle, fine, 3, 2, 1, 1), nn.InstanceNorm2d(fine), nn.ReLU()),
            *(nn.ReflectionPad2d(3), nn.Conv2d(fine, out_channels, 7)),
        )

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Translate a batch."""
        out: Tensor = self.layers(image)
        return out


class _Residual(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        convolution = (nn.ReflectionPad2d(1), nn.Conv2d(n_channels, n_channels, 3), nn.InstanceNorm2d(n_channels))
        again = (nn.ReflectionPad2d(1), nn.Conv2d(n_channels, n_channels, 3), nn.InstanceNorm2d(n_channels))
        self.layers = nn.Sequential(*convolution, nn.ReLU(), *again)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = features + self.layers(features)
        return out


_GENERATORS: dict[NetworkName, Callable[[int, int, int], nn.Module]] = {
    "unet256": UnetGenerator,
    "resnet9": ResnetGenerator,
}


class PatchDiscriminator(nn.Module):
    """The PatchGAN of both papers: a score for each square of 70 × 70 px, the higher the more it looks real.

    Args:
        in_channels: Bands of what it judges.
        base_width: Channels at half the size; 64 in the papers.
        norm: Normalisation: ``batch`` in pix2pix, ``instance`` in CycleGAN.
    """

    def __init__(self, in_channels: int, base_width: int, norm: Norm) -> None:
        super().__init__()
        widths = [in_channels, *(base_width * factor for factor in (1, 2, 4, 8))]
        layers: list[nn.Module] = []
        for level, (before, after) in enumerate(pairwise(widths)):
            is_first, stride = level == 0, 2 if level < 3 else 1
            layers += [nn.Conv2d(before, after, 4, stride, 1, bias=is_first or norm == "instance")]
            layers += [nn.LeakyReLU(_LEAK)] if is_first else [_NORMS[norm](after), nn.LeakyReLU(_LEAK)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4, 1, 1))
        self.apply(_begin)

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1 a b"]:
        """Score a batch of images between 0 and 1."""
        out: Tensor = self.layers(_signed(image))
        return out


class Translator(nn.Module):
    """A generator for images between 0 and 1, with weights as they are before training.

    Its normalisation uses means over the whole image, so it is run on squares of the size that it was trained on.

    Args:
        name: Which generator.
        in_channels: Bands that it takes.
        out_channels: Bands that it gives.
        base_width: Channels of its first layer.
        window_px: Side of the squares, px.

    Raises:
        ConfigError: The squares do not fit the network.
    """

    stride_px = 1

    def __init__(
        self, name: NetworkName, in_channels: int, out_channels: int, *, base_width: int, window_px: int
    ) -> None:
        super().__init__()
        if window_px % TRANSLATOR_STRIDES_PX[name]:
            raise ConfigError(
                f"The network {name} takes squares with a side that is a multiple of {TRANSLATOR_STRIDES_PX[name]} px, "
                f"found {window_px} px."
            )
        self.in_channels, self.out_channels, self.window_px = in_channels, out_channels, window_px
        self.generator = _GENERATORS[name](in_channels, out_channels, base_width)
        self.apply(_begin)

    @property
    def halo_px(self) -> int:
        """How far neighbouring squares overlap each other on every side, px."""
        return self.window_px // _MARGINS_PER_WINDOW

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Translate a batch."""
        return (torch.tanh(self.generator(_signed(image))) + 1) / 2


class PassThrough(nn.Module):
    """Gives an image as it is: the modality that the other one is translated to."""

    stride_px = 1
    halo_px = 0

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.in_channels = self.out_channels = n_channels

    def forward(self, image: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Copy a batch."""
        return image.clone()


def _down(in_channels: int, out_channels: int, *, leaks: bool, norm: Norm | None) -> nn.Sequential:
    """Halve the size."""
    layers: list[nn.Module] = [nn.LeakyReLU(_LEAK)] if leaks else []
    layers.append(nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=False))
    return nn.Sequential(*layers, *([] if norm is None else [_NORMS[norm](out_channels)]))


def _up(in_channels: int, out_channels: int, *, drops: bool) -> nn.Sequential:
    """Double the size."""
    convolution = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, BatchNorm(out_channels), *([nn.Dropout(0.5)] if drops else []))


def _signed(image: Tensor) -> Tensor:
    """From 0 to 1 to the papers' -1 to 1."""
    return 2 * image - 1


def _begin(layer: nn.Module) -> None:
    """Weights before training."""
    if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(layer.weight, 0.0, _FIRST_DEVIATION)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.BatchNorm2d):
        nn.init.normal_(layer.weight, 1.0, _FIRST_DEVIATION)
        nn.init.zeros_(layer.bias)
