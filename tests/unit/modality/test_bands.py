"""Bands by description and by count; modality by bands and values."""

import numpy as np
import pytest

from midground.core.image import Image
from midground.errors import InputError
from midground.modality.bands import canonical_band, check_modality, choose_bands, described_modalities, guess_modality
from midground.modality.base import Modality

RGB = ("B04", "B03", "B02")
TEN = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
THIRTEEN = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


@pytest.mark.parametrize(
    ("description", "band"),
    [
        ("B4", "b04"),
        ("b04", "b04"),
        ("B8A", "b8a"),
        ("Band 11", None),
        ("band_11", None),
        ("Band11", "b11"),
        ("Red", "b04"),
        ("S2 green (10 m)", "b03"),
        ("VV", "vv"),
        ("Sigma0_VH_db", "vh"),
        ("Panchromatic", "pan"),
        ("NDVI", None),
        ("", None),
        (None, None),
    ],
)
def test_descriptions_are_understood(description: str | None, band: str | None) -> None:
    assert canonical_band(description) == band


@pytest.mark.parametrize(
    ("descriptions", "wanted", "modality", "indices"),
    [
        (("B4", "B3", "B2"), RGB, "optical", (1, 2, 3)),
        (TEN, RGB, "optical", (3, 2, 1)),
        (THIRTEEN, RGB, "optical", (4, 3, 2)),
        (THIRTEEN, ("B8A", "B12"), "optical", (9, 13)),
        (("blue", "green", "red", "nir"), RGB, "optical", (3, 2, 1)),
        ((None,) * 3, RGB, "optical", (1, 2, 3)),
        ((None,) * 3, ("red", "green", "blue"), "optical", (1, 2, 3)),
        ((None,) * 3, ("B02", "B03", "B04"), "optical", (3, 2, 1)),
        ((None,) * 4, RGB, "optical", (1, 2, 3)),
        ((None,), RGB, "optical", (1, 1, 1)),
        (("pan",), RGB, "optical", (1, 1, 1)),
        ((None,) * 10, RGB, "optical", (3, 2, 1)),
        ((None,) * 12, RGB, "optical", (4, 3, 2)),
        ((None,) * 13, RGB, "optical", (4, 3, 2)),
        ((None,) * 13, TEN, "optical", (2, 3, 4, 5, 6, 7, 8, 9, 12, 13)),
        (("VH", "VV"), ("any",), "sar", (2,)),
        (("HV", "HH"), ("any",), "sar", (2,)),
        (("VH", None), ("any",), "sar", (1,)),
        ((None, None), ("any",), "sar", (1,)),
        (("VH", "VV"), ("VV", "VH"), "sar", (2, 1)),
        ((None, None), ("VV", "VH"), "sar", (1, 2)),
        ((None,) * 5, ("a", "b", "c", "d", "e"), "optical", (1, 2, 3, 4, 5)),
    ],
)
def test_bands_are_found(
    descriptions: tuple[str | None, ...], wanted: tuple[str, ...], modality: Modality, indices: tuple[int, ...]
) -> None:
    choice = choose_bands(descriptions, wanted, None, modality)
    assert choice.indices == indices
    assert choice.sentence


def test_an_assumption_is_stated() -> None:
    assert "taken as B04, B03, B02" in choose_bands((None,) * 4, RGB, None, "optical").sentence
    assert "repeated 3 times" in choose_bands((None,), RGB, None, "optical").sentence
    assert "B01, B02, B03" in choose_bands((None,) * 13, RGB, None, "optical").sentence


@pytest.mark.parametrize("descriptions", [(None,) * 2, (None,) * 6, ("B02", "B03", "B08"), ("NIR", None, None)])
def test_bands_that_cannot_be_told_apart(descriptions: tuple[str | None, ...]) -> None:
    with pytest.raises(
        InputError, match=r"^scene\.tif: cannot tell which of its \d bands .* are B04, B03, B02; .*--bands"
    ):
        choose_bands(descriptions, RGB, None, "optical", name="scene.tif")


def test_the_user_wins() -> None:
    assert choose_bands(TEN, RGB, [7, 2, 1], "optical").indices == (7, 2, 1)
    assert choose_bands(TEN, RGB, [7], "optical").indices == (7, 7, 7)


@pytest.mark.parametrize(
    ("explicit", "message"),
    [([0, 1, 2], "asks for band 0"), ([1, 2, 4], "bands are 1 to 3"), ([1, 2], "names 2 bands")],
)
def test_bands_that_do_not_exist(explicit: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_bands((None,) * 3, RGB, explicit, "optical", name="scene.tif")


def raw(low: float, high: float) -> Image:
    return Image.from_array(np.linspace(low, high, 64, dtype=np.float32).reshape(8, 8))


@pytest.mark.parametrize(
    ("descriptions", "dtype", "sample", "modality"),
    [
        (("VV", "VH"), "float32", raw(-30, 0), "sar"),
        (("Sigma0",), "float32", raw(0, 1), "sar"),
        (("B4", "B3", "B2"), "uint16", raw(0, 4000), "optical"),
        (("B02", "VV"), "float32", raw(0, 1), None),
        ((None,), "float32", raw(-30, 0), "sar"),
        ((None,) * 13, "uint16", raw(0, 4000), "optical"),
        ((None,) * 2, "float32", raw(0, 1), "sar"),
        ((None,), "uint8", raw(0, 255), None),
        ((None,), "int16", raw(-20, 4000), None),
    ],
)
def test_modality_is_guessed(
    descriptions: tuple[str | None, ...], dtype: str, sample: Image, modality: Modality | None
) -> None:
    found, reason = guess_modality(descriptions, len(descriptions), dtype, sample)
    assert found == modality
    assert reason


def colours(spread: float) -> Image:
    grey = np.linspace(0, 200, 64).reshape(1, 8, 8)
    return Image.from_array(np.rint(grey + np.linspace(0, spread, 3)[:, None, None]).astype(np.float32))


@pytest.mark.parametrize(
    ("n_bands", "dtype", "spread", "modality"),
    [
        (3, "uint8", 0, None),
        (3, "uint8", 1, None),
        (3, "uint8", 2, "optical"),
        (3, "uint16", 0, "optical"),
        (4, "uint8", 0, "optical"),
    ],
)
def test_a_grey_image_saved_in_colour_may_be_either(
    n_bands: int, dtype: str, spread: float, modality: Modality | None
) -> None:
    found, _ = guess_modality((None,) * n_bands, n_bands, dtype, colours(spread))
    assert found == modality


def test_a_wrong_modality_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"^a\.tif: named as optical, but its bands are described as VV, VH, which is sar"
    ):
        check_modality("optical", ("VV", "VH"), name="a.tif")
    with pytest.raises(InputError, match="which is optical"):
        check_modality("sar", ("B04", "B03", "B02"))


@pytest.mark.parametrize("descriptions", [(), (None,), ("grey",), ("Band1", "Band 2", "band_03"), ("VV", "red")])
@pytest.mark.parametrize("modality", ["sar", "optical"])
def test_a_possible_modality_passes(descriptions: tuple[str | None, ...], modality: Modality) -> None:
    check_modality(modality, descriptions)


def test_names_that_any_image_has_tell_no_modality() -> None:
    assert described_modalities(("Band1", "gray", None)) == set()
    assert described_modalities(("B1", "Band2")) == described_modalities(("pan",)) == {"optical"}
    assert described_modalities(("Band1", "sigma0")) == {"sar"}
