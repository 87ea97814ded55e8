from __future__ import annotations

import shutil
from unittest.mock import ANY

import numpy as np
import pytest

from midground.datasets import check as check_module
from midground.datasets.catalogue import PairsConfig, open_raw_pairs
from midground.datasets.check import check, check_files
from midground.datasets.check_packed import check_packed
from midground.datasets.files import FilePairs
from midground.datasets.layouts import LAYOUTS, scan_layout
from midground.datasets.listing import Listing, list_folder, scan_folder, scan_manifest
from midground.datasets.packing import pack
from midground.datasets.selection import Selection
from midground.errors import InputError


def test_all_is_well(pairs_folder):
    stages = []
    found = check(
        FilePairs(list_folder(pairs_folder)), progress=lambda stage, done, total: stages.append((stage, done, total))
    )

    assert (found.problems, found.hints) == ((), ())
    assert stages == [("checking pairs", done, 5) for done in range(1, 6)]


def test_every_problem_is_reported(pairs_folder, write_image, monkeypatch):
    # Strips of one row: what one strip lacks another may hold.
    monkeypatch.setattr(check_module, "_STRIP_PX", 24)
    optical = np.full((3, 20, 24), 9, np.uint8)
    optical[:, :10] = 0
    sar = np.zeros((1, 20, 24), np.uint8)
    sar[:, :10] = 4
    write_image(pairs_folder / "optical" / "0001_before.tif", optical)
    write_image(pairs_folder / "sar" / "0001_before.png", sar, nodata=0)
    write_image(pairs_folder / "optical" / "0002_after.tif", np.zeros((3, 20, 24), np.uint8))
    damaged = pairs_folder / "optical" / "0003_after.tif"
    damaged.write_bytes(damaged.read_bytes()[:700])
    mended, empty, broken = check(FilePairs(list_folder(pairs_folder))).problems

    assert [problem.kind for problem in (mended, empty, broken)] == ["empty", "empty", "unreadable"]
    assert mended.message == "Pair '0001_before': no pixel holds data in both images; exclude the pair."
    assert empty.message == "Pair '0002_after': no pixel of the optical image holds data; exclude the pair."
    assert "0003_after.tif: is no image that GDAL reads, or is damaged" in broken.message


def test_files_of_every_kind_of_problem_are_reported_together(pairs_folder, write_image):
    sar, optical = pairs_folder / "sar", pairs_folder / "optical"
    (optical / "0001_after.tif").unlink()
    write_image(optical / "0001_before.tif", np.full((3, 20, 25), 9, np.uint8))
    (sar / "0002_after.png").write_bytes((sar / "0002_after.png").read_bytes()[:200])
    (sar / "0003_after.png").write_bytes(b"no image")
    shutil.copy(sar / "0010_before.png", sar / "0011_before.png")
    write_image(optical / "0011_before.tif", np.full((1, 20, 24), 9, np.uint8))
    found = check_files(scan_folder(pairs_folder))

    assert found.n_pairs == 2  # 0002_after and 0010_before have sound headers
    assert sorted((problem.kind, problem.message.removeprefix(f"{pairs_folder}/")) for problem in found.problems) == [
        ("duplicate", f"sar/0011_before.png: has the same content as {sar}/0010_before.png; exclude one of them."),
        ("mismatched", "optical/0011_before.tif has 1 band(s), most others have 3; exclude or convert it."),
        (
            "mismatched",
            f"sar/0001_before.png has 20 × 24 px, {optical}/0001_before.tif 20 × 25 px; both must have one size.",
        ),
        ("unpaired", "sar/0001_after.png: has no partner in 'optical'; add the missing file, or exclude '0001_after'."),
        ("unreadable", ANY),
        ("unreadable", ANY),
    ]


def test_nothing_to_check_is_no_success():
    with pytest.raises(InputError, match="There is no image of a pair here"):
        check_files(Listing(()))


def test_files_that_a_table_names_may_be_missing(pairs_folder):
    table = pairs_folder / "pairs.csv"
    table.write_text(
        "sar,optical\nsar/0001_after.png,optical/0001_after.tif\nsar/9.png,optical/9.tif\n", encoding="utf-8"
    )
    found = check_files(scan_manifest(table))

    assert found.n_pairs == 1
    assert [(problem.kind, problem.message) for problem in found.problems] == [
        ("missing", f"{pairs_folder}/{file}: there is no such file.") for file in ("sar/9.png", "optical/9.tif")
    ]


def test_rows_of_a_table_that_make_no_pair_are_reported_and_their_files_read(pairs_folder, write_image):
    damaged = pairs_folder / "optical" / "0003_after.tif"
    damaged.write_bytes(damaged.read_bytes()[:700])
    write_image(pairs_folder / "optical" / "0010_before.tif", np.zeros((3, 20, 24), np.uint8))
    table = pairs_folder / "pairs.csv"
    table.write_text(
        "name,sar,optical\n"
        "a,sar/0001_after.png,\n"
        "b,sar/0001_before.png,optical/0001_before.tif\n"
        ",,\n"
        "b,sar/0003_after.png,optical/0003_after.tif\n"
        "c,sar/0010_before.png,optical/0010_before.tif\n",
        encoding="utf-8",
    )
    found = check_files(scan_manifest(table))

    assert found.n_pairs == 2
    assert [(problem.kind, problem.message) for problem in found.problems] == [
        ("missing", f"{table}, line 2: nothing stands in 'optical'; name an image file."),
        ("missing", f"{table}, line 4: nothing stands in 'sar' and 'optical'; name an image file."),
        (
            "duplicate",
            f"{table}, line 5: the name 'b' has more than one pair, the first in line 3; names must be unique.",
        ),
        ("empty", "Pair 'c': no pixel of the optical image holds data; exclude the pair."),
        ("unreadable", ANY),
    ]
    assert found.problems[-1].message.startswith(f"{damaged}: is no image that GDAL reads, or is damaged")


def test_a_name_that_tells_no_place_is_reported_and_its_pair_read(pairs_folder, write_image):
    write_image(pairs_folder / "optical" / "0001_before.tif", np.zeros((3, 20, 24), np.uint8))
    found = check_files(scan_folder(pairs_folder, selection=Selection(place_pattern="(.*)_after")))

    assert found.n_pairs == 5
    assert [problem.kind for problem in found.problems] == ["unplaced", "unplaced", "empty"]
    assert "finds no place in the name '0001_before'" in found.problems[0].message


def test_images_in_no_pair_are_read_and_compared(pairs_folder):
    sar, optical = pairs_folder / "sar", pairs_folder / "optical"
    for name in ("0001_after", "0001_before"):
        (optical / f"{name}.tif").unlink()
    shutil.copy(sar / "0001_after.png", sar / "0001_before.png")
    (sar / "0002_after.png").unlink()
    damaged = optical / "0002_after.tif"
    damaged.write_bytes(damaged.read_bytes()[:700])
    found = check_files(scan_folder(pairs_folder)).problems

    assert [problem.kind for problem in found] == ["unpaired"] * 3 + ["unreadable", "duplicate"]
    assert found[3].message.startswith(f"{damaged}: is no image that GDAL reads")
    assert found[4].message.startswith(f"{sar}/0001_before.png: has the same content as {sar}/0001_after.png")


def test_both_files_of_a_pair_may_be_damaged(pairs_folder):
    headers = [pairs_folder / "sar" / "0001_after.png", pairs_folder / "optical" / "0001_after.tif"]
    for path in headers:
        path.write_bytes(f"no image {path}".encode())
    pixels = [pairs_folder / "sar" / "0002_after.png", pairs_folder / "optical" / "0002_after.tif"]
    for path in pixels:
        path.write_bytes(path.read_bytes()[:450])
    found = check_files(scan_folder(pairs_folder)).problems

    assert {problem.kind for problem in found} == {"unreadable"}
    assert {problem.message.split(": ")[0] for problem in found} == {str(path) for path in (*headers, *pixels)}


@pytest.mark.parametrize("side", ["sar/0002_after.png", "optical/0002_after.tif"])
def test_a_link_that_points_nowhere_is_reported_as_such(pairs_folder, side):
    (pairs_folder / side).unlink()
    (pairs_folder / side).symlink_to("gone")
    (problem,) = check_files(scan_folder(pairs_folder)).problems

    assert problem.kind == "missing"
    assert problem.message == f"{pairs_folder}/{side}: is a link to gone, and there is no such file."


def test_sar_images_that_are_closest_to_no_date_are_read(tmp_path, write_image):
    rng = np.random.default_rng(1)
    write_image(tmp_path / "31UGP_20200805_S2_0_0.tif", rng.integers(1, 9, (10, 8, 8), dtype=np.uint16))
    write_image(tmp_path / "31UGP_20200805_S1_0_0.tif", rng.random((2, 8, 8), dtype=np.float32))
    (tmp_path / "31UGP_20200817_S1_0_0.tif").write_bytes(b"no image")
    (problem,) = check_files(scan_layout(LAYOUTS["multisenge"], tmp_path)).problems

    assert problem.kind == "unreadable"
    assert "31UGP_20200817_S1_0_0.tif: is no image that GDAL reads" in problem.message


def test_bands_that_the_files_lack_are_reported(pairs_folder, write_image):
    write_image(pairs_folder / "optical" / "0001_before.tif", np.zeros((3, 20, 24), np.uint8))
    found = check_files(scan_folder(pairs_folder), bands_sar=[2], bands_optical=[4, 1])

    assert found.n_pairs == 5
    assert [problem.kind for problem in found.problems] == ["mismatched", "mismatched", "empty"]
    assert found.problems[0].message.endswith(
        "0001_after.png: there is no band 2; the file has the bands 1, counted from 1; correct bands_sar."
    )
    assert "there is no band 4" in found.problems[1].message


def test_the_hint_on_grey_images_is_not_given_where_it_is_followed(pairs_folder, write_image):
    for path in (pairs_folder / "sar").iterdir():
        grey = np.random.default_rng(len(path.name)).integers(1, 250, (1, 20, 24), dtype=np.uint8)
        write_image(path, np.repeat(grey, 3, axis=0))

    assert len(check_files(scan_folder(pairs_folder)).hints) == 1
    assert check_files(scan_folder(pairs_folder), bands_sar=[1]).hints == ()


@pytest.fixture
def packed(pairs_folder, tmp_path):
    """Five pairs in three shards: two, two and one."""
    pack(open_raw_pairs(PairsConfig(path=pairs_folder)), tmp_path / "packed", shard_bytes=3000)
    return tmp_path / "packed"


def test_damaged_shards_are_reported_and_all_other_pairs_read(packed):
    assert check_packed(PairsConfig(path=packed)).problems == ()
    shards = [packed / f"{number:05d}.bin" for number in range(3)]
    content = bytearray(shards[0].read_bytes())
    content[:480] = bytes(480)
    shards[0].write_bytes(content)
    shards[1].unlink()
    shards[2].write_bytes(shards[2].read_bytes()[:-1])
    found = check_packed(PairsConfig(path=packed))

    assert found.n_pairs == 2
    assert [problem.kind for problem in found.problems] == ["unreadable", "missing", "unreadable"]
    assert [problem.message.removeprefix(f"{packed}/") for problem in found.problems] == [
        "00000.bin: the shard was altered or is damaged, its sha256 is not the index's; pack or fetch the collection "
        "again.",
        "00001.bin: the shard is missing; pack or fetch the collection again. Its 2 pair(s) were not read.",
        f"00002.bin: the shard has {shards[2].stat().st_size} bytes instead of {shards[2].stat().st_size + 1}; pack or "
        "fetch the collection again. Its 1 pair(s) were not read.",
    ]
    shards[0].unlink()
    assert check_packed(PairsConfig(path=packed)).n_pairs == 0


def test_settings_that_do_not_fit_a_packed_collection_are_reported(packed, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("0001_after\n0001_before\nother\n", encoding="utf-8")
    found = check_packed(
        PairsConfig(path=packed, bands_sar=(1, 2), bands_optical=(4,), include=names, place_pattern="(.*)_after")
    )

    assert found.n_pairs == 2
    assert [problem.kind for problem in found.problems] == ["mismatched", "mismatched", "missing", "unplaced"]
    assert "the included name 'other' has no pair" in found.problems[2].message
    names.write_text("other\n", encoding="utf-8")
    with pytest.raises(InputError, match="there is no pair of images here that is included and not excluded"):
        check_packed(PairsConfig(path=packed, include=names))


def test_grey_sar_saved_as_colour_is_pointed_out(array_pairs):
    grey = np.random.default_rng(0).integers(0, 250, (1, 9, 9), dtype=np.uint8)
    repeated = np.concatenate([grey, grey + np.uint8(1), grey])
    optical = [grey, grey]

    (hint,) = check(array_pairs([repeated, repeated], optical)).hints
    assert "bands_sar: [1]" in hint
    assert check(array_pairs([repeated, np.concatenate([grey, grey, grey + np.uint8(2)])], optical)).hints == ()
    assert check(array_pairs([grey, grey], optical)).hints == ()
