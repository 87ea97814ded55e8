"""``midground data`` on small folders, and on real collections where there are any."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from midground.datasets.archive import Entry, Shard
from midground.datasets.base import PixelWindow
from midground.datasets.catalogue import KINDS, PairsConfig, open_pairs, open_raw_pairs
from midground.datasets.splits import Subset, split_by_place

CHECKOUT = Path(__file__).parents[2]
NAMES = ("0001_after", "0001_before", "0002_after", "0010_after")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four pairs of 8-bit PNG, 32 × 40 px, the SAR images grey in three bands."""
    rng = np.random.default_rng(2)
    root = tmp_path / "pairs"
    for name in NAMES:
        grey = rng.integers(1, 256, (1, 32, 40), dtype=np.uint8)
        save(root / "sar" / f"{name}.png", np.repeat(grey, 3, axis=0))
        save(root / "optical" / f"{name}.png", rng.integers(1, 256, (3, 32, 40), dtype=np.uint8))
    return root


def save(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = array.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, dtype=array.dtype.name) as target:
            target.write(array)


def test_info_says_what_a_collection_holds(cli, folder):
    outcome = cli("data", "info", folder, "--set", r"place_pattern=(\d+)_")

    assert outcome.code == 0, outcome
    assert outcome.out.splitlines() == [
        "pairs     4, from '0001_after' to '0010_after'",
        "places    3, the most frequent with 2 pair(s)",
        "sizes     32 × 40 px (4)",
        "SAR       3 band(s) of uint8: band 1, band 2, band 3",
        "optical   3 band(s) of uint8: band 1, band 2, band 3",
    ]


def test_check_finds_nothing(cli, folder):
    outcome = cli("data", "check", folder)

    assert outcome.code == 0, outcome
    assert outcome.out.splitlines() == [
        "pairs       4",
        "hint        The SAR images are grey, saved as colour: 'bands_sar: [1]' reads them as one band.",
        "problems    none",
    ]


def test_check_reports_all_problems_and_fails(cli, folder):
    save(folder / "optical" / "0002_after.png", np.zeros((3, 32, 40), np.uint8))
    (folder / "sar" / "0010_after.png").unlink()
    truncated = folder / "optical" / "0001_after.png"
    truncated.write_bytes(truncated.read_bytes()[:2000])
    outcome = cli("data", "check", folder)

    assert outcome.code == 2
    lines = outcome.out.splitlines()
    assert lines[0] == "pairs       3"
    assert [line.split()[0] for line in lines[1:]] == ["hint", "unpaired", "unreadable", "empty"]
    assert lines[4] == "empty       Pair '0002_after': no pixel of the optical image holds data; exclude the pair."
    assert outcome.err == f"midground: {folder}: 3 problem(s) found, listed above.\n"
    document = json.loads(cli("data", "check", folder, "--json").out)
    assert document["n_pairs"] == 3
    assert [problem["kind"] for problem in document["problems"]] == ["unpaired", "unreadable", "empty"]


def test_pack_follows_the_settings(cli, folder, tmp_path):
    (tmp_path / "names.txt").write_text("0001_before\n0010_after\n", encoding="utf-8")
    config = tmp_path / "pairs.yaml"
    config.write_text(f"path: {folder}\nbands_sar: [1]\nplace_pattern: '(\\d+)_'\n", encoding="utf-8")
    packed = tmp_path / "packed"
    outcome = cli("data", "pack", config, "-o", packed, "--set", f"include={tmp_path / 'names.txt'}")

    assert outcome.code == 0, outcome
    assert re.fullmatch(rf"{re.escape(str(packed))}: 2 pairs, 0\.0 MB\n", outcome.out)
    source, copy = open_raw_pairs(PairsConfig(path=folder, bands_sar=(1,))), open_raw_pairs(PairsConfig(path=packed))
    assert copy.names == ("0001_before", "0010_after")
    assert copy.places == ("0001", "0010")
    np.testing.assert_array_equal(copy.read(1).sar.channels, source.read(3).sar.channels)
    np.testing.assert_array_equal(copy.read(1).optical.channels, source.read(3).optical.channels)
    assert "problems    none" in cli("data", "check", packed).out


def test_check_compares_the_sha256_of_shards(cli, folder, tmp_path):
    packed = tmp_path / "packed"
    assert cli("data", "pack", folder, "-o", packed, "--quiet").out == ""
    content = bytearray((packed / "00000.bin").read_bytes())
    content[5] ^= 1
    (packed / "00000.bin").write_bytes(content)

    outcome = cli("data", "check", packed)
    assert outcome.code == 2
    assert "00000.bin: the shard was altered or is damaged" in outcome.out
    assert outcome.err == f"midground: {packed}: 1 problem(s) found, listed above.\n"
    (packed / "00000.bin").unlink()
    outcome = cli("data", "check", packed, "--json")
    assert outcome.code == 2
    document = json.loads(outcome.out)
    assert document["n_pairs"] == 0
    assert [problem["kind"] for problem in document["problems"]] == ["missing"]


def test_check_reports_what_is_wrong_with_a_table_and_the_settings(cli, folder):
    table = folder / "pairs.csv"
    rows = [f"sar/{name}.png,optical/{name}.png" for name in NAMES]
    table.write_text("\n".join(["sar,optical", *rows, rows[0], "sar/0001_after.png,"]), encoding="utf-8")
    outcome = cli("data", "check", table, "--set", "bands_sar=[4]", "--set", "place_pattern='(.*)_before'")

    assert outcome.code == 2
    lines = outcome.out.splitlines()
    assert lines[0] == "pairs       4"
    kinds = ["unplaced", "unplaced", "unplaced", "duplicate", "missing", "mismatched"]
    assert [line.split()[0] for line in lines[2:]] == kinds
    assert "there is no band 4" in lines[-1]
    assert "2 problems: " in cli.fails("data", "info", table)
    hint = [line for line in cli("data", "check", folder).out.splitlines() if line.startswith("hint")]
    assert len(hint) == 1
    assert "hint" not in cli("data", "check", folder, "--set", "bands_sar=[1]").out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("info", "{folder}/absent"), "there is no such collection of pairs; check the path."),
        (("info", "{folder}/sar"), "there is no folder 'sar' in it"),
        (("info", "{folder}", "--set", "kind=foldr"), "Unknown kind of collection 'foldr'. Did you mean 'folder'?"),
        (("info", "{folder}", "--set", "sar_scale=decibel"), "Unknown sar_scale 'decibel'."),
        (("info", "{folder}", "--set", "band_sar=[1]"), "unknown setting 'band_sar'. Did you mean 'bands_sar'?"),
        (("info", "{folder}", "--set", "bands_sar=[4]"), "there is no band 4"),
        (("pack", "{folder}", "-o", "{folder}"), "exists already; choose another folder"),
        (("pack", "{folder}", "-o", "/dev/null/packed"), "cannot be written"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(cli, folder, words, message):
    assert message in cli.fails("data", *(word.format(folder=folder) for word in words))


@pytest.mark.parametrize("command", [[], ["info"], ["check"], ["prepare"], ["pack"]], ids=" ".join)
def test_help_is_light(command):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "midground", "data", *command, "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    loaded = {line.rsplit("|", 1)[1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line}
    assert "midground" in loaded
    assert not loaded & {"numpy", "rasterio", "yaml"}


@pytest.fixture
def sen12ms(tmp_path: Path) -> Path:
    """Five patches of as many scenes, 8 × 8 px, one without its optical image."""
    rng = np.random.default_rng(3)
    root = tmp_path / "sen12ms"
    for scene in range(5):
        for kind, values in (
            ("s1", rng.normal(-12, 4, (2, 8, 8)).astype(np.float32)),
            ("s2", rng.integers(1, 9000, (13, 8, 8), dtype=np.uint16)),
        ):
            save(
                root / f"ROIs1158_spring_{kind}" / f"{kind}_{scene}" / f"ROIs1158_spring_{kind}_{scene}_p30.tif", values
            )
    (root / "ROIs1158_spring_s2" / "s2_4" / "ROIs1158_spring_s2_4_p30.tif").unlink()
    return root


def test_a_published_dataset_is_checked_and_prepared(cli, sen12ms, tmp_path):
    checked = cli("data", "check", sen12ms, "--layout", "sen12ms")
    assert checked.code == 2
    assert "unpaired" in checked.out
    assert "ROIs1158_spring_s1_4_p30.tif: there is no optical image of the same patch" in checked.out

    out = tmp_path / "out"
    prepared = cli("data", "prepare", "sen12ms", sen12ms, out, "--split", "2,1,1")
    assert prepared.code == 0, prepared
    assert prepared.out.splitlines() == [
        f"{out}: 4 pairs (train 2, validation 1, test 1)",
        f"1 problem(s) with files that were left out; see 'midground data check {sen12ms} --layout sen12ms'.",
    ]
    assert cli("data", "check", out).code == 0
    names = (out / "train.txt").read_text(encoding="utf-8").split()
    info = cli("data", "info", out, "--set", f"include={out / 'train.txt'}")
    assert info.out.splitlines()[0] == f"pairs     2, from '{names[0]}' to '{names[1]}'"
    assert cli("data", "prepare", "sen12ms", sen12ms, out, "--split", "2,1,1", "-q").out == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sen12", "{data}", "{data}/out"), "Unknown kind of collection 'sen12'."),
        (("sen12ms", "{data}/absent", "{data}/out"), "there is no such collection of pairs"),
        (("sen12ms", "{data}", "{data}"), "exists already and is no preparation"),
        (
            ("sen12ms", "{data}", "{data}/out", "--format", "jpg"),
            "Unknown value of --format 'jpg'. Did you mean 'png'? Known: lists",
        ),
        (("sen12ms", "{data}", "{data}/absent/out"), "absent/out: cannot be created"),
        (("sen12ms", "{data}", "{data}/out", "--split", "1,2"), "--split takes three numbers"),
        (("sen12ms", "{data}", "{data}/out", "--split", "1,2,0"), "split must be three numbers of more than 0"),
    ],
)
def test_what_cannot_be_prepared_is_one_sentence(cli, sen12ms, words, message):
    assert message in cli.fails("data", "prepare", *(word.format(data=sen12ms) for word in words))


def test_settings_and_format_are_documented():
    text = (CHECKOUT / "docs" / "data.md").read_text(encoding="utf-8")
    fields = [field.name for kind in (PairsConfig, Entry, Shard) for field in dataclasses.fields(kind)]
    assert [name for name in (*fields, *KINDS) if f"`{name}`" not in text] == []


def test_the_documented_lines_of_python_run(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder.parent)
    text = (CHECKOUT / "docs" / "data.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    # Four pairs make one block of twenty.
    exec(compile(block.replace("block_places=20", "block_places=1"), "data.md", "exec"), {})
    assert capsys.readouterr().out.endswith("(3, 32, 40) ((0.0, 255.0), (0.0, 255.0), (0.0, 255.0))\n")


def test_real_tiles_of_places_seen_twice(shared_data):
    root = shared_data / "data" / "ombria" / "test"
    pairs = open_pairs(PairsConfig(path=root, bands_sar=(1,), place_pattern=r"(\d+)_"))
    training, validation = (Subset(pairs, part) for part in split_by_place(pairs, 0.1, block_places=5))

    assert len(pairs) == 140
    assert set(training.places).isdisjoint(validation.places)
    pair = validation.read(0)
    assert (pair.sar.channels.shape, pair.optical.channels.shape) == ((1, 256, 256), (3, 256, 256))
    assert 0 <= pair.sar.channels.min() < pair.sar.channels.max() <= 1


def test_real_bands_in_decibels_and_reflectance(shared_data, tmp_path):
    root = shared_data / "data" / "multispectral" / "bigearthnet"
    raw, pairs = open_raw_pairs(PairsConfig(path=root)), open_pairs(PairsConfig(path=root, in_memory=True))

    assert raw.sar_profile.bands == ("VV", "VH")
    assert raw.optical_profile.bands[2] == "B04"
    assert pairs.radiometry.sar_scale == "db"
    whole = [raw.read(index) for index in range(len(raw))]
    for images, limits in (
        ([pair.sar for pair in whole], pairs.radiometry.sar_limits),
        ([pair.optical for pair in whole], pairs.radiometry.optical_limits),
    ):
        values = np.concatenate([image.channels.reshape(image.n_channels, -1) for image in images], axis=1)
        np.testing.assert_allclose(limits, np.percentile(values, [0.5, 99.5], axis=1).T, rtol=1e-5)


def test_real_masks_are_for_both_images(shared_data):
    root = shared_data / "data" / "vhr-aligned"
    pairs = open_raw_pairs(PairsConfig(path=root, bands_sar=(1,), bands_optical=(1,)))
    pair = pairs.read(0)

    assert len(pairs) == 86
    np.testing.assert_array_equal(pair.sar.valid, pair.optical.valid)
    assert 0.1 < (~pair.sar.valid).mean() < 0.25


def test_real_scenes_by_a_table_in_windows(shared_data, tmp_path):
    root = shared_data / "data" / "s1s2-us"
    table = tmp_path / "scenes.csv"
    with (root / "scenes.csv").open(encoding="utf-8") as stream, table.open("w", encoding="utf-8") as target:
        writer = csv.writer(target)
        writer.writerow(["sar", "optical", "name", "split"])
        for row in csv.DictReader(stream):
            files = [root / modality / f"{row['scene']}.tif" for modality in ("sar", "optical")]
            writer.writerow([*files, row["scene"], row["split"]])
    pairs = open_raw_pairs(PairsConfig(path=table, split="test"))

    assert len(pairs) == 16
    assert pairs.hw(0) == (1024, 1024)
    window = PixelWindow(700, 300, 256, 256)
    np.testing.assert_array_equal(
        pairs.read(0, window).optical.channels, pairs.read(0).optical.channels[:, 700:956, 300:556]
    )


@pytest.mark.parametrize(
    ("folder", "sar", "optical", "scale", "n_bands", "dtypes", "crs"),
    [
        ("gefolki", "S1_patch11", "S2_patch11", "power", (2, 3), ("float32", "float32"), "EPSG:32631"),
        (
            "sen1floods11",
            "Spain_7370579_S1Hand",
            "Spain_7370579_S2Hand",
            "db",
            (2, 13),
            ("float32", "int16"),
            "EPSG:4326",
        ),
    ],
)
def test_real_pairs_of_unlike_names_by_a_table(
    cli, shared_data, tmp_path, folder, sar, optical, scale, n_bands, dtypes, crs
):
    root = shared_data / "data" / "multispectral" / folder
    table = tmp_path / "pairs.csv"
    table.write_text(f"sar,optical\n{root / sar}.tif,{root / optical}.tif\n", encoding="utf-8")
    raw, pairs = open_raw_pairs(PairsConfig(path=table)), open_pairs(PairsConfig(path=table))

    assert raw.names == (sar,)
    assert (len(raw.sar_profile.bands), len(raw.optical_profile.bands)) == n_bands
    assert (raw.sar_profile.dtype, raw.optical_profile.dtype) == dtypes
    assert raw.georeference(0)[0] == crs
    assert pairs.radiometry.sar_scale == scale
    window = PixelWindow(200, 100, 96, 128)
    for name, image in ((sar, raw.read(0, window).sar), (optical, raw.read(0, window).optical)):
        with rasterio.open(root / f"{name}.tif") as file:
            values = file.read()[:, 200:296, 100:228].astype(np.float32)
        valid = np.isfinite(values).all(axis=0)
        np.testing.assert_array_equal(image.valid, valid)
        np.testing.assert_array_equal(image.channels, np.where(valid, values, 0))
    scaled = pairs.read(0).sar.channels
    assert 0 <= scaled.min() < scaled.max() <= 1
    assert "problems    none" in cli("data", "check", table).out


def test_real_digital_numbers_without_georeference(cli, shared_data):
    root = shared_data / "data" / "multispectral" / "desert-dn"
    config = PairsConfig(path=root, place_pattern=r"(zone_\d+)_", bands_optical=(3, 1))
    raw, pairs = open_raw_pairs(config), open_pairs(config)

    assert len(raw) == 6
    assert set(raw.places) == {"zone_9"}
    assert (raw.sar_profile.bands, raw.optical_profile.bands) == (("VV",), ("B2", "B4"))
    assert raw.optical_profile.dtype == "uint16"
    assert raw.georeference(0)[0] is None
    assert pairs.radiometry.sar_scale == "db"
    assert raw.read(0).optical.channels.max() > 255
    assert pairs.read(0).optical.channels.max() == 1
    assert "problems    none" in cli("data", "check", root, "--set", "bands_sar=[1]").out


def test_the_index_is_json_with_a_schema(cli, folder, tmp_path):
    cli("data", "pack", folder, "-o", tmp_path / "packed", "--shard-mb", "0.02")
    index = json.loads((tmp_path / "packed" / "index.json").read_text(encoding="utf-8"))

    assert index["schema"] == "midground/pairs/1"
    # 7680 bytes a pair: a shard ends with the third.
    assert [pair["shard"] for pair in index["pairs"]] == [0, 0, 0, 1]
