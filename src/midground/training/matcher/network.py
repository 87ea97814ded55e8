"""A compact RoMa: where does each place of the moving image lie in the fixed one, and how sure is that?

Both images go through the backbone of XFeat. At stride 8 every place is compared with every other, by the backbone's
features and by the windows of the mapped images around them, under several rotations. The similarity transform that
most places agree on, and the one under which the whole images are most alike, are where a first refinement starts; the
better of both results goes on. Refiners at strides 8, 4 and 2 compare a neighbourhood of the expected place, by
features and by windows again, move the place, and the places agree anew. Windows need no training: what is learned
adds to them. Places are (x, y) in px of the input, integers at pixel centres.

Source:
    RoMa (Edstedt et al. 2024): coarse matching, then refiners whose inputs are detached from one another; the compact
    form on XFeat (Potje et al. 2024) is that of RoMa's authors, the local correlations are theirs for the large model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.agreement import Agreement, Similarity, agreed
from midground.training.matcher.comparison import LocalSearch, local_correlation, peak_xy, windows_around
from midground.training.matcher.grids import centres_xy, sampled, steps_xy
from midground.training.matcher.whole import overlap_likeness, whole_similarity

try:
    import torch
    from kornia.feature import XFeatModel
    from torch import Tensor, nn
    from torch.nn import functional
except ImportError as error:
    raise DependencyError("Training a matcher", extra="matchers") from error

_COARSE_STRIDE = 8
_WIDTHS = {8: 64, 4: 32, 2: 16}
FINEST_STRIDE = min(_WIDTHS)
_LATERAL = {4: 24, 2: 8}
_HIDDEN = {8: 64, 4: 64, 2: 32}
_SEARCHES = {
    stride_px: LocalSearch(stride_px, radius, window_cells)
    for stride_px, radius, window_cells in ((8, 4, 7), (4, 3, 9), (2, 2, 15))
}
_FIRST_SHARPNESS, _FIRST_WINDOW_SHARPNESS, _FIRST_STEP_SHARPNESS = 2.0, 15.0, 30.0
_LIKENESS, _CERTAINTY_SLOPE = 0.3, 10.0
"""Before training, a match is as likely right as wrong where its windows correlate by this, and how fast that rises."""
_COARSE_SCALES_PX = (64.0, 40.0, 24.0, 16.0, 10.0, 8.0)
_FINE_SCALES = (2.0, 1.0, 0.5)
"""Distances at which matches count a quarter, in strides."""
_ROTATION_STEP_DEG = 10.0
_WHOLE_SCALES = (0.72, 0.85, 1.0, 1.18, 1.39)
"""Scales under which whole images are compared."""

_Two = tuple[Tensor, Tensor]
"""Of the moving and of the fixed image."""


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
    """Similarity of every cell of the moving image with every one of the fixed image; row by row."""

    logits: Float[Tensor, "n k_fixed k_moving"]
    """Softmax over the first axis is the probability of each cell of the fixed image."""
    stride_px: int = _COARSE_STRIDE
    """Side of the moving image's cells."""
    fixed_px: float = _COARSE_STRIDE
    """Side of the fixed image's cells."""


class Shape(NamedTuple):
    """What is fixed when a network is built."""

    n_channels: int
    """Channels of the shared images."""
    n_oriented: int = 0
    """How many of them, the first ones, belong to orientations that divide a half turn evenly."""
    rotation_deg: float = 0.0
    """Largest rotation between two images, degrees; windows are compared every ten degrees."""

    @property
    def rotations_deg(self) -> list[float]:
        """Rotations under which windows are compared."""
        n_steps = math.ceil(min(self.rotation_deg, 180.0) / _ROTATION_STEP_DEG)
        rotations = [step * _ROTATION_STEP_DEG for step in range(-n_steps, n_steps + 1)]
        # A half turn either way is the same.
        return rotations[:-1] if rotations[-1] == 180 else rotations


class SharedRoma(nn.Module):
    """The network.

    Args:
        shape: Channels and rotations.
        trunk: An XFeat network that becomes the backbone; one with random weights if omitted.
    """

    def __init__(self, shape: Shape, trunk: XFeatModel | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.trunk = _for_channels(XFeatModel() if trunk is None else trunk, shape.n_channels)
        self.lateral = nn.ModuleDict(
            {str(stride): _layer(n + _WIDTHS[2 * stride], _WIDTHS[stride]) for stride, n in _LATERAL.items()}
        )
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        self.window_sharpness = nn.Parameter(torch.tensor(_FIRST_WINDOW_SHARPNESS).log())
        self.refiners = nn.ModuleDict({str(stride): _Refiner(stride, shape.n_oriented) for stride in _SEARCHES})

    def forward(
        self, moving: Float[Tensor, "n c s s"], fixed: Float[Tensor, "n c s s"]
    ) -> tuple[Coarse, list[Matches]]:
        """Match standardised images whose sides are multiples of 32 px.

        Returns:
            The coarse comparison, and the matches from coarse to fine.
        """
        both = self._features(torch.cat([moving, fixed]))
        features = {stride: tuple(one.float().chunk(2)) for stride, one in both.items()}
        # Half precision would round places to whole pixels.
        with torch.autocast(moving.device.type, enabled=False):
            images = moving.float(), fixed.float()
            coarse, by_windows = self._compare(*images, *features[_COARSE_STRIDE])
            with torch.no_grad():
                starts = by_windows, self._whole(*images)
                transform = self._better(images, features[_COARSE_STRIDE], starts)
            matches: list[Matches] = []
            for stride in _SEARCHES:
                if matches:
                    transform = _agreed_on(matches[-1]).transform
                matches.append(self.refiners[str(stride)](images, features[stride], transform))
        return coarse, matches

    def _better(self, images: _Two, features: _Two, starts: Sequence[Similarity]) -> Similarity:
        """From where the whole images become most alike, once the places at stride 8 have agreed near each start.

        A start may be off by some degrees. Matches that agree with one another are found around wrong ones too, so
        what speaks for one is not how many do.
        """
        n_starts = len(starts)
        images, features = (tuple(one.repeat_interleave(n_starts, 0) for one in two) for two in (images, features))
        transform = Similarity.by_pair(starts)
        for _ in range(2):
            transform = _agreed_on(self.refiners[str(_COARSE_STRIDE)](images, features, transform)).transform
        likeness = overlap_likeness(*images, transform, stride_px=_COARSE_STRIDE, n_oriented=self.shape.n_oriented)
        return Agreement(transform, likeness).strongest(n_starts)

    def _whole(self, moving: Float[Tensor, "n c s s"], fixed: Float[Tensor, "n c s s"]) -> Similarity:
        return whole_similarity(
            moving,
            fixed,
            stride_px=_COARSE_STRIDE,
            rotations_deg=self.shape.rotations_deg,
            scales=_WHOLE_SCALES,
            n_oriented=self.shape.n_oriented,
        )

    def _compare(
        self,
        moving: Float[Tensor, "n c s s"],
        fixed: Float[Tensor, "n c s s"],
        moving_features: Float[Tensor, "n d g g"],
        fixed_features: Float[Tensor, "n d g g"],
    ) -> tuple[Coarse, Similarity]:
        """All places with all others, and the transform that the most alike agree on under one of the rotations."""
        one, other = (functional.normalize(image.flatten(2), dim=1) for image in (moving_features, fixed_features))
        learned = self.sharpness.exp() * (other.transpose(1, 2) @ one)
        n_oriented, sharpness = self.shape.n_oriented, self.window_sharpness.exp()
        rotations_deg = self.shape.rotations_deg
        windows = windows_around(moving, _COARSE_STRIDE, rotations_deg, n_oriented)
        cosines = windows_around(fixed, _COARSE_STRIDE, n_oriented=n_oriented).transpose(2, 3) @ windows
        place = (learned[:, None].detach() + sharpness.detach() * cosines).argmax(2, keepdim=True)
        weight = cosines.gather(2, place).clamp_min(0) ** 4
        grid_xy = centres_xy(moving_features, _COARSE_STRIDE).flatten(1)
        fixed_xy = grid_xy.T[place[:, :, 0]].transpose(2, 3)
        agreement = agreed(grid_xy[None], fixed_xy.flatten(0, 1), weight.flatten(0, 1), _COARSE_SCALES_PX)
        return Coarse(learned + sharpness * cosines.amax(1)), agreement.strongest(len(rotations_deg))

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


def _agreed_on(found: Matches) -> Agreement:
    """What the matches of one stride agree on; the next one learns by itself, as in RoMa."""
    grid_xy = centres_xy(found.fixed_xy, found.stride_px).flatten(1)[None]
    weight = found.certainty.detach().flatten(2).sigmoid()
    scales_px = [found.stride_px * scale for scale in _FINE_SCALES]
    return agreed(grid_xy, found.fixed_xy.detach().flatten(2), weight, scales_px)


class _Refiner(nn.Module):
    """Compares the neighbourhood of each expected place, and moves the place."""

    def __init__(self, stride_px: int, n_oriented: int) -> None:
        super().__init__()
        self.stride_px, self.n_oriented = stride_px, n_oriented
        width, n_hidden = _WIDTHS[stride_px], _HIDDEN[stride_px]
        self.step_sharpness = (
            nn.Parameter(torch.tensor(_FIRST_STEP_SHARPNESS).log()) if stride_px == FINEST_STRIDE else None
        )
        self.register_buffer("steps_xy", steps_xy(_SEARCHES[stride_px].radius, stride_px), persistent=False)
        self.layers = nn.Sequential(
            _layer(2 * width + 2 * self.steps_xy.shape[1], n_hidden), *(_layer(n_hidden, n_hidden) for _ in range(2))
        )
        self.head = _head(n_hidden)

    def forward(
        self,
        images: _Two,
        features: _Two,
        expected: Similarity,
    ) -> Matches:
        """Matches from images (n, c, s, s) and features (n, d, g, g)."""
        moving, fixed = (functional.normalize(one, dim=1) for one in features)
        hw = moving.shape[-2:]
        grid_xy = centres_xy(moving, self.stride_px)
        places = (grid_xy.flatten(1)[:, None] + self.steps_xy[:, :, None]).flatten(1)[None]
        near = sampled(fixed, expected(places).unflatten(2, (self.steps_xy.shape[1], -1)), self.stride_px)
        alike = (near * moving.flatten(2)[:, :, None]).sum(1).unflatten(2, hw)
        found = near[:, :, near.shape[2] // 2].unflatten(2, hw)
        windows = local_correlation(*images, expected, _SEARCHES[self.stride_px], self.n_oriented)
        step_xy = self._step_xy(windows)
        change = self.head(self.layers(torch.cat([moving, found, alike, windows], 1)))
        moved_xy = grid_xy + step_xy + self.stride_px * change[:, :2]
        likeness = _CERTAINTY_SLOPE * (windows.amax(1, keepdim=True) - _LIKENESS)
        return Matches(expected(moved_xy.flatten(2)).unflatten(2, hw), likeness + change[:, 2:], self.stride_px)

    def _step_xy(self, windows: Float[Tensor, "n k g_h g_w"]) -> Float[Tensor, "n 2 g_h g_w"]:
        """Where the window around each place correlates, px from where it is expected.

        What is expected may be wrong by many pixels at first, so the peak counts. By the finest stride it is good, and
        one window's peak is off by more than that: the mean over all steps keeps places near it.
        """
        if self.step_sharpness is None:
            return self.stride_px * peak_xy(windows)
        share = (self.step_sharpness.exp() * windows).softmax(1)
        return (self.steps_xy @ share.flatten(2)).unflatten(2, windows.shape[-2:])


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


def _layer(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def _head(n_in: int) -> nn.Conv2d:
    """Change in x and y, in strides, and of the certainty; none at first."""
    head = nn.Conv2d(n_in, 3, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _resized(values: Float[Tensor, "n d a b"], like: Float[Tensor, "n e g_h g_w"]) -> Float[Tensor, "n d g_h g_w"]:
    return functional.interpolate(values, like.shape[-2:], mode="bilinear", align_corners=False)
