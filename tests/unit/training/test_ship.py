"""Checkpoints into bundles; needs torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.catalogue import open_pairs
from midground.datasets.splits import Subset
from midground.errors import InputError, ModelError, OutputError
from midground.evaluation.config import MatchabilityConfig, WarpConfig
from midground.evaluation.matchability import measure
from midground.modality.base import Modality
from midground.modality.bundle import Bundle
from midground.modality.learned import LearnedMapper
from midground.modality.windowed import WindowSizes

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("lightning", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from midground.training.checkpoint import load_checkpoint  # noqa: E402
from midground.training.convert import Conversion  # noqa: E402
from midground.training.ship import ExportConfig, export_checkpoint  # noqa: E402
from midground.training.torch_mapper import TorchMapper  # noqa: E402

pytestmark = pytest.mark.extras


@pytest.fixture(scope="module")
def shipped(trained, tmp_path_factory: pytest.TempPathFactory) -> Conversion:
    done, found = export_checkpoint(trained.folder, tmp_path_factory.mktemp("bundles") / "tiny-1")
    assert found is None
    return done


@pytest.mark.parametrize(("modality", "n_bands"), [("sar", 1), ("optical", 3)])
@pytest.mark.parametrize("hw", [(64, 96), (77, 101), (33, 200), (5, 7), (1, 1)])
@pytest.mark.parametrize("sizes", [WindowSizes(), WindowSizes(window_px=32)], ids=["whole", "windows"])
def test_the_bundle_maps_like_torch(
    trained, shipped: Conversion, modality: Modality, n_bands: int, hw: tuple[int, int], sizes: WindowSizes
) -> None:
    networks = torch.nn.ModuleDict(dict(load_checkpoint(trained.folder).networks))
    valid = np.random.default_rng(1).random(hw) > 0.1
    valid[0, 0] = True
    values = np.random.default_rng(2).random((n_bands, *hw), np.float32)
    image = Image(np.where(valid, values, np.float32(0)), valid)
    found = LearnedMapper(shipped.bundle, sizes=sizes).map(image, modality)
    wanted = TorchMapper(networks, {}).map(image, modality)
    assert found.channels.shape == (4, *hw)
    assert np.abs(found.channels - wanted.channels).max() < 1e-4
    assert np.array_equal(found.valid, valid)


def test_the_card_says_what_it_is(trained, shipped: Conversion) -> None:
    card = Bundle.load(shipped.bundle.folder).card
    checkpoint = load_checkpoint(trained.folder)
    assert (card.name, card.version, card.licence, card.n_channels) == ("tiny-1", "1", "Apache-2.0", 4)
    assert (card.stride_px, card.opset) == (4, 17)
    assert card.halo_px == checkpoint.networks["sar"].halo_px
    assert card.inputs == checkpoint.inputs
    assert card.training.data == ("places: 10 pairs",)
    assert card.training.recipe == checkpoint.recipe
    assert [(result.what, result.value) for result in card.results[:1]] == [
        ("matchability on the validation pairs of the training, 0 to 1", round(trained.score, 4))
    ]
    assert [result.what for result in card.results[1:]] == [
        f"largest difference from torch in float64, {modality}" for modality in ("sar", "optical")
    ]
    assert max(shipped.differences.values()) <= 1e-4


def test_a_bundle_is_measured_on_pairs(trained, tmp_path: Path) -> None:
    pairs = Subset(open_pairs(trained.config.data.train[0].pairs), [0, 3])
    done, found = export_checkpoint(
        trained.folder, tmp_path / "tiny", ExportConfig(pairs_name="two places"), pairs=pairs
    )
    again = measure(LearnedMapper(done.bundle), pairs)
    assert found is not None
    assert found.numbers() == again.numbers()
    results = [result for result in done.bundle.card.results if result.on.startswith("two places, 2 pairs, ")]
    assert {result.what: result.value for result in results} == {
        f"{name}, share": pytest.approx(value, abs=1e-4) for name, value in again.numbers().items()
    }
    window = "one central window searched within 40 px, found within 3 px"
    points = "a homography of the matches of up to 4096 key points of the whole images"
    assert [(result.what, result.on.removeprefix("two places, 2 pairs, ")) for result in results] == [
        ("window 96 px, share", window),
        ("window 64 px, share", window),
        ("sift ACE < 40 px, share", points),
        ("sift ACE < 3 px, share", points),
    ]
    # Networks and measured numbers alone make a bundle.
    plain, _ = export_checkpoint(trained.folder, tmp_path / "plain")
    assert plain.bundle.card.files == done.bundle.card.files


def test_a_card_says_how_it_was_measured(trained, tmp_path: Path) -> None:
    pairs = Subset(open_pairs(trained.config.data.train[0].pairs), [0])
    measured = MatchabilityConfig(
        windows_px=(32,), windows_per_side=2, search_px=8, matchers=(), window_warp=WarpConfig(shift_px=2.0)
    )
    done, _ = export_checkpoint(trained.folder, tmp_path / "tiny", ExportConfig(measured=measured), pairs=pairs)
    (result,) = [result for result in done.bundle.card.results if result.what == "window 32 px, share"]
    assert result.on == "1 pairs, 4 windows a pair searched within 8 px, found within 3 px, under known warps"


def test_windows_that_do_not_fit_are_said_and_nothing_is_written(trained, tmp_path: Path) -> None:
    pairs = Subset(open_pairs(trained.config.data.train[0].pairs), [0])
    large = ExportConfig(measured=MatchabilityConfig(windows_px=(160,)))
    with pytest.raises(InputError, match="Windows of 160 px do not fit into the pair 'place_0' of 128 × 128 px"):
        export_checkpoint(trained.folder, tmp_path / "tiny", large, pairs=pairs)
    assert not list(tmp_path.iterdir())


def test_pairs_of_another_kind_are_refused_and_nothing_is_written(trained, tmp_path: Path) -> None:
    pairs = open_pairs(replace(trained.config.data.train[0].pairs, bands_optical=(1,)))
    with pytest.raises(InputError, match=r"The model 'tiny' wants 3 optical band\(s\), B04, B03, B02; found 1"):
        export_checkpoint(trained.folder, tmp_path / "tiny", pairs=pairs)
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_not_written_over(trained, tmp_path: Path) -> None:
    first, _ = export_checkpoint(trained.folder, tmp_path / "tiny")
    pairs = Subset(open_pairs(trained.config.data.train[0].pairs), [0])
    measured: list[str] = []
    with pytest.raises(OutputError, match="exists already; replace it with --overwrite"):
        export_checkpoint(
            trained.folder, tmp_path / "tiny", pairs=pairs, progress=lambda stage, *_: measured.append(stage)
        )
    assert not measured
    second, _ = export_checkpoint(trained.folder / "last.ckpt", tmp_path / "tiny", ExportConfig(overwrite=True))
    assert second.bundle.sha256 == Bundle.load(tmp_path / "tiny").sha256
    assert (second.bundle.sha256 == first.bundle.sha256) == (
        (trained.folder / "last.ckpt").read_bytes() == (trained.folder / "best.ckpt").read_bytes()
    )


def test_a_name_that_is_none(trained, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'name' is 'Tiny!'"):
        export_checkpoint(trained.folder, tmp_path / "Tiny!")
    assert not list(tmp_path.iterdir())
