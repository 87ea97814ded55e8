from __future__ import annotations

import shutil
from unittest.mock import ANY

import numpy as np
import pytest

from midground.datasets import check as check_module
from midground.datasets.check import check, check_files
from midground.datasets.files import FilePairs
from midground.datasets.listing import Listing, list_folder, list_manifest, scan_folder
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
    (problem,) = check_files(Listing(list_manifest(table))).problems

    assert (problem.kind, problem.message) == ("missing", f"{pairs_folder}/sar/9.png: there is no such file.")


def test_grey_sar_saved_as_colour_is_pointed_out(array_pairs):
    grey = np.random.default_rng(0).integers(0, 250, (1, 9, 9), dtype=np.uint8)
    repeated = np.concatenate([grey, grey + np.uint8(1), grey])
    optical = [grey, grey]

    (hint,) = check(array_pairs([repeated, repeated], optical)).hints
    assert "bands_sar: [1]" in hint
    assert check(array_pairs([repeated, np.concatenate([grey, grey, grey + np.uint8(2)])], optical)).hints == ()
    assert check(array_pairs([grey, grey], optical)).hints == ()
