"""Reading the two inputs: which is SAR, which bands, what scale; unit-scaled pixels on any grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from midground.core.image import Image
from midground.core.radiometry import SarScale, detect_sar_scale, log_floor, scene_limits, to_log_scale, to_unit
from midground.errors import InputError
from midground.geo.grid import Grid
from midground.geo.raster import RasterInfo, open_raster, open_source, read_native, read_on_grid
from midground.modality.bands import check_modality, choose_bands, described_modalities, guess_modality
from midground.modality.base import InputSpec, Mapper, Modality
from midground.registration.coarse import MappedPair
from midground.registration.config import InputConfig
from midground.registration.result import InputInfo

_OVERVIEW_PX = 1024
_OPPOSITE: dict[Modality, Modality] = {"sar": "optical", "optical": "sar"}
_STRETCHED_SPAN = 64
"""An 8-bit image whose percentiles span at least this many grey levels is taken as it is, 0 to 255."""


@dataclass(frozen=True, slots=True)
class Working:
    """Both images on the working grid, between 0 and 1, and mapped by every mapper."""

    fixed: Image
    moving: Image
    pairs: tuple[MappedPair, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One input with everything that had to be decided about it. Floor and limits are those of the whole scene."""

    modality: Modality
    bands: tuple[int, ...]
    assumptions: tuple[str, ...]
    overview: Image
    """The chosen bands of the whole scene, reduced; decibels for linear SAR."""
    scale: SarScale | None
    floor: float | None
    """Linear value that smaller ones become before the logarithm is taken; None where none is taken."""
    read: Callable[[Grid], Image]
    """Raw values of the chosen bands on a grid."""
    grid: Grid
    info: InputInfo
    _limits: dict[InputSpec, np.ndarray] = field(default_factory=dict)

    def unit(self, grid: Grid, spec: InputSpec) -> Image:
        """The chosen bands on a grid, between 0 and 1."""
        return self.to_unit(self.log_scaled(grid), spec)

    def log_scaled(self, grid: Grid) -> Image:
        """The chosen bands on a grid; decibels for linear SAR."""
        raw = self.read(grid)
        return raw if self.scale is None else to_log_scale(raw, self.scale, floor=self.floor)

    def to_unit(self, image: Image, spec: InputSpec) -> Image:
        """Scale values read by :meth:`log_scaled` as a mapper wants them."""
        if spec not in self._limits:
            limits = scene_limits(self.overview, spec.scaling)
            if self.info.dtype == "uint8" and spec.scaling.kind == "percentile" and _is_stretched(limits):
                limits = np.tile([0.0, 255.0], (len(limits), 1))
            self._limits[spec] = limits
        return to_unit(image, self._limits[spec])


def _is_stretched(limits: np.ndarray) -> bool:
    """Whether 8-bit values were stretched for display: stretching them again would cost what little range they have."""
    return bool((limits[:, 1] - limits[:, 0]).min() >= _STRETCHED_SPAN)


def open_sources(
    fixed: Path,
    moving: Path,
    configs: tuple[InputConfig, InputConfig],
    specs: Mapping[Modality, InputSpec],
    *,
    band_options: tuple[str, str] = ("--bands-fixed", "--bands-moving"),
) -> tuple[Source, Source]:
    """Open both rasters, and decide modality, bands and scale of each.

    Args:
        fixed: The image that stays.
        moving: The image that is brought onto it.
        configs: What the user said about each.
        specs: Bands that the mappers want, per modality.
        band_options: The options that name bands of each, for messages.

    Raises:
        InputError: A raster cannot be used; the message names it.
    """
    rasters = (open_raster(fixed), open_raster(moving))
    dtypes = [raster.dtypes[0] for raster in rasters]
    samples = [_sample(raster) for raster in rasters]
    guesses = [
        guess_modality(_descriptions(raster), len(raster.data_bands), dtype, sample)
        for raster, dtype, sample in zip(rasters, dtypes, samples, strict=True)
    ]
    named = [config.modality for config in configs]
    for raster, modality in zip(rasters, named, strict=True):
        if modality is not None:
            check_modality(modality, _descriptions(raster), name=str(raster.path))
    modalities = _with_remedy(settle_modalities(named, guesses), named, rasters)
    fixed_source, moving_source = (
        _open(raster, modality, sentence, config, specs[modality], option)
        for raster, (modality, sentence), config, option in zip(rasters, modalities, configs, band_options, strict=True)
    )
    return fixed_source, moving_source


def settle_modalities(
    named: Sequence[Modality | None], guesses: Sequence[tuple[Modality | None, str]]
) -> list[tuple[Modality, str]]:
    """Modality of the fixed and of the moving image, each with the sentence that explains it.

    What the user names holds; then what the bands say; then the opposite of the other image; then optical for the
    fixed image and SAR for the moving one.
    """
    known = [name if name is not None else guess for name, (guess, _) in zip(named, guesses, strict=True)]
    usual: tuple[Modality, Modality] = ("optical", "sar")
    settled: list[tuple[Modality, str]] = []
    for index in (0, 1):
        here, other = known[index], known[1 - index]
        if named[index] is not None and here is not None:
            guess, reason = guesses[index]
            is_doubted = guess is not None and guess != here
            settled.append((here, f"{here}, as asked for; else it would be {reason}" if is_doubted else ""))
        elif here is not None:
            settled.append((here, guesses[index][1]))
        elif other is not None:
            settled.append((_OPPOSITE[other], f"taken as {_OPPOSITE[other]}, since the other image is {other}"))
        else:
            settled.append((usual[index], f"taken as {usual[index]}, since nothing says what either image is"))
    return settled


def _with_remedy(
    settled: Sequence[tuple[Modality, str]], named: Sequence[Modality | None], rasters: Sequence[RasterInfo]
) -> Iterator[tuple[Modality, str]]:
    """Say how to name the modality where it was guessed without a description, and is that of the other image."""
    (first, _), (second, _) = settled
    for role, raster, name, (modality, sentence) in zip(("fixed", "moving"), rasters, named, settled, strict=True):
        remedy = f", and so is the other image; --{role}-modality {_OPPOSITE[modality]} says otherwise"
        is_open = name is None and not described_modalities(_descriptions(raster))
        yield modality, sentence + remedy if first == second and is_open else sentence


def array_source(array: Image, modality: Modality, config: InputConfig, dtype: str, sentence: str = "") -> Source:
    """A source without a file: the image's own pixels are its grid.

    Args:
        array: Raw values.
        modality: What it is.
        config: What the user said about it.
        dtype: Data type that the values came in.
        sentence: Why it is taken to be of this modality; empty if it was named.
    """
    grid = Grid.without_georeference(array.hw)
    if not array.valid.any():
        raise InputError(f"The {modality} image holds no valid pixel.")
    _require_contrast(array, f"The {modality} image")
    scale, reason = _sar_scale(array, dtype, config) if modality == "sar" else (None, "")
    floor, overview = _decibels(array, scale)
    info = InputInfo(
        path=None,
        hw=array.hw,
        n_bands=array.n_channels,
        dtype=dtype,
        crs=None,
        gsd_m=None,
        modality=modality,
        bands=tuple(range(1, array.n_channels + 1)),
        assumptions=tuple(text for text in (sentence, reason) if text),
    )

    def read(wanted: Grid) -> Image:
        return _resized(array, wanted.hw)

    return Source(modality, info.bands, info.assumptions, overview, scale, floor, read, grid, info)


def map_pair(
    fixed: Source, moving: Source, mappers: Sequence[Mapper], grid: Grid, *, moving_grid: Grid | None = None
) -> Working:
    """Bring both sources onto a grid, and map them with every mapper.

    Args:
        fixed: The fixed input.
        moving: The moving input.
        mappers: The lead first.
        grid: Working grid.
        moving_grid: Grid of the moving image, if not the same.
    """
    moving_values = moving.log_scaled(grid if moving_grid is None else moving_grid)
    return map_values(fixed, fixed.log_scaled(grid), moving, moving_values, mappers)


def map_values(
    fixed: Source, fixed_values: Image, moving: Source, moving_values: Image, mappers: Sequence[Mapper]
) -> Working:
    """Map values that were read, and perhaps warped, before."""
    pairs: list[MappedPair] = []
    # Networks need the most memory, so they run before the other maps are held.
    for mapper in reversed(mappers):
        wishes = (mapper.inputs[moving.modality], mapper.inputs[fixed.modality])
        units = (moving.to_unit(moving_values, wishes[0]), fixed.to_unit(fixed_values, wishes[1]))
        mapped = (mapper.map(units[0], moving.modality), mapper.map(units[1], fixed.modality))
        pairs.insert(0, MappedPair(mapper.name, *mapped))
    return Working(units[1], units[0], tuple(pairs))


def _resized(image: Image, hw: tuple[int, int]) -> Image:
    """The same footprint with another number of pixels; averaged where there are fewer."""
    if image.hw == hw:
        return image
    method = cv2.INTER_AREA if hw[0] < image.hw[0] else cv2.INTER_LINEAR
    share = cv2.resize(image.valid.astype(np.float32), hw[::-1], interpolation=method)
    channels = np.stack([cv2.resize(channel, hw[::-1], interpolation=method) for channel in image.channels])
    valid = share >= 0.5
    return Image(np.where(valid, channels / np.maximum(share, 0.5), np.float32(0)).astype(np.float32), valid)


def _sample(raster: RasterInfo) -> Image:
    """Some pixels of the first band, of all three where they may be a grey image saved in colour."""
    n_bands = 3 if len(raster.data_bands) == 3 and raster.dtypes[0] == "uint8" else 1
    return read_native(raster, raster.data_bands[:n_bands], max_hw=256)


def _open(
    raster: RasterInfo, modality: Modality, sentence: str, config: InputConfig, spec: InputSpec, band_option: str
) -> Source:
    choice = choose_bands(
        _descriptions(raster), spec.bands, config.bands, modality, name=str(raster.path), option=band_option
    )
    bands = tuple(raster.data_bands[index - 1] for index in choice.indices)
    overview = read_native(raster, bands, max_hw=_OVERVIEW_PX)
    if not overview.valid.any():
        listed = ", ".join(map(str, sorted(set(bands))))
        raise InputError(f"{raster.path}: no pixel of band {listed} holds data (nodata, NaN or masked everywhere).")
    _require_contrast(overview, f"{raster.path}")
    scale, reason = _sar_scale(overview, raster.dtypes[0], config) if modality == "sar" else (None, "")
    told = (sentence, choice.sentence, reason, _border(raster, bands), _stretch(raster.grid))
    assumptions = tuple(text for text in told if text)
    info = InputInfo(
        path=str(raster.path),
        hw=raster.grid.hw,
        n_bands=raster.n_bands,
        dtype=raster.dtypes[0],
        crs=raster.grid.crs,
        gsd_m=raster.grid.ground_gsd_m,
        modality=modality,
        bands=bands,
        assumptions=assumptions,
    )
    floor, log_scaled = _decibels(overview, scale)

    def read(grid: Grid) -> Image:
        return read_on_grid(raster, bands, grid)

    return Source(modality, bands, assumptions, log_scaled, scale, floor, read, raster.grid, info)


def _border(raster: RasterInfo, bands: Sequence[int]) -> str:
    """Say which values are taken for an empty border; empty if there is none."""
    with open_source(raster, bands) as source:
        fills = source.border_fills
    return (
        f"solid areas of {' and '.join(f'{fill:g}' for fill in fills)} at its edge are taken as empty" if fills else ""
    )


def _stretch(grid: Grid) -> str:
    """Say it where metres of the map are not metres on the ground; empty elsewhere."""
    stated, on_the_ground = grid.gsd_m, grid.ground_gsd_m
    if stated is None or on_the_ground is None or stated == on_the_ground:
        return ""
    return (
        f"a metre of its map is {on_the_ground / stated:.2f} m on the ground here, by its projection; shifts and "
        "search ranges are in metres of the map"
    )


def _sar_scale(image: Image, dtype: str, config: InputConfig) -> tuple[SarScale, str]:
    if config.sar_scale is not None:
        return config.sar_scale, ""
    guess = detect_sar_scale(image, dtype)
    return guess.scale, guess.reason


def _decibels(scene: Image, scale: SarScale | None) -> tuple[float | None, Image]:
    """The floor of a whole scene, and the scene above it; decibels for linear SAR."""
    if scale is None:
        return None, scene
    floor = log_floor(scene, scale)
    return floor, to_log_scale(scene, scale, floor=floor)


def _require_contrast(image: Image, what: str) -> None:
    values = image.channels[:, image.valid]
    if float(np.ptp(values, axis=1).max()) == 0:
        raise InputError(f"{what}: every valid pixel has the value {values.flat[0]:g}, so there is nothing to match.")


def _descriptions(raster: RasterInfo) -> tuple[str | None, ...]:
    return tuple(raster.descriptions[band - 1] for band in raster.data_bands)
