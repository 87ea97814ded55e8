"""Matches are kept, kept whole, and gone on with."""

import hashlib
import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from midground.bench import methods
from midground.bench import predict as module
from midground.bench.config import BenchConfig
from midground.bench.methods import ContentBlindConfig, Found, RegisterMethodConfig
from midground.bench.misregistration import estimate_misregistration
from midground.bench.predict import open_bench_pairs, predict
from midground.bench.records import ALIGNMENT, MANIFEST, load, pair_file, read_alignment, read_manifest
from midground.bench.scores import read_run
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, InputError, ModelError, RegistrationError
from midground.matching.configs import RomaSharedConfig, SiftConfig, TemplateConfig
from midground.matching.roma_shared import SHIPPED
from midground.registration.api import register

N_PAIRS = 4
HW = (96, 120)


@pytest.fixture
def config(pairs):
    return BenchConfig(pairs=pairs, model="none", method=SiftConfig())


def test_matches_are_those_of_the_matcher_and_truth_that_of_the_warp(config, empty):
    assert predict(replace(config, protocol="known-warp", seed=3), empty) == N_PAIRS
    found = load(pair_file(empty, 2))
    assert (found.name, found.hw) == ("2", (47, 47))
    errors = np.linalg.norm(found.truth(found.matches.moving_xy) - found.matches.fixed_xy, axis=1)
    assert len(errors) > 20
    assert np.median(errors) < 0.5
    assert not np.allclose(found.truth.matrix, load(pair_file(empty, 1)).truth.matrix)


def test_a_run_that_was_stopped_goes_on_and_keeps_what_it_has(config, empty, monkeypatch):
    original, n_done = module._Work.match, 0

    def match(self, index):
        nonlocal n_done
        n_done += 1
        if n_done == 3:
            raise KeyboardInterrupt
        return original(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(module._Work, "match", match)
        with pytest.raises(KeyboardInterrupt):
            predict(config, empty)
    assert sorted(path.name for path in empty.iterdir()) == ["000000.npz", "000001.npz", ALIGNMENT, MANIFEST]
    with pytest.raises(InputError, match=r"run: 2 of its 4 pairs were not matched; 'midground bench predict' goes on"):
        read_run(empty)
    kept = pair_file(empty, 0).read_bytes()
    assert predict(config, empty) == 2
    assert pair_file(empty, 0).read_bytes() == kept
    assert predict(config, empty) == 0


def test_processes_find_what_one_finds(config, empty, tmp_path):
    one = replace(config, protocol="wide")
    predict(one, empty)
    predict(one, tmp_path / "other", n_workers=2)
    for index in range(N_PAIRS):
        ours, theirs = load(pair_file(empty, index)), load(pair_file(tmp_path / "other", index))
        np.testing.assert_array_equal(ours.matches.fixed_xy, theirs.matches.fixed_xy)
        np.testing.assert_array_equal(ours.truth.matrix, theirs.truth.matrix)


def test_another_run_in_the_folder_is_refused_by_the_settings_that_differ(config, empty):
    predict(replace(config, limit=1), empty)
    with pytest.raises(ConfigError, match=r"of another run, which differs in method\.ratio; choose another folder"):
        predict(replace(config, limit=1, method=SiftConfig(ratio=0.9)), empty)
    with pytest.raises(ConfigError, match=r"differs in warp\.seed;"):
        predict(replace(config, limit=1, seed=1), empty)
    with pytest.raises(ConfigError, match=r"differs in pairs\.n_pairs, pairs\.sha256;"):
        predict(replace(config, limit=2), empty)


def test_the_manifest_says_what_decides_the_matches(config, empty):
    predict(replace(config, limit=1, model="default", method=TemplateConfig(search_px=4)), empty)
    manifest = read_manifest(empty)
    assert manifest["pairs"]["name"] == "places"
    assert manifest["model"]["name"] == "sar1-rgb"
    assert len(manifest["model"]["sha256"]) == 64
    assert manifest["method"]["search_px"] == 4
    assert manifest["versions"]["midground"]
    assert "/" not in json.dumps(manifest["pairs"])


class Fails:
    def __init__(self, error):
        self.error = error

    def find(self, sar, optical) -> Found:
        raise self.error

    def require_fit(self, n_sar, n_optical) -> None:
        pass


def test_a_method_without_an_answer_is_a_failure_and_any_other_error_names_the_pair(config, empty, monkeypatch):
    monkeypatch.setattr(module, "build_method", lambda *_: Fails(RegistrationError("nothing agrees")))
    predict(config, empty)
    assert load(pair_file(empty, 1)).failure == "nothing agrees"
    assert read_run(empty).success().value == 0
    monkeypatch.setattr(module, "build_method", lambda *_: Fails(ConfigError("no such band")))
    with pytest.raises(ModelError, match=r"^Pair '0': no such band$"):
        predict(config, empty.parent / "other")
    monkeypatch.setattr(module, "build_method", lambda *_: Fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError) as caught:
        predict(config, empty.parent / "third")
    assert caught.value.__notes__ == ["while matching the pair '0'"]


def test_a_pair_that_cannot_be_used_is_a_failure_of_that_pair(pairs, empty, tmp_path):
    folder = shutil.copytree(pairs.path, tmp_path / "places")
    cv2.imwrite(str(folder / "sar" / "1.png"), np.full(HW, 90, np.uint8))
    predict(BenchConfig(pairs=PairsConfig(path=folder), model="none", method=RegisterMethodConfig()), empty)
    failures = [load(pair_file(empty, index)).failure for index in range(N_PAIRS)]
    assert "every valid pixel has the value 90" in failures[1]
    assert [not failure for failure in failures] == [True, False, True, True]
    assert read_run(empty).success().value == 0.75


@pytest.mark.parametrize(
    ("model", "method", "message"),
    [
        (
            "none",
            RomaSharedConfig(),
            r"^The matcher 'roma-shared' takes the 9 channels of the model 'structure', found 1",
        ),
        ("default", SiftConfig(), r"^The model 'sar1-rgb' wants 3 optical band\(s\), .*; found 1 channel"),
    ],
)
def test_a_method_that_does_not_take_the_images_is_told_before_the_first_pair(
    pairs, empty, tmp_path, model, method, message
):
    folder = shutil.copytree(pairs.path, tmp_path / "places")
    for path in (folder / "optical").iterdir():
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    with pytest.raises(ModelError, match=message):
        predict(BenchConfig(pairs=PairsConfig(path=folder), model=model, method=method), empty)
    assert not empty.exists()


def test_a_matcher_that_was_trained_again_is_another_run(pairs, empty, tmp_path):
    weights = shutil.copytree(SHIPPED, tmp_path / "weights")
    config = BenchConfig(pairs=pairs, limit=1, model="structure", method=RomaSharedConfig(weights=weights))
    predict(config, empty)
    card = json.loads((weights / "card.json").read_text())
    assert read_manifest(empty)["weights"] == {"network": card["sha256"]}
    # Another field 6 of the message, its description, so that the file is another one and still a network.
    graph = (weights / "matcher.onnx").read_bytes() + b"\x32\x05again"
    (weights / "matcher.onnx").write_bytes(graph)
    card["sha256"] = hashlib.sha256(graph).hexdigest()
    (weights / "card.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=r"of another run, which differs in weights\.network;"):
        predict(config, empty)


def test_how_well_the_pairs_are_aligned_is_kept_and_measured_once(config, empty, tmp_path, monkeypatch):
    measured = []

    def estimate(pairs, *, progress):
        measured.append(pairs)
        return estimate_misregistration(pairs, progress=progress)

    monkeypatch.setattr(module, "_alignments", {})
    monkeypatch.setattr(module, "estimate_misregistration", estimate)
    predict(config, empty)
    predict(replace(config, protocol="shift"), tmp_path / "other")
    assert len(measured) == 1
    assert np.linalg.norm(read_alignment(empty).shifts_px, axis=1).max() < 0.5
    np.testing.assert_array_equal(read_alignment(empty).shifts_px, read_alignment(tmp_path / "other").shifts_px)
    (empty / ALIGNMENT).write_text("no JSON")
    with pytest.raises(InputError, match=r"alignment\.json: cannot be read; delete it and run"):
        read_alignment(empty)


def test_a_rejected_registration_has_no_matches(pairs, empty, monkeypatch):
    def reject(*images, config):
        found = register(*images, config=config)
        assert len(found.tie_points.moving_xy) > 0
        return replace(found, verdict="reject", reasons=("Too few.", "Too far."))

    monkeypatch.setattr(methods, "register", reject)
    predict(BenchConfig(pairs=pairs, limit=1, model="none", method=RegisterMethodConfig()), empty)
    found = load(pair_file(empty, 0))
    assert found.failure == "Too few. Too far."
    assert (len(found.matches), found.transform) == (0, None)
    assert read_run(empty).success().value == 0
    assert read_run(empty).cmr().n_defined == 0


def test_the_registration_reports_its_own_transform(pairs, empty):
    predict(BenchConfig(pairs=pairs, limit=1, model="none", method=RegisterMethodConfig()), empty)
    found = load(pair_file(empty, 0))
    assert found.estimates
    assert found.transform is not None
    assert read_run(empty).corner_errors_px[0] < 0.5


def test_the_control_looks_at_no_pixel(pairs, empty, tmp_path):
    blind = BenchConfig(pairs=pairs, model="none", method=ContentBlindConfig(n_matches=500))
    predict(blind, empty)
    predict(replace(blind, protocol="known-warp"), tmp_path / "warped")
    identity, warped = read_run(empty), read_run(tmp_path / "warped")
    assert identity.success().value == 1
    assert 0.7 < identity.cmr().value < 0.8
    assert warped.success(5).value == 0
    assert identity.is_control


def test_pairs_are_spread_over_the_collection(pairs):
    assert open_bench_pairs(BenchConfig(pairs=pairs, limit=2)).names == ("0", "2")


def test_damaged_matches_are_named(config, empty):
    predict(replace(config, limit=1), empty)
    pair_file(empty, 0).write_bytes(b"PK")
    with pytest.raises(InputError, match=r"000000\.npz: holds no matches; delete it and run"):
        read_run(empty)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "identiy"}, "Unknown protocol 'identiy'. Did you mean 'identity'?"),
        ({"limit": 0}, "limit must be 1 or more, found 0."),
    ],
)
def test_settings_that_make_no_sense(pairs, changes, message):
    with pytest.raises(ConfigError, match=message.replace("?", r"\?")):
        BenchConfig(pairs=pairs, **changes)
