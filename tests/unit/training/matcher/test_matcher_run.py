"""A matcher's training from settings to the exported matcher; needs torch."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, DependencyError, InputError, ModelError, OutputError
from midground.evaluation.config import WarpConfig
from midground.matching.configs import RomaSharedConfig
from midground.matching.ground import standardised
from midground.matching.registry import build_matcher
from midground.training.config import TrainConfig
from midground.training.matcher.config import CompactConfig, FullConfig, MatcherTrainConfig

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")

from midground.matching.xfeat import xfeat_network  # noqa: E402
from midground.training.matcher.export import load_network  # noqa: E402
from midground.training.matcher.module import dense_network  # noqa: E402
from midground.training.matcher.run import CornerErrors, train_matcher  # noqa: E402
from midground.training.running import RunOptions, TrainResult  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX = 128


@pytest.fixture(scope="module")
def config(settings: Callable[..., TrainConfig]) -> MatcherTrainConfig:
    """Two epochs of two steps of one pair on the simulated places."""
    return MatcherTrainConfig(
        name="tiny",
        data=replace(settings().data, crop_px=SIDE_PX, max_validation_pairs=2),
        side_px=SIDE_PX,
        model="structure",
        realign_px=0,
        warp=WarpConfig(shift_px=8.0, rotation_deg=5.0, scale=(1.0, 1.0)),
        epochs=2,
        steps_per_epoch=2,
        batch_size=1,
        validate_every_epochs=1,
    )


def run(config: MatcherTrainConfig, folder: Path, lines: list[str] | None = None, **options: Any) -> TrainResult:
    report = [].append if lines is None else lines.append
    return train_matcher(config, folder, RunOptions(accelerator="cpu", **options), report=report)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_run_ends_in_a_matcher_that_says_what_the_network_says(config: MatcherTrainConfig, tmp_path: Path) -> None:
    lines: list[str] = []
    done = run(config, tmp_path / "run", lines)
    assert done.n_steps == 4
    assert lines[0] == "10 pairs to train on, 2 to validate on; 9 channels of 'structure'"
    card = json.loads((tmp_path / "run" / "matcher" / "card.json").read_text())
    assert (card["model"], card["n_channels"], card["side_px"]) == ("structure", 9, SIDE_PX)
    assert card["score"] == done.score
    assert re.search(
        r"4 steps planned, seed 0; rotations of up to 5 degrees are compared; [24] steps done; a bias of -?\d\.\d\d px",
        card["recipe"],
    )
    network, facts = load_network(tmp_path / "run")
    assert facts["data"] == ["places: 10 pairs"]
    rng = np.random.default_rng(0)
    moving, fixed = (Image.from_array(rng.random((9, SIDE_PX, SIDE_PX), np.float32)) for _ in range(2))
    matcher = build_matcher(RomaSharedConfig(weights=tmp_path / "run" / "matcher", min_certainty=1e-6))
    found = matcher.match(moving, fixed)
    assert len(found) > 0
    fixed_xy, certainty = dense_network(network)(standardised(moving)[None], standardised(fixed)[None])
    columns, rows = ((found.moving_xy - 0.5) / 2).astype(int).T
    np.testing.assert_allclose(found.score, certainty[rows, columns], atol=1e-4)
    taken_off = found.fixed_xy - fixed_xy[:, rows, columns].T
    np.testing.assert_allclose(taken_off, np.broadcast_to(taken_off[0], taken_off.shape), atol=2e-4 * SIDE_PX)
    with pytest.raises(InputError, match="takes the 9 channels of the model 'structure', found 1 in the moving"):
        matcher.match(Image.from_array(np.zeros((64, 64))), fixed)


def test_refiners_may_stay_as_they_are_and_the_export_compare_more_rotations(
    config: MatcherTrainConfig, tmp_path: Path
) -> None:
    run(replace(config, network=CompactConfig(train_refiners=False, compared_deg=25.0)), tmp_path / "still")
    run(replace(config, epochs=1), tmp_path / "learning")
    network, _ = load_network(tmp_path / "still")
    learning, _ = load_network(tmp_path / "learning")
    assert all(refiner.correction is None for refiner in network.refiners.values())
    assert all(refiner.correction.head.bias.any() for refiner in learning.refiners.values())
    assert not torch.equal(network.trunk.block2[0].layer[0].weight, xfeat_network().block2[0].layer[0].weight)
    assert (network.shape.rotation_deg, learning.shape.rotation_deg) == (25.0, 5.0)
    card = json.loads((tmp_path / "still" / "matcher" / "card.json").read_text())
    assert "rotations of up to 25 degrees are compared; refiners compare windows alone" in card["recipe"]


def test_an_interrupted_run_goes_on_with_the_same_pairs(
    config: MatcherTrainConfig, tmp_path: Path, signals_after
) -> None:
    run(config, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_matcher(config, tmp_path / "run", RunOptions(accelerator="cpu", tell_every_s=0), report=signals_after(3))
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 3
    with pytest.raises(OutputError, match="--resume goes on with the run in it"):
        run(config, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"the run to resume had other settings \(seed\)"):
        run(replace(config, seed=1), tmp_path / "run", resume=True)
    assert run(config, tmp_path / "run", resume=True).n_steps == 4
    one, other = weights(tmp_path / "whole" / "last.ckpt"), weights(tmp_path / "run" / "last.ckpt")
    assert max(float((one[name] - other[name]).abs().max()) for name in one) < 1e-6


def test_a_resumed_run_does_not_look_for_shifts_again(
    config: MatcherTrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(config, realign_px=8)
    lines: list[str] = []
    assert run(config, tmp_path / "run", lines, max_minutes=1e-6).n_steps == 1
    monkeypatch.setattr("midground.training.alignments.realign", None)
    assert run(config, tmp_path / "run", lines, resume=True).n_steps == 4
    realigned = [line for line in lines if line.startswith("realigned: ")]
    assert len(realigned) == 2
    assert realigned[0] == realigned[1]


def test_a_run_starts_from_another_matcher(config: MatcherTrainConfig, tmp_path: Path) -> None:
    short = replace(config, epochs=1, steps_per_epoch=1)
    run(short, tmp_path / "first")
    further = replace(short, init_from=str(tmp_path / "first"), seed=1)
    still = replace(further, optimizer=replace(further.optimizer, learning_rate=1e-12))
    run(still, tmp_path / "second")
    one, other = weights(tmp_path / "first" / "best.ckpt"), weights(tmp_path / "second" / "last.ckpt")
    # Statistics of the batch normalisation go on, whatever the rate.
    learned = [name for name in one if name.endswith(("weight", "bias"))]
    assert max(float((one[name] - other[name]).abs().max()) for name in learned) < 1e-6
    card = json.loads((tmp_path / "second" / "matcher" / "card.json").read_text())
    assert "seed 1, started from first; " in card["recipe"]
    with pytest.raises(
        ConfigError,
        match=r"was trained on 9 channels of 'structure' \(9 oriented\), and these settings name 'none' with 1",
    ):
        run(replace(further, model="none", network=CompactConfig(n_oriented=0)), tmp_path / "third")
    with pytest.raises(ConfigError, match=r"network\.n_oriented: 'none' has 1 channels, found 9: 0 if none"):
        run(replace(short, model="none"), tmp_path / "fourth")


def test_misregistered_pairs_are_told_of(config: MatcherTrainConfig, tmp_path: Path) -> None:
    lines: list[str] = []
    run(replace(config, realign_px=8, pairing="curriculum", epochs=1, steps_per_epoch=1), tmp_path / "run", lines)
    assert lines[0].startswith("realigned: ")
    assert "pairs confident, off by 0.0 px (median)" in lines[0]


def test_workers_and_learned_models_do_not_go_together(config: MatcherTrainConfig, tmp_path: Path) -> None:
    learned = replace(config, model="default", data=replace(config.data, workers=1))
    with pytest.raises(ConfigError, match=r"data\.workers must be 0 with a learned model, found 1"):
        run(learned, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_validated_or_shared_out_is_told_before_the_first_step(
    config: MatcherTrainConfig, settings: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is trained on one device, found devices 2"):
        run(config, tmp_path / "run", devices=2)
    rng = np.random.default_rng(0)
    for kind, n_bands in (("sar", 1), ("optical", 3)):
        (tmp_path / "small" / kind).mkdir(parents=True)
        small = rng.integers(1, 255, (SIDE_PX - 8, SIDE_PX, n_bands), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / "small" / kind / "a.png"), small)
    data = replace(config.data, validation=PairsConfig(path=tmp_path / "small"))
    with pytest.raises(InputError, match=r"a: the validation pair has 128 × 120 px, too few for data\.crop_px 128"):
        run(replace(config, data=data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_romatch_its_extra_is_named(
    config: MatcherTrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "romatch", None)
    for module in ("matching.roma", "training.matcher.full"):
        monkeypatch.delitem(sys.modules, f"midground.{module}", raising=False)
    with pytest.raises(DependencyError, match=r"pip install 'midground\[roma\]'"):
        run(replace(config, network=FullConfig(), side_px=168, model="none"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_command_is_refused(tmp_path: Path) -> None:
    torch.save({"midground": {"schema": "midground/checkpoint/1"}}, tmp_path / "best.ckpt")
    with pytest.raises(ModelError, match=r"is not a checkpoint of this version's 'midground train-matcher'"):
        load_network(tmp_path)


def test_the_score_of_a_validation_is_the_mean_of_two_shares() -> None:
    found = CornerErrors(np.array([0.5, 2.9, 3.0, 4.0, np.inf, 60.0]))
    assert found.numbers() == {"ACE below 3 px": 2 / 6, "ACE below 5 px": 4 / 6}
    assert found.score == 0.5
    assert str(found) == "ACE below 3 px 0.33, ACE below 5 px 0.67, median 3.5 px; 6 pairs"
