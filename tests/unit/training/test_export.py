"""The graphs of compact networks: what they hold, how far they see, and ones that do not fit; needs torch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import ModelError
from midground.modality.bundle import write_bundle
from midground.modality.catalogue import DEFAULT_MODEL, find_bundle
from midground.modality.learned import LearnedMapper

torch = pytest.importorskip("torch", reason="needs the extra train")
onnx = pytest.importorskip("onnx", reason="needs the extra train")

from midground.training.compact import CompactUnet  # noqa: E402
from midground.training.convert import derived_facts  # noqa: E402
from midground.training.export import export_onnx  # noqa: E402

pytestmark = pytest.mark.extras


def seeded(in_channels: int, out_channels: int = 4, widths: tuple[int, ...] = (8, 12), **more: Any) -> CompactUnet:
    """A network whose layers all count: as they start, the deep ones hardly do."""
    torch.manual_seed(in_channels)
    network = CompactUnet(in_channels, out_channels, widths=widths, **more)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("gain"):
                parameter.fill_(1.0)
    return network.eval()


def bundled(folder: Path, networks: dict[str, CompactUnet], graphs: dict[str, bytes] | None = None) -> LearnedMapper:
    card = replace(find_bundle(DEFAULT_MODEL).card, **derived_facts(networks), name=folder.name, n_channels=4)
    graphs = graphs or {modality: export_onnx(network) for modality, network in networks.items()}
    return LearnedMapper(write_bundle(folder, card, graphs))


def test_the_same_weights_give_the_same_bytes() -> None:
    assert export_onnx(seeded(1)) == export_onnx(seeded(1))
    assert export_onnx(seeded(1)) != export_onnx(seeded(1, n_orientations=4))


def test_weights_stay_in_single_precision() -> None:
    model = onnx.load_model_from_string(export_onnx(seeded(3)))
    kinds = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) > 1}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert [(item.name, len(item.type.tensor_type.shape.dim)) for item in model.graph.input] == [("image", 4)]
    assert [item.name for item in model.graph.output] == ["shared"]


@pytest.mark.parametrize("widths", [(8, 12), (8, 12, 16), (4, 6, 8, 10)])
def test_the_margin_is_as_wide_as_a_pixel_sees_and_hardly_wider(widths: tuple[int, ...]) -> None:
    # In double precision, and without a weight below zero, what comes from far away is neither rounded off nor cut off.
    network = seeded(1, 2, widths, n_orientations=2).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    reach_px = max(reach(network, phase) for phase in range(network.stride_px))
    assert network.halo_px % network.stride_px == 0
    assert network.halo_px - network.stride_px < reach_px <= network.halo_px


def reach(network: CompactUnet, phase: int) -> int:
    """Largest distance along a row at which the result changes with a pixel."""
    stride_px = network.stride_px
    middle = network.halo_px + 2 * stride_px + phase
    hw = (4 * stride_px, 2 * (network.halo_px + 3 * stride_px))
    image = torch.rand(1, 1, *hw, generator=torch.Generator().manual_seed(0)).double()
    other = image.clone()
    other[..., hw[0] // 2, middle] += 10
    # Before the sigmoid, which would round it off.
    heads: list[torch.Tensor] = []
    hook = network.head.register_forward_hook(lambda module, inputs, output: heads.append(output))
    with torch.inference_mode():
        network(torch.cat([image, other]))
    hook.remove()
    one, changed = torch.nn.functional.pixel_shuffle(heads[0], 2)
    columns = torch.nonzero((one != changed).flatten(0, 1).any(dim=0))[:, 0]
    return int(max(middle - columns.min(), columns.max() - middle))


def test_a_graph_that_is_none_of_both_kinds(tmp_path: Path) -> None:
    networks = {"sar": seeded(1), "optical": seeded(3)}
    graphs = {modality: export_onnx(network) for modality, network in networks.items()}
    model = onnx.load_model_from_string(graphs["sar"])
    model.graph.input[0].name = "picture"
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "image":
                node.input[index] = "picture"
    graphs["sar"] = model.SerializeToString()
    mapper = bundled(tmp_path / "odd", networks, graphs)
    with pytest.raises(ModelError, match=r"sar\.onnx: the network is not one that this version runs; convert"):
        mapper.map(Image.from_array(np.zeros((1, 8, 8), np.float32)), "sar")


def test_a_card_for_another_compact_network(tmp_path: Path) -> None:
    networks = {"sar": seeded(1, 5), "optical": seeded(3, 5)}
    mapper = bundled(tmp_path / "odd", networks)
    with pytest.raises(ModelError, match="the network has 5 channels of the shared modality, the card says 4"):
        mapper.map(Image.from_array(np.zeros((1, 8, 8), np.float32)), "sar")
