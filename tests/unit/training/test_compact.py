"""The compact network: where it starts, what it sees, that it learns; needs torch."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.errors import ConfigError  # noqa: E402
from midground.training.compact import CompactUnet  # noqa: E402
from midground.training.gradients import OrientedGradients  # noqa: E402

pytestmark = pytest.mark.extras

SMALL = (8, 12, 16)
"""Stride 8, and sees less than 88 px far: 8 for the gradients, 6 + 10 + 20 on the way down, 20 + 10 + 2 up."""
STRIDE_PX, REACH_PX = 8, 88


def seeded(in_channels: int, out_channels: int, widths: tuple[int, ...] = SMALL, *, seed: int = 0) -> CompactUnet:
    torch.manual_seed(seed)
    return CompactUnet(in_channels, out_channels, widths=widths).eval()


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def smooth_noise(height: int, width: int) -> torch.Tensor:
    coarse = noise(1, 1, height // 4, width // 4)
    return torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize(("in_channels", "out_channels", "hw"), [(1, 8, (32, 96)), (3, 4, (64, 32)), (10, 3, (8, 8))])
def test_size_and_range(in_channels: int, out_channels: int, hw: tuple[int, int]) -> None:
    with torch.inference_mode():
        shared = seeded(in_channels, out_channels)(noise(2, in_channels, *hw))
    assert shared.shape == (2, out_channels, *hw)
    assert 0 < shared.min() < shared.max() < 1


def test_without_its_head_it_is_a_monotone_function_of_the_gradients() -> None:
    network, image = seeded(3, 8), noise(1, 3, 48, 64)
    with torch.inference_mode():
        network.head.weight.zero_()
        network.head.bias.zero_()
        shared, gradients = network(image), OrientedGradients(8)(image)
    assert torch.allclose(torch.logit(shared), 4 * gradients - 2, atol=1e-4)
    order = gradients.flatten().argsort()
    assert (shared.flatten()[order].diff() > -1e-6).all()


@pytest.mark.parametrize("widths", [SMALL, (32, 48, 64, 96, 128)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_before_training_it_is_close_to_the_gradients(widths: tuple[int, ...], seed: int) -> None:
    image = smooth_noise(128, 160)
    with torch.inference_mode():
        shared, gradients = seeded(1, 8, widths, seed=seed)(image)[0], OrientedGradients(8)(image)[0]
    for one, other in zip(shared.flatten(1).numpy(), gradients.flatten(1).numpy(), strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.95


def test_a_shift_by_the_stride_shifts_the_result() -> None:
    network, image = seeded(1, 4), noise(1, 1, 256, 256)
    moved = image.roll((2 * STRIDE_PX, -STRIDE_PX), dims=(2, 3))
    inside = slice(REACH_PX + 2 * STRIDE_PX, -REACH_PX - 2 * STRIDE_PX)
    with torch.inference_mode():
        expected = network(image).roll((2 * STRIDE_PX, -STRIDE_PX), dims=(2, 3))
        found = network(moved)
    assert torch.abs(found - expected)[..., inside, inside].max() < 1e-5
    assert torch.abs(found - network(image))[..., inside, inside].max() > 0.01


def test_the_far_scene_has_no_influence() -> None:
    network, image = seeded(1, 4), noise(1, 1, 128, 256)
    other = image.clone()
    other[..., 160:] = 1
    with torch.inference_mode():
        difference = torch.abs(network(image) - network(other))
    assert difference[..., : 160 - REACH_PX].max() == 0
    assert difference[..., 120:160].max() > 0


def test_a_pair_of_a_batch_has_no_influence_on_another_even_in_training() -> None:
    network, images = seeded(1, 4).train(), noise(2, 1, 32, 32)
    alone = network(images[:1])
    assert torch.allclose(network(images)[:1], alone, atol=1e-6)
    assert torch.allclose(network.eval()(images)[:1], alone, atol=1e-6)


def test_every_weight_is_trained() -> None:
    network = seeded(3, 4).train()
    (network(noise(2, 3, 32, 32)) ** 2).mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_it_learns() -> None:
    network, image = seeded(1, 1).train(), smooth_noise(64, 64)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(60):
        loss = ((network(image) - image) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


CONTEXT_REACH_PX = 64
"""Eight steps of two squares of 4 px."""


def with_context(in_channels: int, *, seed: int = 0) -> CompactUnet:
    torch.manual_seed(seed)
    return CompactUnet(in_channels, 12, widths=SMALL, n_context=4).eval()


def test_the_channels_of_the_context_start_alike_in_both_networks() -> None:
    image = smooth_noise(96, 128)
    with torch.inference_mode():
        sar, optical = with_context(1)(image)[0], with_context(3, seed=1)(image.repeat(1, 3, 1, 1))[0]
    assert torch.allclose(sar[8:], optical[8:], atol=1e-5)
    assert sar[8:].std(dim=(1, 2)).min() > 0.02


def test_the_context_sees_as_far_as_it_says_and_the_halo_holds_it() -> None:
    network, local = with_context(1), seeded(1, 8)
    image = smooth_noise(32, 512)
    other = image.clone()
    other[..., 256:] = smooth_noise(32, 256).flip(3)
    with torch.inference_mode():
        difference = torch.abs(network(image) - network(other))[0, 8:]
    assert difference[..., : 256 - network.halo_px].max() == 0
    assert difference[..., 256 - CONTEXT_REACH_PX : 256 - CONTEXT_REACH_PX + 16].max() > 1e-4
    assert network.halo_px >= local.halo_px + CONTEXT_REACH_PX


def test_borders_do_not_pull_unrelated_images_together() -> None:
    """The mean over many pairs of what has nothing in common: no pattern of the border is left."""
    network, at_zero, elsewhere = with_context(1), [], []
    with torch.inference_mode():
        for seed in range(12):
            one, other = (network(noise(1, 1, 128, 128, seed=2 * seed + k))[:, 8:] for k in range(2))
            one, other = (image - image.mean(dim=(2, 3), keepdim=True) for image in (one, other))
            products = torch.fft.irfft2(torch.fft.rfft2(one).conj() * torch.fft.rfft2(other)).sum(dim=1)[0]
            products /= one.norm() * other.norm()
            at_zero.append(float(products[0, 0]))
            elsewhere.append(float(products.std()))
    assert abs(np.mean(at_zero)) < 3 * np.mean(elsewhere) / np.sqrt(len(at_zero))


def test_features_are_mixed_into_the_context_once_they_are_trained() -> None:
    network = with_context(1).train()
    (network(noise(2, 1, 64, 64))[:, 8:] ** 2).mean().backward()
    assert network.context is not None
    for parameter in network.context.parameters():
        assert parameter.grad.abs().max() > 0


def test_channels_of_the_context_alone_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_context must be less than the 4 channels of the result, found 4"):
        CompactUnet(1, 4, n_context=4)
