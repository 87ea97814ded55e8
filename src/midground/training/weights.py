"""Weights on disk, and the network that they belong to."""

from __future__ import annotations

import pickle
import shlex
from collections.abc import Callable
from pathlib import Path

from midground.errors import DependencyError, ModelError
from midground.training.compact import FOLD, CompactUnet
from midground.training.networks import SharedModalityUnet, shared_modality_unet
from midground.training.translation.networks import PassThrough, Translator

try:
    import torch
    from safetensors.torch import load as load_safetensors
except ImportError as error:
    raise DependencyError("Reading weights", extra="train") from error

Network = SharedModalityUnet | CompactUnet | Translator | PassThrough
_State = dict[str, torch.Tensor]

KEY = "midground"
"""Where a checkpoint of a training run says what it is."""
_PAPER_FIRST_LAYER = "encoder._conv_stem.weight"
_COMPACT_FIRST_LAYER = "stem.enter.weight"
_N_DIMS = 4
"""Of a convolution's weight: channels out and in, height, width."""


def load_network(path: Path, *, unsafe_pickle: bool = False) -> Network:
    """Build the network that a file's weights belong to, in evaluation mode.

    Args:
        path: Safetensors, or a checkpoint of torch.
        unsafe_pickle: Whether a checkpoint may run code while it is read; only for files of people you trust.

    Raises:
        ModelError: The file cannot be read, or its weights are not those of a network of this package.
    """
    first_layer, state = _one_network(_read_state(path, unsafe_pickle=unsafe_pickle), path)
    network = _BUILDERS[first_layer](state, path)
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


def _paper_network(state: _State, path: Path) -> SharedModalityUnet:
    in_channels = _shape(state, _PAPER_FIRST_LAYER, path)[1]
    return shared_modality_unet(in_channels, _shape(state, "segmentation_head.0.weight", path)[0])


def _compact_network(state: _State, path: Path) -> CompactUnet:
    width, folded = _shape(state, _COMPACT_FIRST_LAYER, path)[:2]
    n_local, n_orientations = _shape(state, "passed.weight", path)[:2]
    n_context = _shape(state, "context.mix.weight", path)[0] if "context.mix.weight" in state else 0
    in_channels = folded // FOLD**2 - n_orientations
    if in_channels < 1 or folded % FOLD**2:
        raise ModelError(
            f"{path}: '{_COMPACT_FIRST_LAYER}' takes {folded} channels, which is not {FOLD**2} times bands and "
            f"{n_orientations} orientations."
        )
    n_levels = len({key.split(".")[1] for key in state if key.startswith("down.")})
    deeper = (_shape(state, f"down.{level}.enter.weight", path)[0] for level in range(n_levels))
    return CompactUnet(
        in_channels,
        n_local + n_context,
        widths=(width, *deeper),
        n_orientations=n_orientations,
        n_context=n_context,
    )


_BUILDERS: dict[str, Callable[[_State, Path], Network]] = {
    _PAPER_FIRST_LAYER: _paper_network,
    _COMPACT_FIRST_LAYER: _compact_network,
}
"""By the first layer, whose name tells the networks apart."""


def _shape(state: _State, key: str, path: Path) -> tuple[int, ...]:
    if key not in state:
        raise ModelError(f"{path}: the weights lack '{key}'.")
    shape = tuple(state[key].shape)
    if len(shape) != _N_DIMS or not all(shape):
        raise ModelError(f"{path}: '{key}' has shape {shape}, expected that of a convolution.")
    return shape


def _one_network(state: _State, path: Path) -> tuple[str, _State]:
    """Its first layer's name, and its weights without the prefix that a training framework put before every name.

    What else lay beside is left out.
    """
    found = [(key.removesuffix(layer), layer) for key in state for layer in _BUILDERS if key.endswith(layer)]
    if len(found) != 1:
        names = f"several networks ({', '.join(sorted(prefix for prefix, _ in found))})" if found else "none"
        layers = " or ".join(f"'{layer}'" for layer in _BUILDERS)
        raise ModelError(f"{path}: one network with {layers} is expected, found {names}.")
    ((prefix, layer),) = found
    return layer, {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _read_state(path: Path, *, unsafe_pickle: bool) -> _State:
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
        if KEY in loaded:
            raise ModelError(
                f"{path}: is a checkpoint of a training run, not the weights of one network; make a bundle of it with "
                f"'midground models export {shlex.quote(str(path))} -o BUNDLE'."
            )
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
