"""``midground train`` and ``midground models export`` on simulated places; needs torch."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

pytestmark = pytest.mark.extras

YAML = """\
name: tiny
n_channels: 4
network: {{name: compact, widths: [8, 12], n_orientations: 2}}
criterion: {{name: correlation, window_px: [24, 32], search_px: 12, frame_shift_px: 0, n_windows: 2}}
data:
  train:
    - pairs: {{path: {pairs}, sar_scale: power}}
  validation_share: 0.2
  validation_block_places: 1
  crop_px: 64
  workers: 0
optimizer: {{name: adamw, learning_rate: 3.0e-3, warmup_epochs: 0}}
validation: {{windows_px: [24], search_px: 8, matchers: []}}
epochs: 2
steps_per_epoch: 2
batch_size: 2
"""


@pytest.fixture
def config(simulated_pairs: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(YAML.format(pairs=simulated_pairs))
    return path


@pytest.fixture
def copied(simulated_pairs: Path, tmp_path: Path) -> Path:
    """A copy of the collection that may be written into."""
    return shutil.copytree(simulated_pairs, tmp_path / "copied")


def save_optical(path: Path, array: np.ndarray) -> None:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    count, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", driver="PNG", count=count, height=height, width=width, dtype="uint8") as target:
            target.write(array)


def test_a_model_of_ones_own_from_pairs_to_a_mapped_image(
    cli, config: Path, simulated_pairs: Path, tmp_path: Path
) -> None:
    done = cli("train", config, "-o", tmp_path / "run", "--accelerator", "cpu")
    assert (done.code, done.out) == (0, "")
    assert done.err.splitlines()[0].startswith("11 pairs to train on, 3 to validate on; 1 SAR and 3 optical band(s)")
    assert re.match(r"4 of 4 steps done, [\d.]+ pairs/s; best matchability 0\.", done.err.splitlines()[-1])

    done = cli("models", "export", tmp_path / "run", "-o", tmp_path / "mine", "--pairs", simulated_pairs, "--quiet")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["sar", "optical"]
    assert lines[2].startswith("matchability 0.")
    assert lines[2].endswith("; 14 pairs)")
    assert lines[3].startswith(f"{tmp_path / 'mine'}: mine 1, sha256 ")
    results = json.loads((tmp_path / "mine" / "card.json").read_text())["results"]
    assert {result["on"] for result in results} >= {
        "pairs held out by place",
        "places, 14 pairs, one central window searched within 40 px, found within 3 px",
        "places, 14 pairs, a homography of the matches of up to 4096 key points of the whole images",
    }

    image = simulated_pairs / "sar" / "place_0.tif"
    words = ["--model", tmp_path / "mine", "--modality", "sar", "--sar-scale", "power"]
    done = cli("map", image, "-o", tmp_path / "shared.tif", *words)
    assert done.code == 0, done
    assert (tmp_path / "shared.tif").is_file()


def test_a_translator_of_ones_own_is_evaluated_like_any_mapper(
    cli, config: Path, simulated_pairs: Path, tmp_path: Path
) -> None:
    settings = {
        "criterion": "{name: lsgan, n_pool: 2}",
        "network": "{name: resnet9, base_width: 2}",
        "n_channels": "3",
        "optimizer": "{name: adam, betas: [0.5, 0.999], schedule: linear, warmup_epochs: 0}",
        "epochs": "1",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = cli("train", config, "-o", tmp_path / "run", "--accelerator", "cpu", *words)
    assert done.code == 0, done
    assert re.match(r"2 of 2 steps done, [\d.]+ pairs/s; best matchability 0\.", done.err.splitlines()[-1])
    done = cli("models", "export", tmp_path / "run", "-o", tmp_path / "mine", "--quiet")
    assert done.code == 0, done
    assert done.out.splitlines()[1] == "optical: results differ from torch's by 0.0e+00 at most"
    quick = ["--set", "windows_px=[32]", "--set", "search_px=8", "--set", "matchers=[]", "--quiet"]
    pairs = [simulated_pairs, "--pairs-set", "sar_scale=power", "--limit", 2]
    done = cli("evaluate", f"none,{tmp_path / 'mine'}", *pairs, *quick)
    assert done.code == 0, done
    assert [line.split()[0] for line in done.out.splitlines()[:3]] == ["model", "none", "mine"]


def test_a_run_is_stopped_and_resumed(cli, config: Path, tmp_path: Path) -> None:
    words = ["train", config, "-o", tmp_path / "run", "--accelerator", "cpu", "--deterministic"]
    stopped = cli(*words, "--max-minutes", "1e-6")
    assert stopped.code == 0, stopped
    assert re.fullmatch(r"1 of 4 steps done, [\d.]+ pairs/s; no validation yet", stopped.err.splitlines()[-1])
    assert "the run to resume had other settings (seed)" in cli.fails(*words, "--resume", "--set", "seed=2")
    assert "--resume goes on with the run in it" in cli.fails(*words)
    done = cli(*words, "--resume", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_run_that_the_system_ends_can_be_resumed(cli, config: Path, tmp_path: Path) -> None:
    words = ["train", str(config), "-o", str(tmp_path / "run"), "--accelerator", "cpu", "--set", "steps_per_epoch=5000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "midground", *words, "--set", "epochs=1"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "pairs to train on" in process.stderr.readline()
    while not (tmp_path / "run" / "tensorboard").is_dir():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    found = re.fullmatch(
        r"stopped after step (\d+); --resume goes on from step \1\n"
        r"midground: Interrupted: nothing half-written remains\.\n",
        err,
    )
    assert found, err


def test_the_folder_is_named_as_the_model_if_omitted(
    cli, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("train", config, "--set", "epochs=1", "--accelerator", "cpu").code == 0
    assert (tmp_path / "runs" / "tiny" / "best.ckpt").is_file()


def test_two_processes_train_together(cli, config: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "midground", "train", str(config), "-o", str(tmp_path / "run"), "--devices", "2"]
    done = subprocess.run(
        [*words, "--accelerator", "cpu", "--debug"],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # One of both speaks.
    assert done.stderr.count("pairs to train on") == 1
    assert re.search(r"4 of 4 steps done, [\d.]+ pairs/s; best matchability 0\.", done.stderr)

    from midground.training.checkpoint import load_checkpoint

    assert load_checkpoint(tmp_path / "run" / "last.ckpt").recipe.endswith(
        "batches of 2 pairs of 64 px, 4 steps planned, seed 0; 4 steps done"
    )
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "settings.json",
        "best.ckpt",
        "last.ckpt",
        "tensorboard",
    }
    assert cli("train", config, "-o", tmp_path / "alone", "--accelerator", "cpu").code == 0
    together, alone = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("run", "alone"))
    assert together.keys() == alone.keys()
    assert together["midground"].keys() == alone["midground"].keys()
    assert {key: value.shape for key, value in together["state_dict"].items()} == {
        key: value.shape for key, value in alone["state_dict"].items()
    }


def test_networks_that_cannot_be_compiled(cli, config: Path, tmp_path: Path) -> None:
    """A process of its own: torch looks for the compiler once."""
    words = ["train", str(config), "-o", str(tmp_path / "run"), "--accelerator", "cpu", "--quiet"]
    done = subprocess.run(
        [sys.executable, "-m", "midground", *words, "--set", "compile=true"],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"CXX": "/bin/false", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "compiled")},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("midground: compile: torch.compile fails here (")
    assert line.endswith(
        "; it needs a C++ compiler, and triton on a GPU: install them, or go on with --resume and compile=false."
    )
    assert len(line) < 500
    assert cli(*words, "--resume", "--set", "compile=false").code == 0


def test_an_unknown_setting_is_named_with_the_nearest(cli, config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text() + "epoch: 4\n")
    line = cli.fails("train", config, "-o", tmp_path / "run")
    assert "tiny.yaml: unknown setting 'epoch'. Did you mean 'epochs'?" in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "criterion.n_window=3"], "unknown setting 'criterion.n_window'. Did you mean 'n_windows'?"),
        (
            ["--set", "criterion={gamma: 3}"],
            "setting 'criterion': there are several kinds, and 'criterion.name' does not say which; set it to one of "
            "correlation, grayscale, lsgan, pix2pix, reconstruction.",
        ),
        (["--set", "criterion={name: [1]}"], "setting 'criterion.name'"),
        (["--set", "network.name=compakt"], "Did you mean 'compact'?"),
        (["--set", "data.crop_px=192"], "'place_1' has 128 × 128 px, less than a crop of 192 px"),
        (
            ["--set", "card.optical_bands=[B02, B03]"],
            "card.optical_bands names 2 band(s), B02, B03, but the pairs have",
        ),
        (["--set", "batch_size=3", "--devices", "2"], "batch_size 3 cannot be dealt to 2 devices evenly"),
        (["--set", "init_from=nowhere"], "nowhere: there is no such checkpoint"),
        (["--accelerator", "tpu"], "Unknown accelerator 'tpu'"),
        (["--max-minutes", "0"], "--max-minutes must be more than 0"),
        (["--resume"], "there is no run to resume"),
    ],
)
def test_what_cannot_be_trained_is_one_line(cli, config: Path, tmp_path: Path, words: list[str], message: str) -> None:
    accelerator = [] if "--accelerator" in words else ["--accelerator", "cpu"]
    assert message in cli.fails("train", config, "-o", tmp_path / "run", *accelerator, *words)
    assert not (tmp_path / "run").exists()


def without_partner(root: Path) -> str:
    (root / "optical" / "place_3.png").unlink()
    return "place_3.tif: has no partner in 'optical'"


def of_another_size(root: Path) -> str:
    save_optical(root / "optical" / "place_3.png", np.full((3, 96, 128), 9, np.uint8))
    return "px; both must have one size."


def of_other_bands(root: Path) -> str:
    save_optical(root / "optical" / "place_3.png", np.full((1, 128, 128), 9, np.uint8))
    return "has 1 band(s), most others have 3"


def without_data(root: Path) -> str:
    for name in ("place_1", "place_12"):
        save_optical(root / "optical" / f"{name}.png", np.zeros((3, 128, 128), np.uint8))
    return "no pixel of the image holds data; exclude the pair 'place_1"


@pytest.mark.parametrize("damage", [without_partner, of_another_size, of_other_bands, without_data])
def test_pairs_that_cannot_be_used_are_one_line(
    cli, config: Path, copied: Path, tmp_path: Path, damage: Callable[[Path], str]
) -> None:
    message = damage(copied)
    config.write_text(YAML.format(pairs=copied))
    words = ["--accelerator", "cpu", "--quiet", "--set", "steps_per_epoch=10"]
    assert message in cli.fails("train", config, "-o", tmp_path / "run", *words)


def test_what_cannot_be_exported_is_one_line(cli, config: Path, simulated_pairs: Path, tmp_path: Path) -> None:
    assert "holds no checkpoint of a training run" in cli.fails("models", "export", tmp_path, "-o", tmp_path / "mine")
    assert "cannot be read as a checkpoint" in cli.fails("models", "export", config, "-o", tmp_path / "mine")
    cli("train", config, "-o", tmp_path / "run", "--accelerator", "cpu", "--set", "epochs=1")
    export = ["models", "export", tmp_path / "run", "-o"]
    assert "there is no such collection" in cli.fails(*export, tmp_path / "mine", "--pairs", tmp_path / "nowhere")
    assert "exists already" in cli.fails(*export, tmp_path / "run")
    assert "nothing is without --pairs" in cli.fails(*export, tmp_path / "mine", "--set", "windows_px=[48]")
    words = ["--pairs", simulated_pairs, "--set", "windows_px=[160]"]
    assert "Windows of 160 px do not fit" in cli.fails(*export, tmp_path / "mine", *words)
    assert not (tmp_path / "mine").exists()
