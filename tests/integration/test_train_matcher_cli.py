"""``midground train-matcher`` on simulated places; needs torch."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")

pytestmark = pytest.mark.extras

YAML = """\
name: tiny
model: structure
side_px: 128
data:
  train:
    - pairs: {{path: {pairs}, sar_scale: power}}
  validation_share: 0.2
  validation_block_places: 1
  max_validation_pairs: 1
  crop_px: 128
warp: {{shift_px: 8, rotation_deg: 5}}
epochs: 2
steps_per_epoch: 1
batch_size: 1
validate_every_epochs: 2
"""


@pytest.fixture
def config(simulated_pairs: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(YAML.format(pairs=simulated_pairs))
    return path


def test_a_matcher_of_ones_own_is_stopped_resumed_and_used(
    cli, config: Path, simulated_pairs: Path, tmp_path: Path
) -> None:
    words = ["train-matcher", config, "-o", tmp_path / "run", "--accelerator", "cpu"]
    stopped = cli(*words, "--max-minutes", "1e-6")
    assert stopped.code == 0, stopped
    assert stopped.err.splitlines()[-2].startswith("1 of 2 steps done, ")
    assert stopped.err.splitlines()[-1] == f"the matcher lies in {tmp_path / 'run' / 'matcher'}"
    assert json.loads((tmp_path / "run" / "matcher" / "card.json").read_text())["score"] is None
    assert "--resume goes on with the run in it" in cli.fails(*words)
    assert "the run to resume had other settings (seed)" in cli.fails(*words, "--resume", "--set", "seed=2")
    done = cli(*words, "--resume", "--quiet")
    assert (done.code, done.err) == (0, "")
    recipe = json.loads((tmp_path / "run" / "matcher" / "card.json").read_text())["recipe"]
    assert "2 steps done; a bias of " in recipe

    images = [simulated_pairs / "optical" / "place_0.png", simulated_pairs / "sar" / "place_0.tif"]
    use = ["--matcher", "roma-shared", "--set", f"weights={tmp_path / 'run' / 'matcher'}", "--sar-scale", "power"]
    modalities = ["--moving-modality", "sar", "--fixed-modality", "optical"]
    found = cli("match", *images, *use, *modalities, "--model", "structure", "--json", "-")
    assert found.code in (0, 3), found
    assert json.loads(found.out)["matcher"] == "roma-shared"
    line = cli.fails("match", *images, *use, *modalities, "--model", "none")
    assert "takes the 9 channels of the model 'structure', found 1 in the moving image" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "model=structur"], "structure"),
        (["--set", "pairing=both"], "pairing"),
        (["--set", "data.crop_px=96"], "data.crop_px must be 128 or more for a matcher, found 96"),
        (["--set", "side_px=200"], "side_px must be a multiple of 32 from 128 up for the network compact, found 200"),
        (["--set", "network.name=romma"], "Unknown network.name 'romma'. Did you mean 'roma'?"),
        (["--max-minutes", "0"], "--max-minutes must be more than 0, found 0"),
        (["--accelerator", "tpu"], "Unknown accelerator 'tpu'"),
        (["--resume"], "there is no run to resume"),
    ],
)
def test_what_cannot_be_trained(cli, config: Path, tmp_path: Path, words: list[str], message: str) -> None:
    assert message in cli.fails("train-matcher", config, "-o", tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()
