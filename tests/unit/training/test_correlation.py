"""The criterion ``correlation`` and its surfaces; needs torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError
from midground.matching.correlation import correlation_surface
from midground.training.criterion_configs import CorrelationConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.correlation import CorrelationCriterion, correlation_surfaces  # noqa: E402
from midground.training.criterion import SharedBatch  # noqa: E402

pytestmark = pytest.mark.extras

SMALL: dict[str, Any] = {"window_px": (12, 20), "search_px": 5, "n_windows": 4}
N_SHIFTS = 11**2


def images(n: int, k: int, height: int, width: int, *, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, k, height, width, generator=torch.Generator().manual_seed(seed))


def loss_of(
    criterion: CorrelationCriterion,
    sar: torch.Tensor,
    optical: torch.Tensor,
    *,
    valid: torch.Tensor | None = None,
    seed: int = 0,
) -> torch.Tensor:
    valid = torch.ones_like(sar[:, :1]).detach() if valid is None else valid
    return criterion(batch(sar, optical, valid, np.random.default_rng(seed))).loss


def batch(sar: torch.Tensor, optical: torch.Tensor, valid: torch.Tensor, rng: np.random.Generator) -> SharedBatch:
    """Shared images that were given as they are."""
    return SharedBatch(sar=sar, optical=optical, shared_sar=sar, shared_optical=optical, valid=valid, rng=rng)


def small(**settings: Any) -> CorrelationCriterion:
    return CorrelationCriterion(CorrelationConfig(**(SMALL | settings)))


@pytest.mark.parametrize(("k", "size", "side"), [(1, 12, 20), (3, 16, 48), (9, 33, 64)])
def test_surfaces_are_what_the_matcher_computes(k: int, size: int, side: int) -> None:
    template, search = images(2, k, size, size), images(2, k, side, side, seed=1)
    search[0, :, 3 : 3 + size, 5 : 5 + size] = 0.3 + 0.5 * template[0]
    surfaces = correlation_surfaces(template, search)
    assert surfaces.shape == (2, side - size + 1, side - size + 1)
    for surface, window, area in zip(surfaces, template.numpy(), search.numpy(), strict=True):
        expected = correlation_surface(Image.from_array(window), Image.from_array(area))
        assert np.abs(surface.numpy() - expected).max() <= 1e-4
    assert float(surfaces[0, 3, 5]) == pytest.approx(1, abs=1e-4)


def test_the_place_of_a_window_is_the_highest_value() -> None:
    search = images(3, 2, 60, 60)
    places = [(0, 0), (36, 7), (19, 36)]
    template = torch.stack(
        [image[:, row : row + 24, column : column + 24] for image, (row, column) in zip(search, places, strict=True)]
    )
    surfaces = correlation_surfaces(template, search)
    found = [divmod(int(surface.argmax()), surface.shape[1]) for surface in surfaces]
    assert found == places


def test_half_precision_is_left_behind() -> None:
    template, search = images(1, 2, 16, 16).bfloat16(), images(1, 2, 40, 40, seed=1).bfloat16()
    expected = correlation_surfaces(template.float(), search.float())
    with torch.autocast("cpu", torch.bfloat16):
        found = correlation_surfaces(template, search)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_constant_images_are_as_bad_as_guessing() -> None:
    flat = torch.full((2, 3, 48, 40), 0.5)
    loss = loss_of(small(), flat, flat).detach()
    assert float(loss) == pytest.approx(math.log(N_SHIFTS), abs=1e-4)


def test_equal_images_are_found_and_moved_or_other_ones_are_not() -> None:
    noise, other = images(2, 3, 48, 40), images(2, 3, 48, 40, seed=1)
    criterion = small(tolerance_px=0.0)
    losses = [float(loss_of(criterion, noise, image).detach()) for image in (noise, noise.roll(2, dims=3), other)]
    assert losses[0] < 0.01
    assert losses[1] > math.log(N_SHIFTS)
    assert losses[2] > math.log(N_SHIFTS) - 0.5


def test_either_image_is_searched_in_the_other() -> None:
    """One window: of the SAR image, in the optical one; the second the other way round."""
    sar, optical = images(1, 2, 48, 48), images(1, 2, 48, 48, seed=1)
    first, both = small(n_windows=1), small(n_windows=2)
    assert not torch.equal(loss_of(first, sar, optical), loss_of(first, optical, sar))
    rng = np.random.default_rng(0)
    valid = torch.ones(1, 1, 48, 48)
    separate = [first(batch(*pair, valid, rng)).loss for pair in ((sar, optical), (optical, sar))]
    assert torch.allclose(loss_of(both, sar, optical), torch.stack(separate).mean())


def test_a_wide_tolerance_costs_the_entropy_of_the_target() -> None:
    """Cross-entropy is never below the entropy of the target, which no image can beat."""
    noise = images(2, 3, 48, 40)
    steps = np.arange(-20, 21)
    share = np.exp(-(steps**2) / (2 * 0.8**2))
    share /= share.sum()
    entropy = -2 * (share * np.log(share.clip(1e-300))).sum()
    sharp, blurred = (float(loss_of(small(tolerance_px=value), noise, noise).detach()) for value in (0.0, 0.8))
    # Near the edge of the search range a part of the target is cut off.
    assert sharp < 0.6 * entropy < blurred


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_images_have_a_finite_gradient(value: float) -> None:
    flat = [torch.full((1, 3, 48, 40), value, requires_grad=True) for _ in range(2)]
    criterion = small()
    loss_of(criterion, *flat).backward()
    for tensor in (*flat, criterion.log_temperature):
        assert torch.isfinite(tensor.grad).all()


def test_both_images_and_the_temperature_are_trained() -> None:
    sar, optical = images(1, 3, 48, 40).requires_grad_(), images(1, 3, 48, 40, seed=1).requires_grad_()
    criterion = small()
    loss_of(criterion, sar, optical).backward()
    for tensor in (sar, optical, criterion.log_temperature):
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().max() > 0


def test_descending_aligns_an_image() -> None:
    optical = images(1, 1, 40, 40)
    sar = images(1, 1, 40, 40, seed=1).requires_grad_()
    criterion = small(tolerance_px=0.0)
    optimiser = torch.optim.Adam([sar], lr=0.05)
    losses = []
    for step in range(30):
        loss = loss_of(criterion, sar, optical, seed=step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])


@pytest.mark.parametrize("hw", [(30, 90), (90, 30), (22, 22)])
def test_windows_stay_inside_and_reach_the_borders(hw: tuple[int, int]) -> None:
    """All four borders are seen; that no area reaches beyond one follows from its size, which has to be right."""
    criterion = small(n_windows=16)
    sar, optical = images(1, 1, *hw).requires_grad_(), images(1, 1, *hw, seed=1).requires_grad_()
    for seed in range(20):
        loss_of(criterion, sar, optical, seed=seed).backward()
    for image in (sar, optical):
        touched = image.grad[0, 0] != 0
        assert all(border.any() for border in (touched[0], touched[-1], touched[:, 0], touched[:, -1]))
        assert touched.float().mean() > 0.98


def test_each_pair_has_windows_and_shifts_of_its_own() -> None:
    """Two equal pairs, one window: what of them was looked at differs."""
    (sar, optical), criterion = (
        (images(1, 1, 48, 48, seed=seed).repeat(2, 1, 1, 1) for seed in (0, 1)),
        small(n_windows=1),
    )
    sar.requires_grad_(), optical.requires_grad_()
    loss_of(criterion, sar, optical).backward()
    places = [
        [tuple(int(axis.min()) for axis in torch.where(grad[0])) for grad in image.grad] for image in (sar, optical)
    ]
    (first, second), (first_area, second_area) = places
    assert first_area != second_area
    shifts = [np.subtract(window, area) for window, area in ((first, first_area), (second, second_area))]
    assert not np.array_equal(*shifts)


def test_the_same_draws_give_the_same_loss() -> None:
    sar, optical = images(1, 2, 48, 48), images(1, 2, 48, 48, seed=1)
    criterion = small()
    losses = [float(loss_of(criterion, sar, optical, seed=seed).detach()) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_pairs_without_data_have_no_part() -> None:
    sar, optical = images(2, 2, 48, 48), images(2, 2, 48, 48, seed=1)
    valid = torch.ones(2, 1, 48, 48)
    valid[1] = 0
    criterion = small()
    other = torch.cat([sar[:1], 1 - sar[1:] ** 2])
    assert torch.equal(loss_of(criterion, sar, optical, valid=valid), loss_of(criterion, other, optical, valid=valid))
    assert not torch.equal(loss_of(criterion, sar, optical), loss_of(criterion, other, optical))
    nothing = loss_of(criterion, sar.requires_grad_(), optical, valid=torch.zeros(2, 1, 48, 48))
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert not sar.grad.any()


def test_windows_with_too_little_data_have_no_part() -> None:
    """The left half holds no data: windows there would see images that differ, those on the right see equal ones."""
    sar = images(1, 2, 40, 120)
    optical = sar.clone()
    optical[..., :60] = images(1, 2, 40, 60, seed=1)
    valid = torch.ones(1, 1, 40, 120)
    valid[..., :60] = 0
    criterion = small(tolerance_px=0.0, n_windows=64, min_valid=1.0)
    assert float(loss_of(criterion, sar, optical, valid=valid).detach()) < 0.01
    assert float(loss_of(criterion, sar, optical).detach()) > 1


def test_images_that_hold_no_window_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"^Images of 21 × 64 px hold no window of 12 px with a search of ±5 px: choose a smaller"
    ):
        loss_of(small(), images(1, 1, 21, 64), images(1, 1, 21, 64))


def test_coarse_windows_are_judged_on_means_of_four_pixels() -> None:
    """Equal images that are noise within every square of 2 × 2 px, and differ from there on."""
    coarse = images(1, 2, 32, 32)
    sar, optical = (coarse.repeat_interleave(2, 2).repeat_interleave(2, 3) for _ in range(2))
    checkers = 0.5 * (torch.arange(64)[:, None] + torch.arange(64)[None, :]).remainder(2)
    fine = float(loss_of(small(tolerance_px=0.0, n_windows=16), sar + checkers, optical - checkers).detach())
    both = float(
        loss_of(small(tolerance_px=0.0, n_windows=1, n_coarse=15), sar + checkers, optical - checkers).detach()
    )
    assert both < 0.5 * fine


def test_local_channels_have_to_find_the_windows_by_themselves() -> None:
    """Two channels, of which the second alone would do: the first is noise in one image and equal in the other."""
    sar = images(2, 2, 48, 48)
    apart = torch.cat([images(2, 1, 48, 48, seed=1), sar[:, 1:]], dim=1)
    sharp = {"tolerance_px": 0.0}
    same, different = (float(loss_of(small(n_local=1, **sharp), sar, image).detach()) for image in (sar, apart))
    without = float(loss_of(small(**sharp), sar, apart).detach())
    assert same < 0.05
    assert different > without + math.log(N_SHIFTS) - 0.5


def test_local_channels_keep_their_contrast() -> None:
    """A correlation does not change with contrast, so nothing else holds it."""
    strong = images(2, 4, 48, 48)
    weak = torch.cat([0.1 * strong[:, :1], strong[:, 1:]], dim=1).requires_grad_()
    criterion = small(n_local=1)
    result = criterion(batch(weak, weak, torch.ones(2, 1, 48, 48), np.random.default_rng(0)))
    assert float(result.parts["local_contrast"]) == pytest.approx(0.01 / 3.01, rel=0.05)
    result.loss.backward()
    # Descending scales the first channel up.
    assert float((weak.grad[:, 0] * weak.detach()[:, 0]).sum()) < 0
    assert float(loss_of(criterion, weak, weak).detach()) > float(loss_of(criterion, strong, strong).detach()) + 1
