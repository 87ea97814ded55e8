"""Finding the files of a collection: two folders with equal names, or a table that names them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from midground.datasets.selection import EVERY_PAIR, Selection, summed_up
from midground.errors import InputError

ProblemKind = Literal["missing", "unpaired", "unreadable", "mismatched", "empty", "duplicate", "unplaced"]

_BESIDE_IMAGES = frozenset(
    {".aux", ".csv", ".hdr", ".json", ".md", ".msk", ".ovr", ".prj", ".qml", ".rpb", ".rrd", ".txt", ".xml"}
    | {".bpw", ".gfw", ".j2w", ".jgw", ".jpgw", ".jpw", ".pgw", ".pngw", ".tfw", ".tifw", ".webpw", ".wld"}
    | {".db", ".ini", ".lnk"}
)
"""Suffixes of what may lie beside images: statistics, overviews, masks, styles, notes; world files; what Windows leaves
(``Thumbs.db``, ``desktop.ini``)."""
_IMAGE_COLUMNS = ("sar", "optical")


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    """The files of one pair."""

    name: str
    """Unique in its collection."""
    place: str
    """Place that it shows."""
    sar: Path
    """SAR image."""
    optical: Path
    """Optical image."""
    mask: Path | None = None
    """Image whose zeros mark pixels that hold no data in either image."""
    split: str | None = None
    """Part of the collection that its publisher puts the pair into: ``train``, ``validation`` or ``test``."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The SAR and the optical image, and the mask if there is one."""
        return (self.sar, self.optical, *([] if self.mask is None else [self.mask]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that has to be mended before a collection, or a pair of it, can be used."""

    kind: ProblemKind
    """What sort of problem it is."""
    message: str
    """What is wrong and what to do, a sentence."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found when a collection's files were looked for."""

    pairs: tuple[PairFiles, ...]
    """Pairs that are complete, by name."""
    problems: tuple[Problem, ...] = ()
    """What has to be mended."""
    others: tuple[Path, ...] = ()
    """Images that are in no pair, though they belong to the collection."""


@dataclass(slots=True)
class ListingBuilder:
    """A listing while files are looked for."""

    selection: Selection
    """How a name tells the place."""
    pairs: dict[str, PairFiles] = field(default_factory=dict)
    """Pairs so far, by name."""
    problems: list[Problem] = field(default_factory=list)
    """Problems so far."""
    others: list[Path] = field(default_factory=list)
    """Images in no pair so far."""

    def report(self, kind: ProblemKind, message: str, *images: Path) -> None:
        """Note a problem, and the images that are in no pair because of it."""
        self.problems.append(Problem(kind=kind, message=message))
        self.others += images

    def add(
        self,
        name: str,
        place: str | None,
        images: tuple[Path, Path],
        *,
        mask: Path | None = None,
        split: str | None = None,
    ) -> None:
        """Note a pair of a SAR and an optical image.

        If its place is neither given nor told by its name, that is a problem, and the whole name stands for it.

        Args:
            name: Its name, not seen before.
            place: Its place; sought in the name if omitted.
            images: The SAR and the optical image.
            mask: Its mask.
            split: Its part.
        """
        try:
            place = place or self.selection.place(name)
        except InputError as error:
            self.report("unplaced", str(error))
            place = name
        sar, optical = images
        self.pairs[name] = PairFiles(name=name, place=place, sar=sar, optical=optical, mask=mask, split=split)

    def listing(self) -> Listing:
        """What was found, the pairs in the order in which they were added."""
        return Listing(tuple(self.pairs.values()), tuple(self.problems), tuple(self.others))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subfolders:
    """Names of the folders inside a collection."""

    sar: str = "sar"
    """SAR images."""
    optical: str = "optical"
    """Optical images of the same names, whatever their suffixes."""
    mask: str = "mask"
    """Masks of the same names, for any of the pairs; the folder may be absent."""


def list_folder(
    root: Path, subfolders: Subfolders = Subfolders(), selection: Selection = EVERY_PAIR
) -> tuple[PairFiles, ...]:
    """Find pairs in two folders: files with the same name up to the suffix.

    Raises:
        InputError: A folder is missing, an image has no partner, two have one name, or nothing is left.
    """
    listing = scan_folder(root, subfolders, selection)
    if listing.problems:
        raise InputError(summed_up(problem.message for problem in listing.problems))
    selection.require_found([pair.name for pair in listing.pairs], root)
    return listing.pairs


def scan_folder(root: Path, subfolders: Subfolders = Subfolders(), selection: Selection = EVERY_PAIR) -> Listing:
    """Find pairs as :func:`list_folder` does, but report what is in no pair and go on.

    Raises:
        InputError: A folder is missing.
    """
    found = ListingBuilder(selection)
    sar = _images(root, subfolders.sar, found)
    optical = _images(root, subfolders.optical, found)
    for folder, images, others in ((subfolders.optical, sar, optical), (subfolders.sar, optical, sar)):
        for name in sorted(images.keys() - others.keys()):
            message = f"{images[name]}: has no partner in '{folder}'; add the missing file, or exclude '{name}'."
            found.report("unpaired", message, images[name])
    masks = _images(root, subfolders.mask, found) if (root / subfolders.mask).is_dir() else {}
    for name in sorted(sar.keys() & optical.keys()):
        found.add(name, None, (sar[name], optical[name]), mask=masks.get(name))
    return found.listing()


def list_manifest(path: Path, selection: Selection = EVERY_PAIR, *, split: str | None = None) -> tuple[PairFiles, ...]:
    """Find pairs in a CSV table with the columns ``sar`` and ``optical``, paths relative to the table.

    Further columns that are read: ``mask``; ``name`` (that of the SAR file without suffix if absent); ``place`` (from
    the name if absent); ``split``.

    Args:
        path: The table, with a line of column names.
        selection: Which pairs are used.
        split: Only rows with this value in the column ``split``.

    Raises:
        InputError: The table cannot be read, lacks a column or a value, or nothing is left.
    """
    listing = scan_manifest(path, selection, split=split)
    if listing.problems:
        raise InputError(summed_up(problem.message for problem in listing.problems))
    selection.require_found([pair.name for pair in listing.pairs], path)
    return listing.pairs


def scan_manifest(path: Path, selection: Selection = EVERY_PAIR, *, split: str | None = None) -> Listing:
    """Find pairs as :func:`list_manifest` does, but report rows that make no pair and go on.

    Raises:
        InputError: The table cannot be read or lacks a column, or no row has the split.
    """
    rows = list(_rows(path, needed=_IMAGE_COLUMNS if split is None else (*_IMAGE_COLUMNS, "split")))
    if split is not None:
        known = sorted({row["split"] for _, row in rows})
        rows = [(line, row) for line, row in rows if row["split"] == split]
        if not rows:
            raise InputError(f"{path}: no row has the split '{split}'; there are {', '.join(known) or 'no rows'}.")
    found = ListingBuilder(selection)
    lines: dict[str, int] = {}
    for line, row in rows:
        name = row.get("name") or Path(row["sar"] or row["optical"]).stem
        if not selection.keeps(name):
            continue
        images = [path.parent / row[column] for column in _IMAGE_COLUMNS if row[column]]
        empty = [column for column in _IMAGE_COLUMNS if not row[column]]
        if empty:
            columns = " and ".join(f"'{column}'" for column in empty)
            message = f"{path}, line {line}: nothing stands in {columns}; name an image file."
            found.report("missing", message, *images)
        elif name in lines:
            message = (
                f"{path}, line {line}: the name '{name}' has more than one pair, the first in line {lines[name]}; "
                "names must be unique."
            )
            found.report("duplicate", message, *images)
        else:
            lines[name] = line
            mask = path.parent / row["mask"] if row.get("mask") else None
            sar, optical = images
            found.add(name, row.get("place") or None, (sar, optical), mask=mask, split=row.get("split") or None)
    return found.listing()


def _images(root: Path, folder: str, listing: ListingBuilder) -> dict[str, Path]:
    where = root / folder
    if not where.is_dir():
        raise InputError(
            f"{root}: there is no folder '{folder}' in it; a collection has a folder of SAR and one of optical images."
        )
    found: dict[str, Path] = {}
    for path in sorted(where.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() in _BESIDE_IMAGES or not listing.selection.keeps(path.stem):
            continue
        # A link that points nowhere is a file that cannot be read.
        if path.exists() and not path.is_file():
            continue
        if path.stem in found:
            message = f"{where}: '{found[path.stem].name}' and '{path.name}' have one name; remove one of them."
            listing.report("duplicate", message, path)
        else:
            found[path.stem] = path
    return found


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        # Spreadsheets put a byte order mark in front.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restkey="", restval="")
            missing = [column for column in needed if column not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}: the table has no column '{missing[0]}'; found: "
                    f"{', '.join(reader.fieldnames or ('none',))}; name the columns in the first line."
                )
            for row in reader:
                yield reader.line_num, {column: value.strip() for column, value in row.items() if column}
    except OSError as error:
        raise InputError(f"{path}: the table of pairs cannot be read ({error.strerror}); check the file.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: is no table of pairs, a CSV file in UTF-8 with the columns 'sar' and 'optical'; name such a "
            "table, a folder of pairs, or its settings in YAML."
        ) from error
