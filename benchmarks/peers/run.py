"""Runs one adapter over a folder of pairs, in the environment of the peer: ``run.py ADAPTER[:SETTING] [FOLDER OUT]``.

An adapter is a file beside this one with ``register(pair)``, or ``register(pair, setting)``, which returns the 3×3
matrix that takes pixel centres of the moving image to those of the fixed one, and raises where its tool has no
success. ``prepare(setting)``, if there is one, is called first. Without FOLDER, no pair is run. OUT gets a line of
JSON for each pair. Needs NumPy alone.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Pair:
    """Two images of one place, as arrays and as files on one grid of 10 m."""

    moving: np.ndarray
    """SAR, (h, w) uint8; 0 where ``valid`` is false."""
    valid: np.ndarray
    """Pixels of ``moving`` that hold data, (h, w)."""
    fixed: np.ndarray
    """Optical, (3, h, w) uint8."""
    moving_path: Path
    """``moving`` as GeoTIFF, with nodata 0 if some pixels are not valid."""
    fixed_path: Path
    """The grey optical image as GeoTIFF."""
    scratch: Path
    """An empty folder."""
    kind: str
    """What may be assumed of the transform: translation or affine."""
    max_shift_px: int
    """Largest shift in x and y."""

    @property
    def grey(self) -> np.ndarray:
        """The grey optical image, (h, w) uint8."""
        return self.fixed.mean(axis=0).astype(np.uint8)


def load_adapter(name: str) -> Callable[..., np.ndarray]:
    """``register`` of the adapter; loaded by its path, as its file may be named like the package that it calls."""
    name, _, setting = name.partition(":")
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"adapter_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if hasattr(module, "prepare"):
        module.prepare(setting)
    return (lambda pair: module.register(pair, setting)) if setting else module.register


def read_pair(folder: Path, name: str, scratch: Path) -> Pair:
    """The pair without its truth, which is not in the folder."""
    protocol = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz") as arrays:
        images = {key: arrays[key] for key in ("moving", "valid", "fixed")}
    paths = {f"{role}_path": folder / f"{name}-{role}.tif" for role in ("moving", "fixed")}
    return Pair(**images, **paths, scratch=scratch, kind=protocol["kind"], max_shift_px=protocol["max_shift_px"])


def run_one(register: Callable[..., np.ndarray], folder: Path, name: str) -> dict[str, object]:
    """The result of one pair; whatever the peer raises is its failure."""
    with tempfile.TemporaryDirectory() as scratch:
        pair = read_pair(folder, name, Path(scratch))
        matrix, error = None, None
        start = time.perf_counter()
        try:
            found = np.asarray(register(pair), dtype=float)
            if found.shape != (3, 3) or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-9:
                raise ValueError("no invertible 3×3 matrix")
            matrix = found.tolist()
        except Exception as exception:
            error = f"{type(exception).__name__}: {exception}"
        seconds = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"name": name, "fixed_from_moving": matrix, "seconds": seconds, "error": error, "peak_mb": peak_mb}


def main() -> None:
    """Run the pairs that OUT does not have yet; a pair that takes too long ends the process."""
    register = load_adapter(sys.argv[1])
    if len(sys.argv) == 2:
        return
    folder, out = Path(sys.argv[2]), Path(sys.argv[3])
    protocol = json.loads((folder / "protocol.json").read_text(encoding="utf-8"))
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    done = {json.loads(line)["name"] for line in lines}
    with out.open("a", encoding="utf-8") as file:
        for name in protocol["names"]:
            if name not in done:
                signal.alarm(protocol["timeout_s"])  # without a handler: it also ends compiled code
                file.write(json.dumps(run_one(register, folder, name)) + "\n")
                file.flush()


if __name__ == "__main__":
    main()
