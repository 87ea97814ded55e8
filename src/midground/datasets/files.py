"""Pairs whose images lie in files of their own, read when they are asked for."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from midground.datasets.base import Pair, PixelWindow, Profile, checked_window
from midground.datasets.listing import Listing, PairFiles, Problem
from midground.datasets.raster import RasterHeader, masked, read_header, read_mask, read_raster
from midground.datasets.selection import summed_up
from midground.errors import InputError


@dataclass(frozen=True, slots=True)
class _Headers:
    sar: RasterHeader
    optical: RasterHeader
    mask: RasterHeader | None = None


class FilePairs:
    """Pairs of image files in any format that GDAL reads, small tiles and whole scenes alike.

    Opening looks at every file's header and reads no pixel. Both images of a pair must have the same size and, if both
    have a georeference, the same grid; all files of one modality the same data type and number of bands.

    Args:
        files: The files of each pair; see :mod:`midground.datasets.listing`.
        bands_sar: SAR bands to read, counted from 1; all but an alpha band if omitted.
        bands_optical: Optical bands to read, likewise.
        is_black_missing: Whether optical pixels that are zero in all bands hold no data. If omitted, this is so for
            8-bit files without a nodata value, mask or alpha band.

    Raises:
        InputError: Files cannot be used; the message names the first of them.
    """

    def __init__(
        self,
        files: Sequence[PairFiles],
        *,
        bands_sar: Sequence[int] | None = None,
        bands_optical: Sequence[int] | None = None,
        is_black_missing: bool | None = None,
    ) -> None:
        self._files = tuple(files)
        self.names = tuple(pair.name for pair in self._files)
        self.places = tuple(pair.place for pair in self._files)
        checked, problems = _inspect(self._files)
        if problems:
            raise InputError(summed_up(problem.message for problem in problems))
        self._headers = tuple(headers for _, headers in checked)
        first = self._headers[0]
        self._bands_sar, self.sar_profile = choose_bands("bands_sar", bands_sar, first.sar)
        self._bands_optical, self.optical_profile = choose_bands("bands_optical", bands_optical, first.optical)
        self._is_black_missing = is_black_missing

    def __len__(self) -> int:
        return len(self._files)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        return self._headers[index].sar.hw

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it.

        Raises:
            InputError: A file is damaged, the window does not lie inside, or a whole image holds no data.
        """
        files, headers = self._files[index], self._headers[index]
        area = checked_window(files.name, headers.sar.hw, window)
        sar = read_raster(headers.sar, self._bands_sar, area)
        optical = read_raster(
            headers.optical, self._bands_optical, area, is_black_missing=self._is_black_invalid(headers.optical)
        )
        if headers.mask is not None:
            mask = read_mask(headers.mask, area)
            sar, optical = (masked(image.channels, image.valid & mask) for image in (sar, optical))
        for path, image in ((files.sar, sar), (files.optical, optical)):
            if window is None and not image.valid.any():
                raise InputError(f"{path}: no pixel of the image holds data; exclude the pair '{files.name}'.")
        return Pair(files.name, files.place, sar, optical)

    def files(self, index: int) -> tuple[Path, ...]:
        """Files of a pair: the SAR and the optical image, and the mask if there is one."""
        return self._files[index].files

    def georeference(self, index: int) -> tuple[str | None, tuple[float, ...]]:
        """Coordinate reference system of a pair, and the six coefficients from its pixels to map coordinates."""
        headers = self._headers[index]
        header = headers.sar if headers.optical.crs is None else headers.optical
        return header.crs, header.transform

    def _is_black_invalid(self, header: RasterHeader) -> bool:
        if self._is_black_missing is None:
            return header.dtype == "uint8" and not header.has_mask
        return self._is_black_missing


def usable_pairs(files: Sequence[PairFiles]) -> Listing:
    """The pairs that :class:`FilePairs` would open together, and what is wrong with the others; reads headers only."""
    checked, problems = _inspect(files)
    return Listing(tuple(pair for pair, _ in checked), tuple(problems))


def _inspect(files: Sequence[PairFiles]) -> tuple[list[tuple[PairFiles, _Headers]], list[Problem]]:
    good: list[tuple[PairFiles, _Headers]] = []
    problems: list[Problem] = []
    for pair in files:
        headers, unreadable = _headers(pair)
        problems += unreadable
        if headers is None:
            continue
        disagreements = [Problem(kind="mismatched", message=message) for message in _disagreements(headers)]
        problems += disagreements
        if not disagreements:
            good.append((pair, headers))
    odd = _odd_ones([headers.sar for _, headers in good]) | _odd_ones([headers.optical for _, headers in good])
    problems += [Problem(kind="mismatched", message=message) for message in odd.values()]
    return [(pair, headers) for pair, headers in good if not {pair.sar, pair.optical} & odd.keys()], problems


def _headers(pair: PairFiles) -> tuple[_Headers | None, list[Problem]]:
    headers: list[RasterHeader] = []
    problems: list[Problem] = []
    for path in pair.files:
        try:
            headers.append(read_header(path))
        except InputError as error:
            problems.append(problem_of(path, error))
    return (None if problems else _Headers(*headers)), problems


def problem_of(path: Path, error: InputError) -> Problem:
    """What is wrong with a file that could not be read."""
    return Problem(kind="unreadable" if path.exists() else "missing", message=str(error))


def _disagreements(pair: _Headers) -> Iterator[str]:
    sar, optical = pair.sar, pair.optical
    for other in (optical, *([] if pair.mask is None else [pair.mask])):
        if sar.hw != other.hw:
            yield (
                f"{sar.path} has {sar.hw[0]} × {sar.hw[1]} px, {other.path} {other.hw[0]} × {other.hw[1]} px; both "
                "must have one size."
            )
    if sar.hw == optical.hw and not sar.is_on_grid_of(optical):
        paths = shlex.join([str(optical.path), str(sar.path)])
        yield (
            f"{sar.path} and {optical.path} have georeferences that do not put their pixels at the same places; bring "
            f"them to one grid with 'midground register {paths} -o ALIGNED.tif'."
        )


def _odd_ones(headers: Sequence[RasterHeader]) -> dict[Path, str]:
    """Files of one modality that are not like most, and why."""
    traits: list[tuple[str, Callable[[RasterHeader], object]]] = [
        ("band(s)", lambda header: len(header.data_bands)),
        ("values", lambda header: header.dtype),
    ]
    odd: dict[Path, str] = {}
    for word, trait in traits if headers else ():
        usual = Counter(map(trait, headers)).most_common(1)[0][0]
        for header in headers:
            if trait(header) != usual:
                message = f"{header.path} has {trait(header)} {word}, most others have {usual}; exclude or convert it."
                odd.setdefault(header.path, message)
    return odd


def choose_bands(setting: str, bands: Sequence[int] | None, header: RasterHeader) -> tuple[tuple[int, ...], Profile]:
    """The bands that are read of files of one modality, and what they are.

    Args:
        setting: Name of the setting, for the message.
        bands: Bands, counted from 1; all but an alpha band if omitted.
        header: The first file; all others have as many bands.

    Raises:
        InputError: The file lacks one of them.
    """
    chosen = header.data_bands if bands is None else tuple(bands)
    wrong = [band for band in chosen if band not in header.data_bands]
    if wrong or not chosen:
        raise InputError(
            f"{header.path}: there is no band {wrong[0] if wrong else 'chosen'}; the file has the bands "
            f"{', '.join(map(str, header.data_bands))}, counted from 1; correct {setting}."
        )
    return chosen, Profile(bands=tuple(header.band_name(band) for band in chosen), dtype=header.dtype)
