"""Everything that is wrong with a collection: files without a partner, damaged, unlike the others, empty or twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from midground.core.image import REPEATED_WITHIN
from midground.core.progress import Progress, silent
from midground.datasets.base import PixelWindow, RawPairs
from midground.datasets.files import FilePairs, choose_bands, problem_of, usable_pairs
from midground.datasets.listing import Listing, Problem
from midground.datasets.raster import read_header, read_raster
from midground.errors import InputError

_STRIP_PX = 1 << 22


@dataclass(frozen=True, slots=True)
class Findings:
    """What reading all of a collection brought to light."""

    n_pairs: int
    """Number of pairs that were read, sound or not."""
    problems: tuple[Problem, ...]
    """What has to be mended."""
    hints: tuple[str, ...]
    """What may be wanted as it is, a sentence each."""


def check_files(
    listing: Listing,
    *,
    bands_sar: Sequence[int] | None = None,
    bands_optical: Sequence[int] | None = None,
    is_black_missing: bool | None = None,
    progress: Progress = silent,
) -> Findings:
    """Say what is wrong with the files of a collection, those that keep it from being opened included.

    Images that are in no usable pair are read too.

    Args:
        listing: The files, and what was noticed when they were looked for.
        bands_sar: As for :class:`FilePairs`; if the files lack one, that is a problem, and all bands are read.
        bands_optical: Likewise.
        is_black_missing: As for :class:`FilePairs`.
        progress: Told after every pair and every file.

    Raises:
        InputError: There is nothing to check.
    """
    if not listing.pairs and not listing.problems:
        raise InputError("There is no image of a pair here; check the folder, and the name of the layout.")
    usable = usable_pairs(listing.pairs)
    problems = [*listing.problems, *usable.problems]
    hints: tuple[str, ...] = ()
    if usable.pairs:
        first = usable.pairs[0]
        sar, of_sar = _existing("bands_sar", bands_sar, first.sar)
        optical, of_optical = _existing("bands_optical", bands_optical, first.optical)
        source = FilePairs(usable.pairs, bands_sar=sar, bands_optical=optical, is_black_missing=is_black_missing)
        found = check(source, progress=progress)
        problems += [*of_sar, *of_optical, *found.problems]
        hints = found.hints
    read = {path for pair in usable.pairs for path in pair.files}
    problems += _damaged({path for pair in listing.pairs for path in pair.files}.union(listing.others) - read, progress)
    images = dict.fromkeys([*(path for pair in listing.pairs for path in (pair.sar, pair.optical)), *listing.others])
    problems += _duplicates(images, progress)
    # Pairs may share a file.
    return Findings(len(usable.pairs), tuple(dict.fromkeys(problems)), hints)


def check(source: RawPairs, *, progress: Progress = silent) -> Findings:
    """Read all pairs and say what is wrong with each; a bad one does not keep the others from being read.

    Large scenes are read in strips.

    Args:
        source: The collection.
        progress: Told after every pair.
    """
    problems: list[Problem] = []
    is_sar_repeated = source.sar_profile.dtype == "uint8" and len(source.sar_profile.bands) > 1
    for index, name in enumerate(source.names):
        found = _Found()
        try:
            for window in _strips(source.hw(index)):
                found.add(source, index, window)
        except InputError as error:
            files = source.files(index) if isinstance(source, FilePairs) else ()
            damaged = list(_damaged(files, silent))
            problems += damaged or [Problem(kind="unreadable", message=str(error))]
        else:
            problems += [Problem(kind="empty", message=message) for message in found.problems(name)]
            is_sar_repeated &= found.is_sar_repeated
        progress("checking pairs", index + 1, len(source))
    hint = "The SAR images are grey, saved as colour: 'bands_sar: [1]' reads them as one band."
    return Findings(len(source), tuple(problems), (hint,) if is_sar_repeated else ())


class _Found:
    """What the strips of one pair hold."""

    def __init__(self) -> None:
        self._has_data = {"SAR": False, "optical": False}
        self._has_both = False
        self.is_sar_repeated = True

    def add(self, source: RawPairs, index: int, window: PixelWindow) -> None:
        pair = source.read(index, window)
        self._has_data["SAR"] |= bool(pair.sar.valid.any())
        self._has_data["optical"] |= bool(pair.optical.valid.any())
        self._has_both |= bool((pair.sar.valid & pair.optical.valid).any())
        self.is_sar_repeated &= pair.sar.is_repeated(REPEATED_WITHIN)

    def problems(self, name: str) -> Iterator[str]:
        empty = [modality for modality, has_data in self._has_data.items() if not has_data]
        for modality in empty:
            yield f"Pair '{name}': no pixel of the {modality} image holds data; exclude the pair."
        if not empty and not self._has_both:
            yield f"Pair '{name}': no pixel holds data in both images; exclude the pair."


def _strips(hw: tuple[int, int]) -> Iterator[PixelWindow]:
    height, width = hw
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        yield PixelWindow(top, 0, min(rows, height - top), width)


def _existing(setting: str, bands: Sequence[int] | None, path: Path) -> tuple[Sequence[int] | None, list[Problem]]:
    """Bands as they are set if the files have them, else all, and what is wrong with the setting."""
    try:
        choose_bands(setting, bands, read_header(path))
    except InputError as error:
        return None, [Problem(kind="mismatched", message=str(error))]
    return bands, []


def _damaged(paths: Iterable[Path], progress: Progress) -> Iterator[Problem]:
    """Read files one by one, all bands of them."""
    paths = sorted(paths)
    for number, path in enumerate(paths, start=1):
        try:
            header = read_header(path)
            for window in _strips(header.hw):
                read_raster(header, header.data_bands, window)
        except InputError as error:
            yield problem_of(path, error)
        progress("reading single files", number, len(paths))


def _duplicates(images: Iterable[Path], progress: Progress) -> Iterator[Problem]:
    """Image files with the same content under several names; masks may well be equal."""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for path in images:
        if path.is_file():
            by_size[path.stat().st_size].append(path)
    suspects = [path for paths in by_size.values() if len(paths) > 1 for path in paths]
    by_content: dict[bytes, list[Path]] = defaultdict(list)
    for number, path in enumerate(suspects, start=1):
        # One that cannot be opened was reported when its pixels were read.
        with suppress(OSError), path.open("rb") as stream:
            by_content[hashlib.file_digest(stream, "sha256").digest()].append(path)
        progress("comparing files", number, len(suspects))
    for first, *others in by_content.values():
        for path in others:
            yield Problem(kind="duplicate", message=f"{path}: has the same content as {first}; exclude one of them.")
