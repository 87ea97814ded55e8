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


class CompactUnet(nn.Module):
    """Maps (n, c, h, w) between 0 and 1, with h and w multiples of the stride, to channels of the same size.

    Args:
        in_channels: Bands of the sensor.
        out_channels: Channels of the result: first those that start as oriented gradients, then free ones.
        widths: Channels at 1/2, 1/4, ... of the size.
        n_orientations: Orientations of the gradients that the network is given.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        widths: tuple[int, ...] = (32, 48, 64, 96, 128),
        n_orientations: int = 8,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels = in_channels, out_channels
        self.widths, self.n_orientations = widths, n_orientations
        self.gradients = OrientedGradients(n_orientations)
        self.passed = nn.Conv2d(n_orientations, out_channels, 1)
        self.stem = _Layer((in_channels + n_orientations) * FOLD**2, widths[0])
        self.down = nn.ModuleList(_Layer(before, after, stride=2) for before, after in pairwise(widths))
        self.up = nn.ModuleList(_Layer(deep + skip, skip) for skip, deep in pairwise(widths))
        self.head = nn.Conv2d(widths[0], out_channels * FOLD**2, 3, padding=1)
        n_passed = min(n_orientations, out_channels)
        with torch.no_grad():
            self.passed.weight.copy_(_FIRST_GAIN * torch.eye(out_channels, n_orientations)[:, :, None, None])
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
        return -(-sees // self.stride_px) * self.stride_px

    def last_channels(self, n: int) -> CompactUnet:
        """The network that gives the last channels of this one, and nothing else.

        Raises:
            ConfigError: There are not so many.
        """
        if not 1 <= n <= self.out_channels:
            raise ConfigError(f"The network has {self.out_channels} channels, so its last {n} cannot be had.")
        part = CompactUnet(self.in_channels, n, widths=self.widths, n_orientations=self.n_orientations)
        state = self.state_dict()
        for name, n_rows in (("passed", n), ("head", n * FOLD**2)):
            for kind in ("weight", "bias"):
                state[f"{name}.{kind}"] = state[f"{name}.{kind}"][-n_rows:]
        part.load_state_dict(state)
        return part.train(self.training)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map a batch."""
        with torch.no_grad():
            gradients = self.gradients(image)
        skips = [self.stem(functional.pixel_unshuffle(torch.cat([image, gradients], dim=1), FOLD))]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        features = skips.pop()
        for layer, skip in zip(reversed(self.up), reversed(skips), strict=True):
            features = layer(torch.cat([_twice(features), skip], dim=1))
        return torch.sigmoid(functional.pixel_shuffle(self.head(features), FOLD) + self.passed(gradients))


def _twice(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2.0, mode="bilinear", align_corners=False)
