"""Finding the files of a collection: two folders with equal names, or a table that names them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from midground.datasets.selection import EVERY_PAIR, Selection, summed_up
from midground.errors import InputError

ProblemKind = Literal["missing", "unpaired", "unreadable", "mismatched", "empty", "duplicate"]

_BESIDE_IMAGES = frozenset({".aux", ".csv", ".hdr", ".json", ".md", ".msk", ".ovr", ".prj", ".txt", ".wld", ".xml"})
"""Suffixes of what may lie beside images: statistics, overviews, masks, notes."""
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
    """Files that are in no pair."""


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
    problems: list[Problem] = []
    sar = _images(root, subfolders.sar, selection, problems)
    optical = _images(root, subfolders.optical, selection, problems)
    for folder, images, others in ((subfolders.optical, sar, optical), (subfolders.sar, optical, sar)):
        for name in sorted(images.keys() - others.keys()):
            message = f"{images[name]}: has no partner in '{folder}'; add the missing file, or exclude '{name}'."
            problems.append(Problem(kind="unpaired", message=message))
    has_masks = (root / subfolders.mask).is_dir()
    masks = _images(root, subfolders.mask, selection, problems) if has_masks else {}
    pairs = tuple(
        PairFiles(name=name, place=selection.place(name), sar=sar[name], optical=optical[name], mask=masks.get(name))
        for name in sorted(sar.keys() & optical.keys())
    )
    return Listing(pairs, tuple(problems))


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
    rows = list(_rows(path, needed=_IMAGE_COLUMNS if split is None else (*_IMAGE_COLUMNS, "split")))
    if split is not None:
        known = sorted({row["split"] for _, row in rows})
        rows = [(line, row) for line, row in rows if row["split"] == split]
        if not rows:
            raise InputError(f"{path}: no row has the split '{split}'; there are {', '.join(known) or 'no rows'}.")
    files = []
    for line, row in rows:
        absent = [column for column in _IMAGE_COLUMNS if not row[column]]
        if absent:
            raise InputError(f"{path}, line {line}: the column '{absent[0]}' is empty; name an image file.")
        name = row.get("name") or Path(row["sar"]).stem
        if selection.keeps(name):
            mask = row.get("mask")
            files.append(
                PairFiles(
                    name=name,
                    place=row.get("place") or selection.place(name),
                    sar=path.parent / row["sar"],
                    optical=path.parent / row["optical"],
                    mask=path.parent / mask if mask else None,
                    split=row.get("split") or None,
                )
            )
    selection.require_found([pair.name for pair in files], path)
    return tuple(files)


def _images(root: Path, folder: str, selection: Selection, problems: list[Problem]) -> dict[str, Path]:
    where = root / folder
    if not where.is_dir():
        raise InputError(
            f"{root}: there is no folder '{folder}' in it; a collection has a folder of SAR and one of optical images."
        )
    found: dict[str, Path] = {}
    for path in sorted(where.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() in _BESIDE_IMAGES or not path.is_file():
            continue
        if not selection.keeps(path.stem):
            continue
        if path.stem in found:
            message = f"{where}: '{found[path.stem].name}' and '{path.name}' have one name; remove one of them."
            problems.append(Problem(kind="duplicate", message=message))
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
                    f"{path}: the table has no column '{missing[0]}'; found: {', '.join(reader.fieldnames or ())}."
                )
            for row in reader:
                yield reader.line_num, {column: value.strip() for column, value in row.items() if column}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: the table of pairs cannot be read ({error}).") from error
