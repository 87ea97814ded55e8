"""State dicts into bundles; needs torch."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ConfigError, ModelError, OutputError
from midground.modality.base import Modality
from midground.modality.bundle import Bundle
from midground.modality.catalogue import find_bundle
from midground.modality.learned import LearnedMapper
from midground.modality.windowed import WindowSizes

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")
safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra train")

from midground.training.convert import MAX_DIFFERENCE, ConvertConfig, convert, from_double  # noqa: E402
from midground.training.export import export_onnx  # noqa: E402
from midground.training.networks import SharedModalityUnet, shared_modality_unet  # noqa: E402
from midground.training.weights import Network, load_network  # noqa: E402

pytestmark = pytest.mark.extras


def seeded(in_channels: int, out_channels: int = 3) -> SharedModalityUnet:
    """A network with random weights, and statistics that are not those of a fresh normalisation."""
    torch.manual_seed(in_channels)
    network = shared_modality_unet(in_channels, out_channels)
    with torch.inference_mode():
        network.train()
        for _ in range(20):
            network(torch.rand(2, in_channels, 64, 64))
    return network.eval()


@pytest.fixture(scope="module")
def networks() -> dict[Modality, SharedModalityUnet]:
    return {"sar": seeded(1), "optical": seeded(3)}


@pytest.fixture(scope="module")
def weights(
    networks: dict[Modality, SharedModalityUnet], tmp_path_factory: pytest.TempPathFactory
) -> dict[Modality, Path]:
    folder = tmp_path_factory.mktemp("weights")
    paths: dict[Modality, Path] = {}
    for modality, network in networks.items():
        paths[modality] = folder / f"{modality}.safetensors"
        safetensors.save_file(network.state_dict(), paths[modality])
    return paths


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card as somebody writes it: without what conversion derives."""
    document: dict[str, Any] = json.loads(find_bundle("default").card.to_json())
    for key in ("schema", "name", "files", "opset", "generator", "stride_px", "halo_px", "n_channels"):
        del document[key]
    document["results"] = [
        {"what": "kept", "on": "something", "value": 1},
        {"what": "largest difference from torch in float32, sar", "on": "the model before", "value": 1},
    ]
    path = tmp_path_factory.mktemp("facts") / "card.json"
    path.write_text(json.dumps(document))
    return path


def probes() -> dict[Modality, Image]:
    rng = np.random.default_rng(2)
    return {
        modality: Image.from_array(rng.random((n, 96, 128), np.float32)) for modality, n in (("sar", 1), ("optical", 3))
    }


def test_a_bundle_computes_what_torch_computes(weights: dict[Modality, Path], facts: Path, tmp_path: Path) -> None:
    done = convert(weights, facts, tmp_path / "fresh")
    assert max(done.differences.values()) <= MAX_DIFFERENCE
    card = Bundle.load(tmp_path / "fresh").card
    assert (card.name, card.n_channels, card.stride_px, card.opset) == ("fresh", 3, 32, 17)
    assert [result.what for result in card.results] == [
        "kept",
        "largest difference from torch in float64, sar",
        "largest difference from torch in float64, optical",
    ]


def test_converting_again_gives_the_same_files(weights: dict[Modality, Path], facts: Path, tmp_path: Path) -> None:
    first = convert(weights, facts, tmp_path / "fresh", probes=probes())
    again = convert(weights, tmp_path / "fresh" / "card.json", tmp_path / "again", probes=probes())
    assert first.bundle.sha256 == again.bundle.sha256
    with pytest.raises(OutputError, match="exists already"):
        convert(weights, facts, tmp_path / "fresh", probes=probes())
    convert(weights, facts, tmp_path / "fresh", probes=probes(), config=ConvertConfig(overwrite=True))


def test_weights_of_the_paper_s_network_convert(shared_data: Path, facts: Path, tmp_path: Path) -> None:
    """Trained weights, whose values reach farther than those of a network with random ones."""
    names: tuple[Modality, ...] = ("sar", "optical")
    weights = {name: shared_data / "weights" / "bootstrap" / f"{name}.safetensors" for name in names}
    bundle = convert(weights, facts, tmp_path / "bootstrap").bundle
    networks = {name: load_network(path) for name, path in weights.items()}
    assert max(from_double(LearnedMapper(bundle), networks, probes()).values()) <= MAX_DIFFERENCE


@pytest.mark.parametrize("modality", ["sar", "optical"])
def test_a_network_in_parts_leaves_no_seams(
    weights: dict[Modality, Path], facts: Path, tmp_path: Path, modality: Modality
) -> None:
    bundle = convert(weights, facts, tmp_path / "parts", probes=probes()).bundle
    image = probes()[modality]
    whole = LearnedMapper(bundle).map(image, modality)
    cut = LearnedMapper(bundle, sizes=WindowSizes(whole_px=1, core_px=32)).map(image, modality)
    assert np.abs(cut.channels - whole.channels).max() < 2e-3


@pytest.mark.parametrize("hw", [(32, 32), (64, 224), (160, 96)])
def test_the_network_keeps_the_size(networks: dict[Modality, SharedModalityUnet], hw: tuple[int, int]) -> None:
    with torch.inference_mode():
        shared = networks["optical"](torch.rand(2, 3, *hw))
    assert shared.shape == (2, 3, *hw)
    assert 0 <= shared.min() <= shared.max() <= 1


def test_an_inverse_network_has_no_activation() -> None:
    torch.manual_seed(0)
    assert shared_modality_unet(3, 10, "none").eval()(torch.rand(1, 3, 64, 64)).min() < 0


def test_the_network_learns() -> None:
    torch.manual_seed(0)
    network = shared_modality_unet(1)
    image = torch.rand(2, 1, 64, 64)
    optimiser = torch.optim.NAdam(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(8):
        loss = ((network(image) - image) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("arguments", [(0, 3), (1, 0)])
def test_impossible_networks_are_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ConfigError):
        shared_modality_unet(*arguments)


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def test_a_checkpoint_with_a_prefix_is_read(networks: dict[Modality, SharedModalityUnet], tmp_path: Path) -> None:
    state = {f"model.sar.{key}": value for key, value in networks["sar"].state_dict().items()}
    path = saved(tmp_path / "last.ckpt", {"state_dict": state | {"loss.weight": torch.ones(1)}, "epoch": 3})
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        assert torch.equal(load_network(path)(image), networks["sar"](image))


def test_a_checkpoint_that_holds_code_needs_the_flag(
    networks: dict[Modality, SharedModalityUnet], tmp_path: Path
) -> None:
    path = saved(tmp_path / "last.ckpt", {"state_dict": networks["sar"].state_dict(), "config": Path("x")})
    with pytest.raises(ModelError, match=r"could run code while it is read.*--unsafe-pickle"):
        load_network(path)
    load_network(path, unsafe_pickle=True)


def test_a_checkpoint_of_training_is_to_be_exported(trained, facts: Path, tmp_path: Path) -> None:
    path = trained.folder / "last.ckpt"
    for options in (ConvertConfig(), ConvertConfig(unsafe_pickle=True)):
        with pytest.raises(
            ModelError, match=rf"is a checkpoint of a training run.*'midground models export {path} -o BUNDLE'\.$"
        ):
            convert({"sar": path, "optical": path}, facts, tmp_path / "fresh", config=options)
    assert not (tmp_path / "fresh").exists()


def test_half_precision_weights_become_single(networks: dict[Modality, SharedModalityUnet], tmp_path: Path) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value for key, value in networks["sar"].state_dict().items()
    }
    safetensors.save_file(state, tmp_path / "half.safetensors")
    assert {value.dtype for value in load_network(tmp_path / "half.safetensors").parameters()} == {torch.float32}


def test_other_weights_are_named(networks: dict[Modality, SharedModalityUnet], tmp_path: Path) -> None:
    state = dict(networks["sar"].state_dict())
    missing = {key: value for key, value in state.items() if key != "encoder._bn0.weight"}
    with pytest.raises(ModelError, match=r"1 missing, such as .*encoder\._bn0\.weight"):
        load_network(saved(tmp_path / "missing.pt", missing))
    with pytest.raises(ModelError, match=r"1 unknown, such as .*extra"):
        load_network(saved(tmp_path / "unknown.pt", state | {"extra": torch.ones(1)}))
    with pytest.raises(ModelError, match=r"'encoder._bn0.weight' has shape \(5,\), expected \(32,\)"):
        load_network(saved(tmp_path / "shape.pt", state | {"encoder._bn0.weight": torch.ones(5)}))
    with pytest.raises(ModelError, match="not finite"):
        load_network(saved(tmp_path / "nan.pt", state | {"encoder._bn0.weight": torch.full((32,), float("nan"))}))
    with pytest.raises(ModelError, match="found none"):
        load_network(saved(tmp_path / "none.pt", {"weight": torch.ones(1)}))
    two = {f"{name}.{key}": value for name in ("a", "b") for key, value in state.items()}
    with pytest.raises(ModelError, match=r"found several networks \(a\., b\.\)"):
        load_network(saved(tmp_path / "two.pt", two))


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pt"])
def test_files_that_hold_no_weights(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_network(tmp_path / name)
    (tmp_path / name).write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError):
        load_network(tmp_path / name)


def test_a_card_for_other_bands_is_refused(weights: dict[Modality, Path], facts: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the card lists 1 sar bands, the weights take 3"):
        convert({"sar": weights["optical"], "optical": weights["optical"]}, facts, tmp_path / "fresh")
    assert not (tmp_path / "fresh").exists()


def scaled(
    networks: dict[Modality, SharedModalityUnet], folder: Path, change: Callable[[SharedModalityUnet], object]
) -> dict[Modality, Path]:
    paths: dict[Modality, Path] = {}
    for modality, network in networks.items():
        changed = copy.deepcopy(network)
        with torch.no_grad():
            change(changed)
        paths[modality] = folder / f"{modality}.safetensors"
        safetensors.save_file(changed.state_dict(), paths[modality])
    return paths


def test_a_network_that_magnifies_rounding_is_measured_by_torch_s_own(
    networks: dict[Modality, SharedModalityUnet], facts: Path, tmp_path: Path
) -> None:
    paths = scaled(networks, tmp_path, lambda network: network.segmentation_head[0].weight.mul_(1e4))
    found = convert(paths, facts, tmp_path / "fresh", probes=probes()).differences
    assert max(found.values()) > MAX_DIFFERENCE


def test_a_graph_that_computes_something_else_is_refused(
    weights: dict[Modality, Path], facts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(network: Network) -> bytes:
        changed = copy.deepcopy(network)
        with torch.no_grad():
            next(changed.parameters()).mul_(1.5)
        return export_onnx(changed)

    monkeypatch.setattr("midground.training.convert.export_onnx", other)
    with pytest.raises(ModelError, match="differs from torch in double precision by"):
        convert(weights, facts, tmp_path / "fresh", probes=probes())
    assert not (tmp_path / "fresh").exists()


def test_names_and_results_are_those_of_the_reference_network() -> None:
    """Where segmentation-models-pytorch is installed and works: same parameters, same results."""
    try:
        import segmentation_models_pytorch as reference
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"segmentation-models-pytorch cannot be imported ({error})")
    ours = seeded(3)
    theirs = reference.Unet(
        "efficientnet-b0", encoder_weights=None, decoder_attention_type="scse", in_channels=3, classes=3
    ).eval()
    theirs.load_state_dict(ours.state_dict())
    image = torch.rand(1, 3, 96, 160)
    with torch.inference_mode():
        assert torch.abs(torch.sigmoid(theirs(image)) - ours(image)).max() < 1e-4
