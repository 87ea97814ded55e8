"""Which bands of a raster are the ones that a mapper wants, and which sensor a raster comes from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from midground.core.image import REPEATED_WITHIN, Image
from midground.errors import InputError
from midground.modality.base import Modality

ANY = "any"

_POLARISATIONS = ("vv", "hh", "vh", "hv")
_COLOURS = {"red": "b04", "green": "b03", "blue": "b02"}
_NAMES = {"r": "b04", "g": "b03", "b": "b02", "nir": "b08", "swir1": "b11", "swir2": "b12"} | _COLOURS
_GREY_NAMES = frozenset({"pan", "panchromatic", "grey", "gray"})
_SAR_WORDS = frozenset({"sigma0", "gamma0", "beta0", "sar", "amplitude", "intensity", "backscatter"})
_GENERIC = re.compile(r"band[ _]?\d+|gr[ea]y")
"""Names that programs give to the bands of any image."""
_RGB = ("b04", "b03", "b02")
# Sentinel-2 stacks as they are commonly handed out, by number of bands.
_STACKS = {
    10: ("b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b11", "b12"),
    12: ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b11", "b12"),
    13: ("b01", "b02", "b03", "b04", "b05", "b06", "b07", "b08", "b8a", "b09", "b10", "b11", "b12"),
}
_MIN_DB_SHARE = 0.02
_MIN_OPTICAL_BANDS = 3
_N_DUAL_POL = 2
_GREY_WITHIN = 1.5 * REPEATED_WITHIN
"""Bands of a reduced image that differ by no more hold one grey image: reduction overshoots."""


@dataclass(frozen=True, slots=True)
class BandChoice:
    """Bands to read, in the order in which the mapper wants them."""

    indices: tuple[int, ...]
    """Counted from 1; a band may repeat."""
    sentence: str
    """What was chosen, and on what grounds."""


def choose_bands(
    descriptions: Sequence[str | None],
    wanted: tuple[str, ...],
    explicit: Sequence[int] | None,
    modality: Modality,
    *,
    name: str = "the image",
    option: str = "--bands",
) -> BandChoice:
    """Find the bands that a mapper wants.

    Args:
        descriptions: One per band, None where the file gives none.
        wanted: Band names in the mapper's order, such as B04, red or VV; ``("any",)`` for any single one.
        explicit: What the user asked for, counted from 1; wins over everything.
        modality: What the image is.
        name: What messages call the image.
        option: The option that names bands, for messages.

    Raises:
        InputError: A band does not exist, or the bands cannot be told apart; the message asks for the option.
    """
    n_bands = len(descriptions)
    if explicit is not None:
        return _named_by_user(tuple(explicit), n_bands, wanted, f"{name}: {option}")
    known = [canonical_band(text) for text in descriptions]
    if wanted == (ANY,):
        return _any_band(known, modality)
    names = [canonical_band(text) or text.lower() for text in wanted]
    if all(band in known for band in names):
        indices = tuple(known.index(band) + 1 for band in names)
        return BandChoice(indices, f"bands {_listed(indices)} by their descriptions ({', '.join(wanted)})")
    choice = None if any(known) else _by_count(names, n_bands, wanted, modality)
    if choice is None and n_bands == 1:
        repeated = "" if len(wanted) == 1 else f", repeated {len(wanted)} times for {', '.join(wanted)}"
        choice = BandChoice((1,) * len(wanted), f"band 1, the only one{repeated}")
    if choice is None:
        found = ", ".join(text or "?" for text in descriptions)
        raise InputError(
            f"{name}: cannot tell which of its {n_bands} bands ({found}) are {', '.join(wanted)}; name them with "
            f"{option}, counted from 1."
        )
    return choice


def canonical_band(description: str | None) -> str | None:
    """Sentinel-2 band (``b04``), polarisation (``vv``) or ``pan`` that a description names; None if it names none."""
    for word in _words(description):
        band = re.fullmatch(r"b(?:and)?0*(\d{1,2})(a?)", word)
        if band is not None:
            number, suffix = band.groups()
            return f"b{number}a" if suffix else f"b{int(number):02d}"
        if word in _POLARISATIONS:
            return word
        if word in _NAMES:
            return _NAMES[word]
        if word in _GREY_NAMES:
            return "pan"
    return None


def guess_modality(
    descriptions: Sequence[str | None], n_bands: int, dtype: str, sample: Image
) -> tuple[Modality | None, str]:
    """Tell the modality of a raster, where its bands or values say it.

    Args:
        descriptions: One per band.
        n_bands: Number of bands.
        dtype: Data type in the file.
        sample: Raw values of some of its pixels: of the first band, or of all three where equal bands would tell a
            grey image saved in colour, which may be of either modality.

    Returns:
        The modality, or None where nothing tells; and the reason as a sentence.
    """
    described = described_modalities(descriptions)
    texts = ", ".join(text for text in descriptions if text)
    if len(described) > 1:
        return None, f"its bands are of both modalities ({texts})"
    for modality in described:
        return modality, f"taken as {modality}, since its bands are described as {texts}"
    values = sample.channels[:, sample.valid]
    is_float = np.issubdtype(np.dtype(dtype), np.floating)
    if is_float and values.size and float((values < 0).mean()) > _MIN_DB_SHARE:
        return "sar", "taken as sar, since many of its values are negative, as decibels are"
    if n_bands >= _MIN_OPTICAL_BANDS and not _is_grey(sample, n_bands, dtype):
        return "optical", f"taken as optical, since it has {n_bands} bands"
    if n_bands == _N_DUAL_POL and is_float:
        return "sar", "taken as sar, since it has two bands of real numbers"
    return None, "nothing in the file says whether it is SAR or optical"


def described_modalities(descriptions: Sequence[str | None]) -> set[Modality]:
    """Modalities that the descriptions of bands speak of, such as VV or red; empty if they say nothing."""
    telling = [text for text in descriptions if text and not _GENERIC.fullmatch(text.strip().lower())]
    bands = {canonical_band(text) for text in telling} - {None}
    found: set[Modality] = set()
    if bands & set(_POLARISATIONS) or any(_SAR_WORDS & set(_words(text)) for text in telling):
        found.add("sar")
    if bands - set(_POLARISATIONS):
        found.add("optical")
    return found


def check_modality(modality: Modality, descriptions: Sequence[str | None], *, name: str = "the image") -> None:
    """Refuse a modality that the descriptions of the bands contradict.

    Args:
        modality: What the user says the image is.
        descriptions: One per band.
        name: What the message calls the image.

    Raises:
        InputError: The bands are of the other modality.
    """
    described = described_modalities(descriptions)
    if described and modality not in described:
        texts = ", ".join(text for text in descriptions if text)
        raise InputError(
            f"{name}: named as {modality}, but its bands are described as {texts}, which is {', '.join(described)}; "
            "swap the modalities, or correct the descriptions."
        )


def _named_by_user(explicit: tuple[int, ...], n_bands: int, wanted: tuple[str, ...], option: str) -> BandChoice:
    for band in explicit:
        if not 1 <= band <= n_bands:
            raise InputError(f"{option} asks for band {band}, but the bands are 1 to {n_bands}.")
    if len(explicit) == len(wanted):
        return BandChoice(explicit, f"bands {_listed(explicit)} as asked for ({', '.join(wanted)})")
    if len(explicit) == 1:
        return BandChoice(explicit * len(wanted), f"band {explicit[0]} as asked for, repeated {len(wanted)} times")
    raise InputError(
        f"{option} names {len(explicit)} bands ({_listed(explicit)}), but {len(wanted)} are wanted "
        f"({', '.join(wanted)})."
    )


def _any_band(known: list[str | None], modality: Modality) -> BandChoice:
    if modality == "sar":
        for polarisation in _POLARISATIONS:
            if polarisation in known:
                index = known.index(polarisation) + 1
                return BandChoice((index,), f"band {index}, described as {polarisation.upper()}")
    return BandChoice((1,), "band 1, the only one" if len(known) == 1 else f"band 1 of {len(known)}, the first")


def _by_count(names: list[str], n_bands: int, wanted: tuple[str, ...], modality: Modality) -> BandChoice | None:
    """Bands without descriptions, by the usual order of that many."""
    layouts = {3: _RGB, 4: _RGB} | _STACKS if modality == "optical" else {2: ("vv", "vh")}
    layout = layouts.get(n_bands, ())
    if all(band in layout for band in names):
        indices = tuple(layout.index(band) + 1 for band in names)
        order = ", ".join(band.upper() for band in layout) if n_bands in _STACKS else "the usual order"
        listed = ", ".join(wanted)
        return BandChoice(
            indices, f"bands {_listed(indices)} taken as {listed}: {n_bands} bands without names, {order}"
        )
    if n_bands == len(names) and n_bands > 1:
        indices = tuple(range(1, n_bands + 1))
        return BandChoice(
            indices, f"bands {_listed(indices)} taken as {', '.join(wanted)}: as many as wanted, no names"
        )
    return None


def _is_grey(sample: Image, n_bands: int, dtype: str) -> bool:
    """Whether a file holds a grey image in three bands of 8 bit, all of which are in the sample."""
    is_colour_format = sample.n_channels == n_bands == len(_RGB) and dtype == "uint8"
    return is_colour_format and sample.is_repeated(_GREY_WITHIN)


def _words(description: str | None) -> list[str]:
    return re.findall(r"[a-z0-9]+", (description or "").lower())


def _listed(indices: Sequence[int]) -> str:
    return ", ".join(map(str, indices))
