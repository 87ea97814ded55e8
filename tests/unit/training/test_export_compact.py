"""Compact networks as bundles, from weights on disk to windows of a scene; needs torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ModelError
from midground.modality.base import MODALITIES, Modality
from midground.modality.bundle import Bundle, write_bundle
from midground.modality.catalogue import DEFAULT_MODEL, find_bundle
from midground.modality.learned import LearnedMapper
from midground.modality.padding import pad_to_stride
from midground.modality.windowed import WindowSizes

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")
safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra train")

import onnxruntime as ort  # noqa: E402

from midground.training.compact import CompactUnet  # noqa: E402
from midground.training.convert import convert, derived_facts, export_bundle  # noqa: E402
from midground.training.export import export_onnx  # noqa: E402
from midground.training.gradients import OrientedGradients  # noqa: E402
from midground.training.weights import load_network  # noqa: E402

pytestmark = pytest.mark.extras

N_BANDS: dict[Modality, int] = {"sar": 1, "optical": 3}
BOTH = pytest.mark.parametrize("modality", MODALITIES)
SHALLOW, DEEP = (8, 12), (8, 12, 16)
"""Strides 4 and 8, halos 40 and 80."""


def busy(in_channels: int, out_channels: int = 4, widths: tuple[int, ...] = SHALLOW) -> CompactUnet:
    """A network whose layers have more say than before training."""
    torch.manual_seed(in_channels)
    network = CompactUnet(in_channels, out_channels, widths=widths).eval()
    with torch.no_grad():
        network.head.weight.mul_(10)
        for name, parameter in network.named_parameters():
            if name.endswith("gain"):
                parameter.uniform_(0.3, 1)
            if name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def noise(hw: tuple[int, int], n_bands: int) -> Image:
    return Image.from_array(np.random.default_rng(sum(hw)).random((n_bands, *hw), np.float32))


def by_torch(network: CompactUnet, image: Image, stride_px: int | None = None) -> np.ndarray:
    height, width = image.hw
    with torch.inference_mode():
        padded = torch.from_numpy(pad_to_stride(image, stride_px or network.stride_px))
        return network(padded)[0, :, :height, :width].numpy()


@pytest.fixture(scope="module")
def networks() -> dict[Modality, CompactUnet]:
    return {modality: busy(n_bands) for modality, n_bands in N_BANDS.items()}


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A card without what conversion derives, which makes it wrong for any other network."""
    document = json.loads(find_bundle(DEFAULT_MODEL).card.to_json())
    for key in ("schema", "name", "files", "opset", "generator", "stride_px", "halo_px", "n_channels"):
        del document[key]
    document["results"] = []
    path = tmp_path_factory.mktemp("facts") / "card.json"
    path.write_text(json.dumps(document))
    return path


def saved(networks: dict[Modality, CompactUnet], folder: Path) -> dict[Modality, Path]:
    paths: dict[Modality, Path] = {}
    for modality, network in networks.items():
        paths[modality] = folder / f"{modality}.safetensors"
        safetensors.save_file(network.state_dict(), paths[modality])
    return paths


@pytest.fixture(scope="module")
def bundle(networks: dict[Modality, CompactUnet], facts: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundles")
    return convert(saved(networks, folder), facts, folder / "compact").bundle


def test_the_card_says_what_follows_from_the_networks(bundle: Bundle) -> None:
    card = Bundle.load(bundle.folder).card
    assert (card.name, card.n_channels, card.stride_px, card.halo_px, card.opset) == ("compact", 4, 4, 40, 17)
    assert [result.what for result in card.results] == [
        "largest difference from torch in float64, sar",
        "largest difference from torch in float64, optical",
    ]
    assert 0 <= max(result.value for result in card.results) <= 1e-4


@BOTH
@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 64, 32), (2, 20, 140)])
def test_a_graph_takes_batches_of_any_size(
    networks: dict[Modality, CompactUnet], modality: Modality, shape: tuple[int, int, int]
) -> None:
    session = ort.InferenceSession(export_onnx(networks[modality]), providers=["CPUExecutionProvider"])
    n, height, width = shape
    batch = np.random.default_rng(1).random((n, N_BANDS[modality], height, width), np.float32)
    (found,) = session.run(None, {"image": batch})
    with torch.inference_mode():
        wanted = networks[modality](torch.from_numpy(batch)).numpy()
    assert found.shape == (n, 4, height, width)
    assert np.abs(found - wanted).max() <= 1e-5


@BOTH
@pytest.mark.parametrize("hw", [(128, 160), (77, 101), (5, 7), (1, 1)])
def test_a_bundle_maps_like_torch(
    bundle: Bundle, networks: dict[Modality, CompactUnet], modality: Modality, hw: tuple[int, int]
) -> None:
    image = noise(hw, N_BANDS[modality])
    shared = LearnedMapper(bundle).map(image, modality)
    assert shared.channels.shape == (4, *hw)
    assert np.abs(shared.channels - by_torch(networks[modality], image)).max() <= 1e-5


def test_the_layers_matter_in_these_tests(networks: dict[Modality, CompactUnet]) -> None:
    image = noise((128, 160), 1)
    shared = by_torch(networks["sar"], image)
    with torch.inference_mode():
        gradients = OrientedGradients(8)(torch.from_numpy(image.channels)[None])[0].numpy()
    assert shared.std(axis=(1, 2)).min() > 0.02
    assert max(abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for one in shared for other in gradients) < 0.95


@BOTH
@pytest.mark.parametrize("hw", [(240, 180), (97, 203)])
def test_windows_give_what_the_whole_scene_gives(bundle: Bundle, modality: Modality, hw: tuple[int, int]) -> None:
    image = noise(hw, N_BANDS[modality])
    steps: list[tuple[str, int, int]] = []
    cut = LearnedMapper(bundle, sizes=WindowSizes(window_px=128))
    shared = cut.map(image, modality, progress=lambda *step: steps.append(step))
    assert steps[-1][2] == -(-hw[0] // 48) * -(-hw[1] // 48)
    # Everywhere, so at the windows' and at the scene's borders too.
    assert np.abs(shared.channels - LearnedMapper(bundle).map(image, modality).channels).max() < 1e-5


def test_a_margin_that_is_too_narrow_is_noticed_by_such_a_comparison(bundle: Bundle, tmp_path: Path) -> None:
    graphs = {modality: bundle.read(modality) for modality in MODALITIES}
    narrow = write_bundle(tmp_path / "narrow", replace(bundle.card, halo_px=4), graphs)
    image = noise((240, 180), 1)
    cut = LearnedMapper(narrow, sizes=WindowSizes(window_px=128)).map(image, "sar")
    assert np.abs(cut.channels - LearnedMapper(bundle).map(image, "sar").channels).max() > 1e-3


def test_networks_of_different_depth_share_a_stride_and_a_halo(facts: Path, tmp_path: Path) -> None:
    uneven = {"sar": busy(1, widths=SHALLOW), "optical": busy(3, widths=DEEP)}
    bundle = convert(saved(uneven, tmp_path), facts, tmp_path / "uneven").bundle
    assert (bundle.card.stride_px, bundle.card.halo_px) == (8, 80)
    for modality, network in uneven.items():
        image = noise((203, 330), N_BANDS[modality])
        cut = LearnedMapper(bundle, sizes=WindowSizes(window_px=192)).map(image, modality)
        assert np.abs(cut.channels - by_torch(network, image, 8)).max() < 1e-5


def test_a_halo_that_the_stride_does_not_divide_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    graphs = {modality: bundle.read(modality) for modality in MODALITIES}
    odd = write_bundle(tmp_path / "odd", replace(bundle.card, halo_px=42), graphs)
    with pytest.raises(ModelError, match="must be a multiple of stride_px, 4; the card says 42"):
        LearnedMapper(odd).map(noise((32, 32), 1), "sar")


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "settings"),
    [
        (1, 8, {"widths": (6, 8), "n_orientations": 8}),
        (10, 3, {"widths": (4, 6, 8, 10), "n_orientations": 5}),
        (2, 2, {"widths": (4,), "n_orientations": 1}),
        (3, 7, {"widths": (4, 6), "n_orientations": 4, "n_context": 3}),
    ],
)
def test_weights_tell_their_network(
    in_channels: int, out_channels: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = CompactUnet(in_channels, out_channels, **settings).eval()
    state = {f"networks.sar.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "last.ckpt")
    found = load_network(tmp_path / "last.ckpt")
    assert isinstance(found, CompactUnet)
    assert {name: getattr(found, name) for name in settings} == settings
    assert not found.training
    image = torch.rand(1, in_channels, 32, 48)
    with torch.inference_mode():
        assert torch.equal(found(image), network(image))


def test_the_context_is_exported_and_windows_have_no_seams(tmp_path: Path) -> None:
    torch.manual_seed(1)
    networks = {modality: CompactUnet(n, 7, widths=SHALLOW, n_context=3).eval() for modality, n in N_BANDS.items()}
    card = replace(find_bundle(DEFAULT_MODEL).card, **derived_facts(networks), name="context", n_channels=7)
    bundle = export_bundle(networks, card, tmp_path / "context").bundle
    image = noise((300, 220), 1)
    whole = LearnedMapper(bundle).map(image, "sar")
    with torch.inference_mode():
        expected = networks["sar"](torch.from_numpy(image.channels)[None])[0].numpy()
    np.testing.assert_allclose(whole.channels, expected, atol=1e-4)
    cut = LearnedMapper(bundle, sizes=WindowSizes(whole_px=1, core_px=64)).map(image, "sar")
    np.testing.assert_allclose(cut.channels, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("passed.weight"), r"the weights lack 'passed\.weight'"),
        (lambda state: state.pop("down.0.enter.weight"), r"the weights lack 'down\.0\.enter\.weight'"),
        (lambda state: state.pop("up.0.gain"), r"1 missing, such as \['up\.0\.gain'\]"),
        (
            lambda state: state.update({"stem.enter.weight": torch.ones(8, 30, 3, 3)}),
            "30 channels, which is not 4 times",
        ),
        (
            lambda state: state.update({"stem.enter.weight": torch.ones(8, 32, 3, 3)}),
            "32 channels, which is not 4 times",
        ),
        (lambda state: state.update({"stem.enter.weight": torch.ones(8)}), r"shape \(8,\), expected that of a conv"),
        (
            lambda state: state.update({"head.weight": torch.ones(3)}),
            r"'head\.weight' has shape \(3,\), expected \(16, 8",
        ),
        (lambda state: state.update({"a.stem.enter.weight": torch.ones(1)}), r"several networks \(, a\.\)"),
    ],
)
def test_other_weights_are_named(
    change: Callable[[dict[str, object]], object], message: str, networks: dict[Modality, CompactUnet], tmp_path: Path
) -> None:
    state = dict(networks["sar"].state_dict())
    change(state)
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(ModelError, match=message):
        load_network(tmp_path / "weights.pt")
