from __future__ import annotations

import pytest

from midground.datasets.listing import Subfolders, list_folder, list_manifest, scan_folder
from midground.datasets.selection import Selection, read_names
from midground.errors import ConfigError, InputError


def names(files) -> list[str]:
    return [pair.name for pair in files]


def test_images_without_partner_are_counted_and_named(pairs_folder):
    for name in ("a", "b", "c", "d"):
        (pairs_folder / "sar" / f"{name}.png").touch()
    with pytest.raises(InputError, match=r"4 problems: .*sar/a\.png: has no partner in 'optical'.*And 1 more\."):
        list_folder(pairs_folder)
    assert len(list_folder(pairs_folder, selection=Selection(exclude=frozenset("abcd")))) == 5

    (pairs_folder / "optical" / "e.png").touch()
    with pytest.raises(InputError, match=r"optical/e\.png: has no partner in 'sar'"):
        list_folder(pairs_folder, selection=Selection(exclude=frozenset("abcd")))


def test_what_lies_beside_images_is_passed_over(pairs_folder):
    for name in (
        ".hidden.png",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "0001_after.png.aux.xml",
        "0001_after.png.ovr",
        "0001_after.TFW",
        "0001_after.pgw",
        "0001_after.rrd",
        "0001_after.txt",
        "notes.txt",
    ):
        for folder in ("sar", "optical"):
            (pairs_folder / folder / name).touch()
    (pairs_folder / "sar" / "folder").mkdir()

    assert len(list_folder(pairs_folder)) == 5
    listing = scan_folder(pairs_folder)
    assert (len(listing.pairs), listing.problems, listing.others) == (5, (), ())

    (pairs_folder / "sar" / "0099_after.jp2").touch()
    with pytest.raises(InputError, match=r"sar/0099_after\.jp2: has no partner in 'optical'"):
        list_folder(pairs_folder)


def test_two_images_of_one_name_are_refused(pairs_folder):
    (pairs_folder / "sar" / "0001_after.tif").touch()
    with pytest.raises(InputError, match=r"'0001_after\.png' and '0001_after\.tif' have one name"):
        list_folder(pairs_folder)


def test_a_missing_or_empty_folder_is_named(pairs_folder, tmp_path):
    with pytest.raises(InputError, match=r"pairs: there is no folder 's1' in it"):
        list_folder(pairs_folder, Subfolders(sar="s1"))
    (tmp_path / "sar").mkdir()
    (tmp_path / "optical").mkdir()
    with pytest.raises(InputError, match="there is no pair of images here"):
        list_folder(tmp_path)


def test_pairs_are_included_and_excluded_by_name(pairs_folder):
    include = frozenset({"0003_after", "0001_before", "0002_after"})
    chosen = Selection(include=include, exclude=frozenset({"0002_after", "of no collection"}))

    assert names(list_folder(pairs_folder, selection=chosen)) == ["0001_before", "0003_after"]
    with pytest.raises(InputError, match="the included name '0099_after' has no pair"):
        list_folder(pairs_folder, selection=Selection(include=frozenset({"0099_after", "0003_after"})))


def test_a_list_of_names(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("a\n\n b \n", encoding="utf-8")
    assert read_names(path) == {"a", "b"}
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"names\.txt: the list of names is empty"):
        read_names(path)
    with pytest.raises(InputError, match=r"other\.txt: the list of names cannot be read"):
        read_names(tmp_path / "other.txt")


def test_the_pattern_must_be_usable_and_find_a_place():
    assert Selection(place_pattern=r"_(\w+)\.").place("x_north.1") == "north"
    with pytest.raises(ConfigError, match="is not a regular expression"):
        Selection(place_pattern="(")
    with pytest.raises(ConfigError, match="has no group"):
        Selection(place_pattern=r"\d+")
    with pytest.raises(InputError, match="finds no place in the name 'north'"):
        Selection(place_pattern=r"(\d+)").place("north")


@pytest.mark.parametrize(
    ("text", "split", "message"),
    [
        ("sar,place\na.tif,b\n", None, r"pairs\.csv: the table has no column 'optical'; found: sar, place"),
        ("", None, r"pairs\.csv: the table has no column 'sar'"),
        ("sar,optical\na.tif,\n", None, r"pairs\.csv, line 2: nothing stands in 'optical'"),
        ("sar,optical\na.tif\n", None, r"pairs\.csv, line 2: nothing stands in 'optical'"),
        ("sar,optical\n", None, "there is no pair of images here"),
        ("sar,optical\nx/a.tif,b.tif\ny/a.png,c.tif\n", None, "the name 'a' has more than one pair"),
        ("sar,optical\na.tif,b.tif\n", "train", "the table has no column 'split'"),
        ("sar,optical,split\na.tif,b.tif,test\n", "train", "no row has the split 'train'; there are test"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path, text, split, message):
    table = tmp_path / "pairs.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        list_manifest(table, split=split)


def test_a_table_that_is_no_text(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=r"pairs\.csv: is no table of pairs, a CSV file in UTF-8"):
        list_manifest(table)


def test_a_table_may_name_masks(tmp_path):
    table = tmp_path / "pairs.csv"
    table.write_text("sar,optical,mask\ns.tif,o.tif,m.png\nt.tif,p.tif,\n", encoding="utf-8")
    first, second = list_manifest(table)

    assert (first.mask, second.mask) == (tmp_path / "m.png", None)
