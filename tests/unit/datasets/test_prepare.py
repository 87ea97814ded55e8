from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from midground.datasets import prepare as prepare_module
from midground.datasets.catalogue import PairsConfig, open_pairs, open_raw_pairs
from midground.datasets.prepare import PrepareConfig, prepare
from midground.datasets.splits import evenly_spread
from midground.errors import ConfigError, InputError, OutputError

N_PATCHES = 6
CRS = "EPSG:32631"


@pytest.fixture
def multisenge(tmp_path, write_image):
    """Six patches at two dates: linear power and ten bands, with a strip of no data."""
    rng = np.random.default_rng(5)
    root = tmp_path / "multisenge"
    for patch in range(N_PATCHES):
        for date in ("20200801", "20200901"):
            power = 10 ** rng.normal(-1.2, 0.4, (2, 16, 16)).astype(np.float32)
            power[:, 0] = 0
            optical = rng.integers(1, 9000, (10, 16, 16), dtype=np.uint16)
            optical[:, :, 3] = 0
            name = f"{257 * patch}_0.tif"
            write_image(root / "s1" / f"31UGP_{date}_S1_{name}", power, crs=CRS)
            write_image(root / "s2" / f"31UGP_{date}_S2_{name}", optical, crs=CRS, nodata=0)
    return root


def config_of(root, **settings) -> PairsConfig:
    return PairsConfig(path=root, kind="multisenge", **settings)


def test_grey_and_colour_with_the_percentiles_of_all_pixels(multisenge, tmp_path, read_pixels):
    out = tmp_path / "out"
    made = prepare(config_of(multisenge), out)
    raw = open_raw_pairs(config_of(multisenge, bands_sar=(1,), bands_optical=(3, 2, 1)))
    whole = [raw.read(index) for index in range(len(raw))]
    decibels = np.concatenate([10 * np.log10(pair.sar.channels[pair.sar.channels > 0]) for pair in whole])
    reflectances = np.concatenate([pair.optical.channels[:, pair.optical.valid].ravel() for pair in whole])
    limits = json.loads((out / "prepared.json").read_text(encoding="utf-8"))["radiometry"]

    assert limits["sar_scale"] == "power"
    (low, high) = limits["sar_limits"][0]
    np.testing.assert_allclose((low, high), np.percentile(decibels, [0.5, 99.5]), atol=0.02)
    assert len(limits["sar_limits"]) == 1
    np.testing.assert_allclose(limits["optical_limits"], [np.percentile(reflectances, [0.5, 99.5])] * 3)

    name, pair = raw.names[4], whole[4]
    expected = np.clip((10 * np.log10(np.maximum(pair.sar.channels, 1e-9)) - low) / (high - low), 0, 1)
    np.testing.assert_allclose(read_pixels(out / "sar" / f"{name}.tif"), 1 + 254 * expected, atol=0.51)
    colour = read_pixels(out / "optical" / f"{name}.tif")
    assert colour.shape == (3, 16, 16)
    assert colour.dtype == np.uint8
    assert (colour[:, :, 3] == 0).all()
    assert np.delete(colour, 3, axis=2).min() == 1
    with (
        rasterio.open(out / "optical" / f"{name}.tif") as file,
        rasterio.open(next((multisenge / "s2").iterdir())) as was,
    ):
        assert (file.crs, file.transform, file.nodata) == (was.crs, was.transform, 0)
    assert made.n_left_out == 0


def test_lists_share_no_place_and_choose_pairs(multisenge, tmp_path):
    out = tmp_path / "out"
    made = prepare(config_of(multisenge), out, PrepareConfig(split=(50, 25, 25)))
    places = {}
    for part, names in made.parts.items():
        pairs = open_pairs(PairsConfig(path=out, include=out / f"{part}.txt", place_pattern=r"_(\d+)_0$"))
        assert pairs.names == names
        places[part] = set(pairs.places)

    assert [len(made.parts[part]) for part in ("train", "validation", "test")] == [8, 2, 2]
    assert sum(map(len, places.values())) == len(set.union(*places.values())) == N_PATCHES


@pytest.mark.parametrize("image_format", ["png", "packed"])
def test_other_formats_hold_the_same_pixels(multisenge, tmp_path, image_format):
    prepare(config_of(multisenge), tmp_path / "tif")
    prepare(config_of(multisenge), tmp_path / "out", PrepareConfig(image_format=image_format))
    first = open_raw_pairs(PairsConfig(path=tmp_path / "tif"))
    other = open_raw_pairs(PairsConfig(path=tmp_path / "out" / ("packed" if image_format == "packed" else "")))

    assert other.names == first.names
    for one, two in ((first.read(3).sar, other.read(3).sar), (first.read(3).optical, other.read(3).optical)):
        np.testing.assert_array_equal(one.channels, two.channels)
        np.testing.assert_array_equal(one.valid, two.valid)


def test_only_lists(multisenge, tmp_path):
    prepare(config_of(multisenge), tmp_path / "out", PrepareConfig(image_format="lists", limit=5))

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "prepared.json",
        "test.txt",
        "train.txt",
        "validation.txt",
    ]
    names = [line for path in (tmp_path / "out").glob("*.txt") for line in path.read_text(encoding="utf-8").split()]
    # Those that a limit takes everywhere else.
    assert sorted(names) == sorted(evenly_spread(open_raw_pairs(config_of(multisenge)), 5).names)


def test_several_processes_do_the_same(multisenge, tmp_path, read_pixels):
    stages = []
    prepare(config_of(multisenge), tmp_path / "one")
    prepare(
        config_of(multisenge),
        tmp_path / "two",
        PrepareConfig(n_workers=2),
        progress=lambda stage, done, total: stages.append((stage, done, total)),
    )
    assert ("writing images", 12, 12) in stages
    for path in sorted((tmp_path / "one" / "sar").iterdir()):
        np.testing.assert_array_equal(read_pixels(path), read_pixels(tmp_path / "two" / "sar" / path.name))
    assert (tmp_path / "one" / "prepared.json").read_text() == (tmp_path / "two" / "prepared.json").read_text()


KILLED = """
import os, sys
from pathlib import Path
from midground.datasets import grey_and_colour, prepare
from midground.datasets.catalogue import PairsConfig
write, written = prepare.write_eight_bit, []
def fatal(path, image, georeference):
    if len(written) == 7:
        path.with_name(f".{path.name}.part").write_bytes(b"half of it")
        os._exit(9)
    written.append(path)
    write(path, image, georeference)
prepare.write_eight_bit = fatal
prepare.prepare(PairsConfig(path=Path(sys.argv[1]), kind="multisenge"), Path(sys.argv[2]))
"""


def test_a_killed_preparation_goes_on(multisenge, tmp_path, monkeypatch, read_pixels):
    out, whole = tmp_path / "out", tmp_path / "whole"
    done = subprocess.run([sys.executable, "-c", KILLED, str(multisenge), str(out)], check=False, timeout=120)
    assert done.returncode == 9
    finished = [path for path in out.rglob("*.tif")]
    assert len(finished) == 7
    assert not list(out.glob("*.txt"))
    stamps = {path: path.stat().st_mtime_ns for path in finished[:]}

    def measured_again(*arguments, **options):
        raise AssertionError("the limits are known")

    prepare(config_of(multisenge), whole)
    monkeypatch.setattr(prepare_module, "measure_limits", measured_again)
    made = prepare(config_of(multisenge), out)

    assert sum(map(len, made.parts.values())) == 12
    assert sorted(path.relative_to(out) for path in out.rglob("*")) == sorted(
        path.relative_to(whole) for path in whole.rglob("*")
    )
    for path in out.rglob("*.tif"):
        np.testing.assert_array_equal(read_pixels(path), read_pixels(whole / path.relative_to(out)))
    # Six files are three whole pairs; the seventh lacked its partner.
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()) == 6


def test_eight_bit_datasets_keep_their_stretch(tmp_path, write_image, read_pixels):
    rng = np.random.default_rng(6)
    for number in range(3):
        for kind, count in (("s1", 1), ("s2", 3)):
            path = tmp_path / "in" / f"ROIs1_fall_{kind}_{number}_p1.png"
            write_image(path, rng.integers(100, 200, (count, 8, 8), dtype=np.uint8))
    prepare(PairsConfig(path=tmp_path / "in", kind="sen1-2"), tmp_path / "out")

    values = read_pixels(tmp_path / "in" / "ROIs1_fall_s2_0_p1.png").astype(float)
    np.testing.assert_allclose(
        read_pixels(tmp_path / "out" / "optical" / "ROIs1_fall_0_p1.tif"), 1 + 254 * values / 255, atol=0.51
    )


def test_a_published_split_is_kept(tmp_path, write_image):
    for part, number in (("train", 1), ("train", 2), ("val", 1), ("test", 7)):
        for kind, count in (("sar", 1), ("opt", 3)):
            write_image(tmp_path / "in" / part / f"{kind}{number}.png", np.full((count, 8, 8), 9, np.uint8))
    made = prepare(PairsConfig(path=tmp_path / "in", kind="osdataset"), tmp_path / "out")

    assert made.parts == {"train": ("train_1", "train_2"), "validation": ("val_1",), "test": ("test_7",)}


def test_splits_of_a_table_are_kept_and_unknown_ones_named(tmp_path, write_image):
    for number in range(4):
        for kind, count in (("sar", 1), ("opt", 3)):
            write_image(tmp_path / "in" / f"{kind}{number}.png", np.full((count, 8, 8), 9, np.uint8))

    def listed(*splits):
        rows = [f"sar{number}.png,opt{number}.png,{split}" for number, split in enumerate(splits)]
        (tmp_path / "in" / "pairs.csv").write_text("\n".join(["sar,optical,split", *rows]), encoding="utf-8")
        return PairsConfig(path=tmp_path / "in" / "pairs.csv")

    made = prepare(listed("train", "val", "TEST", "validation"), tmp_path / "out")
    assert made.parts == {"train": ("sar0",), "validation": ("sar1", "sar3"), "test": ("sar2",)}
    with pytest.raises(InputError, match=r"the pair 'sar1' has the split 'fold1', which is none of train, validation"):
        prepare(listed("train", "fold1", "test", "val"), tmp_path / "other")


def test_another_preparation_in_the_folder_is_not_touched(multisenge, tmp_path):
    out = tmp_path / "out"
    prepare(config_of(multisenge), out, PrepareConfig(image_format="lists"))
    with pytest.raises(OutputError, match=r"was prepared with another 'seed' \(0, now 1\); choose another folder"):
        prepare(config_of(multisenge), out, PrepareConfig(image_format="lists", seed=1))
    (out / "prepared.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match="the record is damaged"):
        prepare(config_of(multisenge), out)
    with pytest.raises(OutputError, match="exists already and is no preparation"):
        prepare(config_of(multisenge), multisenge)


def test_the_folder_is_tried_before_the_dataset_is_read(multisenge, tmp_path):
    next((multisenge / "s1").iterdir()).write_bytes(b"no image")
    with pytest.raises(OutputError, match="exists already and is no preparation"):
        prepare(config_of(multisenge), multisenge)
    with pytest.raises(OutputError, match="absent/out: cannot be created"):
        prepare(config_of(multisenge), tmp_path / "absent" / "out")


def test_an_image_that_cannot_be_read_is_named_with_what_finds_all_such(multisenge, tmp_path):
    damaged = multisenge / "s2" / "31UGP_20200801_S2_257_0.tif"
    whole = damaged.read_bytes()
    command = f"See 'midground data check {multisenge} --layout multisenge' for all that is wrong with the files."
    for content in (b"no image", whole[:700]):
        damaged.write_bytes(content)
        with pytest.raises(InputError, match=r"31UGP_20200801_S2_257_0\.tif: is no image that GDAL reads") as caught:
            prepare(config_of(multisenge), tmp_path / "out")
        assert str(caught.value).endswith(command)
        assert not (tmp_path / "out").exists()


def test_names_without_a_place_are_refused(multisenge, tmp_path):
    with pytest.raises(InputError, match="finds no place in the name '31UGP_20200801_1028_0'"):
        prepare(config_of(multisenge, place_pattern=r"_(257)_"), tmp_path / "out")
    with pytest.raises(InputError, match="finds no place in the name"):
        open_raw_pairs(config_of(multisenge, place_pattern=r"_(257)_"))


def test_a_failed_write_leaves_no_image(multisenge, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise rasterio.errors.RasterioIOError("no space left")

    monkeypatch.setattr("midground.datasets.grey_and_colour.rasterio.open", full)
    with pytest.raises((OutputError, InputError)):
        prepare(config_of(multisenge), tmp_path / "out")
    assert not list(tmp_path.glob("out/**/*.tif"))


def test_what_cannot_be_prepared(multisenge, tmp_path):
    with pytest.raises(
        ConfigError, match=r"10 bands .* do not make a grey or colour image; choose 1 or 3 with bands_opt"
    ):
        prepare(config_of(multisenge, bands_optical=tuple(range(1, 11))), tmp_path / "out")
    with pytest.raises(
        InputError, match=r"1 place\(s\) cannot be divided into 3 parts .*; use more pairs, or a place_pattern"
    ):
        prepare(config_of(multisenge), tmp_path / "out", PrepareConfig(limit=2))
    with pytest.raises(InputError, match="there is no pair of images here"):
        prepare(PairsConfig(path=multisenge, kind="sen12ms"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": (1, 0, 1)}, "split must be three numbers of more than 0"),
        ({"limit": 0}, "found 0, 1 and 0"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ConfigError, match=message):
        PrepareConfig(**settings)


def test_real_decibels(shared_data, tmp_path):
    root = shared_data / "data" / "multispectral" / "bigearthnet"
    prepare(PairsConfig(path=root, kind="bigearthnet"), tmp_path / "out")
    pairs = open_pairs(PairsConfig(path=tmp_path / "out"))
    raw = open_raw_pairs(PairsConfig(path=root, bands_sar=(1,)))
    values = np.concatenate([raw.read(index).sar.channels.ravel() for index in range(len(raw))])
    record = json.loads((tmp_path / "out" / "prepared.json").read_text(encoding="utf-8"))

    np.testing.assert_allclose(record["radiometry"]["sar_limits"], [np.percentile(values, [0.5, 99.5])], atol=0.01)
    assert (record["sar"], record["optical"]) == (["VV"], ["B04", "B03", "B02"])
    assert len(pairs) == 24
