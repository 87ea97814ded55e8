from __future__ import annotations

import numpy as np

from midground.datasets import check as check_module
from midground.datasets.check import check
from midground.datasets.files import FilePairs
from midground.datasets.listing import list_folder


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

    assert mended == "Pair '0001_before': no pixel holds data in both images; exclude the pair."
    assert empty == "Pair '0002_after': no pixel of the optical image holds data; exclude the pair."
    assert "0003_after.tif: is no image that GDAL reads, or is damaged" in broken


def test_grey_sar_saved_as_colour_is_pointed_out(array_pairs):
    grey = np.random.default_rng(0).integers(0, 250, (1, 9, 9), dtype=np.uint8)
    repeated = np.concatenate([grey, grey + np.uint8(1), grey])
    optical = [grey, grey]

    (hint,) = check(array_pairs([repeated, repeated], optical)).hints
    assert "bands_sar: [1]" in hint
    assert check(array_pairs([repeated, np.concatenate([grey, grey, grey + np.uint8(2)])], optical)).hints == ()
    assert check(array_pairs([grey, grey], optical)).hints == ()
