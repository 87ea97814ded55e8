from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from midground.datasets.base import PairSource, PixelWindow, Profile, RawPairs
from midground.datasets.files import FilePairs
from midground.datasets.listing import list_folder, list_manifest
from midground.datasets.selection import EVERY_PAIR, Selection
from midground.errors import InputError

WINDOW = PixelWindow(3, 5, 7, 11)


def opened(root, selection=EVERY_PAIR, **options) -> FilePairs:
    return FilePairs(list_folder(root, selection=selection), **options)


def test_a_folder_is_a_collection_in_the_order_of_names(pairs_folder, read_pixels):
    pairs = opened(pairs_folder, Selection(place_pattern=r"(\d+)_"))

    assert isinstance(pairs, PairSource)
    assert isinstance(pairs, RawPairs)
    assert len(pairs) == 5
    assert pairs.names == ("0001_after", "0001_before", "0002_after", "0003_after", "0010_before")
    assert pairs.places == ("0001", "0001", "0002", "0003", "0010")
    assert pairs.hw(2) == (20, 24)
    assert pairs.sar_profile == Profile(bands=("band 1",), dtype="uint8")
    assert pairs.optical_profile == Profile(bands=("band 1", "band 2", "band 3"), dtype="uint8")
    pair = pairs.read(2)
    assert (pair.name, pair.place) == ("0002_after", "0002")
    np.testing.assert_array_equal(pair.sar.channels, read_pixels(pairs_folder / "sar" / "0002_after.png"))
    np.testing.assert_array_equal(pair.optical.channels, read_pixels(pairs_folder / "optical" / "0002_after.tif"))
    assert pair.sar.valid.all()
    assert pair.optical.valid.all()


def test_a_window_is_a_part_of_the_whole(pairs_folder):
    pairs = opened(pairs_folder)
    whole, part = pairs.read(1), pairs.read(1, WINDOW)

    np.testing.assert_array_equal(part.sar.channels, whole.sar.channels[:, 3:10, 5:16])
    np.testing.assert_array_equal(part.optical.channels, whole.optical.channels[:, 3:10, 5:16])


@pytest.mark.parametrize("window", [(0, 0, 21, 4), (-1, 0, 4, 4), (0, 20, 4, 5), (0, 0, 0, 4)])
def test_a_window_outside_is_refused(pairs_folder, window):
    with pytest.raises(InputError, match=r"Pair '0001_after': a window of .* does not lie inside its 20 × 24 px"):
        opened(pairs_folder).read(0, PixelWindow(*window))


def test_bands_are_chosen_by_number_in_their_order(pairs_folder):
    everything, chosen = opened(pairs_folder), opened(pairs_folder, bands_optical=(3, 1))

    assert chosen.optical_profile.bands == ("band 3", "band 1")
    np.testing.assert_array_equal(chosen.read(0).optical.channels, everything.read(0).optical.channels[[2, 0]])


def test_band_names_come_from_the_files(tmp_path, write_image):
    write_image(tmp_path / "sar" / "a.tif", np.ones((2, 8, 8), np.float32), descriptions=("VV", "VH"))
    write_image(tmp_path / "optical" / "a.tif", np.ones((1, 8, 8), np.uint16), descriptions=("B04",))
    pairs = opened(tmp_path, bands_sar=(2,))

    assert pairs.sar_profile == Profile(bands=("VH",), dtype="float32")
    assert pairs.optical_profile == Profile(bands=("B04",), dtype="uint16")


def test_a_band_that_does_not_exist_is_refused(pairs_folder):
    with pytest.raises(InputError, match=r"0001_after\.tif: there is no band 4; the file has the bands 1, 2, 3"):
        opened(pairs_folder, bands_optical=(1, 4))


def test_nodata_nan_and_infinity_are_invalid_and_zero(tmp_path, write_image):
    sar = np.full((2, 6, 6), -12.0, np.float32)
    sar[0, 0, 0], sar[1, 1, 1], sar[0, 2, 2] = np.nan, -9999, np.inf
    optical = np.full((1, 6, 6), 500, np.uint16)
    optical[0, 3, 3] = 7
    write_image(tmp_path / "sar" / "a.tif", sar, nodata=-9999)
    write_image(tmp_path / "optical" / "a.tif", optical, nodata=7)
    pair = opened(tmp_path).read(0)

    assert np.argwhere(~pair.sar.valid).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert (pair.sar.channels[:, ~pair.sar.valid] == 0).all()
    assert np.argwhere(~pair.optical.valid).tolist() == [[3, 3]]


def test_values_that_single_precision_cannot_hold_are_invalid(tmp_path, write_image):
    sar = np.ones((1, 4, 4))
    sar[0, 1, 2] = -1.7e308
    write_image(tmp_path / "sar" / "a.tif", sar)
    write_image(tmp_path / "optical" / "a.tif", np.ones((1, 4, 4), np.uint16))

    assert np.argwhere(~opened(tmp_path).read(0).sar.valid).tolist() == [[1, 2]]


def test_transparent_pixels_are_invalid_and_alpha_is_no_band(tmp_path, write_image):
    optical = np.full((4, 6, 6), 90, np.uint8)
    optical[3] = 255
    optical[3, 2, 4] = 0
    write_image(tmp_path / "sar" / "a.png", np.full((1, 6, 6), 9, np.uint8))
    write_image(tmp_path / "optical" / "a.png", optical)
    pairs = opened(tmp_path)

    assert pairs.optical_profile.bands == ("band 1", "band 2", "band 3")
    assert np.argwhere(~pairs.read(0).optical.valid).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("dtype", "nodata", "option", "is_invalid"),
    [
        ("uint8", None, None, True),
        ("uint8", None, False, False),
        ("uint8", 255, None, False),
        ("uint16", None, None, False),
        ("uint16", None, True, True),
    ],
)
def test_black_optical_pixels_are_missing_where_nothing_else_says_so(
    tmp_path, write_image, dtype, nodata, option, is_invalid
):
    optical = np.full((3, 6, 6), 50, dtype)
    optical[:, 1, 1] = 0
    optical[:2, 4, 4] = 0
    write_image(tmp_path / "sar" / "a.tif", np.zeros((1, 6, 6), np.uint8) + np.eye(6, dtype=np.uint8))
    write_image(tmp_path / "optical" / "a.tif", optical, nodata=nodata)
    pairs = opened(tmp_path, is_black_missing=option, bands_optical=(1,))
    pair = pairs.read(0)

    assert np.argwhere(~pair.optical.valid).tolist() == ([[1, 1]] if is_invalid else [])
    assert pair.sar.valid.all()


def test_a_mask_is_for_both_images(pairs_folder, write_image):
    mask = np.full((1, 20, 24), 255, np.uint8)
    mask[0, :, :6] = 0
    write_image(pairs_folder / "mask" / "0001_after.png", mask)
    pairs = opened(pairs_folder)
    pair, part = pairs.read(0), pairs.read(0, WINDOW)

    for image in (pair.sar, pair.optical):
        assert np.flatnonzero(~image.valid.any(axis=0)).tolist() == [0, 1, 2, 3, 4, 5]
        assert (image.channels[:, :, :6] == 0).all()
    np.testing.assert_array_equal(part.sar.valid, pair.sar.valid[3:10, 5:16])
    assert pairs.read(1).sar.valid.all()


def test_a_whole_image_without_data_is_refused_but_a_window_is_not(pairs_folder, write_image):
    write_image(pairs_folder / "optical" / "0002_after.tif", np.zeros((3, 20, 24), np.uint8))
    pairs = opened(pairs_folder)

    with pytest.raises(InputError, match=r"0002_after\.tif: no pixel of the image holds data; exclude the pair"):
        pairs.read(2)
    assert not pairs.read(2, WINDOW).optical.valid.any()


def test_sizes_within_a_pair_must_agree(pairs_folder, write_image):
    write_image(pairs_folder / "sar" / "0002_after.png", np.ones((1, 20, 25), np.uint8))
    with pytest.raises(InputError, match=r"sar/0002_after\.png has 20 × 25 px, .*0002_after\.tif 20 × 24 px; both"):
        opened(pairs_folder)


def test_several_problems_are_counted_and_the_first_named(pairs_folder, write_image):
    for name in ("0001_after", "0001_before", "0002_after", "0003_after"):
        write_image(pairs_folder / "sar" / f"{name}.png", np.ones((1, 20, 25), np.uint8))
    with pytest.raises(
        InputError, match=r"^4 problems: .*0001_after.*0001_before.*0002_after.*\. And 1 more\.$"
    ) as caught:
        opened(pairs_folder)
    assert "0003_after" not in str(caught.value)


def test_sizes_of_different_pairs_may_differ(pairs_folder, write_image):
    write_image(pairs_folder / "sar" / "0002_after.png", np.ones((1, 30, 40), np.uint8))
    write_image(pairs_folder / "optical" / "0002_after.tif", np.ones((3, 30, 40), np.uint8))
    pairs = opened(pairs_folder)

    assert (pairs.hw(1), pairs.hw(2)) == ((20, 24), (30, 40))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((4, 20, 24), np.uint16)[:2], r"0003_after\.tif has 2 band\(s\), most others have 3"),
        (np.ones((3, 20, 24), np.uint16), r"0003_after\.tif has uint16 values, most others have uint8"),
    ],
)
def test_files_of_one_modality_must_be_alike(pairs_folder, write_image, array, message):
    write_image(pairs_folder / "optical" / "0003_after.tif", array)
    with pytest.raises(InputError, match=message):
        opened(pairs_folder)


def test_one_grid_or_a_hint_at_register(tmp_path, write_image, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "optical" / "a.tif", np.ones((1, 8, 8), np.uint8), crs="EPSG:32633")
    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.uint8), crs="EPSG:32633")
    assert len(opened(tmp_path)) == 1

    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.uint8), crs="EPSG:32633", origin=(500_001.0, 5e6))
    with pytest.raises(
        InputError,
        match=r"bring them to one grid with 'midground register optical/a\.tif sar/a\.tif -o ALIGNED\.tif'\.$",
    ):
        opened(Path())

    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.uint8), crs="EPSG:32634")
    with pytest.raises(InputError, match="do not put their pixels at the same places"):
        opened(tmp_path)

    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.uint8))
    assert len(opened(tmp_path)) == 1


def test_what_is_no_image_is_named(pairs_folder):
    (pairs_folder / "sar" / "0002_after.png").write_text("no image", encoding="utf-8")
    with pytest.raises(InputError, match=r"0002_after\.png: is no image that GDAL reads, or is damaged"):
        opened(pairs_folder)


def test_a_file_that_is_cut_short_is_named_when_it_is_read(pairs_folder):
    path = pairs_folder / "optical" / "0002_after.tif"
    path.write_bytes(path.read_bytes()[:700])
    pairs = opened(pairs_folder)
    with pytest.raises(InputError, match=r"0002_after\.tif: is no image that GDAL reads, or is damaged"):
        pairs.read(2)


def test_a_file_that_vanishes_is_named(pairs_folder):
    pairs = opened(pairs_folder)
    shutil.rmtree(pairs_folder / "sar")
    with pytest.raises(InputError, match=r"0002_after\.png: there is no such file"):
        pairs.read(2)


def test_a_file_that_was_replaced_is_named(pairs_folder, write_image):
    pairs = opened(pairs_folder)
    write_image(pairs_folder / "sar" / "0002_after.png", np.ones((1, 10, 24), np.uint8))
    with pytest.raises(InputError, match=r"0002_after\.png: the image has changed since the collection was opened"):
        pairs.read(2)


def test_complex_and_palette_images_are_refused(tmp_path, write_image):
    write_image(tmp_path / "optical" / "a.tif", np.ones((1, 8, 8), np.uint8))
    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.complex64))
    with pytest.raises(InputError, match="the pixels are complex"):
        opened(tmp_path)

    write_image(tmp_path / "sar" / "a.tif", np.ones((1, 8, 8), np.uint8), photometric="palette")
    with pytest.raises(InputError, match="numbers of a colour table"):
        opened(tmp_path)


def test_a_table_names_files_relative_to_itself(pairs_folder):
    table = pairs_folder / "pairs.csv"
    table.write_text(
        "\ufeffname,sar,optical,place,split\n"
        "one, sar/0001_after.png,optical/0001_after.tif,here,train\n"
        ",sar/0002_after.png,optical/0003_after.tif,,test\n",
        encoding="utf-8",
    )
    files = list_manifest(table)

    assert [(pair.name, pair.place) for pair in files] == [("one", "here"), ("0002_after", "0002_after")]
    assert FilePairs(files).read(1).name == "0002_after"
    assert [pair.name for pair in list_manifest(table, split="test")] == ["0002_after"]


def test_a_collection_can_be_sent_to_other_processes(pairs_folder):
    pairs = opened(pairs_folder)
    copy = pickle.loads(pickle.dumps(pairs))

    np.testing.assert_array_equal(copy.read(3).sar.channels, pairs.read(3).sar.channels)
