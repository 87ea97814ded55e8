"""A bundle on ONNX Runtime: images of any size, with or without data everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from midground.core.image import Image
from midground.core.processors import usable_cpus
from midground.core.progress import Progress, silent
from midground.errors import InputError, ModelError, unknown_name
from midground.modality.base import InputSpec, Modality
from midground.modality.bundle import Bundle
from midground.modality.card import GRAPH_FILES, Card
from midground.modality.padding import pad_to_stride
from midground.modality.squares import SquareNetwork
from midground.modality.windowed import LocalNetwork, Network, WindowSizes, map_scene

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_PROVIDER_SUFFIX = "ExecutionProvider"
_SILENT = 4
_INPUT_STRIDES = {"image": 1, "weight": 1, "features_in": 4, "decoded_in": 4, "stem_in": 2, "weight_out": 1}
_INPUTS = {*_INPUT_STRIDES, "context", "use_context"}
_OUTPUTS = {"stem", "features", "decoded", "shared"}


class LearnedMapper:
    """Maps with the two networks of a bundle; each is loaded when it is first needed.

    Args:
        bundle: The model.
        providers: Execution providers of ONNX Runtime, best first, for instance ``("CUDA", "CPU")``; CPU if omitted.
        threads: Threads of one run; as many as processors that this process may use if omitted.
        sizes: From which size on, and how, an image is cut into windows.

    Raises:
        ConfigError: A provider is not installed.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        providers: Sequence[str] | None = None,
        threads: int | None = None,
        sizes: WindowSizes | None = None,
    ) -> None:
        self.bundle = bundle
        self._providers = _installed(providers or ("CPU",))
        self._threads = threads or usable_cpus()
        self._sizes = sizes or WindowSizes()
        self._networks: dict[Modality, Network | LocalNetwork | SquareNetwork] = {}

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self.bundle.card.name

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """What each modality's input must hold."""
        return dict(self.bundle.card.inputs)

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance of the training data, m."""
        return self.bundle.card.gsd_m

    @property
    def sha256(self) -> str | None:
        """Digest of the bundle's files."""
        return self.bundle.sha256

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Map one unit-scaled image. Invalid pixels count as the mean of the valid ones, and are 0 in the result.

        Args:
            image: Channels between 0 and 1, as many as the bundle's bands of this modality.
            modality: Which of the two networks maps it.
            progress: Told how many windows are done.

        Raises:
            InputError: The image has another number of channels.
            ModelError: The network was altered, or does not fit its card.
        """
        card = self.bundle.card
        bands = card.inputs[modality].bands
        if image.n_channels != len(bands):
            raise InputError(
                f"The model '{card.name}' wants {len(bands)} {modality} band(s), {', '.join(bands)}; found "
                f"{image.n_channels} channel(s); of a collection, choose as many with bands_{modality}."
            )
        if not image.valid.any():
            return Image(np.zeros((card.n_channels, *image.hw), np.float32), image.valid)
        height, width = image.hw
        padded = pad_to_stride(image, card.stride_px)
        shared = map_scene(self._network(modality), padded, self._sizes, progress, f"map {modality}")
        channels = shared[0, :, :height, :width]
        return Image(np.where(image.valid, channels, np.float32(0)), image.valid)

    def _network(self, modality: Modality) -> Network | LocalNetwork | SquareNetwork:
        if modality not in self._networks:
            self._networks[modality] = _load(self.bundle, modality, self._providers, self._threads)
        return self._networks[modality]


def _load(
    bundle: Bundle, modality: Modality, providers: list[str], threads: int
) -> Network | LocalNetwork | SquareNetwork:
    """The network of one modality, in one part or in three, or for squares."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _SILENT
    # Images differ in size, so neither a pool of memory nor a remembered pattern of it pays: they double the peak.
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    where = str(bundle.folder / GRAPH_FILES[modality])
    try:
        session = ort.InferenceSession(bundle.read(modality), options, providers=providers)
    except _LOAD_ERRORS as error:
        raise ModelError(f"{where}: ONNX Runtime cannot load the network ({error}).") from error
    inputs = {item.name: item.shape for item in session.get_inputs()}
    outputs = {item.name: item.shape for item in session.get_outputs()}
    is_whole = set(inputs) == {"image"} and set(outputs) == {"shared"}
    has_parts = set(inputs) == _INPUTS and set(outputs) >= _OUTPUTS
    if not is_whole and not (has_parts and "n_means" in session.get_modelmeta().custom_metadata_map):
        raise ModelError(f"{where}: the network is not one that this version runs; convert the model again.")
    card = bundle.card
    for found, wanted, what in (
        (inputs["image"][1], len(card.inputs[modality].bands), "bands"),
        (outputs["shared"][1], card.n_channels, "channels of the shared modality"),
    ):
        if found != wanted:
            raise ModelError(f"{where}: the network has {found} {what}, the card says {wanted}.")
    if not is_whole:
        return _NetworkInParts(session, card)
    if card.halo_px % card.stride_px:
        raise ModelError(
            f"{where}: halo_px of a network in one part must be a multiple of stride_px, {card.stride_px}; the card "
            f"says {card.halo_px}."
        )
    _, _, height, width = inputs["image"]
    if isinstance(height, int) and height == width:
        if 2 * card.halo_px >= height:
            raise ModelError(
                f"{where}: halo_px must be less than half of the network's squares of {height} px; the card says "
                f"{card.halo_px}."
            )
        return _SquareNetwork(session, card, height)
    return _WholeNetwork(session, card)


class _WholeNetwork:
    """A graph in one part; see ``midground.modality.windowed.LocalNetwork``."""

    def __init__(self, session: ort.InferenceSession, card: Card) -> None:
        self._session = session
        self.n_channels, self.stride_px, self.halo_px = card.n_channels, card.stride_px, card.halo_px

    def map(self, image: np.ndarray) -> np.ndarray:
        (shared,) = self._session.run(["shared"], {"image": np.ascontiguousarray(image)})
        return np.asarray(shared)


class _SquareNetwork(_WholeNetwork):
    """A graph for squares of one size; see ``midground.modality.squares.SquareNetwork``."""

    def __init__(self, session: ort.InferenceSession, card: Card, window_px: int) -> None:
        super().__init__(session, card)
        self.window_px = window_px


class _NetworkInParts:
    """The three parts of one graph; see ``midground.modality.windowed.Network``."""

    def __init__(self, session: ort.InferenceSession, card: Card) -> None:
        self._session = session
        inputs = {item.name: item.shape for item in session.get_inputs()}
        outputs = {item.name: item.shape for item in session.get_outputs()}
        properties = session.get_modelmeta().custom_metadata_map
        self.n_channels, self.stride_px, self.halo_px = card.n_channels, card.stride_px, card.halo_px
        first, second, third = (int(count) for count in properties["n_means"].split(","))
        self.means = (
            range(first),
            range(first, first + second),
            range(first + second, first + second + third),
        )
        widths = [outputs[f"mean_{index}"][1] for part in self.means for index in part]
        self.mean_slices: list[slice] = [
            slice(int(start), int(stop)) for start, stop in pairwise(np.cumsum([0, *widths]))
        ]
        # All parts run at once, so those that are not wanted are given the least that the network takes.
        least: dict[str, tuple[int, ...]] = {
            name: (1, inputs[name][1], *(card.stride_px // _INPUT_STRIDES[name],) * 2) for name in _INPUT_STRIDES
        }
        least |= {"context": (1, sum(widths)), "use_context": (1,)}
        self._least = {name: np.zeros(shape, np.float32) for name, shape in least.items()}

    def encode(
        self, image: np.ndarray, weight: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self._run(("stem", "features"), means, context, image=image, weight=weight)

    def middle(
        self, features: np.ndarray, context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        return self._run(("decoded",), means, context, features_in=features)

    def decode(
        self, inputs: tuple[np.ndarray, np.ndarray, np.ndarray], context: np.ndarray | None, means: Sequence[int] = ()
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        decoded, stem, weight = inputs
        return self._run(("shared",), means, context, decoded_in=decoded, stem_in=stem, weight_out=weight)

    def _run(
        self, names: tuple[str, ...], means: Sequence[int], context: np.ndarray | None, **inputs: np.ndarray
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        if context is not None:
            inputs |= {"context": context, "use_context": np.ones(1, np.float32)}
        feed = self._least | {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        results = self._session.run([*names, *(f"mean_{index}" for index in means)], feed)
        return results[: len(names)], results[len(names) :]


def _installed(providers: Sequence[str]) -> list[str]:
    """Full names of execution providers, each of which must be installed."""
    known = {name.removesuffix(_PROVIDER_SUFFIX): name for name in ort.get_available_providers()}
    found = []
    for provider in providers:
        short = provider.removesuffix(_PROVIDER_SUFFIX)
        names = [name for name in known if name.lower() == short.lower()]
        if not names:
            raise unknown_name("execution provider", short, known)
        found.append(known[names[0]])
    return found
