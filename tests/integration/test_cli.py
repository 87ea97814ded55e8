"""Commands on simulated scenes, judged by the files they leave."""

from __future__ import annotations

import csv
import dataclasses
import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import rasterio

RESULT_KEYS = {
    "verdict",
    "reasons",
    "fixed_from_moving",
    "shift_m",
    "transform",
    "n_matches",
    "n_inliers",
    "residual_rmse_px",
    "ce90_px",
    "expected_error_px",
    "coverage",
    "inputs",
    "model",
    "config",
    "version",
    "seed",
    "timings_s",
}


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, scene_pair) -> Path:
    """An output folder with everything in it."""
    from midground.cli.app import main

    out = tmp_path_factory.mktemp("registered") / "result"
    assert main(["register", str(scene_pair.optical), str(scene_pair.sar), "--out-dir", str(out), "-q"]) == 0
    return out


@pytest.fixture(scope="module")
def unrelated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SAR image of another landscape that claims the same place."""
    from midground.simulate.scene import simulate_scene_pair

    return simulate_scene_pair(tmp_path_factory.mktemp("unrelated"), seed=99, size_px=512).sar


def corner_error_px(matrix: list[list[float]], truth: Path) -> float:
    from midground.core.transforms import Transform, corner_error

    known = json.loads(truth.read_text())["fixed_from_moving"]
    return corner_error(Transform(np.array(matrix)), Transform(np.array(known)), (512, 512))


def test_register_writes_everything(registered: Path) -> None:
    assert sorted(path.name for path in registered.iterdir()) == [
        "aligned.tif",
        "report.html",
        "result.json",
        "tie_points.csv",
        "tie_points.gpkg",
        "transform.json",
    ]


def test_result_is_right_and_complete(registered: Path, scene_pair) -> None:
    result = json.loads((registered / "result.json").read_text())
    assert result.keys() >= RESULT_KEYS
    assert result["verdict"] == "accept"
    assert corner_error_px(result["fixed_from_moving"], scene_pair.truth) < 1.0
    assert result["shift_m"] == pytest.approx([90, -60], abs=10)
    assert result["config"]["transform"] == "affine"
    assert len(result["model"]["sha256"]) == 64


def test_aligned_raster_lies_on_the_fixed_grid(registered: Path, scene_pair) -> None:
    with (
        rasterio.open(registered / "aligned.tif") as aligned,
        rasterio.open(scene_pair.optical) as fixed,
        rasterio.open(scene_pair.sar) as moving,
    ):
        assert (aligned.crs, aligned.transform, aligned.shape) == (fixed.crs, fixed.transform, fixed.shape)
        assert (aligned.dtypes, aligned.nodata) == (moving.dtypes, moving.nodata)
        assert aligned.descriptions == moving.descriptions
        assert aligned.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (aligned.read_masks(1) > 0).mean() > 0.9


def test_tie_points_are_listed(registered: Path) -> None:
    n_matches = json.loads((registered / "result.json").read_text())["n_matches"]
    with (registered / "tie_points.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == n_matches
    with closing(sqlite3.connect(registered / "tie_points.gpkg")) as database:
        assert database.execute("select count(*) from tie_points").fetchone() == (n_matches,)


def test_json_on_stdout_is_pure(cli, scene_pair) -> None:
    outcome = cli("register", scene_pair.optical, scene_pair.sar, "--json", "-", "--truth", scene_pair.truth)
    assert outcome.code == 0
    assert json.loads(outcome.out)["verdict"] == "accept"
    assert "Error against truth" in outcome.err


def test_quiet_says_nothing(cli, tmp_path: Path, scene_pair) -> None:
    points = tmp_path / "points.geojson"
    outcome = cli("register", scene_pair.optical, scene_pair.sar, "-q", "--tie-points", points)
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert json.loads(points.read_text())["type"] == "FeatureCollection"
    assert [path.name for path in tmp_path.iterdir()] == ["points.geojson"]


def test_summary_names_verdict_readings_and_files(cli, tmp_path: Path, scene_pair) -> None:
    out = tmp_path / "aligned.tif"
    outcome = cli("register", scene_pair.optical, scene_pair.sar, "-o", out, "--onto", "georeference")
    assert outcome.out.startswith("Accepted. ")
    assert str(out) in outcome.out
    _, _, read_as = outcome.out.partition("Read as:\n")
    fixed, moving = read_as.splitlines()[:2]
    assert fixed.startswith("  fixed   taken as optical, since ")
    assert moving.startswith("  moving  taken as sar, since ")
    with rasterio.open(out) as corrected, rasterio.open(scene_pair.sar) as moving:
        np.testing.assert_array_equal(corrected.read(), moving.read())
        assert corrected.transform.c - moving.transform.c == pytest.approx(90, abs=15)
        assert corrected.transform.f - moving.transform.f == pytest.approx(-60, abs=15)


def test_same_seed_same_result(cli, scene_pair) -> None:
    first, second = (
        json.loads(cli("register", scene_pair.optical, scene_pair.sar, "--json", "-", "-q").out) for _ in range(2)
    )
    del first["timings_s"], second["timings_s"]
    assert first == second


def test_settings_reach_the_result(cli, tmp_path: Path, scene_pair) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("transform: similarity\nsearch_m: 300\ntemplate: {max_points: 80}\n", encoding="utf-8")
    words = ("--config", file, "--set", "search_m=200", "--transform", "translation", "--model", "none", "--seed", "4")
    result = json.loads(cli("register", scene_pair.optical, scene_pair.sar, *words, "--json", "-", "-q").out)
    assert result["transform"] == "translation"
    assert (result["config"]["search_m"], result["config"]["template"]["max_points"]) == (200, 80)
    assert (result["seed"], result["model"]) == (4, None)


def test_rejected_leaves_no_aligned_raster(cli, tmp_path: Path, scene_pair, unrelated: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "aligned.tif").write_bytes(b"of an earlier run")
    outcome = cli("register", scene_pair.optical, unrelated, "--out-dir", out, "-q")
    assert outcome.code == 3
    assert outcome.out == ""
    assert "REJECTED" in outcome.err
    assert len(outcome.err.splitlines()) == 1
    written = {path.name for path in out.iterdir()}
    assert {"result.json", "report.html"} <= written
    assert not written & {"aligned.tif", "transform.json"}
    assert json.loads((out / "result.json").read_text())["verdict"] == "reject"


@pytest.mark.parametrize(("words", "code"), [((), 0), (("--strict",), 4)])
def test_suspect_is_loud(
    cli, tmp_path: Path, scene_pair, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    from midground.registration import api

    result = api.register(scene_pair.optical, scene_pair.sar, model=None)
    suspect = dataclasses.replace(result, verdict="suspect", reasons=("Something is odd.",))
    monkeypatch.setattr(api, "register", lambda *_, **__: suspect)
    out = tmp_path / "aligned.tif"
    outcome = cli("register", scene_pair.optical, scene_pair.sar, "-o", out, "-q", *words)
    assert outcome.code == code
    assert "SUSPECT" in outcome.err
    assert "Something is odd." in outcome.err
    assert out.exists()


def test_force_writes_a_rejected_result(cli, tmp_path: Path, scene_pair, monkeypatch: pytest.MonkeyPatch) -> None:
    from midground.registration import api

    result = api.register(scene_pair.optical, scene_pair.sar, model=None)
    rejected = dataclasses.replace(result, verdict="reject", reasons=("Something is wrong.",))
    monkeypatch.setattr(api, "register", lambda *_, **__: rejected)
    out = tmp_path / "aligned.tif"
    assert cli("register", scene_pair.optical, scene_pair.sar, "-o", out, "-q").code == 3
    assert not out.exists()
    assert cli("register", scene_pair.optical, scene_pair.sar, "-o", out, "-q", "--force").code == 3
    assert out.exists()


def test_apply_repeats_the_alignment(cli, tmp_path: Path, registered: Path, scene_pair) -> None:
    out = tmp_path / "again.tif"
    outcome = cli("apply", registered / "transform.json", scene_pair.sar, "-o", out)
    assert outcome.code == 0
    assert str(out) in outcome.out
    with rasterio.open(out) as again, rasterio.open(registered / "aligned.tif") as aligned:
        np.testing.assert_array_equal(again.read(), aligned.read())


def test_apply_refuses_what_is_no_transform(cli, tmp_path: Path, registered: Path, scene_pair) -> None:
    line = cli.fails("apply", registered / "result.json", scene_pair.sar, "-o", tmp_path / "x.tif")
    assert "result.json" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("model", ["default", "structure", "none"])
def test_map_keeps_the_georeference(cli, tmp_path: Path, scene_pair, model: str) -> None:
    out = tmp_path / "shared.tif"
    assert cli("map", scene_pair.sar, "--modality", "sar", "-o", out, "--model", model, "-q").code == 0
    with rasterio.open(out) as shared, rasterio.open(scene_pair.sar) as source:
        assert (shared.crs, shared.transform, shared.shape) == (source.crs, source.transform, source.shape)
        assert shared.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        values = shared.read(masked=True)
        assert values.min() >= 0
        assert values.max() <= 1
        assert values.std() > 0.01


def test_map_of_several_images(cli, tmp_path: Path, scene_pair) -> None:
    twin = tmp_path / "twin.tif"
    twin.write_bytes(scene_pair.sar.read_bytes())
    out = tmp_path / "out"
    outcome = cli("map", scene_pair.sar, twin, "--modality", "sar", "--out-dir", out, "--model", "structure")
    assert outcome.out.splitlines() == [str(out / "sar.tif"), str(out / "twin.tif")]
    assert "linear power" in outcome.err
    assert (out / "sar.tif").read_bytes() == (out / "twin.tif").read_bytes()


def test_an_image_inside_a_file_is_named_as_gdal_names_it(cli, tmp_path: Path) -> None:
    path, out = tmp_path / "two.gpkg", tmp_path / "shared.tif"
    profile = {"driver": "GPKG", "width": 256, "height": 256, "count": 1, "dtype": "uint8", "crs": "EPSG:32633"}
    noise = np.random.default_rng(3).integers(1, 255, (1, 256, 256), np.uint8)
    for table, options in (("first", {}), ("second", {"APPEND_SUBDATASET": "YES"})):
        with rasterio.open(
            path,
            "w",
            transform=rasterio.Affine(10, 0, 463200, 0, -10, 5411800),
            RASTER_TABLE=table,
            **profile,
            **options,
        ) as target:
            target.write(noise)
    words = ("--modality", "sar", "-o", out, "--model", "none", "--bands", "1")
    assert f"name one, for instance GPKG:{path}:first" in cli.fails("map", path, *words)
    assert cli("map", f"GPKG:{path}:second", *words).code == 0
    assert out.exists()
    assert "third" in cli.fails("map", f"GPKG:{path}:third", *words)


def test_match_takes_the_bands_that_are_named(cli, scene_pair) -> None:
    words = ("--matcher", "sift", "--model", "none", "--json", "-", "-q", "--fixed-modality", "optical")
    first, second = (
        cli("match", scene_pair.optical, scene_pair.optical, *words, "--moving-modality", "optical", *bands)
        for bands in ((), ("--bands-moving", "3", "--bands-fixed", "1"))
    )
    assert first.code == second.code == 0
    assert json.loads(first.out)["score"] != json.loads(second.out)["score"]


def test_map_needs_one_place_for_results(cli, tmp_path: Path, scene_pair) -> None:
    assert "either -o" in cli.fails("map", scene_pair.sar, "--modality", "sar")
    two = (scene_pair.sar, scene_pair.optical)
    assert "use --out-dir" in cli.fails("map", *two, "--modality", "sar", "-o", tmp_path / "x.tif")
    same = (scene_pair.sar, scene_pair.sar)
    assert "two outputs" in cli.fails("map", *same, "--modality", "sar", "--out-dir", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_match_draws_and_lists(cli, tmp_path: Path, scene_pair) -> None:
    picture, listing = tmp_path / "matches.png", tmp_path / "matches.json"
    words = ("--matcher", "template", "--model", "structure", "-o", picture, "--json", listing)
    outcome = cli("match", scene_pair.optical, scene_pair.sar, *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-3:] == ["Written:", f"  {picture}", f"  {listing}"]
    found = json.loads(listing.read_text())
    n_matches = len(found["score"])
    assert np.shape(found["moving_xy"]) == np.shape(found["fixed_xy"]) == (n_matches, 2)
    assert len(found["inliers"]) == n_matches > 10
    assert found["seconds"] > 0
    assert corner_error_px(found["fixed_from_moving"], scene_pair.truth) < 3
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model", ["default", "none"])
def test_match_puts_an_image_onto_itself(cli, scene_pair, model: str) -> None:
    words = ("--matcher", "sift", "--model", model, "--transform", "similarity", "--json", "-")
    same = ("--fixed-modality", "optical", "--moving-modality", "optical")
    outcome = cli("match", scene_pair.optical, scene_pair.optical, *words, *same)
    assert outcome.code == 0
    np.testing.assert_allclose(json.loads(outcome.out)["fixed_from_moving"], np.eye(3), atol=0.05)


def test_match_without_a_transform(cli, scene_pair, unrelated: Path) -> None:
    outcome = cli("match", scene_pair.optical, unrelated, "--matcher", "sift", "--model", "none", "--json", "-", "-q")
    assert outcome.code == 3
    assert json.loads(outcome.out)["fixed_from_moving"] is None
    assert len(outcome.err.splitlines()) == 1


def test_simulate_repeats_itself(cli, tmp_path: Path) -> None:
    for name in ("a", "b"):
        words = ("--seed", "5", "--size", "128", "--shift", "40,-30", "--rotation", "0", "--scale", "1")
        assert cli("simulate", "--out-dir", tmp_path / name, *words).code == 0
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["optical.tif", "sar.tif", "truth.json"]
    for name in ("optical.tif", "sar.tif", "truth.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert json.loads((tmp_path / "a" / "truth.json").read_text())["shift_m"] == pytest.approx([40, -30])


def test_simulate_refuses_what_it_cannot_do(cli, tmp_path: Path) -> None:
    assert "size_px" in cli.fails("simulate", "--out-dir", tmp_path / "out", "--size", "5")
    assert list(tmp_path.iterdir()) == []


def test_models_are_listed_and_verified(cli) -> None:
    from midground.modality.catalogue import DEFAULT_MODEL

    listed = cli("models", "list").out
    assert all(name in listed for name in ("none", "structure", DEFAULT_MODEL, "default"))
    assert f"{DEFAULT_MODEL} " in cli("models", "verify").out
    assert cli("models", "verify", "default").out == cli("models", "verify", DEFAULT_MODEL).out
    card = json.loads(cli("models", "info", "default").out)
    assert card["name"] == DEFAULT_MODEL
    assert len(card["sha256"]) == 64
    assert "Did you mean" in cli.fails("models", "info", DEFAULT_MODEL[:-2])
    assert "no model bundle" in cli.fails("models", "verify", "some/folder")


def test_convert_without_torch_names_the_extra(
    cli, tmp_path: Path, scene_pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("torch", "midground.training"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    file = scene_pair.truth
    line = cli.fails("models", "convert", "--sar", file, "--optical", file, "--card", file, "-o", tmp_path / "bundle")
    assert "pip install 'midground[train]'" in line


@pytest.mark.extras
def test_convert_makes_a_bundle(cli, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the extra train")
    safetensors = pytest.importorskip("safetensors.torch", reason="needs the extra train")
    from midground.modality.catalogue import DEFAULT_MODEL, find_bundle
    from midground.training.networks import shared_modality_unet

    weights = {"sar": tmp_path / "sar.safetensors", "optical": tmp_path / "optical.safetensors"}
    for path, n_bands in zip(weights.values(), (1, 3), strict=True):
        safetensors.save_file(shared_modality_unet(n_bands, 3).state_dict(), path)
    card = find_bundle(DEFAULT_MODEL).folder / "card.json"
    out = tmp_path / "fresh"
    words = ("--sar", weights["sar"], "--optical", weights["optical"], "--card", card, "-o", out)
    outcome = cli("models", "convert", *words)
    assert outcome.code == 0, outcome
    assert cli("models", "verify", out).code == 0
    assert "exists already" in cli.fails("models", "convert", *words)
