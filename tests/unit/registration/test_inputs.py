"""What the inputs are taken to be, and the sentences that say so."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine

from midground.core.image import Image
from midground.core.radiometry import Scaling
from midground.errors import ConfigError, InputError
from midground.geo.grid import Grid
from midground.modality.base import InputSpec
from midground.modality.structure import GreyMapper, StructureMapper
from midground.registration.config import InputConfig, RegisterConfig
from midground.registration.inputs import array_source, map_pair, open_sources, settle_modalities

SPECS = dict(StructureMapper().inputs)
PLAIN = (InputConfig(), InputConfig())
UNKNOWN = (None, "nothing says")


@pytest.mark.parametrize(
    ("named", "guesses", "expected"),
    [
        ((None, None), (UNKNOWN, UNKNOWN), ("optical", "sar")),
        ((None, None), (("optical", "o"), ("sar", "s")), ("optical", "sar")),
        ((None, None), (("sar", "s"), ("optical", "o")), ("sar", "optical")),
        ((None, None), (("sar", "s"), UNKNOWN), ("sar", "optical")),
        ((None, None), (UNKNOWN, ("optical", "o")), ("sar", "optical")),
        ((None, None), (("optical", "o"), ("optical", "o")), ("optical", "optical")),
        (("sar", None), (UNKNOWN, UNKNOWN), ("sar", "optical")),
        ((None, "optical"), (UNKNOWN, UNKNOWN), ("sar", "optical")),
        (("sar", "sar"), (UNKNOWN, UNKNOWN), ("sar", "sar")),
        (("sar", None), (("optical", "o"), ("sar", "s")), ("sar", "sar")),
        ((None, "sar"), (("sar", "s"), ("optical", "o")), ("sar", "sar")),
    ],
)
def test_modalities_are_settled(named, guesses, expected):
    settled = settle_modalities(named, guesses)
    assert tuple(modality for modality, _ in settled) == expected


def test_each_modality_is_explained_unless_it_was_named():
    guessed = settle_modalities((None, None), (("optical", "it has 4 bands"), UNKNOWN))
    assert guessed[0][1] == "it has 4 bands"
    assert guessed[1][1] == "taken as sar, since the other image is optical"
    assert settle_modalities(("sar", "optical"), (UNKNOWN, UNKNOWN)) == [("sar", ""), ("optical", "")]
    doubted = settle_modalities(("sar", None), (("optical", "taken as optical, since it has 3 bands"), UNKNOWN))
    assert doubted[0] == ("sar", "sar, as asked for; else it would be taken as optical, since it has 3 bands")
    default = settle_modalities((None, None), (UNKNOWN, UNKNOWN))
    assert default[0][1] == "taken as optical, since nothing says what either image is"


@pytest.fixture
def write(tmp_path):
    def make(name: str, array: np.ndarray, *, names: tuple[str, ...] = (), **options):
        path = tmp_path / name
        profile = {"crs": "EPSG:32633", "transform": Affine(10, 0, 463200, 0, -10, 5411800), "nodata": 0} | options
        count, height, width = array.shape
        with rasterio.open(path, "w", "GTiff", width, height, count, dtype=array.dtype, **profile) as dataset:
            dataset.write(array)
            for band, text in enumerate(names, start=1):
                dataset.set_band_description(band, text)
        return path

    return make


@pytest.fixture
def optical(rendered):
    return np.rint(rendered().optical.channels[:3, :128, :128] * 10_000).astype(np.uint16)


@pytest.fixture
def sar(rendered):
    return rendered().sar.channels[:, :128, :128]


def test_a_grey_image_in_colour_is_what_the_other_image_is_not(write, optical):
    colour = np.clip(optical / optical.max() * 255, 1, 255).astype(np.uint8)
    grey = np.repeat(colour[:1], 3, axis=0)
    grey[1, ::7, ::5] += grey[1, ::7, ::5] < 255
    colour_file, grey_file = write("colour.tif", colour), write("grey.tif", grey)
    fixed, moving = open_sources(grey_file, colour_file, PLAIN, SPECS)
    assert (fixed.modality, moving.modality) == ("sar", "optical")
    assert fixed.assumptions[0] == "taken as sar, since the other image is optical"


def test_two_images_of_one_modality_name_the_option_that_says_otherwise(write, optical):
    files = write("a.tif", optical), write("b.tif", optical)
    fixed, moving = open_sources(*files, PLAIN, SPECS)
    guessed = "taken as optical, since it has 3 bands, and so is the other image"
    assert fixed.assumptions[0] == f"{guessed}; --fixed-modality sar says otherwise"
    assert moving.assumptions[0] == f"{guessed}; --moving-modality sar says otherwise"
    _, moving = open_sources(*files, (InputConfig(), InputConfig(modality="optical")), SPECS)
    assert not any("otherwise" in text for text in moving.assumptions)
    described = write("c.tif", optical, names=("red", "green", "blue"))
    _, moving = open_sources(files[0], described, PLAIN, SPECS)
    assert moving.assumptions[0] == "taken as optical, since its bands are described as red, green, blue"


def test_files_are_read_as_what_their_bands_say(write, optical, sar):
    fixed, moving = open_sources(
        write("o.tif", optical, names=("B02", "B03", "B04")), write("s.tif", sar, names=("VV",)), PLAIN, SPECS
    )
    assert (fixed.modality, moving.modality) == ("optical", "sar")
    assert fixed.bands == (3, 2, 1)
    assert fixed.scale is None
    assert moving.scale == "power"
    assert moving.info.assumptions[-1].endswith("taken as linear power (sigma nought)")
    assert moving.info.hw == (128, 128)
    assert moving.info.gsd_m == pytest.approx(10)
    assert moving.info.crs == "EPSG:32633"


def test_values_become_the_unit_interval_with_the_limits_of_the_whole_scene(write, optical, sar):
    _, moving = open_sources(write("o.tif", optical), write("s.tif", sar, names=("VV",)), PLAIN, SPECS)
    whole = moving.unit(moving.grid, SPECS["sar"])
    assert whole.channels.min() == 0
    assert whole.channels.max() == 1
    db = 10 * np.log10(sar[0])
    low, high = np.percentile(db, [0.5, 99.5])
    np.testing.assert_allclose(whole.channels[0], np.clip((db - low) / (high - low), 0, 1), atol=2e-3)
    window = moving.unit(moving.grid.window(30, 20, (64, 64)), SPECS["sar"])
    np.testing.assert_allclose(window.channels[:, 1:-1, 1:-1], whole.channels[:, 21:83, 31:93], atol=1e-4)
    fixed_limits = InputSpec(bands=("any",), scaling=Scaling(kind="fixed", low=-25, high=0))
    np.testing.assert_allclose(
        moving.unit(moving.grid, fixed_limits).channels[0], np.clip((db + 25) / 25, 0, 1), atol=1e-4
    )


def test_a_window_without_signal_is_scaled_as_the_whole_scene_is(write, optical, sar):
    sar = sar.copy()
    sar[:, 40:100, 40:100] = 0
    _, moving = open_sources(write("o.tif", optical), write("s.tif", sar, names=("VV",), nodata=None), PLAIN, SPECS)
    whole = moving.log_scaled(moving.grid)
    assert whole.channels.min() == pytest.approx(10 * np.log10(sar[sar > 0].min()), abs=1e-4)
    # The first holds no signal at all, the second some.
    for corner, side in ((50, 40), (60, 68)):
        window = moving.log_scaled(moving.grid.window(corner, corner, (side, side)))
        inside = slice(corner + 2, corner + side - 2)
        np.testing.assert_allclose(window.channels[:, 2:-2, 2:-2], whole.channels[:, inside, inside], atol=1e-3)


def test_the_scale_and_the_bands_may_be_named(write, optical, sar):
    configs = (InputConfig(bands=(1, 2, 3)), InputConfig(sar_scale="amplitude"))
    fixed, moving = open_sources(write("o.tif", optical), write("s.tif", sar, names=("VV",)), configs, SPECS)
    assert fixed.bands == (1, 2, 3)
    assert moving.scale == "amplitude"
    raw = moving.read(moving.grid)
    np.testing.assert_allclose(moving.log_scaled(moving.grid).channels, 20 * np.log10(raw.channels), atol=1e-4)


def test_metres_of_a_stretched_map_are_told_from_those_of_the_ground(write, optical, sar):
    web_mercator = {"crs": "EPSG:3857", "transform": Affine(10, 0, 0, 0, -10, 8399738)}
    fixed, moving = open_sources(write("o.tif", optical, **web_mercator), write("s.tif", sar), PLAIN, SPECS)
    assert fixed.grid.gsd_m == pytest.approx(10)
    assert fixed.info.gsd_m == pytest.approx(5.0, rel=5e-3)
    assert fixed.info.assumptions[-1].startswith("a metre of its map is 0.50 m on the ground here")
    assert not any("on the ground" in sentence for sentence in moving.info.assumptions)


def test_a_named_modality_that_the_bands_contradict_is_refused(write, optical, sar):
    configs = (InputConfig(modality="sar"), InputConfig())
    with pytest.raises(InputError, match=r"o\.tif: named as sar, but its bands are described as B04"):
        open_sources(write("o.tif", optical, names=("B04", "B03", "B02")), write("s.tif", sar), configs, SPECS)


def test_files_without_data_or_contrast_are_refused(write, optical, sar):
    with pytest.raises(InputError, match=r"s\.tif: no pixel of band 1 holds data"):
        open_sources(write("o.tif", optical), write("s.tif", np.zeros_like(sar)), PLAIN, SPECS)
    with pytest.raises(InputError, match=r"s\.tif: every valid pixel has the value 0\.25, so there is nothing"):
        open_sources(write("o.tif", optical), write("s.tif", np.full_like(sar, 0.25)), PLAIN, SPECS)


def test_arrays_are_their_own_grid(sar):
    source = array_source(Image.from_array(sar), "sar", InputConfig(), "float32")
    assert source.grid == Grid.without_georeference((128, 128))
    assert source.info.path is source.info.crs is source.info.gsd_m is None
    assert source.scale == "power"
    np.testing.assert_array_equal(source.read(source.grid).channels, sar)
    half = source.read(source.grid.scaled(0.5))
    np.testing.assert_allclose(half.channels[0, 0, 0], sar[0, :2, :2].mean(), rtol=1e-5)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((80, 80), np.nan), "^The sar image holds no valid pixel"),
        (np.full((80, 80), 3.0), "^The sar image: every valid pixel has the value 3"),
    ],
)
def test_arrays_without_data_or_contrast_are_refused(array, message):
    with pytest.raises(InputError, match=message):
        array_source(Image.from_array(array), "sar", InputConfig(), "float64")


@pytest.mark.parametrize(("low", "high", "is_kept"), [(30, 200, True), (100, 140, False)])
def test_8_bit_images_that_were_stretched_are_not_stretched_again(low, high, is_kept):
    grey = np.linspace(low, high, 80 * 80).reshape(80, 80).astype(np.uint8)
    source = array_source(Image.from_array(grey), "sar", InputConfig(), "uint8")
    unit = source.unit(source.grid, SPECS["sar"]).channels[0]
    black, white = (0, 255) if is_kept else np.percentile(grey, [0.5, 99.5])
    np.testing.assert_allclose(unit, np.clip((grey - black) / (white - black), 0, 1), atol=1e-3)


def test_every_mapper_maps_both_images_in_order(sar, optical):
    fixed = array_source(Image.from_array(optical), "optical", InputConfig(), "uint16")
    moving = array_source(Image.from_array(sar), "sar", InputConfig(), "float32")
    working = map_pair(fixed, moving, (StructureMapper(), GreyMapper()), fixed.grid.scaled(0.5))
    assert [pair.name for pair in working.pairs] == ["structure", "none"]
    assert [pair.fixed.n_channels for pair in working.pairs] == [9, 1]
    assert working.fixed.n_channels == 3
    assert working.moving.n_channels == 1
    assert working.fixed.hw == working.moving.hw == working.pairs[0].moving.hw == (64, 64)
    np.testing.assert_allclose(working.pairs[1].moving.channels, working.moving.channels, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search_m": 0.0}, "search_m must be positive and finite, found 0"),
        ({"search_m": float("inf")}, "search_m must be positive and finite, found inf"),
        ({"seed": -1}, "seed must lie between 0 and 2147483647, found -1"),
        ({"gsd_m": -1.0}, "gsd_m must be positive and finite, found -1"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        RegisterConfig(**settings)


@pytest.mark.parametrize("bands", [(), (0, 1)])
def test_bands_are_counted_from_one(bands):
    with pytest.raises(ConfigError, match="Bands are counted from 1, found"):
        InputConfig(bands=bands)
