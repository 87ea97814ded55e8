"""RoMa in full, trained and exported; needs torch and romatch. Its weights are random, but of its real size."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow
from midground.errors import ConfigError, ModelError
from midground.evaluation.config import WarpConfig
from midground.matching.configs import RomaConfig
from midground.matching.dense import DenseMatcher
from midground.modality.structure import GreyMapper
from midground.training.config import OptimizerConfig, TrainConfig
from midground.training.matcher.config import FullConfig, MatcherTrainConfig
from midground.training.matcher.samples import MatcherSamples
from midground.training.sampling import SampleStream

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")
pytest.importorskip("romatch", reason="needs the extra roma")

from romatch.models.matcher import RegressionMatcher  # noqa: E402
from romatch.models.transformer import vit_large  # noqa: E402

from midground.matching import roma  # noqa: E402
from midground.training.matcher import full  # noqa: E402
from midground.training.matcher.full import FullRoma, full_roma, stretched  # noqa: E402
from midground.training.matcher.grids import centres_xy, sampled  # noqa: E402
from midground.training.matcher.loss import Truth, classification, loss_parts  # noqa: E402
from midground.training.matcher.module import Architecture  # noqa: E402
from midground.training.matcher.run import train_matcher  # noqa: E402
from midground.training.running import RunOptions  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX = 168
RATE = 1e-4
STRIDES_PX = (14, 8, 4, 2, 1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random weights in two files, as the user gives trained ones; 1.7 GB."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {"weights": folder / "roma_outdoor.pth", "backbone_weights": folder / "dinov2.pth"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        # As in DINOv2's settings for this backbone.
        backbone = vit_large(img_size=518, patch_size=14, init_values=1.0, ffn_layer="mlp", block_chunks=0)
        torch.save(backbone.state_dict(), paths["backbone_weights"])
        model, _ = full._model(SIDE_PX, FullConfig(backbone_weights=paths["backbone_weights"]), on_gpu=False)
        torch.save(model.state_dict(), paths["weights"])
    return paths


@pytest.fixture(scope="module")
def config(settings: Callable[..., TrainConfig], files: dict[str, Path]) -> MatcherTrainConfig:
    """One step of one pair on the simulated places, which is validated."""
    return MatcherTrainConfig(
        name="tiny",
        data=replace(settings().data, crop_px=128, max_validation_pairs=1),
        network=FullConfig(**files),
        side_px=SIDE_PX,
        model="none",
        realign_px=0,
        warp=WarpConfig(shift_px=8.0, rotation_deg=5.0, scale=(1.0, 1.0)),
        optimizer=OptimizerConfig(name="adamw", learning_rate=RATE, weight_decay=0.01, warmup_epochs=0),
        epochs=1,
        steps_per_epoch=1,
        batch_size=1,
        validate_every_epochs=1,
    )


class Planted(torch.nn.Module):
    """Answers, in romatch's manner, that all places of the image are shifted by a part of its side."""

    def __init__(self, shift_unit: tuple[float, float]) -> None:
        super().__init__()
        self.shift_unit = torch.tensor(shift_unit)[:, None, None]
        self.scale_factors: list[float] = []

    def forward(self, batch: dict[str, torch.Tensor], scale_factor: float) -> dict[int, dict[str, torch.Tensor]]:
        self.scale_factors.append(scale_factor)
        found = {}
        for name, stride_px in zip((16, 8, 4, 2, 1), STRIDES_PX, strict=True):
            n_cells = batch["im_A"].shape[-1] // stride_px
            centres = torch.linspace(-1 + 1 / n_cells, 1 - 1 / n_cells, n_cells)
            here = torch.stack(torch.meshgrid(centres, centres, indexing="xy"))
            found[name] = {
                "flow": (here + self.shift_unit)[None],
                "certainty": torch.full((1, 1, *here.shape[1:]), 2.0),
            }
        found[16]["gm_cls"] = torch.zeros(1, 64 * 64, SIDE_PX // 14, SIDE_PX // 14)
        return found


@pytest.mark.parametrize("shift_px", [(0.0, 0.0), (8.5, -21.0)])
def test_places_are_pixels_counted_at_their_centres(shift_px: tuple[float, float]) -> None:
    x, y = (2 * shift / SIDE_PX for shift in shift_px)
    model = Planted((x, y))
    square = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    coarse, matches = FullRoma(model)(square, square)
    assert model.scale_factors == [pytest.approx(SIDE_PX / 560)]
    assert tuple(found.stride_px for found in matches) == STRIDES_PX
    assert (coarse.stride_px, coarse.fixed_px) == (14, SIDE_PX / 64)
    truth = Truth(torch.eye(3)[None], *[torch.ones(1, 1, SIDE_PX, SIDE_PX)] * 2)
    truth.fixed_from_moving[0, :2, 2] = torch.tensor(shift_px)
    for found in matches:
        expected, _ = truth.at(centres_xy(found.fixed_xy, found.stride_px))
        torch.testing.assert_close(found.fixed_xy, expected, atol=1e-3, rtol=0)
    parts = loss_parts(coarse, matches, truth)
    assert float(parts["coarse"]) == pytest.approx(math.log(64 * 64), rel=1e-5)
    assert float(parts["error at stride 1"]) == pytest.approx(math.sqrt(0.03), rel=1e-2)


def test_the_class_of_a_place_is_the_nearest_anchor_of_romatch() -> None:
    """The anchors that romatch turns classes into places by; the entropy is 0 only where the target is that one."""
    shift_px = (8.3, -20.6)
    truth = Truth(torch.eye(3)[None], *[torch.ones(1, 1, SIDE_PX, SIDE_PX)] * 2)
    truth.fixed_from_moving[0, :2, 2] = torch.tensor(shift_px)
    square = torch.zeros(1, 3, SIDE_PX, SIDE_PX)
    coarse, matches = FullRoma(Planted((2 * shift_px[0] / SIDE_PX, 2 * shift_px[1] / SIDE_PX)))(square, square)
    line = torch.linspace(-1 + 1 / 64, 1 - 1 / 64, 64)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    anchors_xy = (torch.stack([columns, rows]).flatten(1) + 1) / 2 * SIDE_PX - 0.5
    true_xy, _ = truth.at(centres_xy(matches[0].fixed_xy, 14))
    nearest = (true_xy.flatten(2)[0, :, None] - anchors_xy[:, :, None]).norm(dim=0).argmin(0)
    logits = torch.zeros_like(coarse.logits)
    logits[0, nearest, torch.arange(len(nearest))] = 50.0
    assert float(classification(replace(coarse, logits=logits), truth, matches[0])) < 1e-6
    assert float(classification(replace(coarse, logits=logits.roll(1, 1)), truth, matches[0])) > 40


class Ramps:
    """One image whose values rise evenly from left to right."""

    names = places = ("a",)

    def __len__(self) -> int:
        return 1

    def hw(self, index: int) -> tuple[int, int]:
        return (256, 256)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        ramp = Image.from_array(np.mgrid[:256, :256][1] / 256)
        return Pair("a", "a", ramp, ramp)


@pytest.mark.parametrize("number", range(6))
def test_the_truth_says_where_places_lie_in_stretched_images(config: MatcherTrainConfig, number: int) -> None:
    """Along the truth, both images show the same: they are squares of other sides, in pictures of one."""
    config = replace(config, pairing="sar", warp=WarpConfig(shift_px=20, rotation_deg=30, scale=(0.9, 1.1)))
    stream = SampleStream([Ramps()], [1.0], n_epoch=6, crop_px=256, augment=config.augment, seed=0)
    sample = MatcherSamples(stream, GreyMapper(), config, stretched).sample(number)
    assert sample.moving.shape == (3, SIDE_PX, SIDE_PX)
    assert sample.moving_valid.min() == sample.fixed_valid.min() == 1
    assert not np.allclose(np.linalg.det(sample.fixed_from_moving[:2, :2]), 1, atol=0.03)
    moving, fixed = (torch.from_numpy(one)[None, :1] for one in (sample.moving, sample.fixed))
    whole = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    truth = Truth(torch.from_numpy(sample.fixed_from_moving.astype(np.float32))[None], whole, whole)
    fixed_xy, is_seen = truth.at(centres_xy(moving, 1))
    # Bicubic weights reach 2 px over the edge of the image that was stretched.
    is_seen &= ((fixed_xy > 6) & (fixed_xy < SIDE_PX - 7)).all(1)
    is_seen[:, :6] = is_seen[:, -6:] = is_seen[:, :, :6] = is_seen[:, :, -6:] = False
    assert is_seen.sum() > 500
    of_fixed, of_moving = sampled(fixed, fixed_xy, 1)[:, 0][is_seen], moving[:, 0][is_seen]
    # In these units a pixel of the ramp is 1 / 256 / 0.229 = 0.017.
    assert float((of_fixed - of_moving).abs().max()) < 1e-4


def test_an_image_without_data_is_seen_nowhere() -> None:
    nothing = stretched(Image(np.zeros((1, 40, 50), np.float32), np.zeros((40, 50), bool)), SIDE_PX)
    assert not nothing.valid.any()
    assert np.isfinite(nothing.channels).all()


def built(config: MatcherTrainConfig, n_channels: int = 1) -> Architecture:
    assert isinstance(config.network, FullConfig)
    return full_roma(config, config.network, n_channels, on_gpu=False)


def test_the_loss_of_one_batch_falls(config: MatcherTrainConfig) -> None:
    architecture = built(config)
    rng = np.random.default_rng(0)
    image = Image.from_array(np.kron(rng.random((1, 21, 21)), np.ones((8, 8))))
    square = torch.from_numpy(stretched(image, SIDE_PX).channels)[None]
    whole = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    truth = Truth(torch.eye(3)[None], whole, whole)
    optimizer = torch.optim.AdamW(architecture.network.parameters(), lr=1e-4)
    losses = []
    for _ in range(8):
        parts = loss_parts(*architecture.network(square, square), truth)
        loss = torch.stack(list(parts.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append({name: float(part.detach()) for name, part in parts.items()})
    first, last = losses[0], losses[-1]
    # Measured: 8.4 to 1.1, and 44 to 6.
    assert last["coarse"] < 0.5 * first["coarse"]
    assert sum(last.values()) < 0.5 * sum(first.values())


def test_a_run_ends_in_weights_that_the_matcher_roma_loads(
    config: MatcherTrainConfig, files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Architecture] = []

    def keeping(*words: Any, **named: Any) -> Architecture:
        kept.append(full_roma(*words, **named))
        return kept[0]

    monkeypatch.setattr(full, "full_roma", keeping)
    lines: list[str] = []
    done = train_matcher(config, tmp_path / "run", RunOptions(accelerator="cpu"), report=lines.append)
    assert done.n_steps == 1
    assert lines[0] == "10 pairs to train on, 1 to validate on; 1 channels of 'none'"

    before = torch.load(files["weights"], weights_only=True)
    after = torch.load(tmp_path / "run" / "matcher" / "roma.pth", weights_only=True)
    assert after.keys() == before.keys()
    learned = dict(kept[0].network.model.named_parameters())
    moved = {
        part: max(float((after[name] - before[name]).abs().max()) for name in learned if name.startswith(part))
        for part in ("decoder", "encoder")
    }
    # The first step of Adam moves a weight by its rate, and decay by no more than a hundredth of that.
    assert moved == {"decoder": pytest.approx(RATE, rel=0.03), "encoder": pytest.approx(RATE / 20, rel=0.03)}

    backbone = kept[0].network.model.encoder.dinov2_vitl14[0].state_dict()
    for name, value in torch.load(files["backbone_weights"], weights_only=True).items():
        torch.testing.assert_close(backbone[name], value, atol=0, rtol=0)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert {name.removeprefix("network.model.") for name in state["state_dict"]} == before.keys()

    card = json.loads((tmp_path / "run" / "matcher" / "card.json").read_text())
    assert (card["model"], card["side_px"], card["n_steps"], card["score"]) == ("none", SIDE_PX, 1, done.score)
    assert "seed 0, started from roma_outdoor.pth" in card["recipe"]

    settings = {"coarse_px": SIDE_PX, "upsample_px": 256, "min_certainty": 1e-6}
    loaded = roma.build(
        RomaConfig(
            weights=tmp_path / "run" / "matcher" / "roma.pth", backbone_weights=files["backbone_weights"], **settings
        )
    )
    rng = np.random.default_rng(0)
    images = [Image.from_array(rng.random((1, 200, 200), np.float32)) for _ in range(2)]
    in_training = kept[0].matcher
    assert isinstance(in_training, DenseMatcher)
    in_training._config = replace(in_training._config, min_certainty=1e-6)
    one, other = in_training.match(*images), loaded.match(*images)
    assert len(one) == 4096
    np.testing.assert_allclose(one.moving_xy, other.moving_xy, atol=1e-6)
    np.testing.assert_allclose(one.fixed_xy, other.fixed_xy, atol=1e-3)
    np.testing.assert_allclose(one.score, other.score, atol=1e-6)
    assert kept[0].network.model.decoder.training
    assert kept[0].network.model.encoder.cnn.training


def test_without_weights_the_decoder_starts_at_random(config: MatcherTrainConfig, files: dict[str, Path]) -> None:
    original = RegressionMatcher.load_state_dict
    network = FullConfig(backbone_weights=files["backbone_weights"])
    torch.manual_seed(1)
    state = built(replace(config, network=network)).network.model.state_dict()
    assert RegressionMatcher.load_state_dict is original
    before = torch.load(files["weights"], weights_only=True)
    assert state.keys() == before.keys()
    name = "decoder.embedding_decoder.to_out.weight"
    assert float((state[name] - before[name]).abs().max()) > 1e-3


def test_what_roma_cannot_be_trained_with(config: MatcherTrainConfig, files: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match=r"sees three channels as red, green and blue, and 'none' has 9: set model"):
        built(config, n_channels=9)
    with pytest.raises(
        ConfigError, match=r"On a processor, the network roma needs precision 32-true, found bf16-mixed"
    ):
        built(replace(config, precision="bf16-mixed"))
    with pytest.raises(ConfigError, match=r"On a GPU, the network roma needs precision 16-mixed, found 32-true"):
        full_roma(config, config.network, 3, on_gpu=True)  # type: ignore[arg-type]
    with pytest.raises(
        ModelError, match=r"fetch https://.*dinov2_vitl14_pretrain\.pth and give the file as network\.b"
    ):
        built(replace(config, network=FullConfig(weights=files["weights"])))
    with pytest.raises(ModelError, match=r"network\.weights: the weights '.*absent\.pth' cannot be read"):
        built(replace(config, network=FullConfig(**files | {"weights": Path("absent.pth")})))
    with pytest.raises(ModelError, match="RoMa with DINOv2 ViT-L/14 cannot be built from these files"):
        built(replace(config, network=FullConfig(**files | {"weights": files["backbone_weights"]})))
