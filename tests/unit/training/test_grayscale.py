"""The criterion ``grayscale`` by hand; needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midground.errors import ConfigError
from midground.training.criterion_configs import GrayscaleConfig, SsimConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.criterion import Criterion, SharedBatch  # noqa: E402
from midground.training.grayscale import GrayscaleCriterion  # noqa: E402
from midground.training.similarity import dissim, mse  # noqa: E402

pytestmark = pytest.mark.extras

N_BANDS = 4


def criterion(**settings: Any) -> GrayscaleCriterion:
    return GrayscaleCriterion(GrayscaleConfig(**settings), n_optical_bands=N_BANDS)


def batch_of(shared_sar: torch.Tensor, shared_optical: torch.Tensor, optical: torch.Tensor) -> SharedBatch:
    n, _, height, width = optical.shape
    return SharedBatch(
        sar=torch.zeros(n, 1, height, width),
        optical=optical,
        shared_sar=shared_sar.requires_grad_(),
        shared_optical=shared_optical.requires_grad_(),
        valid=torch.ones(n, 1, height, width),
        rng=np.random.default_rng(0),
    )


def noise_batch() -> SharedBatch:
    generator = torch.Generator().manual_seed(0)
    return batch_of(*(torch.rand(2, channels, 16, 24, generator=generator) for channels in (3, 3, N_BANDS)))


def flat(*values: float) -> torch.Tensor:
    return torch.tensor(values)[None, :, None, None].expand(1, -1, 12, 12).clone()


def constant_dissim(a: float, b: float) -> float:
    """Of two constant images, with the default constants."""
    return 1 - (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)


def test_the_loss_of_flat_images_by_hand() -> None:
    batch = batch_of(flat(0.1, 0.2, 0.6), flat(0.5, 0.5, 0.5), flat(0.2, 0.4, 0.9, 0.1))
    result = criterion()(batch)
    parts = {
        "mse": (0.4**2 + 0.3**2 + 0.1**2) / 3,
        "dissim": sum(constant_dissim(value, 0.5) for value in (0.1, 0.2, 0.6)) / 3,
        "sar_reference_dissim": constant_dissim(0.3, 0.4),
        "optical_reference_dissim": constant_dissim(0.5, 0.4),
    }
    assert {name: float(value) for name, value in result.parts.items()} == pytest.approx(parts, rel=1e-4)
    expected = parts["mse"] + 3 * parts["dissim"] + 16 * parts["sar_reference_dissim"]
    assert float(result.loss.detach()) == pytest.approx(expected, rel=1e-4)
    assert torch.allclose(result.images["grey reference"], torch.tensor(0.4))


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"alpha": 0, "beta": 2, "gamma": 0}, {"mse": 2}),
        ({"alpha": 0, "beta": 0, "gamma": 5}, {"dissim": 5}),
        ({"alpha": 3, "beta": 0, "gamma": 0}, {"sar_reference_dissim": 3}),
        (
            {"alpha": 3, "beta": 0, "gamma": 0, "lambda1": 2, "lambda2": 0.5},
            {"sar_reference_dissim": 6, "optical_reference_dissim": 1.5},
        ),
    ],
)
def test_weights(weights: dict[str, float], terms: dict[str, float]) -> None:
    result = criterion(**weights)(noise_batch())
    assert float(result.loss.detach()) == pytest.approx(
        sum(weight * float(result.parts[name]) for name, weight in terms.items()), rel=1e-5
    )


def test_the_reference_is_the_mean_of_the_chosen_bands() -> None:
    batch = noise_batch()
    result = criterion(reference_bands=(0, 3))(batch)
    reference = (batch.optical[:, :1] + batch.optical[:, 3:]) / 2
    assert torch.allclose(result.images["grey reference"], reference)
    expected = dissim(batch.shared_sar.mean(dim=1, keepdim=True), reference, SsimConfig())
    assert float(result.parts["sar_reference_dissim"]) == pytest.approx(float(expected.detach()), rel=1e-6)


def test_the_window_is_the_configured_one() -> None:
    batch, ssim = noise_batch(), SsimConfig(window="gaussian", k1=0.001, k2=0.003)
    expected = dissim(batch.shared_sar, batch.shared_optical, ssim)
    assert float(criterion(ssim=ssim)(batch).parts["dissim"]) == float(expected.detach())


def test_both_networks_are_trained() -> None:
    batch = noise_batch()
    result = criterion()(batch)
    result.loss.backward()
    for tensor in (batch.shared_sar, batch.shared_optical):
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().max() > 0
    assert not any(value.requires_grad for value in (*result.parts.values(), *result.images.values()))


def test_with_the_paper_s_lambda_the_reference_trains_the_sar_network_alone() -> None:
    batch = noise_batch()
    criterion(beta=0, gamma=0)(batch).loss.backward()
    assert batch.shared_sar.grad.abs().max() > 0
    assert not batch.shared_optical.grad.any()


def test_a_detached_sar_image_is_trained_by_mse_and_reference_alone() -> None:
    batch = noise_batch()
    loss = criterion(alpha=0, beta=1, gamma=3, detach_sar=True)(batch).loss
    sar_gradient, optical_gradient = torch.autograd.grad(loss, (batch.shared_sar, batch.shared_optical))
    shared_mse = mse(batch.shared_sar, batch.shared_optical)
    (mse_gradient,) = torch.autograd.grad(shared_mse, batch.shared_sar)
    assert torch.allclose(sar_gradient, mse_gradient)
    full = criterion(alpha=0, beta=1, gamma=3)(batch).loss
    assert float(full.detach()) == float(loss.detach())
    full_gradients = torch.autograd.grad(full, (batch.shared_sar, batch.shared_optical))
    assert torch.allclose(optical_gradient, full_gradients[1])
    assert not torch.allclose(sar_gradient, full_gradients[0], atol=1e-4)


def test_flat_images_have_a_finite_loss_and_gradient() -> None:
    batch = batch_of(flat(0.0, 0.0, 0.0), flat(1.0, 1.0, 1.0), flat(0.0, 0.0, 0.0, 0.0))
    loss = criterion(lambda2=1.0)(batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(batch.shared_sar.grad).all()
    assert torch.isfinite(batch.shared_optical.grad).all()


def test_pairs_without_data_have_no_part() -> None:
    batch = noise_batch()
    batch.valid[1] = 0
    alone = batch_of(batch.shared_sar[:1].detach(), batch.shared_optical[:1].detach(), batch.optical[:1])
    loss = criterion(lambda2=1.0)(batch).loss
    assert float(loss.detach()) == pytest.approx(float(criterion(lambda2=1.0)(alone).loss.detach()), rel=1e-5)
    loss.backward()
    assert not batch.shared_sar.grad[1].any()


def test_bands_that_do_not_exist_are_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"names \[4, 9\], but the optical images have 4 bands, counted from 0 to 3\."
    ):
        criterion(reference_bands=(0, 4, 9))


def test_it_follows_the_protocol() -> None:
    made = criterion()
    assert isinstance(made, Criterion)
    assert made.config == GrayscaleConfig()
    assert not list(made.parameters())
