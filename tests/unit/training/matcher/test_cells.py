"""Cells of mapped images, and windows of them that are compared where both hold data; needs torch."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.matcher.agreement import Similarity  # noqa: E402
from midground.training.matcher.cells import Cells  # noqa: E402
from midground.training.matcher.comparison import LocalSearch, local_correlation, peak_xy  # noqa: E402
from midground.training.matcher.grids import steps_xy  # noqa: E402
from midground.training.matcher.whole import distinctness, overlap_likeness  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX, STRIDE_PX, CUT_PX = 160, 8, 96
SEARCH = LocalSearch(radius=2, window_cells=7)


def texture(n_channels: int = 4, side_px: int = SIDE_PX, seed: int = 5) -> torch.Tensor:
    noise = np.random.default_rng(seed).standard_normal((n_channels, side_px, side_px)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(channel, (0, 0), 5.0) for channel in noise])
    return torch.from_numpy(blurred / blurred.std())[None]


def cut(image: torch.Tensor) -> torch.Tensor:
    """The upper left corner; no data elsewhere."""
    kept = torch.zeros_like(image)
    kept[..., :CUT_PX, :CUT_PX] = image[..., :CUT_PX, :CUT_PX]
    return kept


def in_cells(image: torch.Tensor) -> Cells:
    return Cells.of(image, STRIDE_PX)


def shifted_by(x: float, y: float) -> Similarity:
    return Similarity(torch.eye(2)[None], torch.tensor([[[x], [y]]], dtype=torch.float32))


def test_contrast_is_even_and_without_mean() -> None:
    image = texture(side_px=480)
    image[..., 240:] = 0.3 * image[..., 240:] + 7
    cells = in_cells(image)
    assert cells.data.min() == 1
    for far in (cells.contrast[..., 10:20], cells.contrast[..., 40:50]):
        assert far.square().sum(1).mean().item() == pytest.approx(1, rel=0.3)
        assert far.mean(dim=(2, 3)).abs().max() < 0.1


def test_cells_beyond_the_data_are_zero_and_say_so() -> None:
    cells = in_cells(cut(texture()))
    n_cut = CUT_PX // STRIDE_PX
    assert cells.data.sum() == n_cut**2
    assert cells.contrast[..., n_cut:, :].abs().max() == 0
    moved = cells.sampled(torch.full((1, 2, 1, 1), SIDE_PX - 1.0))
    assert moved.data.item() == 0
    assert moved.contrast.abs().max() == 0


def test_windows_at_an_outline_are_found_where_they_belong() -> None:
    """The fixed image goes on where the moving one ends: every window has to find its place, that at the border too."""
    image = texture()
    found = local_correlation(in_cells(cut(image)), in_cells(image), shifted_by(0, 0), SEARCH)
    n_cut = CUT_PX // STRIDE_PX
    inside = found[..., :n_cut, :n_cut]
    steps = steps_xy(SEARCH.radius, STRIDE_PX)[:, inside.argmax(1).flatten()]
    assert steps.abs().max() == 0
    # What the contrast is made even by ends with the data, so windows of a border are not quite the same.
    assert inside.amax(1).min() > 0.7
    assert found[..., n_cut:, :].abs().max() == 0


def test_likeness_grows_with_what_overlaps() -> None:
    image = texture()
    n_cells = (SIDE_PX // STRIDE_PX) ** 2

    def likeness(moving: torch.Tensor, x: float) -> float:
        return overlap_likeness(in_cells(moving), in_cells(image), shifted_by(x, 0)).item()

    assert likeness(image, 0) == pytest.approx(n_cells, rel=1e-3)
    assert likeness(cut(image), 0) == pytest.approx((CUT_PX // STRIDE_PX) ** 2, rel=0.15)
    assert likeness(image, 48) < 0.3 * n_cells
    assert likeness(image, 4 * SIDE_PX) == 0


def test_likeness_knows_each_pair_of_a_batch() -> None:
    image = texture()
    both = in_cells(torch.cat([image, image]))
    transforms = Similarity(torch.eye(2).repeat(2, 1, 1), torch.tensor([[[0.0], [0.0]], [[24.0], [0.0]]]))
    aligned, shifted = overlap_likeness(both, both, transforms).tolist()
    assert aligned > 3 * abs(shifted)


def test_only_images_of_one_place_have_a_distinct_peak() -> None:
    image, other = texture(side_px=256), texture(side_px=256, seed=6)
    moving, fixed = in_cells(torch.cat([image, image, image])), in_cells(torch.cat([image, image, other]))
    shift = torch.tensor([[[0.0], [0.0]], [[56.0], [0.0]], [[0.0], [0.0]]])
    right, wrong, unrelated = distinctness(moving, fixed, Similarity(torch.eye(2).repeat(3, 1, 1), shift)).tolist()
    assert right > 0.5 * (256 / STRIDE_PX)
    assert wrong < 2
    assert unrelated < 2
    nothing = in_cells(torch.zeros(1, 4, 256, 256))
    assert distinctness(nothing, nothing, shifted_by(0, 0)).item() == 0


def test_an_outline_that_both_images_show_is_no_peak() -> None:
    outlined, other = (cut(texture(seed=seed)) for seed in (5, 6))
    for image in (outlined, other):
        image[..., :CUT_PX, CUT_PX - STRIDE_PX : CUT_PX] += 3
        image[..., CUT_PX - STRIDE_PX : CUT_PX, :CUT_PX] += 3
    assert distinctness(in_cells(outlined), in_cells(other), shifted_by(0, 0)).item() < 2


def test_peaks_are_found_between_cells() -> None:
    steps = steps_xy(SEARCH.radius, 1)
    true_xy = torch.tensor([[0.3, -1.4, 0.0], [-0.2, 0.45, 2.0]])
    correlation = 1 - 0.05 * (steps[:, :, None] - true_xy[:, None]).square().sum(0)
    found = peak_xy(correlation[None, :, None])[0, :, 0]
    torch.testing.assert_close(found, true_xy, atol=1e-4, rtol=0)


def test_a_flat_correlation_has_some_finite_peak() -> None:
    assert torch.isfinite(peak_xy(torch.zeros(1, 25, 2, 2))).all()
