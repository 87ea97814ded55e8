"""Where a collection of pairs lies and how it is read, in one config; and opening it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from midground.core.progress import Progress, silent
from midground.core.radiometry import SAR_SCALES, SarScale, Scaling
from midground.datasets.archive import INDEX_FILE
from midground.datasets.base import RawPairs
from midground.datasets.files import FilePairs
from midground.datasets.layouts import LAYOUTS, scan_layout
from midground.datasets.listing import (
    Listing,
    Problem,
    Subfolders,
    list_folder,
    list_manifest,
    scan_folder,
    scan_manifest,
)
from midground.datasets.memory import InMemoryPairs
from midground.datasets.packed import PackedPairs
from midground.datasets.radiometry import Radiometry, estimate_radiometry
from midground.datasets.scaled import ScaledPairs
from midground.datasets.selection import Selection, read_names, summed_up
from midground.errors import ConfigError, InputError, unknown_name

KINDS = MappingProxyType(
    {
        "folder": "two folders with equal names inside",
        "manifest": "a CSV table that names the images",
        "packed": "what 'midground data pack' wrote",
        **{name: layout.summary for name, layout in LAYOUTS.items()},
    }
)
"""What a collection can be, with a word on each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsConfig:
    """A collection of pairs: where it lies and how it is read."""

    path: Path
    """Folder of image files, CSV table that names them, or folder that ``midground data pack`` wrote."""
    kind: str = "auto"
    """Which of these it is: ``folder``, ``manifest`` or ``packed``, which ``auto`` tells apart; or a dataset's name."""
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
    """Only rows of the CSV table with this value in the column ``split``, or a dataset's own part of this name."""
    black_is_missing: bool | None = None
    """Whether optical pixels with only zeros hold no data; if omitted, in 8-bit files without nodata or mask."""
    in_memory: bool = False
    """Whether all pairs are read at once and held in memory, in the data type of their files."""

    def __post_init__(self) -> None:
        if self.kind not in ("auto", *KINDS):
            raise unknown_name("kind of collection", self.kind, ("auto", *KINDS))
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
    kind = collection_kind(config)
    source = _open(config, kind)
    return InMemoryPairs(source, progress=progress) if config.in_memory else source


def scan_files(config: PairsConfig) -> Listing:
    """Look for the image files of a collection, and report what makes no pair instead of giving up.

    Raises:
        InputError: There is no collection, or its table cannot be read.
        ConfigError: A setting does not fit this kind of collection, or it is packed.
    """
    kind = collection_kind(config)
    selection = selection_of(config)
    if kind == "packed":
        raise ConfigError(f"{config.path}: is packed, but image files are wanted here; name what it was packed from.")
    if kind == "manifest":
        listing = scan_manifest(config.path, selection, split=config.split)
    elif kind == "folder":
        listing = scan_folder(config.path, _subfolders(config), selection)
    else:
        listing = _of_split(scan_layout(LAYOUTS[kind], config.path, selection), config)
    absent = not_found(selection, [pair.name for pair in listing.pairs], config.path)
    return replace(listing, problems=(*listing.problems, *absent))


def list_files(config: PairsConfig) -> Listing:
    """Look for the image files of a collection; those without a partner are passed over and reported.

    Raises:
        InputError: There is no collection, a row of its table makes no pair, or a name tells no place.
        ConfigError: A setting does not fit this kind of collection, or it is packed.
    """
    if collection_kind(config) == "manifest":
        return Listing(list_manifest(config.path, selection_of(config), split=config.split))
    listing = scan_files(config)
    unplaced = [problem.message for problem in listing.problems if problem.kind == "unplaced"]
    if unplaced:
        raise InputError(summed_up(unplaced))
    return listing


def not_found(selection: Selection, names: Sequence[str], where: Path) -> Iterator[Problem]:
    """A problem for every included name that is not among those of the pairs that were found."""
    for name in selection.not_among(names):
        message = f"{where}: the included name '{name}' has no pair; correct the list of names."
        yield Problem(kind="missing", message=message)


def _of_split(listing: Listing, config: PairsConfig) -> Listing:
    pairs = tuple(pair for pair in listing.pairs if config.split in (None, pair.split))
    if listing.pairs and not pairs:
        known = sorted({pair.split for pair in listing.pairs if pair.split})
        raise InputError(
            f"{config.path}: no pair has the split '{config.split}'; there are {', '.join(known) or 'none'}."
        )
    return replace(listing, pairs=pairs)


def collection_kind(config: PairsConfig) -> str:
    """Which of :data:`KINDS` a collection is; it is looked at if the settings leave that open.

    Raises:
        InputError: There is no collection, or it is of another kind than the settings say.
        ConfigError: A part is asked for where no parts are named, or what a packed collection has settled.
    """
    path = config.path
    if not path.exists():
        raise InputError(f"{path}: there is no such collection of pairs; check the path.")
    if config.kind == "auto":
        kind = "manifest" if not path.is_dir() else "packed" if (path / INDEX_FILE).is_file() else "folder"
    elif path.is_dir() == (config.kind == "manifest"):
        raise InputError(f"{path}: is {'a' if path.is_dir() else 'no'} folder, so not of the kind '{config.kind}'.")
    else:
        kind = config.kind
    if config.split is not None and kind in ("folder", "packed"):
        raise ConfigError(
            f"split: {path} is no CSV table with a column 'split'; choose pairs with include and exclude."
        )
    if config.black_is_missing is not None and kind == "packed":
        raise ConfigError(f"black_is_missing: {path} is packed, which settled this; pack it again with it.")
    return kind


def _open(config: PairsConfig, kind: str) -> RawPairs:
    selection = selection_of(config)
    if kind == "packed":
        return PackedPairs(
            config.path, bands_sar=config.bands_sar, bands_optical=config.bands_optical, selection=selection
        )
    if kind == "folder":
        files = list_folder(config.path, _subfolders(config), selection)
    else:
        files = list_files(config).pairs
        selection.require_found([pair.name for pair in files], config.path)
    return FilePairs(
        files,
        bands_sar=config.bands_sar,
        bands_optical=config.bands_optical,
        is_black_missing=config.black_is_missing,
    )


def selection_of(config: PairsConfig) -> Selection:
    """Which pairs of a collection are used, and how names tell places.

    Raises:
        InputError: A list of names cannot be read.
    """
    return Selection(
        include=None if config.include is None else read_names(config.include),
        exclude=frozenset() if config.exclude is None else read_names(config.exclude),
        place_pattern=config.place_pattern,
    )


def _subfolders(config: PairsConfig) -> Subfolders:
    return Subfolders(sar=config.sar, optical=config.optical, mask=config.mask)
