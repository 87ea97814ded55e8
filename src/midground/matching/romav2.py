"""RoMa v2 (Edstedt et al. 2025), trained on photographs: the package ``romav2`` with weights that the user provides.

The package takes its weights and the code of its backbone, DINOv3, from torch.hub's folder. That code is run: give a
folder that you trust.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from midground.errors import DependencyError, ModelError
from midground.matching.configs import Romav2Config
from midground.matching.dense import DenseMatcher

try:
    import torch
    from romav2 import RoMaV2
    from romav2.device import device
    from romav2.geometry import get_normalized_grid

    from midground.matching.torch_models import building, downloading, fetch_weights, read_weights
except ImportError as error:
    raise DependencyError("The matcher 'romav2'", extra="romav2") from error

WEIGHTS_URL = "https://github.com/Parskatt/RoMaV2/releases/download/v2.0.1/romav2.0.1.pt"
BACKBONE_CODE = "facebookresearch/dinov3:adc254450203739c8149213a7a69d8d905b4fcfa"
"""Repository and commit that romav2 2.0.1 asks for."""

_WEIGHTS_FILE = "checkpoints/romav2.0.1.pt"
_BACKBONE_FOLDER = BACKBONE_CODE.replace("/", "_").replace(":", "_")
_REMEDY = (
    f"put {WEIGHTS_URL} as {_WEIGHTS_FILE} and the code {BACKBONE_CODE} of GitHub as {_BACKBONE_FOLDER} into a folder, "
    "and give it as the setting 'weights'"
)


class Romav2Network:
    """RoMa v2 as a network of two pictures, on the GPU where torch finds one."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(
        self, moving: Float32[np.ndarray, "3 h w"], fixed: Float32[np.ndarray, "3 k l"]
    ) -> tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]]:
        """Match two pictures, from fixed to moving too where the setting says so; see ``RgbNetwork``."""
        with warnings.catch_warnings():
            # On a processor torch complains that romav2 wants its CUDA precision.
            warnings.simplefilter("ignore", UserWarning)
            found = self._model.match(*(torch.from_numpy(picture)[None].to(device) for picture in (moving, fixed)))
        there = found["warp_AB"]
        here = get_normalized_grid(*there.shape[:3])
        matches, overlap = [torch.cat([here, there], dim=-1)], [found["overlap_AB"]]
        if found["warp_BA"] is not None:
            matches.append(torch.cat([found["warp_BA"], here], dim=-1))
            overlap.append(found["overlap_BA"])
        return (
            torch.cat(matches).reshape(-1, 4).float().cpu().numpy(),
            torch.cat(overlap).flatten().float().cpu().numpy(),
        )


def build(config: Romav2Config) -> DenseMatcher:
    """Build the matcher ``romav2``.

    Raises:
        ModelError: The weights or the code of the backbone are missing, or do not fit the network.
    """
    logging.getLogger("romav2").setLevel(logging.WARNING)
    folder = _hub_folder(config)
    with building("romav2", "RoMa v2"), downloading("romav2"), _hub_in(folder):
        model = RoMaV2(RoMaV2.Cfg(setting=config.setting))
    return DenseMatcher(config, Romav2Network(model))


def _hub_folder(config: Romav2Config) -> Path:
    """The folder that holds everything; weights are read first, as the package would run code that comes with them."""
    if config.weights is None:
        if not config.allow_download:
            raise ModelError(
                f"romav2: there are no weights; {_REMEDY}, or set 'allow_download' to true (--allow-download)."
            )
        fetch_weights(WEIGHTS_URL, "romav2")
        return Path(torch.hub.get_dir())
    code = config.weights / _BACKBONE_FOLDER / "hubconf.py"
    if not code.is_file():
        raise ModelError(f"romav2: there is no file '{code}'; {_REMEDY}.")
    read_weights(config.weights / _WEIGHTS_FILE, "romav2")
    return config.weights


@contextlib.contextmanager
def _hub_in(folder: Path) -> Iterator[None]:
    """Let torch.hub work in a folder for a while."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(folder))
    try:
        yield
    finally:
        torch.hub.set_dir(before)
