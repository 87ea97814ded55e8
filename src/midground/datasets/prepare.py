"""Derived sets as in section 4.1 of the paper: VV in decibels as grey, RGB as colour, and split lists by place."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

from midground.core.files import write_text
from midground.core.progress import Progress, silent
from midground.datasets.catalogue import PairsConfig, collection_kind, list_files
from midground.datasets.files import FilePairs
from midground.datasets.grey_and_colour import GreyAndColour, write_eight_bit
from midground.datasets.layouts import LAYOUTS, SPLIT_NAMES
from midground.datasets.listing import PairFiles
from midground.datasets.measure import measure_limits
from midground.datasets.packing import pack
from midground.datasets.processes import in_chunks
from midground.datasets.radiometry import Radiometry
from midground.datasets.splits import divide_by_place, spread_indices
from midground.errors import ConfigError, InputError, OutputError, unknown_name

PreparedFormat = Literal["tif", "png", "packed", "lists"]
PARTS = ("train", "validation", "test")
RECORD_FILE = "prepared.json"
SCHEMA = "midground/prepared/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareConfig:
    """What is made of a dataset."""

    image_format: PreparedFormat = "tif"
    """``tif`` and ``png``: a file for each image; ``packed``: few large files; ``lists``: no images."""
    split: tuple[float, float, float] = (46_092, 11_522, 14_405)
    """Relative number of pairs for training, validation and test, each more than 0 (paper, section 4.1)."""
    seed: int = 0
    """Seed of the draw of places, 0 or more."""
    limit: int | None = None
    """Number of pairs that are used, spread evenly over the dataset, 1 or more; all if omitted."""
    n_workers: int = 1
    """Processes that read and write, 1 or more."""

    def __post_init__(self) -> None:
        if self.image_format not in get_args(PreparedFormat):
            raise unknown_name("format", self.image_format, get_args(PreparedFormat))
        if min(self.split) <= 0:
            raise ConfigError(f"split must be three numbers of more than 0, found {list(self.split)}.")
        if self.seed < 0 or self.n_workers < 1 or (self.limit is not None and self.limit < 1):
            raise ConfigError(
                "seed must be 0 or more, n_workers and limit 1 or more; "
                f"found {self.seed}, {self.n_workers} and {self.limit}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a preparation has made."""

    n_left_out: int
    """Number of problems with files, which are in no pair and so not used."""
    parts: dict[str, tuple[str, ...]]
    """Names of the pairs of each part."""


def prepare(
    pairs: PairsConfig, folder: Path, config: PrepareConfig = PrepareConfig(), *, progress: Progress = silent
) -> Prepared:
    """Make 8-bit images and split lists of a dataset; a preparation that was interrupted goes on where it was.

    The values between the percentiles 0.5 and 99.5 of all SAR pixels, and of all optical pixels, become 1 to 255; 0 is
    no data. 8-bit images keep 0 to 255. The record with the limits is written before the images, the lists after them.

    Args:
        pairs: The dataset. Without bands, VV and RGB are taken as its layout has them.
        folder: Where it shall lie; made with its parents. ``sar``, ``optical``, ``packed``, the lists and the record
            are written into it.
        config: What is made.
        progress: Told about every step.

    Raises:
        InputError: An image cannot be read, or there are too few places.
        OutputError: The folder cannot be written, or holds something else.
        ConfigError: A setting does not fit the dataset.
    """
    with _writable(folder):
        return _prepare(pairs, folder, config, progress)


def _prepare(pairs: PairsConfig, folder: Path, config: PrepareConfig, progress: Progress) -> Prepared:
    listing = list_files(pairs)
    files = [listing.pairs[index] for index in spread_indices(len(listing.pairs), config.limit)]
    if not files:
        raise InputError(f"{pairs.path}: there is no pair of images here; check the folder and the name of the layout.")
    with _pointing_to_check(pairs):
        source = _open(files, _with_bands(pairs))
    parts = _divide(files, config, pairs.path)
    plan = _plan(pairs, source, config)
    record = _read_record(folder, plan)
    with _pointing_to_check(pairs):
        if record is None:
            limits = None
            if config.image_format != "lists":
                limits = measure_limits(
                    source, sar_scale=pairs.sar_scale, n_workers=config.n_workers, progress=progress
                )
            record = {**plan, "radiometry": None if limits is None else asdict(limits)}
            write_text(folder / RECORD_FILE, json.dumps(record, indent=1) + "\n")
        if record["radiometry"] is not None:
            _write_images(source, _radiometry(record["radiometry"], folder), folder, config, progress)
    for part, names in parts.items():
        write_text(folder / f"{part}.txt", "".join(f"{name}\n" for name in names))
    return Prepared(n_left_out=len(listing.problems), parts=parts)


@contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Make sure that there is a folder to write to before all of a dataset is read; a new one goes if it stays empty.

    Raises:
        OutputError: It holds something else, or cannot be written.
    """
    is_new = not folder.exists()
    is_begun = (folder / RECORD_FILE).is_file()
    if not is_new and not is_begun and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already and is no preparation; choose another folder.")
    _make_folder(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another folder.") from error
    try:
        yield
    finally:
        if is_new:
            # One that holds something stays.
            with suppress(OSError):
                folder.rmdir()


@contextmanager
def _pointing_to_check(pairs: PairsConfig) -> Iterator[None]:
    """Say of an image that cannot be read how to find all such at once."""
    try:
        yield
    except InputError as error:
        command = f"midground data check {pairs.path} --layout {collection_kind(pairs)}"
        raise InputError(f"{error} See '{command}' for all that is wrong with the files.") from error


def _with_bands(pairs: PairsConfig) -> PairsConfig:
    """Settings with the bands of the layout where none are named."""
    layout = LAYOUTS.get(collection_kind(pairs))
    if layout is None:
        return pairs
    return replace(
        pairs,
        bands_sar=pairs.bands_sar or (layout.band_vv,),
        bands_optical=pairs.bands_optical or layout.bands_rgb,
    )


def _open(files: Sequence[PairFiles], pairs: PairsConfig) -> FilePairs:
    source = FilePairs(
        files,
        bands_sar=pairs.bands_sar,
        bands_optical=pairs.bands_optical,
        is_black_missing=pairs.black_is_missing,
    )
    for setting, profile, allowed in (
        ("bands_sar", source.sar_profile, (1,)),
        ("bands_optical", source.optical_profile, (1, 3)),
    ):
        if len(profile.bands) not in allowed:
            raise ConfigError(
                f"{pairs.path}: {len(profile.bands)} bands ({', '.join(profile.bands)}) do not make a grey or colour "
                f"image; choose {' or '.join(map(str, allowed))} with {setting}."
            )
    return source


def _divide(files: Sequence[PairFiles], config: PrepareConfig, root: Path) -> dict[str, tuple[str, ...]]:
    """Names of the pairs of each part: the publisher's division if there is one, else one by place."""
    if all(pair.split for pair in files):
        parts = {pair.name: SPLIT_NAMES.get(str(pair.split).lower()) for pair in files}
        for pair in files:
            if parts[pair.name] is None:
                raise InputError(
                    f"{root}: the pair '{pair.name}' has the split '{pair.split}', which is none of "
                    f"{', '.join(SPLIT_NAMES)}; rename it, or leave all splits empty to divide by place."
                )
        published = {part: tuple(name for name, its in parts.items() if its == part) for part in PARTS}
        return {part: names for part, names in published.items() if names}
    divided = divide_by_place([pair.place for pair in files], config.split, seed=config.seed)
    return {part: tuple(files[i].name for i in indices) for part, indices in zip(PARTS, divided, strict=True)}


def _plan(pairs: PairsConfig, source: FilePairs, config: PrepareConfig) -> dict[str, Any]:
    """What a preparation is known by; one that goes on must have the same."""
    return {
        "schema": SCHEMA,
        "kind": collection_kind(pairs),
        "image_format": config.image_format,
        "n_pairs": len(source),
        "pairs_sha256": hashlib.sha256("\n".join((*source.names, *source.places)).encode()).hexdigest(),
        "sar_scale": pairs.sar_scale,
        "black_is_missing": pairs.black_is_missing,
        "split": list(config.split),
        "seed": config.seed,
        "sar": list(source.sar_profile.bands),
        "optical": list(source.optical_profile.bands),
    }


def _read_record(folder: Path, plan: dict[str, Any]) -> dict[str, Any] | None:
    """The record of a preparation that was begun in a folder; None if none was."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        other = [key for key, value in plan.items() if record[key] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: the record is damaged ({error!r}); remove the folder and prepare again.") from error
    if other:
        raise OutputError(
            f"{folder}: was prepared with another '{other[0]}' ({record[other[0]]}, now {plan[other[0]]}); choose "
            "another folder."
        )
    return record


def _radiometry(document: dict[str, Any], folder: Path) -> Radiometry:
    try:
        sar, optical = (
            tuple((float(a), float(b)) for a, b in document[key]) for key in ("sar_limits", "optical_limits")
        )
        floor = document["sar_floor"]
        return Radiometry(
            sar_scale=document["sar_scale"],
            sar_floor=None if floor is None else float(floor),
            sar_limits=sar,
            optical_limits=optical,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(
            f"{folder / RECORD_FILE}: the record is damaged ({error!r}); remove the folder and prepare again."
        ) from error


def _write_images(
    source: FilePairs, radiometry: Radiometry, folder: Path, config: PrepareConfig, progress: Progress
) -> None:
    if config.image_format == "packed":
        if not (folder / "packed").exists():
            pack(GreyAndColour(source, radiometry), folder / "packed", progress=progress)
        return
    for modality in ("sar", "optical"):
        _make_folder(folder / modality)
    work = partial(_write_chunk, radiometry=radiometry, folder=folder, suffix=f".{config.image_format}")
    for _ in in_chunks(work, source, n_workers=config.n_workers, stage="writing images", progress=progress):
        pass


def _write_chunk(
    source: FilePairs, indices: Sequence[int], *, radiometry: Radiometry, folder: Path, suffix: str
) -> None:
    images = GreyAndColour(source, radiometry)
    for index in indices:
        paths = [folder / modality / f"{source.names[index]}{suffix}" for modality in ("sar", "optical")]
        if all(path.exists() for path in paths):
            continue
        pair = images.read(index)
        for path, image in zip(paths, (pair.sar, pair.optical), strict=True):
            write_eight_bit(path, image, source.georeference(index))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created ({error.strerror}); choose another folder.") from error
