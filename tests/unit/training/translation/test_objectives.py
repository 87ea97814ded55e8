"""What translators are trained for; needs torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from midground.training.config import NetworkConfig, TrainConfig
from midground.training.criterion_configs import LsganConfig, Pix2pixConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.build import build_networks  # noqa: E402
from midground.training.translation.objectives import (  # noqa: E402
    CycleGan,
    Pix2pix,
    adversarial_loss,
    build_objective,
    l1_distance,
)

pytestmark = pytest.mark.extras

N_BANDS = {"sar": 1, "optical": 3}


@pytest.fixture
def config(settings: Callable[..., TrainConfig]) -> Callable[[Any], TrainConfig]:
    """``config(criterion)``: settings of a tiny translator."""
    return lambda criterion: settings(
        criterion=criterion,
        network=NetworkConfig(name="resnet9", base_width=4),
        n_channels=3,
        optimizer=replace(settings().optimizer, clip_norm=None),
    )


def batch(*, valid: float = 1.0, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = {name: torch.rand(2, n, 64, 64, generator=generator) for name, n in N_BANDS.items()}
    return images | {"valid": torch.full((2, 1, 64, 64), valid)}


def always(judge: torch.nn.Module, score: float) -> None:
    """Let a discriminator give every square the same score."""
    torch.nn.init.zeros_(judge.layers[-1].weight)
    torch.nn.init.constant_(judge.layers[-1].bias, score)


def test_cross_entropy_of_scores() -> None:
    scores = torch.full((2, 1, 3, 3), math.log(3.0))
    assert float(adversarial_loss(scores, is_real=True, kind="cross_entropy")) == pytest.approx(-math.log(3 / 4))
    assert float(adversarial_loss(scores, is_real=False, kind="cross_entropy")) == pytest.approx(-math.log(1 / 4))


def test_least_squares_of_scores() -> None:
    scores = torch.tensor([0.5, 2.0]).reshape(1, 1, 1, 2)
    assert float(adversarial_loss(scores, is_real=True, kind="least_squares")) == pytest.approx((0.25 + 1) / 2)
    assert float(adversarial_loss(scores, is_real=False, kind="least_squares")) == pytest.approx((0.25 + 4) / 2)


def test_the_distance_counts_valid_pixels_and_the_papers_range() -> None:
    one, other = torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, 2)
    other[:, :, 0, 0] = 0.25
    other[:, :, 1, 1] = 1.0
    valid = torch.ones(1, 1, 2, 2)
    assert float(l1_distance(one, other, valid)) == pytest.approx(2 * 1.25 / 4)
    valid[..., 1, 1] = 0
    assert float(l1_distance(one, other, valid)) == pytest.approx(2 * 0.25 / 3)
    assert float(l1_distance(one, other, 0 * valid)) == 0


def test_parts_of_pix2pix(config) -> None:
    settings = config(Pix2pixConfig(lambda_l1=10.0))
    objective = build_objective(settings, N_BANDS)
    assert isinstance(objective, Pix2pix)
    always(objective.discriminators["optical"], 0.0)
    images = batch()
    made = {"optical": images["optical"] / 2}
    against = objective.discriminator_parts(images, made, np.random.default_rng(0))
    assert {name: float(part.detach()) for name, part in against.items()} == {
        "discriminator": pytest.approx(math.log(2))
    }
    parts = objective.generator_parts(images, made)
    assert {name: float(part.detach()) for name, part in parts.items()} == {
        "adversarial": pytest.approx(math.log(2)),
        "l1": pytest.approx(10 * float(images["optical"].mean()), rel=1e-5),
    }


def test_parts_of_lsgan(config) -> None:
    objective = build_objective(config(LsganConfig(lambda_cycle=2.0)), N_BANDS)
    assert isinstance(objective, CycleGan)
    always(objective.discriminators["optical"], 0.5)
    always(objective.discriminators["sar"], 2.0)
    images = batch()
    made = {"sar": images["sar"], "optical": images["optical"]}
    made |= {"sar again": images["sar"] + 0.1, "optical again": images["optical"]}
    against = objective.discriminator_parts(images, made, np.random.default_rng(0))
    assert {name: float(part.detach()) for name, part in against.items()} == {
        "discriminator sar": pytest.approx((1 + 4) / 2),
        "discriminator optical": pytest.approx(0.25),
    }
    parts = objective.generator_parts(images, made)
    assert {name: float(part.detach()) for name, part in parts.items()} == {
        "adversarial sar": pytest.approx(1),
        "adversarial optical": pytest.approx(0.25),
        "cycle sar": pytest.approx(2 * 2 * 0.1, rel=1e-4),
        "cycle optical": 0,
    }


@pytest.mark.parametrize("criterion", [Pix2pixConfig(), LsganConfig()])
def test_the_discriminators_loss_moves_no_translator(config, criterion) -> None:
    torch.manual_seed(0)
    settings = config(criterion)
    translator, objective = build_networks(settings, N_BANDS)["sar"], build_objective(settings, N_BANDS)
    images = batch()
    made = objective.translate(translator, images)
    sum(objective.discriminator_parts(images, made, np.random.default_rng(0)).values()).backward()
    assert all(parameter.grad is None for parameter in translator.parameters())
    assert all(parameter.grad is None for parameter in objective.generators.parameters())
    assert all(parameter.grad is not None for parameter in objective.discriminators.parameters())
    sum(objective.generator_parts(images, made).values()).backward()
    assert all(parameter.grad is not None for parameter in translator.parameters())
    assert all(parameter.grad is not None for parameter in objective.generators.parameters())


@pytest.mark.parametrize("criterion", [Pix2pixConfig(), LsganConfig()])
def test_where_data_lack_a_made_image_is_the_true_one(config, criterion) -> None:
    torch.manual_seed(0)
    settings = config(criterion)
    images = batch()
    images["valid"][..., :20] = 0
    made = build_objective(settings, N_BANDS).translate(build_networks(settings, N_BANDS)["sar"], images)
    assert torch.equal(made["optical"][..., :20], images["optical"][..., :20])
    assert float((made["optical"].detach() - images["optical"])[..., 20:].abs().mean()) > 0.1


def test_the_pools_are_shown_to_the_discriminators(config) -> None:
    torch.manual_seed(0)
    objective = build_objective(config(LsganConfig(n_pool=2)), N_BANDS)
    images = batch()
    for seed in range(3):
        made = {name: batch(seed=seed + 1)[name] for name in N_BANDS}
        objective.discriminator_parts(images, made, np.random.default_rng(seed))
    assert isinstance(objective, CycleGan)
    first = batch(seed=1)["optical"]
    held = objective.pools["optical"].held
    assert int(objective.pools["optical"].n_held) == 2
    assert not torch.equal(held, first)
