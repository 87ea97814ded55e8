from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from midground.errors import ConfigError, OutputError
from midground.simulate import SceneConfig, SimulatedPair, render_pair, scene, simulate_scene_pair

SEED = 6


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> SimulatedPair:
    out_dir = tmp_path_factory.mktemp("simulated") / "new" / "folder"
    return simulate_scene_pair(out_dir, seed=SEED, size_px=256, shift_m=(120.0, -80.0))


def test_optical_file(pair: SimulatedPair) -> None:
    with rasterio.open(pair.optical) as source:
        assert (source.count, source.shape) == (4, (256, 256))
        assert set(source.dtypes) == {"uint16"}
        assert source.descriptions == ("B02", "B03", "B04", "B08")
        assert source.crs.to_epsg() == 32633
        assert source.res == (10.0, 10.0)
        assert source.nodata == 0
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.read().min() > 0
        assert 200 < np.median(source.read()) < 4000


def test_sar_file_claims_the_optical_grid(pair: SimulatedPair) -> None:
    with rasterio.open(pair.optical) as optical, rasterio.open(pair.sar) as sar:
        assert (sar.count, sar.shape, sar.dtypes) == (1, (256, 256), ("float32",))
        assert sar.descriptions == ("VV",)
        assert sar.nodata == 0
        assert sar.transform == optical.transform
        assert sar.crs == optical.crs
        assert (sar.read_masks(1) == 255).all()


def test_truth_file(pair: SimulatedPair) -> None:
    truth = json.loads(pair.truth.read_text(encoding="utf-8"))
    assert truth["schema"] == "midground/truth/1"
    assert truth["seed"] == SEED
    assert truth["shift_m"] == [120.0, -80.0]
    assert pair.shift_m == (120.0, -80.0)
    assert np.array_equal(truth["fixed_from_moving"], pair.fixed_from_moving.matrix)
    moved = np.array(truth["fixed_from_moving"]) @ [127.5, 127.5, 1]
    assert moved == pytest.approx([139.5, 135.5, 1])
    assert {truth["fixed"], truth["moving"]} == {pair.optical.name, pair.sar.name}


def test_files_hold_what_is_rendered_in_memory(pair: SimulatedPair) -> None:
    rendered = render_pair(SceneConfig(seed=SEED, size_px=256, shift_m=(120.0, -80.0)))
    with rasterio.open(pair.optical) as optical, rasterio.open(pair.sar) as sar:
        assert np.array_equal(sar.read(), rendered.sar.channels)
        assert np.abs(optical.read() / 1e4 - rendered.optical.channels).max() < 1e-4


def test_nothing_else_is_left_in_the_folder_and_files_are_replaced(tmp_path: Path) -> None:
    for seed in (1, 2):
        simulate_scene_pair(tmp_path, seed=seed, size_px=128)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["optical.tif", "sar.tif", "truth.json"]
    assert json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))["seed"] == 2


def test_a_bad_value_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="size_px must lie between 128 and 2048, found 5"):
        simulate_scene_pair(tmp_path / "out", size_px=5)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="file"):
        simulate_scene_pair(tmp_path / "file", size_px=128)


def test_nothing_half_written_remains_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill_up(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scene, "_write_raster", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        simulate_scene_pair(tmp_path, size_px=128)
    assert list(tmp_path.iterdir()) == []


def test_nothing_half_written_remains_after_an_interrupt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(path: Path, *_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(scene, "_write_raster", interrupt)
    with pytest.raises(KeyboardInterrupt):
        simulate_scene_pair(tmp_path, size_px=128)
    assert list(tmp_path.iterdir()) == []
