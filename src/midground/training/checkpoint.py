"""What a checkpoint of a training run says beside its weights, and how it is read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from midground.core.radiometry import Scaling
from midground.errors import DependencyError, ModelError
from midground.modality.base import MODALITIES, InputSpec, Modality
from midground.training.build import both_networks
from midground.training.config import CardConfig, NetworkConfig, TrainConfig
from midground.training.running import BEST, LAST
from midground.training.weights import KEY, Network

try:
    import torch
except ImportError as error:
    raise DependencyError("Reading a checkpoint", extra="train") from error

_SCHEMA = "midground/checkpoint/1"
_MAX_REASON = 160


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Networks with what is known about them."""

    path: Path
    networks: Mapping[Modality, Network]
    """In evaluation mode."""
    inputs: Mapping[Modality, InputSpec]
    """Bands and radiometry."""
    card: CardConfig
    """What the settings said about the model."""
    recipe: str
    """Criterion, optimiser and length in one sentence."""
    data: tuple[str, ...]
    """Collections that were trained on, with the number of pairs."""
    score: float | None
    """Matchability on the validation pairs; None before the first validation."""


def facts(config: TrainConfig, inputs: Mapping[Modality, InputSpec], data: tuple[str, ...]) -> dict[str, Any]:
    """What goes into a checkpoint: plain values only, so that reading it can run no code."""
    return {
        "schema": _SCHEMA,
        "version": version("midground"),
        "network": dataclasses.asdict(config.network) | {"n_channels": config.n_channels},
        "crop_px": config.data.crop_px,
        "inputs": {
            modality: {"bands": list(spec.bands), "scaling": dataclasses.asdict(spec.scaling)}
            for modality, spec in inputs.items()
        },
        "card": dataclasses.asdict(config.card),
        "recipe": recipe(config),
        "data": list(data),
    }


def recipe(config: TrainConfig) -> str:
    """Criterion, optimiser and planned length in one sentence."""
    start = "" if config.init_from is None else f", started from {Path(config.init_from).name}"
    return (
        f"{config.network.name} networks, criterion {config.criterion.name}, {config.optimizer.name} "
        f"{config.optimizer.learning_rate:g} ({config.optimizer.schedule}), batches of {config.batch_size} pairs of "
        f"{config.data.crop_px} px, {config.epochs * config.steps_per_epoch} steps planned, seed {config.seed}{start}"
    )


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a run's best checkpoint, or any.

    Args:
        path: A checkpoint, or the folder of a run.

    Raises:
        ModelError: There is none, or it is not one of ``midground train``.
    """
    path = find_checkpoint(path)
    state = read_state(path)
    try:
        return _checkpoint(path, state, state[KEY])
    except KeyError as error:
        raise ModelError(f"{path}: lacks {error}, so it is no whole checkpoint of 'midground train'.") from error


def _checkpoint(path: Path, state: Mapping[str, Any], known: Mapping[str, Any]) -> Checkpoint:
    settings = dict(known["network"])
    n_channels = int(settings.pop("n_channels"))
    settings["widths"] = tuple(settings["widths"])
    network_config = NetworkConfig(**settings)
    inputs = {modality: _input_spec(known["inputs"][modality]) for modality in MODALITIES}
    # Checkpoints from before there were translators, which alone need it, do not say it.
    networks = both_networks(network_config, known["n_bands"], n_channels, crop_px=known.get("crop_px", 0))
    for modality, network in networks.items():
        try:
            network.load_state_dict(weights_of(state, modality))
        except RuntimeError as error:
            raise ModelError(f"{path}: the {modality} network's weights do not fit its settings.") from error
        network.eval()
    card: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in known["card"].items()
    }
    return Checkpoint(
        path,
        networks,
        inputs,
        dataclasses.replace(CardConfig(), **card),
        f"{known['recipe']}; {int(state['global_step'])} steps done",
        tuple(known["data"]),
        known["score"],
    )


def find_checkpoint(path: Path) -> Path:
    """A checkpoint itself, or the best one of a run's folder.

    Raises:
        ModelError: There is none.
    """
    if path.is_dir():
        for name in (BEST, LAST):
            if (path / name).is_file():
                return path / name
        raise ModelError(f"{path}: holds no checkpoint of a training run ({BEST} or {LAST}).")
    if not path.is_file():
        raise ModelError(f"{path}: there is no such checkpoint.")
    return path


def read_state(path: Path, *, schema: str = _SCHEMA, command: str = "train") -> dict[str, Any]:
    """The content of a checkpoint, read as weights only.

    Args:
        path: The checkpoint.
        schema: What it must say that it is.
        command: Command that writes such checkpoints, for messages.

    Raises:
        ModelError: It is damaged, or not one of that command.
    """
    state = _content(path)
    known = state.get(KEY) if isinstance(state, dict) else None
    if not isinstance(known, dict) or known.get("schema") != schema:
        raise ModelError(f"{path}: is not a checkpoint of this version's 'midground {command}'.")
    return state


def _content(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A damaged file makes this reader raise almost anything, and say more than one line.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:_MAX_REASON]
        raise ModelError(f"{path}: cannot be read as a checkpoint ({reason}).") from error


def step_of(path: Path) -> int:
    """Step that a checkpoint of either command was saved after.

    Raises:
        ModelError: It is damaged.
    """
    return int(_content(path)["global_step"])


def weights_of(state: Mapping[str, Any], modality: Modality) -> dict[str, torch.Tensor]:
    """State dict of one network."""
    prefix = f"networks.{modality}."
    return {key.removeprefix(prefix): value for key, value in state["state_dict"].items() if key.startswith(prefix)}


def _input_spec(known: Mapping[str, Any]) -> InputSpec:
    return InputSpec(bands=tuple(known["bands"]), scaling=Scaling(**known["scaling"]))
