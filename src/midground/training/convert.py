"""Networks into a model bundle, and the proof that the bundle computes what torch computes."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from midground.core.image import Image
from midground.core.radiometry import Scaling, scene_limits, to_log_scale, to_unit
from midground.errors import DependencyError, ModelError
from midground.modality.base import MODALITIES, Mapper, Modality
from midground.modality.bundle import Bundle, require_free, write_bundle
from midground.modality.card import GRAPH_FILES, SCHEMA, Card, Measurement, card_from_json
from midground.modality.learned import LearnedMapper
from midground.simulate.config import SceneConfig
from midground.simulate.render import render_pair
from midground.training.compact import CompactUnet
from midground.training.export import OPSET, export_onnx
from midground.training.torch_mapper import TorchMapper
from midground.training.weights import Network, load_network

try:
    import torch
except ImportError as error:
    raise DependencyError("Converting a model", extra="train") from error

MAX_DIFFERENCE = 1e-4
"""Largest difference between a bundle, in single precision, and torch in double; results lie between 0 and 1.

A network that magnifies rounding may differ by more: by four times what torch in single precision differs by."""
_MAX_MAGNIFIED = 4

_PROBE_PX = 512
_DIFFERENCE = "largest difference from torch"


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion made."""

    bundle: Bundle
    """The new bundle."""
    differences: Mapping[Modality, float]
    """Largest difference between the bundle's result and torch's on the probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig:
    """How checkpoints are read and the bundle is written."""

    unsafe_pickle: bool = False
    """Whether a checkpoint may run code while it is read; only for files of people you trust."""
    overwrite: bool = False
    """Whether a bundle that exists is replaced."""


def convert(
    weights: Mapping[Modality, Path],
    facts: Path,
    folder: Path,
    *,
    config: ConvertConfig = ConvertConfig(),
    probes: Mapping[Modality, Image] | None = None,
) -> Conversion:
    """Turn the weights of both networks into a bundle.

    Args:
        weights: Per modality a state dict as safetensors, or a checkpoint of torch (``.pt``, ``.pth``, ``.ckpt``).
        facts: A card: an existing bundle's, or a new one. What conversion derives may be left out: ``schema``,
            ``files``, ``opset``, ``generator``, ``stride_px``, ``halo_px``, ``n_channels``.
        folder: The bundle to write; its name becomes the model's.
        config: How to read and write.
        probes: Unit-scaled images on which bundle and torch are compared; a simulated scene if omitted.

    Raises:
        ModelError: Weights or card do not fit, or the bundle's results differ too much from those of torch.
        OutputError: The bundle cannot be written.
    """
    require_free(folder, overwrite=config.overwrite)
    networks = {
        modality: load_network(weights[modality], unsafe_pickle=config.unsafe_pickle) for modality in MODALITIES
    }
    card = _card(facts, folder.name, networks)
    return export_bundle(networks, card, folder, overwrite=config.overwrite, probes=probes)


def export_bundle(
    networks: Mapping[Modality, Network],
    card: Card,
    folder: Path,
    *,
    overwrite: bool = False,
    probes: Mapping[Modality, Image] | None = None,
) -> Conversion:
    """Write networks as a bundle, once its results were compared with those of torch.

    Args:
        networks: The networks, in evaluation mode.
        card: What the bundle says; the measured differences are added to its results.
        folder: The bundle.
        overwrite: Whether a bundle that exists is replaced.
        probes: Unit-scaled images on which bundle and torch are compared; a simulated scene if omitted.

    Raises:
        ModelError: The bundle's results differ too much from those of torch.
        OutputError: The bundle cannot be written.
    """
    graphs = {modality: export_onnx(networks[modality]) for modality in MODALITIES}
    compared_on = probes or simulated_probes(card)
    with tempfile.TemporaryDirectory() as scratch:
        draft = LearnedMapper(write_bundle(Path(scratch) / card.name, card, graphs))
        differences = from_double(draft, networks, compared_on)
    too_far = {modality: found for modality, found in differences.items() if not found <= MAX_DIFFERENCE}
    if too_far:
        in_single = from_double(TorchMapper(torch.nn.ModuleDict(networks), card.inputs), networks, compared_on)
        for modality, found in too_far.items():
            if not found <= _MAX_MAGNIFIED * in_single[modality]:
                raise ModelError(
                    f"{folder}: the exported {modality} network differs from torch in double precision by {found:.2g}, "
                    f"and torch in single precision by {in_single[modality]:.2g}; {MAX_DIFFERENCE:g}, or "
                    f"{_MAX_MAGNIFIED} times the latter, is the limit."
                )
    kept = [result for result in card.results if not result.what.startswith(_DIFFERENCE)]
    on = "images given to the conversion" if probes else f"a simulated scene of {_PROBE_PX} px"
    measured = [
        Measurement(what=f"{_DIFFERENCE} in float64, {modality}", on=on, value=float(f"{difference:.1e}"))
        for modality, difference in differences.items()
    ]
    card = replace(card, results=(*kept, *measured))
    return Conversion(write_bundle(folder, card, graphs, overwrite=overwrite), differences)


def from_double(
    mapper: Mapper, networks: Mapping[Modality, Network], probes: Mapping[Modality, Image]
) -> dict[Modality, float]:
    """Largest absolute difference between what a mapper makes and what torch does in double precision.

    Args:
        mapper: A bundle, or the networks themselves.
        networks: The networks that it was made from, in evaluation mode.
        probes: Unit-scaled images; sides are multiples of the stride.
    """
    exact = TorchMapper(copy.deepcopy(torch.nn.ModuleDict(networks)).double(), mapper.inputs)
    return {
        modality: float(
            np.abs(mapper.map(probe, modality).channels - exact.map(probe, modality).channels)[:, probe.valid].max()
        )
        for modality, probe in probes.items()
    }


def simulated_probes(card: Card) -> dict[Modality, Image]:
    """A simulated scene, scaled as the card says; bands repeat where the model wants more than are simulated."""
    pair = render_pair(SceneConfig(seed=1, size_px=_PROBE_PX))
    probes: dict[Modality, Image] = {}
    raw: dict[Modality, Image] = {"sar": to_log_scale(pair.sar, "power"), "optical": pair.optical}
    for modality, image in raw.items():
        unit = to_unit(image, scene_limits(image, Scaling()))
        order = np.arange(len(card.inputs[modality].bands)) % unit.n_channels
        probes[modality] = Image(unit.channels[order], unit.valid)
    return probes


def derived_facts(networks: Mapping[Modality, Network]) -> dict[str, Any]:
    """What a card says of its networks that follows from them."""
    # Strides are powers of two, so the largest suits both networks.
    stride_px = max(network.stride_px for network in networks.values())
    return {
        "opset": OPSET,
        "stride_px": stride_px,
        "halo_px": max(_halo_px(network, stride_px) for network in networks.values()),
        "generator": f"midground {version('midground')}, torch {torch.__version__}",
    }


def _halo_px(network: Network, stride_px: int) -> int:
    if isinstance(network, CompactUnet):
        return -(-network.halo_px // stride_px) * stride_px
    return network.halo_px


def _card(facts: Path, name: str, networks: Mapping[Modality, Network]) -> Card:
    try:
        document = json.loads(facts.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{facts}: the card cannot be read ({error}).") from error
    if not isinstance(document, dict):
        raise ModelError(f"{facts}: a card is a JSON object, found {type(document).__name__}.")
    n_channels = {modality: network.out_channels for modality, network in networks.items()}
    if len(set(n_channels.values())) != 1:
        raise ModelError(f"The two networks give different numbers of channels: {n_channels}.")
    derived = derived_facts(networks) | {
        "schema": SCHEMA,
        "name": name,
        "n_channels": next(iter(n_channels.values())),
        "files": dict.fromkeys(GRAPH_FILES.values(), "0" * 64),
    }
    card = card_from_json(json.dumps(document | derived), str(facts))
    for modality, network in networks.items():
        bands = card.inputs[modality].bands
        if network.in_channels != len(bands):
            raise ModelError(
                f"{facts}: the card lists {len(bands)} {modality} bands, the weights take {network.in_channels}."
            )
    return card
