"""A compact RoMa: where does each place of the moving image lie in the fixed one, and how sure is that?

Both images go through the backbone of XFeat. At stride 8 every place is compared with every other, by the backbone's
features and by the windows of the mapped images around them, whose correlation needs no training; the expected place is
what a decoder, which sees the whole image, corrects. Refiners at strides 4 and 2 then compare a neighbourhood of the
place found so far, and move it. Places are (x, y) in px of the input, integers at pixel centres.

Source:
    RoMa (Edstedt et al. 2024): coarse matching, then refiners whose inputs are detached from one another; the compact
    form on XFeat (Potje et al. 2024) is that of RoMa's authors, the local correlations are theirs for the large model.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float

from midground.errors import DependencyError

try:
    import torch
    from kornia.feature import XFeatModel
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="matchers") from error

_COARSE_STRIDE = 8
_COARSE_WIDTH = 64
_DECODER_WIDTH = 128
_WIDTHS = {8: _COARSE_WIDTH, 4: 32, 2: 16}
_HIDDEN = {4: 64, 2: 32}
_RADII = {4: 3, 2: 2}
_LATERAL = {4: 24, 2: 8}
_WINDOW_CELLS = 7
_FIRST_SHARPNESS, _FIRST_WINDOW_SHARPNESS = 5.0, 15.0
_OFFSET_SCALE_PX = 64.0


_Description = Float[Tensor, "n _ g g"]


@dataclass(frozen=True, slots=True)
class Matches:
    """What is known at one stride, for a grid over the moving image."""

    fixed_xy: Float[Tensor, "n 2 g_h g_w"]
    """Place in the fixed image, px."""
    certainty: Float[Tensor, "n 1 g_h g_w"]
    """Logit of the probability that the place is right."""
    stride_px: int
    """Distance of neighbours in the grid."""


@dataclass(frozen=True, slots=True)
class Coarse:
    """Similarity of every place at stride 8 of the moving image with every one of the fixed image."""

    logits: Float[Tensor, "n k_fixed k_moving"]
    """Softmax over the first axis is the probability of each place in the fixed image."""
    stride_px: int = _COARSE_STRIDE

    @classmethod
    def compare(cls, *descriptions: tuple[_Description, _Description, Float[Tensor, ""]]) -> Coarse:
        """Sum of scaled cosines of all pairs of descriptors.

        Args:
            descriptions: Descriptors of the moving and the fixed image, and the factor of their cosines.
        """
        logits = []
        for *images, sharpness in descriptions:
            one, other = (functional.normalize(image.float().flatten(2), dim=1) for image in images)
            with torch.autocast(one.device.type, enabled=False):
                logits.append(sharpness * (other.transpose(1, 2) @ one))
        return cls(torch.stack(logits).sum(0))

    def expected(self, grid_xy: Float[Tensor, "2 g g"]) -> tuple[Float[Tensor, "n 2 g g"], Float[Tensor, "n 1 g g"]]:
        """Mean place in the fixed image, px, and the largest probability of one place."""
        probability = self.logits.softmax(1)
        # Half precision would round places to whole pixels.
        with torch.autocast(grid_xy.device.type, enabled=False):
            mean_xy = grid_xy.flatten(1) @ probability
        peak = probability.amax(1, keepdim=True)
        return mean_xy.unflatten(2, grid_xy.shape[1:]), peak.unflatten(2, grid_xy.shape[1:])


class SharedRoma(nn.Module):
    """The network.

    Args:
        n_channels: Channels of the shared images.
        trunk: An XFeat network that becomes the backbone; one with random weights if omitted.
    """

    def __init__(self, n_channels: int, trunk: XFeatModel | None = None) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.trunk = _for_channels(XFeatModel() if trunk is None else trunk, n_channels)
        self.lateral = nn.ModuleDict(
            {str(stride): _layer(n + _WIDTHS[2 * stride], _WIDTHS[stride]) for stride, n in _LATERAL.items()}
        )
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        self.window_sharpness = nn.Parameter(torch.tensor(_FIRST_WINDOW_SHARPNESS).log())
        self.decoder = _Decoder()
        self.refiners = nn.ModuleDict({str(stride): _Refiner(stride) for stride in _RADII})

    def forward(
        self, moving: Float[Tensor, "n c s s"], fixed: Float[Tensor, "n c s s"]
    ) -> tuple[Coarse, list[Matches]]:
        """Match standardised images whose sides are multiples of 32 px.

        Returns:
            The coarse comparison, and the matches from coarse to fine.
        """
        both = self._features(torch.cat([moving, fixed]))
        features = {stride: tuple(one.chunk(2)) for stride, one in both.items()}
        windows = windows_around(moving), windows_around(fixed)
        coarse = Coarse.compare(
            (*features[_COARSE_STRIDE], self.sharpness.exp()), (*windows, self.window_sharpness.exp())
        )
        matches = [self.decoder(*features[_COARSE_STRIDE], coarse)]
        for stride in _RADII:
            matches.append(self.refiners[str(stride)](*features[stride], matches[-1]))
        return coarse, matches

    def _features(self, image: Float[Tensor, "n c s s"]) -> dict[int, Float[Tensor, "n d g_h g_w"]]:
        trunk = self.trunk
        half = trunk.block1[:3](image)
        quarter = trunk.block2(trunk.block1[3](half) + trunk.skip1(image))
        eighth = trunk.block3(quarter)
        sixteenth = trunk.block4(eighth)
        coarser = _resized(sixteenth, eighth) + _resized(trunk.block5(sixteenth), eighth)
        features = {_COARSE_STRIDE: trunk.block_fusion(eighth + coarser)}
        for stride, skip in ((4, quarter), (2, half)):
            features[stride] = self.lateral[str(stride)](torch.cat([skip, _resized(features[2 * stride], skip)], 1))
        return features


class _Decoder(nn.Module):
    """Corrects the expected places by what the whole image says; its dilations reach from border to border."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _layer(2 * _COARSE_WIDTH + 5, _DECODER_WIDTH),
            *(_layer(_DECODER_WIDTH, _DECODER_WIDTH, dilation=dilation) for dilation in (1, 2, 4, 8)),
        )
        self.head = _head(_DECODER_WIDTH)

    def forward(self, moving: Float[Tensor, "n d g g"], fixed: Float[Tensor, "n d g g"], coarse: Coarse) -> Matches:
        grid_xy = centres_xy(moving, coarse.stride_px)
        expected, peak = coarse.expected(grid_xy)
        found = sampled(fixed, expected, coarse.stride_px)
        offset = (expected - grid_xy) / _OFFSET_SCALE_PX
        place = (grid_xy / _OFFSET_SCALE_PX).expand_as(offset)
        change = self.head(self.layers(torch.cat([moving, found, offset, place, peak], 1))).float()
        return Matches(expected + coarse.stride_px * change[:, :2], change[:, 2:], coarse.stride_px)


class _Refiner(nn.Module):
    """Compares the neighbourhood of each place found so far, and moves the place."""

    def __init__(self, stride_px: int) -> None:
        super().__init__()
        self.stride_px = stride_px
        width, n_hidden, radius = _WIDTHS[stride_px], _HIDDEN[stride_px], _RADII[stride_px]
        steps = torch.arange(-radius, radius + 1, dtype=torch.float32) * stride_px
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        self.register_buffer("around_xy", torch.stack([x.flatten(), y.flatten()]), persistent=False)
        self.layers = nn.Sequential(
            _layer(2 * width + (2 * radius + 1) ** 2 + 3, n_hidden), *(_layer(n_hidden, n_hidden) for _ in range(2))
        )
        self.head = _head(n_hidden)

    def forward(self, moving: Float[Tensor, "n d g g"], fixed: Float[Tensor, "n d g g"], before: Matches) -> Matches:
        # Each stride learns by itself, as in RoMa: a fine one would otherwise pull at coarse places.
        coarse_xy, certainty = before.fixed_xy.detach(), before.certainty.detach()
        coarse_xy, certainty = (_resized(values, moving) for values in (coarse_xy, certainty))
        moving, fixed = (functional.normalize(features.float(), dim=1) for features in (moving, fixed))
        # One place for each step: (n, 2, steps, g * g).
        places = coarse_xy.flatten(2)[:, :, None] + self.around_xy[None, :, :, None]
        near = sampled(fixed, places, self.stride_px)
        alike = (near * moving.flatten(2)[:, :, None]).sum(1).unflatten(2, moving.shape[-2:])
        offset = (coarse_xy - centres_xy(moving, self.stride_px)) / _OFFSET_SCALE_PX
        found = near[:, :, near.shape[2] // 2].unflatten(2, moving.shape[-2:])
        change = self.head(self.layers(torch.cat([moving, found, alike, offset, certainty], 1))).float()
        return Matches(coarse_xy + self.stride_px * change[:, :2], certainty + change[:, 2:], self.stride_px)


def _for_channels(trunk: XFeatModel, n_channels: int) -> XFeatModel:
    """XFeat without its heads, on several channels: at first it sees their mean, and training may weigh them."""
    del trunk.norm, trunk.heatmap_head, trunk.keypoint_head, trunk.fine_matcher
    first = nn.Conv2d(n_channels, 4, 3, padding=1, bias=False)
    skip = nn.Conv2d(n_channels, 24, 1)
    with torch.no_grad():
        for new, old in ((first, trunk.block1[0].layer[0]), (skip, trunk.skip1[1])):
            new.weight.copy_(old.weight.expand_as(new.weight) / n_channels)
        skip.bias.copy_(trunk.skip1[1].bias)
    trunk.block1[0].layer[0], trunk.skip1[1] = first, skip
    return trunk


def windows_around(image: Float[Tensor, "n c s s"]) -> Float[Tensor, "n d g g"]:
    """The window around each place at stride 8, every channel less its mean: its cosines are correlations."""
    cells = functional.avg_pool2d(image, _COARSE_STRIDE)
    windows = functional.unfold(cells, _WINDOW_CELLS, padding=_WINDOW_CELLS // 2)
    windows = windows.unflatten(1, (image.shape[1], _WINDOW_CELLS**2))
    return (windows - windows.mean(2, keepdim=True)).flatten(1, 2).unflatten(2, cells.shape[-2:])


def centres_xy(features: Float[Tensor, "n d g_h g_w"], stride_px: int) -> Float[Tensor, "2 g_h g_w"]:
    """Place (x, y) of the centre of each cell of a feature map, px of the image."""
    height, width = features.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=features.device),
        torch.arange(width, dtype=torch.float32, device=features.device),
        indexing="ij",
    )
    return (torch.stack([x, y]) + 0.5) * stride_px - 0.5


def sampled(
    features: Float[Tensor, "n d g_h g_w"], places_xy: Float[Tensor, "n 2 r k"], stride_px: int
) -> Float[Tensor, "n d r k"]:
    """Features at places of the image, px, between cells too; zero beyond the outermost cells."""
    size = torch.tensor(features.shape[:-3:-1], dtype=torch.float32, device=features.device) * stride_px
    unit = (2 * places_xy.permute(0, 2, 3, 1) + 1) / size - 1
    return functional.grid_sample(features.float(), unit, align_corners=False)


def _layer(n_in: int, n_out: int, *, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, padding=dilation, dilation=dilation, bias=False), nn.BatchNorm2d(n_out), nn.ReLU()
    )


def _head(n_in: int) -> nn.Conv2d:
    """Change in x and y, in strides, and of the certainty; none at first."""
    head = nn.Conv2d(n_in, 3, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _resized(values: Float[Tensor, "n d a b"], like: Float[Tensor, "n e g_h g_w"]) -> Float[Tensor, "n d g_h g_w"]:
    return functional.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=False)
