"""The criterion ``reconstruction`` by hand; needs torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from midground.errors import ConfigError
from midground.modality.base import Modality
from midground.training.criterion_configs import ReconstructionConfig, SsimConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.criterion import Criterion, SharedBatch  # noqa: E402
from midground.training.networks import shared_modality_unet  # noqa: E402
from midground.training.reconstruction import ReconstructionCriterion  # noqa: E402
from midground.training.similarity import dissim, mse  # noqa: E402

pytestmark = pytest.mark.extras


def constant_dissim(a: float, b: float) -> float:
    """Of two constant images, with the default constants."""
    return 1 - (2 * a * b + 1e-4) / (a**2 + b**2 + 1e-4)


def flat(value: float, channels: int) -> torch.Tensor:
    return torch.full((2, channels, 16, 24), value)


def decoder(out_channels: int, gain: float = 1.0) -> torch.nn.Conv2d:
    """Gives every band the first of two shared channels, times a gain."""
    layer = torch.nn.Conv2d(2, out_channels, 1, bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[:, 0] = gain
    return layer


def criterion(*, optical_gain: float = 1.0, **settings: Any) -> ReconstructionCriterion:
    decoders: dict[Modality, torch.nn.Module] = {"sar": decoder(1), "optical": decoder(3, optical_gain)}
    return ReconstructionCriterion(ReconstructionConfig(**settings), decoders)


def flat_batch() -> SharedBatch:
    return SharedBatch(
        sar=flat(0.2, 1),
        optical=flat(0.4, 3),
        shared_sar=flat(0.5, 2),
        shared_optical=flat(0.8, 2),
        valid=torch.ones(2, 1, 16, 24),
        rng=np.random.default_rng(0),
    )


def noise_batch(seed: int = 0) -> SharedBatch:
    generator = torch.Generator().manual_seed(seed)

    def noise(channels: int) -> torch.Tensor:
        return torch.rand(2, channels, 16, 24, generator=generator)

    return SharedBatch(
        sar=noise(1),
        optical=noise(3),
        shared_sar=noise(2).requires_grad_(),
        shared_optical=noise(2).requires_grad_(),
        valid=torch.ones(2, 1, 16, 24),
        rng=np.random.default_rng(seed),
    )


def test_the_loss_of_flat_images_by_hand() -> None:
    result = criterion(optical_gain=2.0)(flat_batch())
    parts = {
        "mse": 0.3**2,
        "dissim": constant_dissim(0.5, 0.8),
        "sar_reconstruction": 0.3**2 + constant_dissim(0.2, 0.5),
        "optical_reconstruction": 1.2**2 + constant_dissim(0.4, 1.6),
    }
    assert {name: float(value) for name, value in result.parts.items()} == pytest.approx(parts, rel=1e-4)
    expected = 3 * parts["mse"] + 16 * parts["dissim"] + parts["sar_reconstruction"] + parts["optical_reconstruction"]
    assert float(result.loss.detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        ({"alpha": 0, "beta": 2, "gamma": 0}, {"mse": 2}),
        ({"alpha": 0, "beta": 0, "gamma": 5}, {"dissim": 5}),
        ({"alpha": 3, "beta": 0, "gamma": 0, "eta": 0}, {"sar_reconstruction": 3}),
        (
            {"alpha": 3, "beta": 0, "gamma": 0, "eta": 0.5},
            {"sar_reconstruction": 3, "optical_reconstruction": 1.5},
        ),
    ],
)
def test_weights(weights: dict[str, float], terms: dict[str, float]) -> None:
    result = criterion(**weights)(noise_batch())
    assert float(result.loss.detach()) == pytest.approx(
        sum(weight * float(result.parts[name]) for name, weight in terms.items()), rel=1e-5
    )


def test_equal_shared_images_that_give_the_originals_cost_nothing() -> None:
    batch = noise_batch()
    shared = batch.shared_sar.detach()
    perfect = SharedBatch(
        sar=shared[:, :1],
        optical=shared[:, :1].expand(-1, 3, -1, -1),
        shared_sar=shared,
        shared_optical=shared,
        valid=batch.valid,
        rng=batch.rng,
    )
    result = criterion()(perfect)
    assert float(result.loss.detach()) == pytest.approx(0, abs=1e-4)
    assert torch.equal(result.images["reconstructed SAR"], perfect.sar)
    assert torch.equal(result.images["reconstructed optical"], perfect.optical)


def test_both_networks_and_both_decoders_are_trained() -> None:
    batch, trained = noise_batch(), criterion()
    result = trained(batch)
    result.loss.backward()
    for tensor in (batch.shared_sar, batch.shared_optical, *trained.parameters()):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()
        assert tensor.grad.abs().max() > 0
    assert not any(value.requires_grad for value in (*result.parts.values(), *result.images.values()))


def test_a_reconstruction_trains_its_own_side_alone() -> None:
    batch, trained = noise_batch(), criterion(beta=0, gamma=0, eta=0)
    trained(batch).loss.backward()
    assert batch.shared_sar.grad.abs().max() > 0
    assert not batch.shared_optical.grad.any()
    assert not trained.decoders["optical"].weight.grad.any()


def test_flat_images_have_a_finite_loss_and_gradient() -> None:
    batch, trained = flat_batch(), criterion()
    batch.shared_sar.requires_grad_()
    loss = trained(batch).loss
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(batch.shared_sar.grad).all()


def test_pairs_without_data_have_no_part() -> None:
    batch = noise_batch()
    valid = batch.valid.clone()
    valid[1] = 0
    names = ("sar", "optical", "shared_sar", "shared_optical")
    halves = {name: getattr(batch, name)[:1] for name in names}
    alone = SharedBatch(**halves, valid=valid[:1], rng=batch.rng)
    masked = SharedBatch(**{name: getattr(batch, name) for name in names}, valid=valid, rng=batch.rng)
    losses = [float(criterion()(each).loss.detach()) for each in (masked, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_each_similarity_has_its_own_window() -> None:
    batch = noise_batch()
    shared, original = SsimConfig(window="gaussian"), SsimConfig(side_px=7, k1=0.001)
    result = criterion(ssim=shared, reconstruction_ssim=original)(batch)
    assert float(result.parts["dissim"]) == float(dissim(batch.shared_sar, batch.shared_optical, shared).detach())
    made = batch.shared_sar[:, :1]
    expected = mse(batch.sar, made) + dissim(batch.sar, made, original)
    assert float(result.parts["sar_reconstruction"]) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_the_decoders_of_the_paper_fit() -> None:
    torch.manual_seed(0)
    decoders: dict[Modality, torch.nn.Module] = {
        "sar": shared_modality_unet(2, 1, "none"),
        "optical": shared_modality_unet(2, 3, "none"),
    }
    trained = ReconstructionCriterion(ReconstructionConfig(), decoders)
    batch = SharedBatch(
        sar=torch.rand(2, 1, 64, 32),
        optical=torch.rand(2, 3, 64, 32),
        shared_sar=torch.rand(2, 2, 64, 32),
        shared_optical=torch.rand(2, 2, 64, 32),
        valid=torch.ones(2, 1, 64, 32),
        rng=np.random.default_rng(0),
    )
    assert isinstance(trained, Criterion)
    optimiser = torch.optim.NAdam(trained.parameters(), lr=2e-3)
    losses = []
    for _ in range(5):
        result = trained(batch)
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        losses.append(float(result.parts["sar_reconstruction"] + result.parts["optical_reconstruction"]))
    assert losses[-1] < losses[0]


def test_decoders_for_something_else_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs decoders for sar, optical, found \['sar'\]\."):
        ReconstructionCriterion(ReconstructionConfig(), {"sar": decoder(1)})
    with pytest.raises(ConfigError, match=r"same shape, found \(2, 3, 16, 24\) and \(2, 1, 16, 24\)"):
        ReconstructionCriterion(ReconstructionConfig(), {"sar": decoder(1), "optical": decoder(1)})(noise_batch())
