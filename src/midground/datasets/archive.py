"""What the index of a packed collection says: one JSON file beside the shards that hold the pixels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from midground.datasets.arrays import stored_dtype
from midground.datasets.base import Profile
from midground.errors import InputError

INDEX_FILE = "index.json"
SCHEMA = "midground/pairs/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of pixels."""

    file: str
    """Name inside the folder."""
    n_bytes: int
    """Size, bytes."""
    sha256: str
    """Digest of the whole file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where the arrays of one pair lie; each is stored in C order."""

    name: str
    """Name of the pair."""
    place: str
    """Its place."""
    hw: tuple[int, int]
    """Height and width, px."""
    shard: int
    """Number of its shard."""
    sar: int
    """Start of the SAR values (bands, h, w), bytes into the shard."""
    optical: int
    """Start of the optical values, likewise."""
    sar_valid: int | None
    """Start of the SAR mask (h, w), one byte a pixel; None if every pixel holds data."""
    optical_valid: int | None
    """Start of the optical mask, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Everything but the pixels."""

    sar: Profile
    """Bands and data type of the SAR images."""
    optical: Profile
    """Bands and data type of the optical images."""
    shards: tuple[Shard, ...]
    """Files of pixels."""
    pairs: tuple[Entry, ...]
    """Pairs in their order."""

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, separators=(",", ":")) + "\n"


def read_index(folder: Path) -> Index:
    """Read the index of a packed collection, and make sure that shards of its sizes have room for what it names.

    Raises:
        InputError: There is none, or it is damaged.
    """
    path = folder / INDEX_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{folder}: there is no packed collection here ({INDEX_FILE} is missing).") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the index cannot be read ({error}); pack or fetch the collection again.") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: the schema is {schema!r}, this version reads '{SCHEMA}'; pack the collection again.")
    try:
        index = _parse(document)
        _check_places(index)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: the index is damaged ({error!r}); pack or fetch the collection again.") from error
    return index


def absent_shards(folder: Path, index: Index) -> dict[int, str]:
    """Numbers of the shards that are missing or have another size than the index says, and a sentence on each."""
    absent: dict[int, str] = {}
    for number, shard in enumerate(index.shards):
        path = folder / shard.file
        found = path.stat().st_size if path.is_file() else None
        if found != shard.n_bytes:
            state = "is missing" if found is None else f"has {found} bytes instead of {shard.n_bytes}"
            absent[number] = f"{path}: the shard {state}; pack or fetch the collection again."
    return absent


def altered_shard(folder: Path, shard: Shard) -> str | None:
    """A sentence on a shard that cannot be read, or whose sha256 is not that of the index; None if all is well."""
    path = folder / shard.file
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"{path}: the shard cannot be read ({error.strerror}); pack or fetch the collection again."
    state = "the shard was altered or is damaged, its sha256 is not the index's"
    return None if digest == shard.sha256 else f"{path}: {state}; pack or fetch the collection again."


def _parse(document: dict[str, Any]) -> Index:
    def profile(part: dict[str, Any]) -> Profile:
        return Profile(bands=tuple(map(str, part["bands"])), dtype=np.dtype(part["dtype"]).name)

    def entry(part: dict[str, Any]) -> Entry:
        height, width = part["hw"]
        return Entry(**{**part, "hw": (int(height), int(width))})

    return Index(
        sar=profile(document["sar"]),
        optical=profile(document["optical"]),
        shards=tuple(Shard(**part) for part in document["shards"]),
        pairs=tuple(map(entry, document["pairs"])),
    )


def _check_places(index: Index) -> None:
    if not index.pairs:
        raise ValueError("no pairs")
    if any(Path(shard.file).name != shard.file for shard in index.shards):
        raise ValueError("a shard outside the folder")
    pixel_bytes = [len(part.bands) * stored_dtype(part.dtype).itemsize for part in (index.sar, index.optical)]
    for pair in index.pairs:
        area = pair.hw[0] * pair.hw[1]
        sizes = (pixel_bytes[0] * area, pixel_bytes[1] * area, area, area)
        starts = (pair.sar, pair.optical, pair.sar_valid, pair.optical_valid)
        end = index.shards[pair.shard].n_bytes
        if min(area, pair.shard + 1) < 1 or any(
            start is not None and not 0 <= start <= end - size for start, size in zip(starts, sizes, strict=True)
        ):
            raise ValueError(f"pair '{pair.name}' reaches beyond its shard")
