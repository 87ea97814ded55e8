"""A compact U-Net: the network of the shipped ``sar1-rgb``, small enough to be trained and run on a laptop's processor.

It reads squares of 2 × 2 px as one, and writes them so. No layer looks at the image as a whole, so a window with a
margin is mapped like the same pixels of the scene.

Source:
    Ronneberger et al. 2015 (U-Net); Shi et al. 2016 (sub-pixel convolution); He et al. 2016 (residual blocks).
"""

from __future__ import annotations

from itertools import pairwise

from midground.errors import ConfigError, DependencyError
from midground.training.gradients import OrientedGradients

try:
    import torch
    from torch import nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training or converting a network", extra="train") from error

FOLD = 2
"""Side of the squares that are read as one pixel, px."""
_FIRST_GAIN = 4.0
"""Of the gradients in the result before training: they pass through the sigmoid with about their own contrast."""
_FIRST_SIDE_GAIN = 0.2
_FIRST_HEAD_GAIN = 0.1
_CONTEXT_TAPS = 17
"""Side of the mixtures of places around a pixel."""
_CONTEXT_STEP = 2
"""Distance of these places, in squares of 4 × 4 px."""
_FIRST_CONTEXT_GAIN = 0.15
"""Of the mixtures: with it, they weigh about as much in a correlation as the gradients."""


def _conv(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)
    return conv


class _Layer(nn.Module):
    """A convolution, then two more around which its result passes.

    There is no normalisation: that of a batch is another function while training than afterwards, and pairs of one
    batch differ in brightness more than it bears. A small gain on the second path keeps training steady instead.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        self.enter = _conv(in_channels, out_channels, stride=stride)
        self.conv1 = _conv(out_channels, out_channels)
        self.conv2 = _conv(out_channels, out_channels)
        self.gain = nn.Parameter(torch.full((out_channels, 1, 1), _FIRST_SIDE_GAIN))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = functional.relu(self.enter(features))
        return functional.relu(features + self.gain * self.conv2(functional.relu(self.conv1(features))))


class _Context(nn.Module):
    """What lies around each pixel, as random mixtures that are trained from there.

    A mixture of the gradients of many places correlates with the same mixture in the other image where all of these
    places agree. So even a small window of the result knows a neighbourhood of ``radius_px``.
    """

    def __init__(self, n_orientations: int, n_features: int, out_channels: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(n_features, n_orientations, 1)
        # The border is repeated: zeros beyond it would make a pattern that is the same in both images, and pull every
        # correlation towards no shift.
        self.mix = nn.Conv2d(
            n_orientations,
            out_channels,
            _CONTEXT_TAPS,
            padding=_CONTEXT_TAPS // 2 * _CONTEXT_STEP,
            padding_mode="replicate",
            dilation=_CONTEXT_STEP,
            bias=False,
        )
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        # Both networks have to start from the same mixtures, or their images have nothing in common.
        generator = torch.Generator().manual_seed(0)
        taps = torch.arange(_CONTEXT_TAPS) - _CONTEXT_TAPS // 2
        fade = torch.exp(-(taps**2) / (2 * (_CONTEXT_TAPS / 4) ** 2))
        weights = torch.randn(self.mix.weight.shape, generator=generator) * torch.outer(fade, fade)
        weights -= weights.mean(dim=(2, 3), keepdim=True)
        with torch.no_grad():
            self.mix.weight.copy_(_FIRST_CONTEXT_GAIN * weights)

    def forward(self, gradients: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Mixtures at full size, of gradients there and of features at a quarter of it."""
        places = functional.avg_pool2d(gradients, FOLD**2) + self.project(features)
        return functional.interpolate(
            self.mix(places), scale_factor=float(FOLD**2), mode="bilinear", align_corners=False
        )


class CompactUnet(nn.Module):
    """Maps (n, c, h, w) between 0 and 1, with h and w multiples of the stride, to channels of the same size.

    Args:
        in_channels: Bands of the sensor.
        out_channels: Channels of the result: local ones, which start as oriented gradients, then those of the context.
        widths: Channels at 1/2, 1/4, ... of the size.
        n_orientations: Orientations of the gradients that the network is given.
        n_context: How many channels of the result are of the context.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        widths: tuple[int, ...] = (24, 48, 64, 96),
        n_orientations: int = 8,
        n_context: int = 0,
    ) -> None:
        super().__init__()
        if not 0 <= n_context < out_channels:
            raise ConfigError(
                f"network.n_context must be less than the {out_channels} channels of the result, found {n_context}."
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.widths, self.n_orientations, self.n_context = widths, n_orientations, n_context
        self.gradients = OrientedGradients(n_orientations)
        n_local = out_channels - n_context
        self.passed = nn.Conv2d(n_orientations, n_local, 1)
        self.stem = _Layer((in_channels + n_orientations) * FOLD**2, widths[0])
        self.down = nn.ModuleList(_Layer(before, after, stride=2) for before, after in pairwise(widths))
        self.up = nn.ModuleList(_Layer(deep + skip, skip) for skip, deep in pairwise(widths))
        self.head = nn.Conv2d(widths[0], n_local * FOLD**2, 3, padding=1)
        self.context = _Context(n_orientations, widths[1], n_context) if n_context else None
        n_passed = min(n_orientations, n_local)
        with torch.no_grad():
            self.passed.weight.copy_(_FIRST_GAIN * torch.eye(n_local, n_orientations)[:, :, None, None])
            self.passed.bias.zero_()[:n_passed] = -_FIRST_GAIN / 2
            self.head.weight[: n_passed * FOLD**2] *= _FIRST_HEAD_GAIN

    @property
    def stride_px(self) -> int:
        """What sides of an image are multiples of, px."""
        return FOLD ** len(self.widths)

    @property
    def halo_px(self) -> int:
        """How far a pixel of the result sees, rounded up to a multiple of the stride, px.

        A 3 × 3 convolution sees one pixel of its input, and so does the doubling of the size; there are three in each
        layer, and one at the end.
        """
        scales = [FOLD ** (level + 1) for level in range(len(self.widths))]
        down = 3 * scales[0] + sum(before + 2 * after for before, after in pairwise(scales))
        up = sum(3 * fine + coarse for fine, coarse in pairwise(scales))
        sees = self.gradients.radius_px + down + up + scales[0] + FOLD - 1
        if self.context is not None:
            sees += (_CONTEXT_TAPS // 2 * _CONTEXT_STEP + 2) * FOLD**2
        return -(-sees // self.stride_px) * self.stride_px

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map a batch."""
        with torch.no_grad():
            gradients = self.gradients(image)
        skips = [self.stem(functional.pixel_unshuffle(torch.cat([image, gradients], dim=1), FOLD))]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        features = [skips.pop()]
        for layer, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features.append(layer(torch.cat([_twice(features[-1]), skip], dim=1)))
        channels = functional.pixel_shuffle(self.head(features[-1]), FOLD) + self.passed(gradients)
        if self.context is not None:
            channels = torch.cat([channels, self.context(gradients, features[-2])], dim=1)
        return torch.sigmoid(channels)


def _twice(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
