"""Writing a packed collection, as a whole or not at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType

import numpy as np

from midground.core.files import whole_folder
from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.datasets.archive import INDEX_FILE, Entry, Index, Shard
from midground.datasets.arrays import stored_dtype
from midground.datasets.base import Profile, RawPairs
from midground.datasets.packed import PackedPairs
from midground.errors import ConfigError, OutputError

SHARD_BYTES = 1 << 28
_ALIGNMENT_BYTES = 64
_MIN_SHARD_BYTES = 1 << 10


def pack(source: RawPairs, folder: Path, *, shard_bytes: int = SHARD_BYTES, progress: Progress = silent) -> PackedPairs:
    """Write a collection as shards of uncompressed arrays with an index.

    Values keep the data type of the files, or become float32 where that holds all that is read of them. Masks are
    stored only for images with gaps.

    Args:
        source: What is packed.
        folder: Where it shall lie; must not exist, its parent must.
        shard_bytes: A shard ends with the pair that brings it to this size; 1024 or more.
        progress: Told after every pair.

    Returns:
        The collection, opened.

    Raises:
        InputError: A pair cannot be read.
        OutputError: The folder exists, or cannot be written.
        ConfigError: ``shard_bytes`` is too small.
    """
    if shard_bytes < _MIN_SHARD_BYTES:
        raise ConfigError(f"A shard must have {_MIN_SHARD_BYTES} bytes or more, found {shard_bytes}.")
    if folder.exists():
        raise OutputError(f"{folder}: exists already; choose another folder, or remove it.")
    with whole_folder(folder) as fresh:
        index = _write_shards(source, fresh, shard_bytes, progress)
        (fresh / INDEX_FILE).write_text(index.to_json(), encoding="utf-8")
    return PackedPairs(folder)


def _write_shards(source: RawPairs, folder: Path, shard_bytes: int, progress: Progress) -> Index:
    shards: list[Shard] = []
    entries: list[Entry] = []
    index = 0
    while index < len(source):
        with _ShardWriter(folder / f"{len(shards):05d}.bin") as writer:
            while index < len(source) and writer.n_bytes < shard_bytes:
                entries.append(_write_pair(source, index, writer, len(shards)))
                index += 1
                progress("packing pairs", index, len(source))
        shards.append(writer.shard())
    return Index(sar=source.sar_profile, optical=source.optical_profile, shards=tuple(shards), pairs=tuple(entries))


def _write_pair(source: RawPairs, index: int, writer: _ShardWriter, shard: int) -> Entry:
    pair = source.read(index)
    return Entry(
        name=pair.name,
        place=pair.place,
        hw=pair.sar.hw,
        shard=shard,
        sar=_write_values(writer, pair.sar, source.sar_profile),
        optical=_write_values(writer, pair.optical, source.optical_profile),
        sar_valid=_write_mask(writer, pair.sar),
        optical_valid=_write_mask(writer, pair.optical),
    )


def _write_values(writer: _ShardWriter, image: Image, profile: Profile) -> int:
    return writer.append(image.channels.astype(stored_dtype(profile.dtype)))


def _write_mask(writer: _ShardWriter, image: Image) -> int | None:
    return None if image.valid.all() else writer.append(image.valid.astype(np.uint8))


class _ShardWriter:
    """A file of arrays, each beginning at a multiple of 64 bytes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self.n_bytes = 0

    def __enter__(self) -> _ShardWriter:
        self._stream = self._path.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def append(self, array: np.ndarray) -> int:
        """Write an array and tell where it begins."""
        self._write(bytes(-self.n_bytes % _ALIGNMENT_BYTES))
        start = self.n_bytes
        self._write(array.tobytes())
        return start

    def shard(self) -> Shard:
        """What the index says about the file."""
        return Shard(file=self._path.name, n_bytes=self.n_bytes, sha256=self._digest.hexdigest())

    def _write(self, content: bytes) -> None:
        self._stream.write(content)
        self._digest.update(content)
        self.n_bytes += len(content)
