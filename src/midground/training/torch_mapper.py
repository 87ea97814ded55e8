"""The networks in training as a mapper, so that they are measured by what measures bundles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.errors import DependencyError
from midground.modality.base import InputSpec, Modality
from midground.modality.padding import pad_to_stride
from midground.modality.squares import map_squares
from midground.training.translation.networks import Translator

try:
    import torch
    from torch import nn
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class TorchMapper:
    """Maps with two networks of torch, in evaluation mode for the time of a call; follows the ``Mapper`` protocol.

    Args:
        networks: The networks by modality; each has a ``stride_px``.
        inputs: What each modality's input holds.
        name: What tables call it.
    """

    gsd_m = None
    sha256 = None

    def __init__(
        self,
        networks: nn.ModuleDict,
        inputs: Mapping[Modality, InputSpec],
        *,
        name: str = "in training",
    ) -> None:
        self.name, self._networks, self._inputs = name, networks, dict(inputs)

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """What each modality's input holds."""
        return self._inputs

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Map one unit-scaled image."""
        network = self._networks[modality]
        like = next(self._networks.parameters())
        was_training = network.training

        def run(batch: np.ndarray) -> np.ndarray:
            return np.asarray(network(torch.from_numpy(batch).to(like)).float().cpu().numpy())

        network.eval()
        try:
            with torch.inference_mode():
                batch = pad_to_stride(image, network.stride_px)
                if isinstance(network, Translator):
                    shared = map_squares(run, batch, network.window_px, network.halo_px, progress, f"map {modality}")
                else:
                    shared = run(batch)
                shared = shared[0, :, : image.hw[0], : image.hw[1]]
        finally:
            network.train(was_training)
        return Image(np.where(image.valid, shared, np.float32(0)), image.valid)
