"""Networks of other packages: their weights read or fetched without running code from a file, built without a trace."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from midground.errors import ModelError

_NOT_WEIGHTS = (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError)


def read_weights(path: Path, matcher: str) -> dict[str, Any]:
    """Read a state dict onto the processor; a file that would run code is refused.

    Args:
        path: File that ``torch.save`` wrote.
        matcher: Name for messages.

    Raises:
        ModelError: There is no such file, or it holds something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{matcher}: the weights '{path}' cannot be read ({error.strerror}).") from error
    except _NOT_WEIGHTS as error:
        raise ModelError(f"{matcher}: '{path}' is no file of weights that torch reads without running code.") from error
    if not isinstance(state, dict):
        raise ModelError(f"{matcher}: '{path}' holds {type(state).__name__}, not the weights of a network.")
    return state


def fetch_weights(url: str, matcher: str) -> dict[str, Any]:
    """Read a state dict from torch.hub's folder, downloading it if it is not there yet.

    Raises:
        ModelError: It cannot be downloaded, or the file holds something else.
    """
    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    with downloading(matcher):
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), progress=False)
    return read_weights(path, matcher)


@contextlib.contextmanager
def downloading(matcher: str) -> Iterator[None]:
    """While torch.hub works: what it prints is dropped, and a download that fails is a ModelError."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    except OSError as error:
        raise ModelError(
            f"{matcher}: the download failed, or torch.hub's folder cannot be written ({error}); fetch the files by "
            "hand and give them."
        ) from error


@contextlib.contextmanager
def building(matcher: str, what: str) -> Iterator[None]:
    """While a network is built: generators and warning filters come back as they were, unfit weights are a ModelError.

    Args:
        matcher: Name for messages.
        what: What the network is, for messages.
    """
    gpus = list(range(torch.cuda.device_count()))
    try:
        with torch.random.fork_rng(devices=gpus), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, ImportError) as error:
        # torch lists every name and shape that differs, over hundreds of lines.
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{matcher}: {what} cannot be built from these files ({reason}).") from error
