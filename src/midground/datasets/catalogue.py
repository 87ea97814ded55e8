"""Where a collection of pairs lies and how it is read, in one config; and opening it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from midground.core.progress import Progress, silent
from midground.core.radiometry import SAR_SCALES, SarScale, Scaling
from midground.datasets.archive import INDEX_FILE
from midground.datasets.base import RawPairs
from midground.datasets.files import FilePairs
from midground.datasets.listing import Subfolders, list_folder, list_manifest
from midground.datasets.memory import InMemoryPairs
from midground.datasets.packed import PackedPairs
from midground.datasets.radiometry import Radiometry, estimate_radiometry
from midground.datasets.scaled import ScaledPairs
from midground.datasets.selection import Selection, read_names
from midground.errors import ConfigError, InputError, unknown_name

PairsKind = Literal["auto", "folder", "manifest", "packed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """A collection of pairs: where it lies and how it is read."""

    path: Path
    """Folder of image files, CSV table that names them, or folder that ``midground data pack`` wrote."""
    kind: PairsKind = "auto"
    """Which of the three it is: ``folder``, ``manifest`` or ``packed``; ``auto`` looks."""
    sar: str = "sar"
    """Folder of SAR images inside ``path``, if that is a folder of image files."""
    optical: str = "optical"
    """Folder of optical images inside it."""
    mask: str = "mask"
    """Folder of masks inside it, 0 where a pair holds no data; may be absent."""
    bands_sar: tuple[int, ...] | None = None
    """SAR bands that are read, counted from 1; all but an alpha band if omitted."""
    bands_optical: tuple[int, ...] | None = None
    """Optical bands that are read, likewise."""
    sar_scale: SarScale | None = None
    """Scale of the SAR values: ``power``, ``amplitude``, ``db`` or ``8bit``; guessed from all of them if omitted."""
    scaling_sar: Scaling | None = None
    """Limits of the SAR bands (dB, or 8-bit values). If omitted, 0 and 255 for 8-bit, else percentiles 0.5 and 99.5."""
    scaling_optical: Scaling | None = None
    """Limits of the optical bands, likewise."""
    place_pattern: str | None = None
    """Regular expression whose first group, searched for in a pair's name, is its place; the whole name if omitted."""
    include: Path | None = None
    """Text file with the names of the pairs that are used, one a line; all if omitted."""
    exclude: Path | None = None
    """Text file with names of pairs that are left out, one a line."""
    split: str | None = None
    """Only rows of the CSV table with this value in the column ``split``."""
    black_is_missing: bool | None = None
    """Whether optical pixels with only zeros hold no data; if omitted, in 8-bit files without nodata or mask."""
    in_memory: bool = False
    """Whether all pairs are read at once and held in memory, in the data type of their files."""

    def __post_init__(self) -> None:
        if self.kind not in get_args(PairsKind):
            raise unknown_name("kind of collection", self.kind, get_args(PairsKind))
        if self.sar_scale is not None and self.sar_scale not in SAR_SCALES:
            raise unknown_name("sar_scale", self.sar_scale, SAR_SCALES)
        for name in ("bands_sar", "bands_optical"):
            bands = getattr(self, name)
            if bands is not None and (not bands or min(bands) < 1):
                raise ConfigError(f"{name} must be band numbers counted from 1, found {list(bands)}.")
        for name in ("scaling_sar", "scaling_optical"):
            scaling = getattr(self, name)
            if scaling is not None and not scaling.low < scaling.high:
                raise ConfigError(f"{name}: low must be less than high, found {scaling.low} and {scaling.high}.")
        Selection(place_pattern=self.place_pattern)


def open_pairs(
    config: PairsConfig, *, radiometry: Radiometry | None = None, progress: Progress = silent
) -> ScaledPairs:
    """Open a collection with values between 0 and 1.

    Args:
        config: Where it lies and how it is read.
        radiometry: Limits of another collection, for instance of the training pairs; the collection's own if omitted,
            for which pixels may have to be read.
        progress: Told while pixels are read.

    Raises:
        InputError: There is no collection, or it cannot be used.
        ConfigError: A setting does not fit this kind of collection.
    """
    source = open_raw_pairs(config, progress=progress)
    if radiometry is None:
        radiometry = estimate_radiometry(
            source,
            sar_scale=config.sar_scale,
            sar_scaling=config.scaling_sar,
            optical_scaling=config.scaling_optical,
            progress=progress,
        )
    return ScaledPairs(source, radiometry)


def open_raw_pairs(config: PairsConfig, *, progress: Progress = silent) -> RawPairs:
    """Open a collection with the values of its files.

    Raises:
        InputError: There is no collection, or it cannot be used.
        ConfigError: A setting does not fit this kind of collection.
    """
    kind = _kind(config)
    if config.split is not None and kind != "manifest":
        raise ConfigError(
            f"split: {config.path} is no CSV table with a column 'split'; choose pairs with include and exclude."
        )
    source = _open(config, kind)
    return InMemoryPairs(source, progress=progress) if config.in_memory else source


def _open(config: PairsConfig, kind: PairsKind) -> RawPairs:
    selection = Selection(
        include=None if config.include is None else read_names(config.include),
        exclude=frozenset() if config.exclude is None else read_names(config.exclude),
        place_pattern=config.place_pattern,
    )
    if kind == "packed":
        if config.black_is_missing is not None:
            raise ConfigError(f"black_is_missing: {config.path} is packed, which settled this; pack it again with it.")
        return PackedPairs(
            config.path, bands_sar=config.bands_sar, bands_optical=config.bands_optical, selection=selection
        )
    if kind == "manifest":
        files = list_manifest(config.path, selection, split=config.split)
    else:
        subfolders = Subfolders(sar=config.sar, optical=config.optical, mask=config.mask)
        files = list_folder(config.path, subfolders, selection)
    return FilePairs(
        files,
        bands_sar=config.bands_sar,
        bands_optical=config.bands_optical,
        is_black_missing=config.black_is_missing,
    )


def _kind(config: PairsConfig) -> PairsKind:
    path = config.path
    if not path.exists():
        raise InputError(f"{path}: there is no such collection of pairs; check the path.")
    if config.kind != "auto":
        if path.is_dir() == (config.kind == "manifest"):
            raise InputError(f"{path}: is {'a' if path.is_dir() else 'no'} folder, so not of the kind '{config.kind}'.")
        return config.kind
    if path.is_dir():
        return "packed" if (path / INDEX_FILE).is_file() else "folder"
    return "manifest"
