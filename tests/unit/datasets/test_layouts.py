"""Published datasets, in small files of their names and folders."""

from __future__ import annotations

import json

import numpy as np
import pytest

from midground.datasets.catalogue import PairsConfig, open_raw_pairs
from midground.datasets.layouts import LAYOUTS, scan_layout
from midground.datasets.selection import Selection
from midground.errors import ConfigError, InputError


@pytest.fixture
def touch(tmp_path):
    """Make empty files: listing a dataset looks at names only."""

    def make(*names: str):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def rows(listing, root):
    return [
        (pair.name, pair.place, *(path.relative_to(root).as_posix() for path in (pair.sar, pair.optical)))
        for pair in listing.pairs
    ]


def test_multisenge_takes_the_closest_date_of_the_same_patch(touch):
    root = touch(
        "s2/31UGP_20200805_S2_257_514.tif",
        "s2/31UGP_20200901_S2_257_514.tif",
        "s2/31UGP_20200805_S2_514_257.tif",
        "s1/31UGP_20200801_S1_257_514.tif",
        "s1/31UGP_20200807_S1_257_514.tif",
        "s1/31UGP_20200829_S1_257_514.tif",
        "s1/31UGP_20200904_S1_257_514.tif",
        "s1/31UGP_20191231_S1_514_257.tif",
        "ground_reference/31UGP_GR_257_514.tif",
        "s2/.31UGP_20200806_S2_257_514.tif",
    )
    listing = scan_layout(LAYOUTS["multisenge"], root)

    # On 1 September two dates are three days away: the earlier counts.
    assert rows(listing, root) == [
        (
            "31UGP_20200805_257_514",
            "31UGP_257_514",
            "s1/31UGP_20200807_S1_257_514.tif",
            "s2/31UGP_20200805_S2_257_514.tif",
        ),
        (
            "31UGP_20200805_514_257",
            "31UGP_514_257",
            "s1/31UGP_20191231_S1_514_257.tif",
            "s2/31UGP_20200805_S2_514_257.tif",
        ),
        (
            "31UGP_20200901_257_514",
            "31UGP_257_514",
            "s1/31UGP_20200829_S1_257_514.tif",
            "s2/31UGP_20200901_S2_257_514.tif",
        ),
    ]
    assert listing.problems == ()


def test_multisenge_labels_tell_what_is_missing(touch):
    root = touch("s2/31UGP_20200805_S2_257_514.tif", "s1/31UGP_20200801_S1_257_514.tif", "labels/31UGP_0_0.json")
    label = {
        "corresponding_s2": "31UGP_20200805_S2_257_514.tif;31UGP_20200901_S2_257_514.tif",
        "corresponding_s1": "31UGP_20200801_S1_257_514.tif;31UGP_20200807_S1_257_514.tif",
        "labels": "2;5",
    }
    (root / "labels" / "31UGP_257_514.json").write_text(json.dumps(label), encoding="utf-8")
    damaged, missing = scan_layout(LAYOUTS["multisenge"], root).problems

    assert damaged.kind == "unreadable"
    assert "31UGP_0_0.json: the label cannot be read" in damaged.message
    assert missing.kind == "missing"
    assert missing.message.endswith(
        "31UGP_257_514.json: names 2 image(s) that are not here, the first '31UGP_20200807_S1_257_514.tif'; fetch them."
    )


def test_a_date_that_does_not_exist_is_reported(touch):
    root = touch("31UGP_20200231_S2_0_0.tif", "31UGP_20200301_S2_0_0.tif", "31UGP_20200805_S1_0_0.tif")
    listing = scan_layout(LAYOUTS["multisenge"], root)

    assert [pair.name for pair in listing.pairs] == ["31UGP_20200301_0_0"]
    (problem,) = listing.problems
    assert (
        problem.message == f"{root}/31UGP_20200231_S2_0_0.tif: there is no such date in the calendar; correct the name."
    )


def test_sen1_2(touch):
    root = touch(
        "ROIs1158_spring/s1_0/ROIs1158_spring_s1_0_p1.png",
        "ROIs1158_spring/s2_0/ROIs1158_spring_s2_0_p1.png",
        "ROIs1158_spring/s1_10/ROIs1158_spring_s1_10_p1.png",
        "ROIs1970_fall/s2_10/ROIs1970_fall_s2_10_p1.png",
    )
    listing = scan_layout(LAYOUTS["sen1-2"], root)

    assert rows(listing, root) == [
        (
            "ROIs1158_spring_0_p1",
            "ROIs1158_spring_0",
            "ROIs1158_spring/s1_0/ROIs1158_spring_s1_0_p1.png",
            "ROIs1158_spring/s2_0/ROIs1158_spring_s2_0_p1.png",
        )
    ]
    without_sar, without_optical = listing.problems
    assert (without_sar.kind, without_optical.kind) == ("unpaired", "unpaired")
    lone = root / "ROIs1970_fall" / "s2_10" / "ROIs1970_fall_s2_10_p1.png"
    assert without_sar.message == f"{lone}: there is no sar image of the same patch; it is not used."
    assert "ROIs1158_spring_s1_10_p1.png: there is no optical image of the same patch" in without_optical.message


@pytest.mark.parametrize("name", ["sen12ms", "sen12ms-cr"])
def test_sen12ms_with_land_cover_and_clouds_left_out(touch, name):
    root = touch(
        "ROIs1158_spring_s1/s1_1/ROIs1158_spring_s1_1_p30.tif",
        "ROIs1158_spring_s2/s2_1/ROIs1158_spring_s2_1_p30.tif",
        "ROIs1158_spring_lc/lc_1/ROIs1158_spring_lc_1_p30.tif",
        "ROIs1158_spring_s2_cloudy/s2_cloudy_1/ROIs1158_spring_s2_cloudy_1_p30.tif",
    )
    listing = scan_layout(LAYOUTS[name], root)

    assert rows(listing, root) == [
        (
            "ROIs1158_spring_1_p30",
            "ROIs1158_spring_1",
            "ROIs1158_spring_s1/s1_1/ROIs1158_spring_s1_1_p30.tif",
            "ROIs1158_spring_s2/s2_1/ROIs1158_spring_s2_1_p30.tif",
        )
    ]
    assert listing.problems == ()


def test_osdataset_keeps_its_own_split(touch):
    root = touch(
        *(
            f"{part}/{kind}{number}.png"
            for part, number in (("train", 1), ("val", 1), ("test", 7))
            for kind in ("sar", "opt")
        )
    )
    listing = scan_layout(LAYOUTS["osdataset"], root)

    assert [(pair.name, pair.split) for pair in listing.pairs] == [
        ("test_7", "test"),
        ("train_1", "train"),
        ("val_1", "validation"),
    ]
    with pytest.raises(InputError, match="no pair has the split 'val'; there are test, train, validation"):
        open_raw_pairs(PairsConfig(path=root, kind="osdataset", split="val"))


def test_the_same_image_in_two_folders_is_reported(touch):
    root = touch("a/sar3.png", "a/opt3.png", "b/opt3.png")
    listing = scan_layout(LAYOUTS["osdataset"], root)

    assert [pair.optical.relative_to(root).as_posix() for pair in listing.pairs] == ["a/opt3.png"]
    (problem,) = listing.problems
    assert problem.kind == "duplicate"
    assert problem.message == f"{root}/b/opt3.png: is the same image as {root}/a/opt3.png; remove one of them."


def test_pairs_are_chosen_and_placed_by_settings(touch):
    root = touch(*(f"{kind}{number}.png" for number in (1, 2, 3) for kind in ("sar", "opt")))
    selection = Selection(exclude=frozenset({"2"}), place_pattern=r"(\d)")

    assert [(pair.name, pair.place) for pair in scan_layout(LAYOUTS["osdataset"], root, selection).pairs] == [
        ("1", "1"),
        ("3", "3"),
    ]


def test_a_dataset_is_opened_by_its_name(tmp_path, write_image):
    rng = np.random.default_rng(0)
    sar = rng.normal(-12, 4, (2, 8, 9)).astype(np.float32)
    optical = rng.integers(1, 9000, (13, 8, 9), dtype=np.uint16)
    write_image(tmp_path / "ROIs1158_spring_s1" / "s1_1" / "ROIs1158_spring_s1_1_p30.tif", sar)
    write_image(tmp_path / "ROIs1158_spring_s2" / "s2_1" / "ROIs1158_spring_s2_1_p30.tif", optical)
    source = open_raw_pairs(PairsConfig(path=tmp_path, kind="sen12ms"))

    pair = source.read(0)
    np.testing.assert_array_equal(pair.sar.channels, sar)
    np.testing.assert_array_equal(pair.optical.channels, optical)
    assert source.places == ("ROIs1158_spring_1",)


def test_what_is_no_dataset(tmp_path):
    with pytest.raises(ConfigError, match=r"Unknown kind of collection 'sen12'. Did you mean 'sen1-2'\?"):
        PairsConfig(path=tmp_path, kind="sen12")
    with pytest.raises(InputError, match="there is no pair of images here"):
        open_raw_pairs(PairsConfig(path=tmp_path, kind="sen12ms"))
    with pytest.raises(InputError, match="there is no such folder"):
        scan_layout(LAYOUTS["sen12ms"], tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "folder", "n_pairs", "place"),
    [
        ("bigearthnet", "bigearthnet", 24, "S2A_MSIL2A_20170613T101031"),
        ("sen12ms-cr", "sen12ms-cr", 1, "ROIs2017_winter_112"),
    ],
)
def test_real_files(shared_data, name, folder, n_pairs, place):
    root = shared_data / "data" / "multispectral" / folder
    listing = scan_layout(LAYOUTS[name], root)
    source = open_raw_pairs(PairsConfig(path=root, kind=name))

    assert (len(listing.pairs), listing.problems) == (n_pairs, ())
    assert listing.pairs[0].place == place
    assert len(source.sar_profile.bands) == 2
    assert source.read(0).optical.valid.all()
