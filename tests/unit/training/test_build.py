"""Networks, criteria and optimisers from settings; needs torch."""

from __future__ import annotations

from typing import get_args

import pytest

from midground.errors import ConfigError
from midground.training.config import NetworkConfig, OptimizerConfig, Schedule
from midground.training.criterion_configs import CorrelationConfig, GrayscaleConfig, ReconstructionConfig

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.build import build_criterion, build_network, build_optimizer  # noqa: E402
from midground.training.compact import CompactUnet  # noqa: E402
from midground.training.networks import SharedModalityUnet  # noqa: E402

pytestmark = pytest.mark.extras


def rates(config: OptimizerConfig, n_steps: int, *, steps_per_epoch: int = 10) -> list[float]:
    """Learning rate of each step."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer, schedule = build_optimizer(config, [weight], steps_per_epoch=steps_per_epoch, n_steps=n_steps)
    found = []
    for _ in range(n_steps):
        found.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return found


def test_the_papers_optimizer_is_the_default() -> None:
    config = OptimizerConfig()
    optimizer, _ = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))], steps_per_epoch=1, n_steps=1)
    assert isinstance(optimizer, torch.optim.NAdam)
    assert optimizer.param_groups[0]["weight_decay"] == 0
    found = rates(config, 50)
    assert found[0] == pytest.approx(1e-8)
    assert found[20] == pytest.approx(1e-4, rel=0.01)
    assert found[40:] == pytest.approx([2e-4] * 10)


def test_a_cosine_falls_after_the_warm_up() -> None:
    config = OptimizerConfig(name="adamw", learning_rate=1e-2, schedule="cosine", warmup_epochs=1, warmup_from=0)
    found = rates(config, 110)
    assert found[:11] == pytest.approx([1e-3 * step for step in range(11)])
    assert found[60] == pytest.approx(1e-2 * (0.01 + 0.99 / 2))
    assert found[-1] < 1.1e-4
    assert sorted(found[10:], reverse=True) == found[10:]


def test_a_linear_schedule_falls_over_the_second_half() -> None:
    config = OptimizerConfig(name="adam", learning_rate=1e-3, schedule="linear", warmup_epochs=0, betas=(0.5, 0.9))
    found = rates(config, 100)
    assert found[:51] == pytest.approx([1e-3] * 51)
    assert found[51:] == pytest.approx([1e-3 * (100 - step) / 50 for step in range(51, 100)])
    optimizer, _ = build_optimizer(config, [torch.nn.Parameter(torch.zeros(1))], steps_per_epoch=1, n_steps=1)
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.9)


def test_betas_that_are_none() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.betas must lie from 0 to below 1, found \[0\.5, 1\.0\]"):
        OptimizerConfig(betas=(0.5, 1.0))


def test_one_cycle_starts_where_the_settings_say() -> None:
    found = rates(OptimizerConfig(schedule="onecycle", learning_rate=1e-4, warmup_from=1e-8), 100)
    assert found[0] == pytest.approx(1e-8)
    assert max(found) == pytest.approx(1e-4, rel=1e-3)
    assert found.index(max(found)) == pytest.approx(30, abs=1)


@pytest.mark.parametrize("schedule", get_args(Schedule))
def test_groups_keep_the_ratio_of_their_rates(schedule: Schedule) -> None:
    config = OptimizerConfig(name="adamw", learning_rate=1e-3, schedule=schedule, warmup_epochs=1)
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1e-3, 5e-5)]
    optimizer, step = build_optimizer(config, groups, steps_per_epoch=10, n_steps=50)
    for _ in range(50):
        one, other = (group["lr"] for group in optimizer.param_groups)
        assert other == pytest.approx(one / 20)
        optimizer.step()
        step.step()


def test_networks_by_name() -> None:
    compact = build_network(NetworkConfig(name="compact", widths=(8, 12)), 2, 4)
    assert isinstance(compact, CompactUnet)
    assert compact.widths == (8, 12)
    paper = build_network(NetworkConfig(), 10, 3)
    assert isinstance(paper, SharedModalityUnet)
    assert (paper.in_channels, paper.out_channels, paper.activation) == (10, 3, "sigmoid")
    assert isinstance(build_network(NetworkConfig(name="compact"), 3, 2, "none"), SharedModalityUnet)


@pytest.mark.parametrize("config", [CorrelationConfig(), GrayscaleConfig(), ReconstructionConfig()])
def test_criteria_by_their_settings(config: CorrelationConfig | GrayscaleConfig | ReconstructionConfig) -> None:
    criterion = build_criterion(config, 3, {"sar": 2, "optical": 10})
    assert criterion.config is config
    n_trained = sum(parameter.numel() for parameter in criterion.parameters())  # type: ignore[attr-defined]
    assert (n_trained > 0) == (not isinstance(config, GrayscaleConfig))


def test_a_reference_band_that_does_not_exist() -> None:
    with pytest.raises(ConfigError, match="reference_bands"):
        build_criterion(GrayscaleConfig(reference_bands=(3,)), 3, {"sar": 1, "optical": 3})
