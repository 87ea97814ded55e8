"""A compact RoMa: where does each place of the moving image lie in the fixed one, and how sure is that?

Both images go through the backbone of XFeat. At stride 8 every place is compared with every other, by the backbone's
features and by the windows of the mapped images around them, under several rotations. The similarity transform that
most places agree on, and the one under which the whole images are most alike, are where a first refinement starts; the
better of both results goes on. Refiners at strides 8, 4 and 2 compare a neighbourhood of the expected place, by windows
again, move the place, and the places agree anew. Windows need no training: what is learned adds to them. That matches
agree says nothing, as they are made to: none is surer than that the whole images show one place. Places are (x, y) in
px of the input, integers at pixel centres.

Source:
    RoMa (Edstedt et al. 2024): coarse matching, then refiners whose inputs are detached from one another; the compact
    form on XFeat (Potje et al. 2024) is that of RoMa's authors, the local correlations are theirs for the large model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from jaxtyping import Float

from midground.errors import DependencyError
from midground.training.matcher.agreement import Agreement, Similarity, agreed
from midground.training.matcher.cells import Cells
from midground.training.matcher.comparison import LocalSearch, local_correlation, peak_xy, windows_around
from midground.training.matcher.grids import centres_xy, sampled, steps_xy
from midground.training.matcher.whole import distinctness, overlap_likeness, whole_similarity

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
    stride_px: LocalSearch(radius, window_cells)
    for stride_px, radius, window_cells in ((8, 4, 7), (4, 3, 9), (2, 2, 15))
}
_FIRST_SHARPNESS, _FIRST_WINDOW_SHARPNESS, _FIRST_STEP_SHARPNESS = 2.0, 15.0, 30.0
_LIKENESS, _CERTAINTY_SLOPE = 0.3, 10.0
"""Before training, a match is as likely right as wrong where its windows correlate by this, and how fast that rises."""
_DISTINCT, _DISTINCT_SLOPE = 5.0, 2.0
"""Two images as likely show one place as not if their likeness is as distinct as this, and how fast that rises."""
_COARSE_SCALES_PX = (64.0, 40.0, 24.0, 16.0, 10.0, 8.0)
_FINE_SCALES = (2.0, 1.0, 0.5)
"""Distances at which matches count a quarter, in strides."""
_ROTATION_STEP_DEG = 10.0
_WHOLE_SCALES = (0.72, 0.85, 1.0, 1.18, 1.39)
"""Scales under which whole images are compared."""

_ROTATIONS_AT_ONCE = 9
"""Every place compared with every other takes 4 MB for each rotation."""

_Two = tuple[Tensor, Tensor]
"""Of the moving and of the fixed image."""
_TwoCells = tuple[Cells, Cells]


@dataclass(frozen=True, slots=True)
class Matches:
    """What is known at one stride, for a grid over the moving image."""

    fixed_xy: Float[Tensor, "n 2 g_h g_w"]
    """Place in the fixed image, px."""
    certainty: Float[Tensor, "n 1 g_h g_w"]
    """Logit of the probability that the place is right."""
    stride_px: int
    """Distance of neighbours in the grid."""

    def no_surer_than(self, of_pair: Float[Tensor, " n"]) -> Matches:
        """The same, if a pair of images shows one place with a probability, given as a logit."""
        return replace(self, certainty=torch.minimum(self.certainty, of_pair[:, None, None, None]))


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
    refiners_learn: bool = True
    """Whether refiners look at features too, and correct what windows say."""

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
            if shape.refiners_learn
            else {}
        )
        self.sharpness = nn.Parameter(torch.tensor(_FIRST_SHARPNESS).log())
        self.window_sharpness = nn.Parameter(torch.tensor(_FIRST_WINDOW_SHARPNESS).log())
        self.refiners = nn.ModuleDict(
            {str(stride): _Refiner(stride, learns=shape.refiners_learn) for stride in _SEARCHES}
        )

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
            cells = {stride: self._cells(*images, stride) for stride in _SEARCHES}
            coarse, by_windows = self._compare(*images, *features[_COARSE_STRIDE])
            with torch.no_grad():
                by_whole = whole_similarity(
                    *cells[_COARSE_STRIDE], rotations_deg=self.shape.rotations_deg, scales=_WHOLE_SCALES
                )
                transform = self._better(cells[_COARSE_STRIDE], features[_COARSE_STRIDE], (by_windows, by_whole))
            matches: list[Matches] = []
            for stride in _SEARCHES:
                if matches:
                    transform = _agreed_on(matches[-1]).transform
                matches.append(self.refiners[str(stride)](cells[stride], features.get(stride), transform))
            with torch.no_grad():
                of_pair = distinctness(*cells[FINEST_STRIDE], _agreed_on(matches[-1]).transform)
        return coarse, [*matches[:-1], matches[-1].no_surer_than(_DISTINCT_SLOPE * (of_pair - _DISTINCT))]

    def _cells(self, moving: Float[Tensor, "n c s s"], fixed: Float[Tensor, "n c s s"], stride_px: int) -> _TwoCells:
        n_oriented = self.shape.n_oriented
        return Cells.of(moving, stride_px, n_oriented), Cells.of(fixed, stride_px, n_oriented)

    def _better(self, cells: _TwoCells, features: _Two, starts: Sequence[Similarity]) -> Similarity:
        """From where the whole images become most alike, once the places at stride 8 have agreed near each start.

        A start may be off by some degrees. Matches that agree with one another are found around wrong ones too, so
        what speaks for one is not how many do.
        """
        n_starts = len(starts)
        features = tuple(one.repeat_interleave(n_starts, 0) for one in features)
        cells = cells[0].repeated(n_starts), cells[1].repeated(n_starts)
        transform = Similarity.by_pair(starts)
        for _ in range(2):
            transform = _agreed_on(self.refiners[str(_COARSE_STRIDE)](cells, features, transform)).transform
        return Agreement(transform, overlap_likeness(*cells, transform)).strongest(n_starts)

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
        fixed_windows = windows_around(fixed, _COARSE_STRIDE, n_oriented=n_oriented).transpose(2, 3)
        highest, places, weights = [], [], []
        for first in range(0, len(rotations_deg), _ROTATIONS_AT_ONCE):
            at_once_deg = rotations_deg[first : first + _ROTATIONS_AT_ONCE]
            cosines = fixed_windows @ windows_around(moving, _COARSE_STRIDE, at_once_deg, n_oriented)
            places.append((learned[:, None].detach() + sharpness.detach() * cosines).argmax(2, keepdim=True))
            weights.append(cosines.gather(2, places[-1]).clamp_min(0) ** 4)
            highest.append(cosines.amax(1))
        grid_xy = centres_xy(moving_features, _COARSE_STRIDE).flatten(1)
        fixed_xy = grid_xy.T[torch.cat(places, 1)[:, :, 0]].transpose(2, 3)
        weight = torch.cat(weights, 1)
        agreement = agreed(grid_xy[None], fixed_xy.flatten(0, 1), weight.flatten(0, 1), _COARSE_SCALES_PX)
        return Coarse(learned + sharpness * torch.stack(highest).amax(0)), agreement.strongest(len(rotations_deg))

    def _features(self, image: Float[Tensor, "n c s s"]) -> dict[int, Float[Tensor, "n d g_h g_w"]]:
        trunk = self.trunk
        half = trunk.block1[:3](image)
        quarter = trunk.block2(trunk.block1[3](half) + trunk.skip1(image))
        eighth = trunk.block3(quarter)
        sixteenth = trunk.block4(eighth)
        coarser = _resized(sixteenth, eighth) + _resized(trunk.block5(sixteenth), eighth)
        features = {_COARSE_STRIDE: trunk.block_fusion(eighth + coarser)}
        if self.shape.refiners_learn:
            for stride, skip in ((4, quarter), (2, half)):
                coarser = _resized(features[2 * stride], skip)
                features[stride] = self.lateral[str(stride)](torch.cat([skip, coarser], 1))
        return features


def _agreed_on(found: Matches) -> Agreement:
    """What the matches of one stride agree on; the next one learns by itself, as in RoMa."""
    grid_xy = centres_xy(found.fixed_xy, found.stride_px).flatten(1)[None]
    weight = found.certainty.detach().flatten(2).sigmoid()
    scales_px = [found.stride_px * scale for scale in _FINE_SCALES]
    return agreed(grid_xy, found.fixed_xy.detach().flatten(2), weight, scales_px)


class _Refiner(nn.Module):
    """Compares the neighbourhood of each expected place, and moves the place."""

    def __init__(self, stride_px: int, *, learns: bool) -> None:
        super().__init__()
        self.stride_px = stride_px
        self.step_sharpness = (
            nn.Parameter(torch.tensor(_FIRST_STEP_SHARPNESS).log()) if stride_px == FINEST_STRIDE else None
        )
        self.register_buffer("steps_xy", steps_xy(_SEARCHES[stride_px].radius, stride_px), persistent=False)
        self.correction = _Correction(stride_px, self.steps_xy.shape[1]) if learns else None

    def forward(self, cells: _TwoCells, features: _Two | None, expected: Similarity) -> Matches:
        """Matches from cells (n, c, g, g) and, where corrections are learned, features (n, d, g, g)."""
        grid_xy = centres_xy(cells[0].data, self.stride_px)
        windows = local_correlation(*cells, expected, _SEARCHES[self.stride_px])
        moved_xy = grid_xy + self._step_xy(windows)
        certainty = _CERTAINTY_SLOPE * (windows.amax(1, keepdim=True) - _LIKENESS)
        if self.correction is not None:
            places = (grid_xy.flatten(1)[:, None] + self.steps_xy[:, :, None]).flatten(1)[None]
            change = self.correction(features, expected(places).unflatten(2, (self.steps_xy.shape[1], -1)), windows)
            moved_xy, certainty = moved_xy + self.stride_px * change[:, :2], certainty + change[:, 2:]
        return Matches(expected(moved_xy.flatten(2)).unflatten(2, grid_xy.shape[1:]), certainty, self.stride_px)

    def _step_xy(self, windows: Float[Tensor, "n k g_h g_w"]) -> Float[Tensor, "n 2 g_h g_w"]:
        """Where the window around each place correlates, px from where it is expected.

        What is expected may be wrong by many pixels at first, so the peak counts. By the finest stride it is good, and
        one window's peak is off by more than that: the mean over all steps keeps places near it.
        """
        if self.step_sharpness is None:
            return self.stride_px * peak_xy(windows)
        share = (self.step_sharpness.exp() * windows).softmax(1)
        return (self.steps_xy @ share.flatten(2)).unflatten(2, windows.shape[-2:])


class _Correction(nn.Module):
    """What features say in addition to windows: a further step, in strides, and a change of the certainty's logit."""

    def __init__(self, stride_px: int, n_steps: int) -> None:
        super().__init__()
        self.stride_px = stride_px
        width, n_hidden = _WIDTHS[stride_px], _HIDDEN[stride_px]
        self.layers = nn.Sequential(
            _layer(2 * width + 2 * n_steps, n_hidden), *(_layer(n_hidden, n_hidden) for _ in range(2))
        )
        self.head = _head(n_hidden)

    def forward(
        self, features: _Two, around_xy: Float[Tensor, "n 2 k p"], windows: Float[Tensor, "n k g_h g_w"]
    ) -> Float[Tensor, "n 3 g_h g_w"]:
        """From features of both images, where each place may lie in the fixed one, and how alike windows are there."""
        moving, fixed = (functional.normalize(one, dim=1) for one in features)
        near = sampled(fixed, around_xy, self.stride_px)
        alike = (near * moving.flatten(2)[:, :, None]).sum(1).unflatten(2, moving.shape[-2:])
        found = near[:, :, near.shape[2] // 2].unflatten(2, moving.shape[-2:])
        change: Tensor = self.head(self.layers(torch.cat([moving, found, alike, windows], 1)))
        return change


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
