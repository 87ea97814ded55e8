"""State dicts into a model bundle, and the proof that the bundle computes what torch computes."""

from __future__ import annotations

import json
import pickle
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
from midground.modality.base import MODALITIES, Modality
from midground.modality.bundle import Bundle, write_bundle
from midground.modality.card import GRAPH_FILES, SCHEMA, Card, Measurement, card_from_json
from midground.modality.learned import LearnedMapper
from midground.simulate.config import SceneConfig
from midground.simulate.render import render_pair
from midground.training.compact import CompactUnet
from midground.training.export import OPSET, export_onnx
from midground.training.networks import SharedModalityUnet, shared_modality_unet

try:
    import torch
    from safetensors.torch import load as load_safetensors
except ImportError as error:
    raise DependencyError("Converting a model", extra="train") from error

MAX_DIFFERENCE = 2e-3
"""Largest difference between bundle and torch for weights stored as float16; results lie between 0 and 1."""
MAX_DIFFERENCE_SINGLE = 1e-4
"""The same for weights stored as float32."""

Network = SharedModalityUnet | CompactUnet

_FIRST_LAYER = "encoder._conv_stem.weight"
_LAST_LAYER = "segmentation_head.0.weight"
_PROBE_PX = 512
_WHAT_DIFFERENCE = "largest difference from torch in float32, {}"


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
        ModelError: Weights or card do not fit, or the bundle differs from torch by more than ``MAX_DIFFERENCE``.
        OutputError: The bundle cannot be written.
    """
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
    with tempfile.TemporaryDirectory() as scratch:
        draft = write_bundle(Path(scratch) / card.name, card, graphs)
        differences = compare(draft, networks, probes or simulated_probes(card))
    kept = [result for result in card.results if result.what not in map(_WHAT_DIFFERENCE.format, MODALITIES)]
    on = "images given to the conversion" if probes else f"a simulated scene of {_PROBE_PX} px"
    measured = [
        Measurement(what=_WHAT_DIFFERENCE.format(modality), on=on, value=float(f"{difference:.1e}"))
        for modality, difference in differences.items()
    ]
    for modality, difference in differences.items():
        is_single = isinstance(networks[modality], CompactUnet)
        limit = MAX_DIFFERENCE_SINGLE if is_single else MAX_DIFFERENCE
        if not difference <= limit:
            reason = "" if is_single else ": its weights do not bear float16"
            raise ModelError(
                f"{folder}: the exported {modality} network differs from torch by {difference:.2g}, more than "
                f"{limit:g}{reason}."
            )
    card = replace(card, results=(*kept, *measured))
    return Conversion(write_bundle(folder, card, graphs, overwrite=overwrite), differences)


def compare(
    bundle: Bundle, networks: Mapping[Modality, Network], probes: Mapping[Modality, Image]
) -> dict[Modality, float]:
    """Largest absolute difference between a bundle and the torch networks it was made from.

    Args:
        bundle: The bundle.
        networks: The networks, in evaluation mode.
        probes: Unit-scaled images; sides are multiples of the stride.
    """
    mapper = LearnedMapper(bundle)
    differences: dict[Modality, float] = {}
    for modality, probe in probes.items():
        with torch.inference_mode():
            wanted = networks[modality](torch.from_numpy(probe.channels)[None])[0].numpy()
        found = mapper.map(probe, modality).channels
        differences[modality] = float(np.abs(found - wanted)[:, probe.valid].max())
    return differences


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


def load_network(path: Path, *, unsafe_pickle: bool = False) -> SharedModalityUnet:
    """Build the network that a file's weights belong to, in evaluation mode.

    Args:
        path: Safetensors, or a checkpoint of torch.
        unsafe_pickle: See :class:`ConvertConfig`.

    Raises:
        ModelError: The file cannot be read, or its weights are not those of this network.
    """
    state = _stripped(_read_state(path, unsafe_pickle=unsafe_pickle), path)
    first, last = state[_FIRST_LAYER], state.get(_LAST_LAYER)
    if last is None:
        raise ModelError(f"{path}: the weights lack '{_LAST_LAYER}'.")
    network = shared_modality_unet(int(first.shape[1]), int(last.shape[0]))
    wanted = network.state_dict()
    missing, unknown = sorted(set(wanted) - set(state)), sorted(set(state) - set(wanted))
    if missing or unknown:
        raise ModelError(
            f"{path}: not the weights of this network: {len(missing)} missing, such as {missing[:2]}, and "
            f"{len(unknown)} unknown, such as {unknown[:2]}."
        )
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise ModelError(f"{path}: '{key}' has shape {tuple(value.shape)}, expected {tuple(wanted[key].shape)}.")
        if not bool(torch.isfinite(value).all()):
            raise ModelError(f"{path}: '{key}' holds values that are not finite.")
    network.load_state_dict({key: value.to(wanted[key].dtype) for key, value in state.items()})
    network.eval()
    return network


def _read_state(path: Path, *, unsafe_pickle: bool) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return dict(load_safetensors(path.read_bytes()))
        loaded = _unpickle(path, unsafe_pickle=unsafe_pickle)
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({error.strerror}).") from error
    except Exception as error:
        # A damaged file makes these readers raise almost anything.
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"{path}: not a file of weights ({error}).") from error
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise ModelError(f"{path}: holds no state dict; found {type(loaded).__name__}.")
    return loaded


def _unpickle(path: Path, *, unsafe_pickle: bool) -> object:
    if unsafe_pickle:
        return torch.load(path, map_location="cpu", weights_only=False)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path}: the checkpoint holds more than weights and could run code while it is read. Only if you trust "
            "its author: convert with --unsafe-pickle."
        ) from error


def _stripped(state: dict[str, torch.Tensor], path: Path) -> dict[str, torch.Tensor]:
    """Without the prefix that a training framework put before every name, and without what else lay beside."""
    prefixes = [key.removesuffix(_FIRST_LAYER) for key in state if key.endswith(_FIRST_LAYER)]
    if len(prefixes) != 1:
        found = f"several networks ({', '.join(sorted(prefixes))})" if prefixes else "none"
        raise ModelError(f"{path}: one network with '{_FIRST_LAYER}' is expected, found {found}.")
    return {key.removeprefix(prefixes[0]): value for key, value in state.items() if key.startswith(prefixes[0])}


def derived_facts(networks: Mapping[Modality, Network]) -> dict[str, Any]:
    """What a card says of its networks that follows from them."""
    network = networks["optical"]
    return {
        "opset": OPSET,
        "stride_px": network.stride_px,
        "halo_px": network.halo_px,
        "generator": f"midground {version('midground')}, torch {torch.__version__}",
    }


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
