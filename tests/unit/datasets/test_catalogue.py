from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from midground.core.radiometry import Scaling
from midground.datasets.catalogue import PairsConfig, open_pairs, open_raw_pairs
from midground.datasets.files import FilePairs
from midground.datasets.memory import InMemoryPairs
from midground.datasets.packed import PackedPairs
from midground.datasets.packing import pack
from midground.errors import ConfigError, InputError


def test_a_plain_folder_needs_nothing_but_its_path(pairs_folder):
    pairs = open_pairs(PairsConfig(path=pairs_folder))
    raw = open_raw_pairs(PairsConfig(path=pairs_folder))

    assert isinstance(raw, FilePairs)
    assert len(pairs) == 5
    np.testing.assert_allclose(pairs.read(0).sar.channels, raw.read(0).sar.channels / 255, rtol=1e-6)


def test_the_kind_is_seen(pairs_folder, tmp_path):
    packed = tmp_path / "packed"
    pack(open_raw_pairs(PairsConfig(path=pairs_folder)), packed)
    table = pairs_folder / "pairs.csv"
    table.write_text("sar,optical\nsar/0002_after.png,optical/0002_after.tif\n", encoding="utf-8")

    assert isinstance(open_raw_pairs(PairsConfig(path=packed)), PackedPairs)
    assert open_raw_pairs(PairsConfig(path=table)).names == ("0002_after",)
    for path, kind in ((packed, "manifest"), (table, "folder"), (table, "packed")):
        with pytest.raises(InputError, match=f"not of the kind '{kind}'"):
            open_raw_pairs(PairsConfig(path=path, kind=kind))
    with pytest.raises(InputError, match="there is no packed collection here"):
        open_raw_pairs(PairsConfig(path=pairs_folder, kind="packed"))
    with pytest.raises(InputError, match="there is no such collection of pairs"):
        open_raw_pairs(PairsConfig(path=tmp_path / "absent"))


def test_settings_reach_every_kind(pairs_folder, tmp_path):
    exclude = tmp_path / "exclude.txt"
    exclude.write_text("0001_after\n", encoding="utf-8")
    pack(open_raw_pairs(PairsConfig(path=pairs_folder)), tmp_path / "packed")
    for path in (pairs_folder, tmp_path / "packed"):
        config = PairsConfig(path=path, bands_optical=(3, 2), place_pattern=r"(\d+)_", exclude=exclude, in_memory=True)
        raw, pairs = open_raw_pairs(config), open_pairs(config)

        assert isinstance(raw, InMemoryPairs)
        assert pairs.names == ("0001_before", "0002_after", "0003_after", "0010_before")
        assert pairs.places == ("0001", "0002", "0003", "0010")
        assert pairs.optical_profile.bands == ("band 3", "band 2")
        # One SAR and two optical bands of 8 bits each.
        assert raw.nbytes == 4 * 20 * 24 * 3


def test_names_of_folders_can_be_others(pairs_folder):
    (pairs_folder / "sar").rename(pairs_folder / "s1")
    (pairs_folder / "optical").rename(pairs_folder / "s2")

    assert len(open_raw_pairs(PairsConfig(path=pairs_folder, sar="s1", optical="s2"))) == 5


def test_a_split_is_chosen_from_a_table_alone(pairs_folder):
    table = pairs_folder / "pairs.csv"
    rows = [f"sar/{name}.png,optical/{name}.tif,{split}" for name, split in (("0002_after", "a"), ("0003_after", "b"))]
    table.write_text("\n".join(["sar,optical,split", *rows]), encoding="utf-8")

    assert open_raw_pairs(PairsConfig(path=table, split="b")).names == ("0003_after",)
    with pytest.raises(ConfigError, match="is no CSV table with a column 'split'"):
        open_raw_pairs(PairsConfig(path=pairs_folder, split="b"))


def test_a_packed_collection_has_settled_what_is_missing(pairs_folder, tmp_path):
    pack(open_raw_pairs(PairsConfig(path=pairs_folder)), tmp_path / "packed")
    with pytest.raises(ConfigError, match=r"black_is_missing: .*is packed, which settled this"):
        open_raw_pairs(PairsConfig(path=tmp_path / "packed", black_is_missing=True))


def test_limits_of_another_collection_can_be_used(pairs_folder):
    fixed = PairsConfig(path=pairs_folder, scaling_sar=Scaling("fixed", 0.0, 510.0))
    training = open_pairs(fixed)
    held_out = open_pairs(PairsConfig(path=pairs_folder), radiometry=training.radiometry)

    assert training.radiometry.sar_limits == ((0.0, 510.0),)
    np.testing.assert_array_equal(held_out.read(1).sar.channels, training.read(1).sar.channels)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bands_sar": ()}, r"bands_sar must be band numbers counted from 1, found \[\]"),
        ({"bands_optical": (0, 1)}, r"bands_optical must be band numbers counted from 1, found \[0, 1\]"),
        ({"scaling_optical": Scaling("fixed", 5.0, 5.0)}, r"scaling_optical: low must be less than high, found 5\.0"),
        ({"place_pattern": "a"}, "has no group"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        PairsConfig(path=Path("pairs"), **settings)
