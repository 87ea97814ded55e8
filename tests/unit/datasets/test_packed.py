from __future__ import annotations

import hashlib
import json
import multiprocessing
import pickle

import numpy as np
import pytest

from midground.datasets.base import PixelWindow, RawPairs
from midground.datasets.memory import InMemoryPairs
from midground.datasets.packed import PackedPairs
from midground.datasets.packing import pack
from midground.datasets.selection import Selection
from midground.errors import ConfigError, InputError, OutputError

WINDOW = PixelWindow(2, 1, 5, 4)


@pytest.fixture
def source(array_pairs):
    """Six pairs of different sizes, two SAR bands in dB with a gap in one image, one optical band of 16 bits."""
    rng = np.random.default_rng(8)
    sizes = [(8, 9), (8, 9), (12, 7), (8, 9), (16, 16), (7, 8)]
    sar = [rng.normal(-12, 3, (2, *hw)).astype(np.float32) for hw in sizes]
    sar[2][:, 3:5, 2:6] = np.nan
    optical = [rng.integers(1, 9000, (1, *hw)).astype(np.uint16) for hw in sizes]
    names = [f"{number:02d}_a" for number in range(6)]
    return array_pairs(sar, optical, names=names, places=["p", "p", "q", "r", "r", "s"])


def assert_same(one, other) -> None:
    assert (one.names, one.places) == (other.names, other.places)
    assert (one.sar_profile, one.optical_profile) == (other.sar_profile, other.optical_profile)
    for index in range(len(other)):
        assert one.hw(index) == other.hw(index)
        for window in (None, WINDOW):
            mine, theirs = one.read(index, window), other.read(index, window)
            assert (mine.name, mine.place) == (theirs.name, theirs.place)
            for own, expected in ((mine.sar, theirs.sar), (mine.optical, theirs.optical)):
                np.testing.assert_array_equal(own.channels, expected.channels)
                np.testing.assert_array_equal(own.valid, expected.valid)


@pytest.mark.parametrize("shard_bytes", [1024, 1 << 20])
def test_packed_pairs_are_the_pairs(source, tmp_path, shard_bytes):
    packed = pack(source, tmp_path / "packed", shard_bytes=shard_bytes)

    assert isinstance(packed, RawPairs)
    assert_same(packed, source)
    assert_same(PackedPairs(tmp_path / "packed"), source)


def test_pairs_in_memory_are_the_pairs(source):
    held = InMemoryPairs(source)

    assert isinstance(held, RawPairs)
    assert source.n_read == 6
    assert_same(held, source)
    areas = sum(height * width for height, width in map(source.hw, range(6)))
    assert held.nbytes == areas * (2 * 4 + 2) + 12 * 7


def test_values_that_float32_holds_only_rounded_become_float32(array_pairs, tmp_path):
    values = np.array([[[16_777_217, 3], [4, 5]]], np.int32)
    source = array_pairs([values], [values.astype(np.uint8)])

    for stored in (InMemoryPairs(source), pack(source, tmp_path / "packed")):
        assert stored.sar_profile.dtype == "int32"
        assert stored.read(0).sar.channels.ravel().tolist() == [16_777_216, 3, 4, 5]


def test_the_index_says_where_everything_lies(source, tmp_path):
    pack(source, tmp_path / "packed", shard_bytes=1024)
    index = json.loads((tmp_path / "packed" / "index.json").read_text(encoding="utf-8"))

    assert index["schema"] == "midground/pairs/1"
    assert index["sar"] == {"bands": ["s0", "s1"], "dtype": "float32"}
    # 720 bytes a pair of 8 × 9 px and 924 for the gap's: a shard ends once it holds 1024.
    assert [pair["shard"] for pair in index["pairs"]] == [0, 0, 1, 1, 2, 3]
    for shard in index["shards"]:
        content = (tmp_path / "packed" / shard["file"]).read_bytes()
        assert len(content) == shard["n_bytes"]
        assert hashlib.sha256(content).hexdigest() == shard["sha256"]
    third = index["pairs"][2]
    content = (tmp_path / "packed" / "00001.bin").read_bytes()
    assert third["optical_valid"] is None
    assert third["sar"] % 64 == third["optical"] % 64 == third["sar_valid"] % 64 == 0
    values = np.frombuffer(content, "<f4", 2 * 12 * 7, third["sar"]).reshape(2, 12, 7)
    np.testing.assert_array_equal(values, source.read(2).sar.channels)
    mask = np.frombuffer(content, np.uint8, 12 * 7, third["sar_valid"]).reshape(12, 7)
    np.testing.assert_array_equal(mask, source.read(2).sar.valid)


def test_bands_pairs_and_places_are_chosen_when_it_is_opened(source, tmp_path):
    pack(source, tmp_path / "packed")
    chosen = Selection(include=frozenset({"01_a", "04_a"}), place_pattern=r"(\d)_")
    packed = PackedPairs(tmp_path / "packed", bands_sar=(2,), selection=chosen)

    assert packed.names == ("01_a", "04_a")
    assert packed.places == ("1", "4")
    assert packed.sar_profile.bands == ("s1",)
    np.testing.assert_array_equal(packed.read(1, WINDOW).sar.channels, source.read(4, WINDOW).sar.channels[1:])
    with pytest.raises(InputError, match="there is no band 3; the collection has the bands s0, s1"):
        PackedPairs(tmp_path / "packed", bands_sar=(3,))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_it(source, tmp_path, method):
    packed = pack(source, tmp_path / "packed")
    expected = packed.read(4).sar.channels

    assert len(pickle.dumps(packed)) < 10_000
    with multiprocessing.get_context(method).Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(packed.read, (4,)).sar.channels, expected)


def test_nothing_half_written_remains(source, tmp_path):
    class Broken(type(source)):
        def __init__(self) -> None:
            self.__dict__.update(source.__dict__)

        def read(self, index, window=None):
            if index == 3:
                raise InputError("pair 3 is damaged")
            return super().read(index, window)

    with pytest.raises(InputError, match="pair 3 is damaged"):
        pack(Broken(), tmp_path / "packed", shard_bytes=1024)
    assert list(tmp_path.iterdir()) == []


def test_what_exists_is_not_replaced(source, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(OutputError, match="packed: exists already"):
        pack(source, tmp_path / "packed")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="packed: cannot be written"):
        pack(source, tmp_path / "file" / "packed")
    with pytest.raises(ConfigError, match="1024 bytes or more, found 10"):
        pack(source, tmp_path / "other", shard_bytes=10)


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_shard_that_is_missing_or_short_is_named_when_it_is_opened(source, tmp_path, damage):
    pack(source, tmp_path / "packed", shard_bytes=1024)
    path = tmp_path / "packed" / "00002.bin"
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"00002\.bin: the shard (is missing|has \d+ bytes instead of \d+)"):
        PackedPairs(tmp_path / "packed")
    others = Selection(exclude=frozenset({"04_a"}))
    np.testing.assert_array_equal(
        PackedPairs(tmp_path / "packed", selection=others).read(4).sar.channels, source.read(5).sar.channels
    )


def test_a_shard_that_vanishes_is_named(source, tmp_path):
    packed = pack(source, tmp_path / "packed")
    (tmp_path / "packed" / "00000.bin").unlink()
    with pytest.raises(InputError, match=r"00000\.bin: the shard cannot be read"):
        PackedPairs.read(pickle.loads(pickle.dumps(packed)), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(schema="midground/pairs/9"), "schema is 'midground/pairs/9', this version reads"),
        (lambda index: index.pop("pairs"), r"index is damaged \(KeyError"),
        (lambda index: index.update(pairs=[]), "no pairs"),
        (lambda index: index["pairs"][0].update(optical=10**9), "pair '00_a' reaches beyond its shard"),
        (lambda index: index["pairs"][0].update(sar=-4), "pair '00_a' reaches beyond its shard"),
        (lambda index: index["pairs"][0].update(shard=-1), "pair '00_a' reaches beyond its shard"),
        (lambda index: index["pairs"][0].update(shard=5), "index is damaged"),
        (lambda index: index["pairs"][0].update(hw=[8]), "index is damaged"),
        (lambda index: index["shards"][0].update(file="../00000.bin"), "a shard outside the folder"),
        (lambda index: index["sar"].update(dtype="float99"), "index is damaged"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(source, tmp_path, change, message):
    pack(source, tmp_path / "packed")
    path = tmp_path / "packed" / "index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    change(index)
    path.write_text(json.dumps(index), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        PackedPairs(tmp_path / "packed")


def test_what_is_no_packed_collection(tmp_path):
    with pytest.raises(InputError, match=r"there is no packed collection here \(index\.json is missing\)"):
        PackedPairs(tmp_path)
    (tmp_path / "index.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"index\.json: the index cannot be read"):
        PackedPairs(tmp_path)
    (tmp_path / "index.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="the schema is None"):
        PackedPairs(tmp_path)
