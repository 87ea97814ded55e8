"""Training runs from settings to checkpoints; needs torch."""

from __future__ import annotations

import json
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.catalogue import open_pairs
from midground.datasets.splits import Subset, split_by_place
from midground.errors import ConfigError, InputError, ModelError, OutputError
from midground.evaluation.matchability import Matchability, measure
from midground.training.config import NetworkConfig, RealignConfig, TrainConfig
from midground.training.criterion_configs import CorrelationConfig, GrayscaleConfig, ReconstructionConfig

torch = pytest.importorskip("torch", reason="needs the extra train")
lightning = pytest.importorskip("lightning", reason="needs the extra train")

from midground.training import callbacks, fitting  # noqa: E402
from midground.training.build import build_networks  # noqa: E402
from midground.training.checkpoint import load_checkpoint  # noqa: E402
from midground.training.keeping import KeepLast  # noqa: E402
from midground.training.run import train  # noqa: E402
from midground.training.running import RunOptions, TrainResult  # noqa: E402
from midground.training.torch_mapper import TorchMapper  # noqa: E402

pytestmark = pytest.mark.extras

Settings = Callable[..., TrainConfig]
N_BANDS = {"sar": 1, "optical": 3}


def run(config: TrainConfig, folder: Path, lines: list[str] | None = None, **options: Any) -> TrainResult:
    report = [].append if lines is None else lines.append
    return train(config, folder, RunOptions(accelerator="cpu", **options), report=report)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def largest_difference(one: Path, other: Path) -> float:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    return max(float((first[key] - second[key]).abs().max()) for key in first)


def test_training_beats_the_untrained_network_on_places_that_it_never_saw(trained) -> None:
    config = trained.config
    pairs = open_pairs(config.data.train[0].pairs)
    _, rest = split_by_place(pairs, config.data.validation_share)
    held_out = Subset(pairs, rest)
    torch.manual_seed(config.seed)
    untrained = TorchMapper(build_networks(config, N_BANDS), {})
    before = measure(untrained, held_out, config.validation).score
    for name in ("best.ckpt", "last.ckpt"):
        networks = torch.nn.ModuleDict(dict(load_checkpoint(trained.folder / name).networks))
        after = measure(TorchMapper(networks, {}), held_out, config.validation).score
        assert after > before + 0.04, name
    assert trained.score > before + 0.06


def test_a_run_says_what_it_does(trained) -> None:
    assert trained.lines[0] == "10 pairs to train on, 4 to validate on; 1 SAR and 3 optical band(s) to 4 channels"
    steps = [line for line in trained.lines if line.startswith("epoch 3/3, step 120/120: loss ")]
    assert len(steps) == 1
    assert re.fullmatch(r".* loss [\d.]+, [\d.]+ pairs/s, 0 min left", steps[0])
    first = re.fullmatch(r"validation before training: matchability ([\d.]+) .*", trained.lines[1])
    assert first
    validations = [line for line in trained.lines if line.startswith("validation after epoch ")]
    assert len(validations) == 3
    assert validations[0].endswith("; 4 pairs), the best so far")
    assert re.fullmatch(
        r"120 of 120 steps done, [\d.]+ pairs/s; best matchability "
        rf"{trained.score:.3f} \({first[1]} before training\), {trained.folder}/best\.ckpt",
        trained.lines[-1],
    )


def test_a_run_leaves_settings_two_checkpoints_and_curves(trained) -> None:
    assert {path.name for path in trained.folder.iterdir()} == {
        "settings.json",
        "best.ckpt",
        "last.ckpt",
        "tensorboard",
    }
    assert json.loads((trained.folder / "settings.json").read_text())["network"]["widths"] == [8, 12]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(trained.folder / "tensorboard"))
    curves.Reload()
    assert {"loss", "matchability", "validation/window 24 px", "pairs_per_s"} <= set(curves.Tags()["scalars"])
    assert max(event.value for event in curves.Scalars("matchability")) == pytest.approx(trained.score)
    assert curves.Tags()["images"] == ["SAR | optical | shared SAR | shared optical"]


def test_the_same_seed_gives_the_same_weights(settings: Settings, tmp_path: Path) -> None:
    first = run(settings(), tmp_path / "one")
    run(settings(), tmp_path / "two")
    run(settings(seed=1), tmp_path / "other")
    assert first.n_steps == 4
    assert largest_difference(tmp_path / "one" / "last.ckpt", tmp_path / "two" / "last.ckpt") == 0
    assert largest_difference(tmp_path / "one" / "last.ckpt", tmp_path / "other" / "last.ckpt") > 0.01


@pytest.mark.parametrize("n_steps", [1, 3, 4, 5])
def test_a_run_that_is_stopped_and_resumed_ends_like_one_that_is_not(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_steps: int
) -> None:
    config = settings(
        epochs=2, steps_per_epoch=4, realign=RealignConfig(every_epochs=1, search_px=8, drop_peak_ratio=1.0)
    )
    run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        stopped_after(n_steps, patch)
        stopped = run(config, tmp_path / "parts", max_minutes=1e9)
    assert stopped.n_steps == n_steps
    assert torch.load(tmp_path / "parts" / "last.ckpt", weights_only=True)["global_step"] == n_steps
    lines: list[str] = []
    done = run(config, tmp_path / "parts", lines, resume=True)
    assert done.n_steps == 8
    assert sum(line.startswith("validation after") for line in lines) == (2 if n_steps < 4 else 1)
    assert largest_difference(tmp_path / "whole" / "last.ckpt", tmp_path / "parts" / "last.ckpt") < 1e-6
    assert largest_difference(tmp_path / "whole" / "best.ckpt", tmp_path / "parts" / "best.ckpt") < 1e-6


def stopped_after(n_steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the run's time be up after so many steps."""
    original = KeepLast.on_train_batch_end

    def on_train_batch_end(self: KeepLast, trainer: Any, *rest: Any) -> None:
        self._start = -np.inf if trainer.global_step == n_steps else np.inf
        original(self, trainer, *rest)

    monkeypatch.setattr(KeepLast, "on_train_batch_end", on_train_batch_end)


def test_time_that_is_up_stops_after_a_step_without_a_validation(settings: Settings, tmp_path: Path) -> None:
    done = run(settings(steps_per_epoch=50), tmp_path / "run", max_minutes=1e-6)
    assert done == TrainResult(None, tmp_path / "run" / "last.ckpt", None, 1, done.pairs_per_s)


def test_resuming_a_finished_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    first = run(settings(), tmp_path / "run")
    before = weights(tmp_path / "run" / "last.ckpt")
    again = run(settings(), tmp_path / "run", resume=True)
    assert (again.n_steps, again.score) == (4, first.score)
    after = weights(tmp_path / "run" / "last.ckpt")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_other_settings_are_not_resumed(settings: Settings, tmp_path: Path) -> None:
    run(settings(), tmp_path / "run")
    other = settings(seed=3, optimizer=replace(settings().optimizer, learning_rate=1e-3), patience=4)
    with pytest.raises(ConfigError, match=r"had other settings \(optimizer\.learning_rate, seed\): resume it with"):
        run(other, tmp_path / "run", resume=True)
    # What decides nothing may change.
    assert run(settings(patience=4), tmp_path / "run", resume=True).n_steps == 4


def test_a_folder_is_not_written_over(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"is there and not an empty folder; --resume goes on"):
        run(settings(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(OutputError, match="there is no run to resume"):
        run(settings(), tmp_path / "none", resume=True)


def test_what_cannot_be_trained_leaves_no_folder(settings: Settings, tmp_path: Path) -> None:
    for config, error, message in (
        (settings(data=replace(settings().data, crop_px=160)), InputError, "128 × 128 px, less than a crop of 160 px"),
        (settings(batch_size=3), ConfigError, "batch_size 3 cannot be dealt to 2 devices"),
        (
            settings(card=replace(settings().card, sar_bands=("VV", "VH"))),
            ConfigError,
            r"card\.sar_bands names 2 band\(s\), VV, VH, but the pairs have 1; name .*, or choose .* with bands_sar\.",
        ),
        (
            settings(data=replace(settings().data, validation_block_places=20)),
            InputError,
            "shows 14 place.* none can be held out",
        ),
    ):
        with pytest.raises(error, match=message):
            run(config, tmp_path / "run", devices=2)
        assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="torch finds no GPU here; choose cpu or auto"):
        train(settings(), tmp_path / "run", RunOptions(accelerator="gpu"), report=print)


def test_validation_pairs_with_other_bands(settings: Settings, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("place_3\n")
    two_bands = replace(settings().data.train[0].pairs, bands_optical=(1, 2), include=names)
    with pytest.raises(InputError, match=r"different numbers of optical bands, \[3, 2\]"):
        run(settings(data=replace(settings().data, validation=two_bands)), tmp_path / "run")


def test_places_of_the_validation_are_not_trained_on(settings: Settings, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("place_3\nplace_11\n")
    pairs = settings().data.train[0].pairs
    lines: list[str] = []
    config = settings(data=replace(settings().data, validation=replace(pairs, include=names)), epochs=1)
    run(config, tmp_path / "run", lines)
    assert lines[0].startswith("12 pairs to train on, 2 to validate on;")
    assert load_checkpoint(tmp_path / "run").data == ("places: 12 pairs",)
    everything = settings(data=replace(settings().data, validation=pairs))
    with pytest.raises(InputError, match=r"leaves \[0\] pairs to train on and 14 to validate on"):
        run(everything, tmp_path / "other")


@pytest.mark.parametrize(("workers", "begins"), [(0, False), (0, True), (1, True)])
def test_a_pair_without_data_is_named(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_pair: Callable[[Path], str],
    workers: int,
    begins: bool,
) -> None:
    """Before the first step or, in a collection that takes longer to read than that may take, when it comes up."""
    if begins:
        monkeypatch.setattr("midground.training.checking._MAX_S", -1.0)
    pairs, names = settings().data.train[0].pairs, tmp_path / "names.txt"
    names.write_text("place_5\n")
    root = tmp_path / "pairs"
    name = empty_pair(root)
    sources = (replace(settings().data.train[0], pairs=replace(pairs, path=root)),)
    data = replace(settings().data, train=sources, validation=replace(pairs, include=names), workers=workers)
    message = rf"^\S+{name}\.png: no pixel of the image holds data; exclude the pair '{name}'\.$"
    with pytest.raises(InputError, match=message):
        run(settings(data=data), tmp_path / "run")
    assert (tmp_path / "run").exists() == begins


def test_a_run_goes_on_without_a_pair_that_it_met(
    settings: Settings,
    simulated_pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    empty_pair: Callable[[Path], str],
) -> None:
    monkeypatch.setattr("midground.training.checking._MAX_S", -1.0)
    pairs, names, excluded = settings().data.train[0].pairs, tmp_path / "names.txt", tmp_path / "excluded.txt"
    names.write_text("place_5\n")
    root = shutil.copytree(simulated_pairs, tmp_path / "pairs")
    excluded.write_text(empty_pair(root) + "\n")

    def config(exclude: Path | None) -> TrainConfig:
        sources = (replace(settings().data.train[0], pairs=replace(pairs, path=root, exclude=exclude)),)
        data = replace(settings().data, train=sources, validation=replace(pairs, include=names))
        return settings(data=data, batch_size=1, steps_per_epoch=13)

    with pytest.raises(InputError, match="no pixel of the image holds data; exclude the pair"):
        run(config(None), tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"]
    assert 0 < saved < 13
    assert run(config(excluded), tmp_path / "run", resume=True).n_steps == 26


def test_windows_that_do_not_fit_the_pairs_are_told_before_the_first_step(settings: Settings, tmp_path: Path) -> None:
    config = settings(validation=replace(settings().validation, windows_px=(24, 160)))
    with pytest.raises(InputError, match="Windows of 160 px do not fit into the pair 'place_"):
        run(config, tmp_path / "run")
    config = settings(realign=RealignConfig(every_epochs=1, search_px=65))
    with pytest.raises(ConfigError, match=r"realign\.search_px must be at most half of a pair's side, .* found 65"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def scored(scores: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let validations find one score after the other."""

    def found(mapper: Any, pairs: Any, config: Any, **_: Any) -> Matchability:
        errors = np.where(np.arange(100) < 100 * scores.pop(0), 0.0, np.inf)
        return Matchability(config, len(pairs), {24: errors}, {})

    monkeypatch.setattr(callbacks, "measure", found)


def test_the_best_stays_while_later_epochs_are_worse(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored([0.25, 0.75, 0.5, 0.75], monkeypatch)
    done = run(settings(epochs=4), tmp_path / "run")
    best, last = (torch.load(tmp_path / "run" / name, weights_only=True) for name in ("best.ckpt", "last.ckpt"))
    assert done.score == 0.75
    assert (best["global_step"], last["global_step"]) == (4, 8)
    assert best["midground"]["score"] == 0.75
    assert not list((tmp_path / "run").glob("*.part"))


def test_patience_ends_a_run(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored([0.25, 0.75, 0.5, 0.5, 0.9], monkeypatch)
    done = run(settings(epochs=9, patience=2), tmp_path / "run")
    assert (done.n_steps, done.score) == (8, 0.75)


def test_validations_are_as_often_as_asked_for_and_at_the_end(settings: Settings, tmp_path: Path) -> None:
    lines: list[str] = []
    run(settings(epochs=5, steps_per_epoch=1, validate_every_epochs=2), tmp_path / "run", lines)
    epochs = [int(found[1]) for line in lines if (found := re.match(r"validation after epoch (\d)", line))]
    assert epochs == [2, 4, 5]


def test_a_checkpoint_is_complete_at_any_moment(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second saving."""
    original, saved = torch.save, []

    def save(content: Any, target: Any, *rest: Any, **more: Any) -> None:
        saved.append(target)
        if len(saved) > 2:
            raise OSError(28, "No space left on device")
        original(content, target, *rest, **more)

    monkeypatch.setattr(torch, "save", save)
    with pytest.raises(OSError, match="No space left"):
        run(settings(), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "last.ckpt").recipe.endswith("; 2 steps done")


@pytest.mark.parametrize(
    ("number", "times", "step", "saved"),
    [
        (signal.SIGINT, 1, 3, 3),
        (signal.SIGTERM, 1, 1, 1),
        # A second one interrupts the step, so that only what was saved before counts.
        (signal.SIGINT, 2, 3, 2),
        # The end of an epoch, and so the beginning of a validation.
        (signal.SIGINT, 1, 4, 2),
    ],
)
def test_a_run_that_is_told_to_stop_saves_its_step_and_goes_on_from_there(
    settings: Settings, tmp_path: Path, signals_after, number: int, times: int, step: int, saved: int
) -> None:
    run(settings(), tmp_path / "whole")
    lines: list[str] = []
    signals = signals_after(step, number, times=times)
    options = RunOptions(accelerator="cpu", tell_every_s=0)
    handlers = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt):
        train(settings(), tmp_path / "run", options, report=lambda line: (lines.append(line), signals(line))[0])
    assert lines[-1] == f"stopped after step {step}; --resume goes on from step {saved}"
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["global_step"] == saved
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert run(settings(), tmp_path / "run", resume=True).n_steps == 4
    for name in ("last.ckpt", "best.ckpt"):
        assert largest_difference(tmp_path / "whole" / name, tmp_path / "run" / name) < 1e-6
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    curves.Reload()
    steps = [event.step for event in curves.Scalars("pairs_per_s")]
    assert steps == sorted(set(steps))


def test_training_that_falls_apart_ends_and_leaves_what_was_before(settings: Settings, tmp_path: Path) -> None:
    rough = settings(optimizer=replace(settings().optimizer, learning_rate=1e30, clip_norm=None), epochs=5)
    with pytest.raises(ConfigError, match=r"^Training fell apart: the (loss|weights) after step \d+ are not finite"):
        run(rough, tmp_path / "run")
    for path in (tmp_path / "run").glob("*.ckpt"):
        assert all(bool(value.isfinite().all()) for value in weights(path).values())


def test_the_best_weights_are_kept_whatever_follows(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(5, "the disk went away")

    monkeypatch.setattr(callbacks, "realign", fail)
    with pytest.raises(OSError, match="the disk went away"):
        run(settings(realign=RealignConfig(every_epochs=1, search_px=8)), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / "best.ckpt").recipe.endswith("; 2 steps done")


def test_shifts_stay_where_no_pair_would_be_left(settings: Settings, tmp_path: Path) -> None:
    lines: list[str] = []
    strict = RealignConfig(every_epochs=1, search_px=8, min_peak_ratio=1e9, drop_peak_ratio=1e9)
    done = run(settings(realign=strict), tmp_path / "run", lines)
    assert done.n_steps == 4
    assert "none of the 10 pairs would be left, so their shifts stay as they were" in lines


def test_weights_are_not_started_from_again(trained, settings: Settings, tmp_path: Path) -> None:
    before = shutil.copy(trained.folder / "best.ckpt", tmp_path / "before.ckpt")
    config = settings(init_from=str(before))
    assert run(config, tmp_path / "run", max_minutes=1e-6).n_steps == 1
    before.unlink()
    assert run(config, tmp_path / "run", resume=True).n_steps == 4


def test_a_damaged_checkpoint_is_not_resumed_from(settings: Settings, tmp_path: Path) -> None:
    run(settings(epochs=1), tmp_path / "run")
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(ModelError, match=r"last\.ckpt: cannot be read as a checkpoint"):
        run(settings(epochs=1), tmp_path / "run", resume=True)


def test_a_processor_without_bfloat16_trains_in_single_precision(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings(epochs=1), tmp_path / "single")
    monkeypatch.setattr(fitting, "has_bfloat16", lambda: False)
    lines: list[str] = []
    run(settings(epochs=1, precision="bf16-mixed"), tmp_path / "run", lines)
    assert "this processor has no bfloat16 arithmetic and would be slower with it: single precision it is" in lines
    assert largest_difference(tmp_path / "single" / "last.ckpt", tmp_path / "run" / "last.ckpt") == 0


def test_a_run_starts_from_another(trained, settings: Settings, tmp_path: Path) -> None:
    frozen = replace(settings().optimizer, learning_rate=1e-12)
    run(settings(init_from=str(trained.folder), optimizer=frozen, epochs=1), tmp_path / "run")
    start, found = load_checkpoint(trained.folder).networks, load_checkpoint(tmp_path / "run").networks
    for modality in ("sar", "optical"):
        for one, other in zip(start[modality].parameters(), found[modality].parameters(), strict=True):
            assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("change", [{"n_channels": 3}, {"network": NetworkConfig(name="compact", widths=(8, 16))}])
def test_a_run_does_not_start_from_another_shape(
    trained, settings: Settings, tmp_path: Path, change: dict[str, Any]
) -> None:
    config = settings(init_from=str(trained.folder / "last.ckpt"), **change)
    with pytest.raises(
        ConfigError,
        match=r"init_from: .*last\.ckpt: its sar network has other channels or widths .*; give n_channels and network",
    ):
        run(config, tmp_path / "run")


def test_a_run_does_not_start_from_other_bands(trained, settings: Settings, tmp_path: Path) -> None:
    source = settings().data.train[0]
    two_bands = replace(source, pairs=replace(source.pairs, bands_optical=(1, 2)))
    config = settings(init_from=str(trained.folder), data=replace(settings().data, train=(two_bands,)))
    with pytest.raises(
        ConfigError,
        match=r"best\.ckpt: its optical network takes 3 band\(s\), the pairs have 2; choose .* with bands_optical\.",
    ):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("criterion", "images"),
    [(ReconstructionConfig(), "reconstructed SAR | reconstructed optical"), (GrayscaleConfig(), "grey reference")],
    ids=["reconstruction", "grayscale"],
)
def test_the_papers_network_and_criteria_train(
    settings: Settings, tmp_path: Path, criterion: ReconstructionConfig | GrayscaleConfig, images: str
) -> None:
    config = settings(network=NetworkConfig(), n_channels=3, criterion=criterion, epochs=1, batch_size=2)
    done = run(config, tmp_path / "run")
    assert done.n_steps == 2
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    curves.Reload()
    (panel,) = curves.Tags()["images"]
    assert panel == f"SAR | optical | shared SAR | shared optical | {images}"
    (image,) = curves.Images(panel)
    assert (image.width, image.height) == (64 * (panel.count("|") + 1), 2 * 64)


def test_windows_that_do_not_fit_a_crop(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"±12 px in frames shifted by up to 32 px need a data\.crop_px of 136 px"):
        settings(criterion=CorrelationConfig(window_px=(48, 96), search_px=12))


def test_channels_that_match_alone_are_fewer_than_all(settings: Settings) -> None:
    with pytest.raises(ConfigError, match=r"n_local must be less than the 4 channels \(n_channels\), found 4"):
        settings(criterion=CorrelationConfig(window_px=(32, 48), search_px=8, frame_shift_px=0, n_local=4))


def test_a_mapper_in_training_maps_like_the_network_and_leaves_it_in_training(settings: Settings) -> None:
    networks = build_networks(settings(), N_BANDS).train()
    values = np.random.default_rng(0).random((3, 30, 41), np.float32)
    valid = np.ones((30, 41), bool)
    valid[5:9] = False
    mapped = TorchMapper(networks, {}).map(Image(values, valid), "optical")
    assert mapped.channels.shape == (4, 30, 41)
    assert not mapped.channels[:, ~valid].any()
    assert networks["optical"].training
    whole = TorchMapper(networks, {}).map(Image.from_array(values[:, :, :40][:, :28]), "optical")
    with torch.inference_mode():
        direct = networks["optical"](torch.from_numpy(values[None, :, :28, :40].copy()))[0].numpy()
    assert np.abs(whole.channels - direct).max() < 1e-6


def test_numbers_next_to_zero_are_what_they_were_once_a_run_has_ended(trained) -> None:
    assert trained.score > 0
    assert np.float32(1e-40) * np.float32(0.5) > 0
    assert float(torch.tensor(1e-40) * 0.5) > 0
