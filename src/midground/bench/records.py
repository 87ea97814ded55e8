"""A run on disk: its manifest, and one file of matches for each pair of images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from midground.bench.config import BenchConfig
from midground.bench.misregistration import Misregistration
from midground.bench.weights import weights_sha256
from midground.core.correspondences import Correspondences
from midground.core.files import make_folder, write_text
from midground.core.settings import differences, plain
from midground.core.transforms import Transform
from midground.datasets.base import PairSource, listing_sha256
from midground.errors import ConfigError, InputError
from midground.geo.output import atomic_output
from midground.modality.base import Mapper

MANIFEST, ALIGNMENT = "manifest.json", "alignment.json"
_SCHEMA = "midground/bench/3"
_PACKAGES = ("midground", "numpy", "opencv-python-headless", "onnxruntime", "torch")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMatches:
    """What a method found in one pair."""

    name: str
    """Of the pair."""
    hw: tuple[int, int]
    """Height and width of the moving image, which is cut from the warped SAR image, px."""
    truth: Transform
    """Fixed from moving."""
    matches: Correspondences
    """From the SAR image (moving) to the optical one (fixed)."""
    estimates: bool
    """Whether the method gives a transform of its own."""
    transform: Transform | None
    """That transform; None if there is none."""
    failure: str
    """Why there is no result; empty if there is one."""
    seconds: float
    """Mapping and matching."""
    n_threads: int
    """Processors that the process could use meanwhile."""


def pair_file(folder: Path, index: int) -> Path:
    """Where the matches of one pair lie."""
    return folder / f"{index:06d}.npz"


def save(path: Path, found: PairMatches) -> None:
    """Write the matches of one pair, whole or not at all."""
    nothing = np.zeros((0, 0))
    with atomic_output(path) as fresh, fresh.open("wb") as file:
        np.savez_compressed(
            file,
            name=np.array(found.name),
            hw=np.array(found.hw),
            truth=found.truth.matrix,
            moving_xy=found.matches.moving_xy,
            fixed_xy=found.matches.fixed_xy,
            score=found.matches.score,
            estimates=np.array(found.estimates),
            transform=nothing if found.transform is None else found.transform.matrix,
            failure=np.array(found.failure),
            seconds=np.array(found.seconds),
            n_threads=np.array(found.n_threads),
        )


def load(path: Path) -> PairMatches:
    """Read the matches of one pair.

    Raises:
        InputError: The file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = dict(stored)
        height, width = values["hw"].tolist()
        matrix = values["transform"]
        return PairMatches(
            name=str(values["name"]),
            hw=(height, width),
            truth=Transform(values["truth"]),
            matches=Correspondences(values["moving_xy"], values["fixed_xy"], values["score"]),
            estimates=bool(values["estimates"]),
            transform=Transform(matrix) if matrix.size else None,
            failure=str(values["failure"]),
            seconds=float(values["seconds"]),
            n_threads=int(values["n_threads"]),
        )
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"{path}: holds no matches; delete it and run 'midground bench predict' again.") from error


def manifest_of(config: BenchConfig, pairs: PairSource, mapper: Mapper) -> dict[str, Any]:
    """Everything that decides the matches of a run, but for the pixels: of the pairs, names and sizes are hashed.

    Raises:
        ModelError: The weights of a matcher cannot be read.
    """
    manifest = {
        "schema": _SCHEMA,
        "pairs": {
            "name": config.pairs.path.name,
            "n_pairs": len(pairs),
            "sha256": listing_sha256(pairs),
            "settings": {key: value for key, value in asdict(config.pairs).items() if key not in ("path", "in_memory")},
        },
        "model": {"name": mapper.name, "sha256": mapper.sha256},
        "method": asdict(config.method),
        "weights": weights_sha256(config.method),
        "protocol": config.protocol,
        "warp": asdict(config.warp),
        "versions": {name: _version(name) for name in _PACKAGES},
    }
    return plain(manifest)


def begin(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Make the folder of a run, or see that the one that is there was begun with the same manifest.

    Raises:
        ConfigError: It belongs to another run.
        OutputError: It cannot be made.
    """
    path = folder / MANIFEST
    if path.exists():
        differing = differences(read_manifest(folder), manifest)
        if differing:
            raise ConfigError(
                f"{folder}: holds matches of another run, which differs in {', '.join(differing)}; choose another "
                "folder, or delete this one."
            )
        return
    make_folder(folder)
    write_text(path, json.dumps(manifest, indent=1) + "\n")


def write_alignment(folder: Path, found: Misregistration) -> None:
    """Keep how well the pairs of a run are aligned themselves.

    Raises:
        OutputError: It cannot be written.
    """
    write_text(folder / ALIGNMENT, json.dumps(found.shifts_px.tolist()) + "\n")


def read_alignment(folder: Path) -> Misregistration:
    """Read how well the pairs of a run are aligned themselves.

    Raises:
        InputError: It is missing or damaged.
    """
    path = folder / ALIGNMENT
    try:
        return Misregistration(np.array(json.loads(path.read_text(encoding="utf-8")), np.float64).reshape(-1, 2))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: cannot be read; delete it and run 'midground bench predict' again.") from error


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a run.

    Raises:
        InputError: There is none, or it is none.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: holds no run of 'midground bench predict' ({MANIFEST} cannot be read).") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != _SCHEMA:
        raise InputError(f"{folder}: {MANIFEST} is not of the kind {_SCHEMA}; run 'midground bench predict' again.")
    return manifest


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
