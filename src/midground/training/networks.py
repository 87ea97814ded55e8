"""The network of the shared modality: a U-Net with an EfficientNet-B0 encoder and attention in the decoder.

Written for this library, with the parameter names of ``segmentation_models_pytorch.Unet(encoder_name="efficientnet-b0",
decoder_attention_type="scse")``, so that state dicts pass between the two. Needs torch alone.

It runs in three parts. The first and the third work at full and half size, take most of the memory and see few pixels;
the second works at a quarter of the size and less, and sees far. Attention uses means over the whole image, which
``GlobalMean`` makes explicit, so that an export can read them and give them.

Source:
    Tan and Le 2019 (EfficientNet); Ronneberger et al. 2015 (U-Net); Roy et al. 2018 (scSE); paper, section 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

from midground.errors import ConfigError, DependencyError

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training or converting a network", extra="train") from error

Activation = Literal["sigmoid", "none"]
STRIDE_PX = 32
"""Sides of an image are multiples of this."""
HALO_PX = 16
"""Margin of a window within which its border reaches the results of the first and the third part."""

_STEM_CHANNELS = 32
# EfficientNet-B0: repeats, kernel, stride of the first, expansion, channels of each stage.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# Blocks whose output the decoder joins; the last is the first of its stage, as in the weights that exist.
_SKIP_BLOCKS = frozenset({2, 4, 8})
_OUTER_BLOCKS = 2
_HEAD_CHANNELS = 1280
_DECODER_CHANNELS = (256, 128, 64, 32, 16)
_SQUEEZE = 4
_SCSE_SQUEEZE = 16
_DROP_CONNECT = 0.2
_ENCODER_NORM = {"eps": 1e-3, "momentum": 0.01}


class GlobalMean(nn.Module):
    """Mean of each channel over the image."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.replacement: Callable[[torch.Tensor], torch.Tensor] | None = None
        """Called instead, if set: an export measures and gives the mean in its own way."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Average (n, c, h, w) to (n, c, 1, 1)."""
        if self.replacement is not None:
            return self.replacement(features)
        return functional.adaptive_avg_pool2d(features, 1)


class _SamePadConv(nn.Conv2d):
    """Convolution that pads like TensorFlow: the odd pixel of a stride of two goes to the right and below."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)
        total = kernel - stride
        self._pad = (total // 2, total - total // 2) * 2

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(functional.pad(features, self._pad) if any(self._pad) else features)


class _MobileBlock(nn.Module):
    """Inverted bottleneck with squeeze and excitation."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        squeezed = max(1, in_channels // _SQUEEZE)
        self._has_expansion = expansion > 1
        self._has_skip = stride == 1 and in_channels == out_channels
        if self._has_expansion:
            self._expand_conv = nn.Conv2d(in_channels, wide, 1, bias=False)
            self._bn0 = nn.BatchNorm2d(wide, **_ENCODER_NORM)
        self._depthwise_conv = _SamePadConv(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = nn.BatchNorm2d(wide, **_ENCODER_NORM)
        self._mean = GlobalMean(wide)
        self._se_reduce = nn.Conv2d(wide, squeezed, 1)
        self._se_expand = nn.Conv2d(squeezed, wide, 1)
        self._project_conv = nn.Conv2d(wide, out_channels, 1, bias=False)
        self._bn2 = nn.BatchNorm2d(out_channels, **_ENCODER_NORM)

    def forward(self, features: torch.Tensor, drop: float) -> torch.Tensor:
        wide = features
        if self._has_expansion:
            wide = functional.silu(self._bn0(self._expand_conv(wide)))
        wide = functional.silu(self._bn1(self._depthwise_conv(wide)))
        gate = self._se_expand(functional.silu(self._se_reduce(self._mean(wide))))
        out: torch.Tensor = self._bn2(self._project_conv(torch.sigmoid(gate) * wide))
        if not self._has_skip:
            return out
        if self.training and drop > 0:
            keep = torch.rand((len(out), 1, 1, 1), dtype=out.dtype, device=out.device) >= drop
            out = out * keep / (1 - drop)
        return out + features


class _Encoder(nn.Module):
    """EfficientNet-B0 without its classifier; gives the features at strides 2, 4, 8, 16 and 32."""

    out_channels = (_STEM_CHANNELS, 24, 40, 112, 320)

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self._conv_stem = _SamePadConv(in_channels, _STEM_CHANNELS, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(_STEM_CHANNELS, **_ENCODER_NORM)
        blocks: list[_MobileBlock] = []
        width = _STEM_CHANNELS
        for repeats, kernel, first_stride, expansion, channels in _STAGES:
            for repeat in range(repeats):
                stride = 1 if repeat else first_stride
                blocks.append(_MobileBlock(width, channels, kernel=kernel, stride=stride, expansion=expansion))
                width = channels
        self._blocks = nn.ModuleList(blocks)
        # The classifier's last convolution takes no part in a U-Net; it is here because state dicts hold it.
        self._conv_head = nn.Conv2d(width, _HEAD_CHANNELS, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(_HEAD_CHANNELS, **_ENCODER_NORM)

    def outer(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first layers, which see few pixels: features at strides 2 and 4."""
        stem = functional.silu(self._bn0(self._conv_stem(image)))
        return stem, self._run(stem, 0, _OUTER_BLOCKS)[0]

    def inner(self, features: torch.Tensor) -> list[torch.Tensor]:
        """All further layers: from the second result of ``outer`` to the features at strides 4, 8, 16 and 32."""
        features, skips = self._run(features, _OUTER_BLOCKS, len(self._blocks))
        return [*skips, features]

    def blocks(self) -> list[nn.Module]:
        """The blocks in the order in which they run."""
        return list(self._blocks)

    def _run(self, features: torch.Tensor, start: int, stop: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
        skips = []
        for index in range(start, stop):
            features = self._blocks[index](features, _DROP_CONNECT * index / len(self._blocks))
            if index in _SKIP_BLOCKS:
                skips.append(features)
        return features, skips


class _SpatialChannelAttention(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (scSE)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        squeezed = n_channels // _SCSE_SQUEEZE
        self.cSE = nn.Sequential(
            GlobalMean(n_channels),
            nn.Conv2d(n_channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, n_channels, 1),
            nn.Sigmoid(),
        )
        self.sSE = nn.Sequential(nn.Conv2d(n_channels, 1, 1), nn.Sigmoid())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * (self.cSE(features) + self.sSE(features))


class _Attention(nn.Module):
    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.attention = _SpatialChannelAttention(n_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.attention(features)
        return out


def _conv_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels), nn.ReLU())


class _DecoderBlock(nn.Module):
    """Doubles the size, joins the encoder's features and convolves twice."""

    def __init__(self, in_channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm_relu(in_channels + skip_channels, out_channels)
        # Without features to join, this one is not used; it is here because state dicts hold it.
        self.attention1 = _Attention(in_channels + skip_channels)
        self.conv2 = _conv_norm_relu(out_channels, out_channels)
        self.attention2 = _Attention(out_channels)

    def forward(self, features: torch.Tensor, skip: torch.Tensor | None) -> torch.Tensor:
        features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
        if skip is not None:
            features = self.attention1(torch.cat([features, skip], dim=1))
        out: torch.Tensor = self.attention2(self.conv2(self.conv1(features)))
        return out


class _Decoder(nn.Module):
    def __init__(self, encoder_channels: tuple[int, ...]) -> None:
        super().__init__()
        widths = (encoder_channels[-1], *_DECODER_CHANNELS)
        skips = (*reversed(encoder_channels[:-1]), 0)
        self.blocks = nn.ModuleList(
            _DecoderBlock(before, skip, after) for (before, after), skip in zip(pairwise(widths), skips, strict=True)
        )

    def inner(self, pyramid: list[torch.Tensor]) -> torch.Tensor:
        """From the features at strides 32, 16, 8 and 4 to those that ``outer`` wants, at stride 4."""
        features, *skips = reversed(pyramid)
        for block, skip in zip(self.blocks, skips, strict=False):
            features = block(features, skip)
        return features

    def outer(self, features: torch.Tensor, stem: torch.Tensor) -> torch.Tensor:
        """The last layers, which see few pixels."""
        out: torch.Tensor = self.blocks[-1](self.blocks[-2](features, stem), None)
        return out


class SharedModalityUnet(nn.Module):
    """Maps (n, c, h, w) between 0 and 1, with h and w multiples of 32, to channels of the same height and width."""

    stride_px = STRIDE_PX
    halo_px = HALO_PX

    def __init__(self, in_channels: int, out_channels: int, activation: Activation) -> None:
        super().__init__()
        self.encoder = _Encoder(in_channels)
        self.decoder = _Decoder(self.encoder.out_channels)
        self.segmentation_head = nn.Sequential(nn.Conv2d(_DECODER_CHANNELS[-1], out_channels, 3, padding=1))
        self.in_channels, self.out_channels = in_channels, out_channels
        self.activation = activation

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map a batch."""
        stem, features = self.encode(image)
        return self.decode(self.middle(features), stem)

    def encode(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """First part: what is read again at the end (stride 2), and what the middle part starts from (stride 4)."""
        return self.encoder.outer(image)

    def middle(self, features: torch.Tensor) -> torch.Tensor:
        """Second part, at stride 4 and beyond: most of the weights, and all that sees far."""
        return self.decoder.inner(self.encoder.inner(features))

    def decode(self, features: torch.Tensor, stem: torch.Tensor) -> torch.Tensor:
        """Third part: back to full size."""
        out: torch.Tensor = self.segmentation_head(self.decoder.outer(features, stem))
        return torch.sigmoid(out) if self.activation == "sigmoid" else out

    def global_means(self) -> tuple[list[GlobalMean], list[GlobalMean], list[GlobalMean]]:
        """The means that run, in order, of the first, second and third part."""
        blocks, decoder = list(self.encoder.blocks()), self.decoder.blocks
        encode = [mean for block in blocks[:_OUTER_BLOCKS] for mean in _means_of(block)]
        middle = [mean for block in (*blocks[_OUTER_BLOCKS:], *decoder[:-2]) for mean in _means_of(block)]
        # The very last block joins nothing, so its first attention never runs.
        decode = [*_means_of(decoder[-2]), *_means_of(decoder[-1].attention2)]
        return encode, middle, decode


def _means_of(module: nn.Module) -> list[GlobalMean]:
    return [child for child in module.modules() if isinstance(child, GlobalMean)]


def shared_modality_unet(
    in_channels: int, out_channels: int = 3, activation: Activation = "sigmoid"
) -> SharedModalityUnet:
    """Build the network with random weights.

    Args:
        in_channels: Bands of the sensor.
        out_channels: Channels of the shared modality, the same for both sensors.
        activation: ``"sigmoid"`` for a shared modality between 0 and 1, ``"none"`` for an inverse network.

    Raises:
        ConfigError: A channel count below 1, or an unknown activation.
    """
    if in_channels < 1 or out_channels < 1:
        raise ConfigError(f"A network needs at least one channel in and out, found {in_channels} and {out_channels}.")
    if activation not in get_args(Activation):
        raise ConfigError(f"The activation must be one of {', '.join(get_args(Activation))}, found '{activation}'.")
    return SharedModalityUnet(in_channels, out_channels, activation)
