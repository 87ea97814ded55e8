"""Numbers on matches that were made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from midground.bench.config import BenchConfig
from midground.bench.predict import predict
from midground.bench.published import published
from midground.bench.records import PairMatches
from midground.bench.rows import all_pairs_table, difference_table, paper_table
from midground.bench.scores import Run, bootstrap_interval, find_runs, read_run, require_comparable, score
from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform
from midground.errors import ConfigError, InputError
from midground.matching.configs import SiftConfig


def found(moving, fixed, *, truth=None, estimates=False, transform=None) -> PairMatches:
    moving, fixed = np.asarray(moving, np.float64).reshape(-1, 2), np.asarray(fixed, np.float64).reshape(-1, 2)
    return PairMatches(
        name="a",
        hw=(101, 201),
        truth=truth or Transform.identity(),
        matches=Correspondences(moving, fixed, np.ones(len(moving))),
        estimates=estimates,
        transform=transform,
        failure="",
        seconds=2.0,
    )


def run_of(scores, tmp_path, *, model="m", method="sift", protocol="identity", **more) -> Run:
    manifest = {
        "model": {"name": model, "sha256": None},
        "method": {"name": method},
        "protocol": protocol,
        "pairs": {"n_pairs": len(scores)},
        "versions": {},
        "warp": {"seed": 0},
    }
    return Run(tmp_path / f"{model}-{method}", manifest | more, tuple(scores))


def grid() -> np.ndarray:
    x, y = np.meshgrid(np.linspace(0, 200, 6), np.linspace(0, 100, 5))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def shifted(dx: float) -> np.ndarray:
    return grid() + np.array([dx, 0.0])


def test_a_pair_by_its_definitions():
    moving = grid()
    fixed = shifted(4.0)
    fixed[:3] += [0.0, 30.0]
    one = score(found(moving, fixed))
    assert one.ace_px == pytest.approx(4.0, abs=1e-6)
    assert one.mma == pytest.approx(27 / 30)
    assert one.cmr(5.0) == pytest.approx(27 / 30)
    assert one.cmr(3.9) == 0
    assert one.localization_error(5.0) == pytest.approx(4.0)
    assert one.localization_error(3.9) is None


def test_corners_keep_their_axes_on_images_that_are_not_square():
    stretch = Transform(np.diag([1.05, 1.0, 1.0]))
    one = score(found(grid(), stretch(grid())))
    # The far corners are 200 px to the right: 10 px each, the near ones 0.
    assert one.ace_px == pytest.approx(5.0, abs=1e-6)


def test_a_pair_without_matches_has_no_errors_and_no_success():
    one = score(found([], []))
    assert one.ace_px == np.inf
    assert one.mma is None
    assert one.cmr(5.0) is None
    assert one.localization_error(5.0) is None


def test_a_method_that_estimates_is_taken_at_its_word():
    assert score(found(grid(), grid(), estimates=True)).ace_px == np.inf
    own = Transform.translation(3.0, 4.0)
    assert score(found([], [], estimates=True, transform=own)).ace_px == pytest.approx(5.0)


def test_failures_lower_no_average_and_count_in_every_share(tmp_path):
    good = score(found(grid(), shifted(2.0)))
    failed = score(found([], []))
    run = run_of([good, failed, failed], tmp_path)
    assert run.success().value == pytest.approx(1 / 3)
    assert run.success(1.0).value == 0
    assert run.median_ace().value == np.inf
    assert (run.mean_ace().value, run.mean_ace().n_defined) == (pytest.approx(2.0, abs=1e-6), 1)
    assert (run.localization_error().value, run.localization_error().n_defined) == (pytest.approx(2.0), 1)
    assert (run.cmr().value, run.cmr().n_defined) == (1.0, 1)
    assert run.cmr_of_all().value == pytest.approx(1 / 3)
    assert run.n_matches().value == 10
    assert run.median_seconds() == 2.0


def test_bootstrap_bounds_hold_the_mean_and_shrink_with_the_number():
    few, many = np.tile([0, 1], 10), np.tile([0, 1], 1000)
    low, high = bootstrap_interval(few)
    assert low == pytest.approx(0.5 - 1.96 * 0.5 / np.sqrt(20), abs=0.06)
    assert high == pytest.approx(0.5 + 1.96 * 0.5 / np.sqrt(20), abs=0.06)
    low, high = bootstrap_interval(many)
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(2000), rel=0.15)
    assert bootstrap_interval(few) == bootstrap_interval(few)


def test_tables_say_over_how_many_pairs(tmp_path):
    good, failed = score(found(grid(), shifted(2.0))), score(found([], []))
    runs = [run_of([good, failed], tmp_path), run_of([good, good], tmp_path, model="better")]
    paper, every = paper_table(runs).markdown(), all_pairs_table(runs).markdown()
    assert "| m | sift | *0.500* | **2.00** (1) |" in paper
    assert "| better | sift | **1.000** | **2.00** |" in paper
    assert "identity, 2 pairs" in every
    assert "| m | sift | 0.00 (0.00–0.00) | *0.50* (0.00–1.00) |" in every
    assert "| ∞ |" in every


def test_differences_are_ours_minus_theirs(tmp_path):
    good = score(found(grid(), shifted(2.0)))
    run = run_of([good], tmp_path)
    table = difference_table([run], published().matching, {run.folder: "ours-2"})
    (row,) = table.rows
    assert row.labels == ("ours-2", "sift")
    assert row.cells[0].value == pytest.approx(1 - 0.74)
    assert row.cells[1].value == pytest.approx(2 - 7.13)


def test_the_published_values_agree_with_one_another():
    rows = published().matching
    assert len(rows) == 21
    for row in rows:
        # Of all rows but those of few matches: the mean number of correct ones is a product of means.
        if row.n_matches > 100:
            assert row.n_correct5 == pytest.approx(row.n_matches * row.cmr5, rel=0.02)
        assert row.le5_ignored == (row.n_correct5 < 1)
    assert [row.model for row in published().similarity] == ["none", "pix2pix", "lsgan", "ours-1", "ours-2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": {"n_pairs": 7}}, r"differ in pairs\.n_pairs, so their numbers do not belong in one table"),
        ({"versions": {"numpy": "1"}}, r"differ in versions\.numpy"),
        ({"model": {"name": "m", "sha256": "1"}, "method": {"name": "xfeat"}}, r"differ in model\.sha256"),
        ({"model": {"name": "n"}, "method": {"name": "sift", "ratio": 0.9}}, r"differ in method\.ratio"),
        ({"model": {"name": "n"}, "warp": {"seed": 1}}, r"differ in warp\.seed"),
        ({}, "are one run made twice; name one of them"),
    ],
)
def test_runs_that_do_not_belong_in_one_table(tmp_path, changes, message):
    one = run_of([], tmp_path)
    other = Run(tmp_path / "other", one.manifest | changes, ())
    with pytest.raises(ConfigError, match=message):
        require_comparable([one, other])


def test_protocols_have_warps_of_their_own(tmp_path):
    require_comparable([run_of([], tmp_path), run_of([], tmp_path, protocol="wide", warp={"seed": 5})])


def test_runs_are_found_below_a_folder(pairs, tmp_path):
    config = BenchConfig(pairs=pairs, limit=1, model="none", method=SiftConfig())
    predict(config, tmp_path / "a" / "b")
    predict(replace(config, protocol="wide"), tmp_path / "c")
    assert find_runs(tmp_path) == [tmp_path / "a" / "b", tmp_path / "c"]
    require_comparable([read_run(path) for path in find_runs(tmp_path)])
    with pytest.raises(InputError, match="holds no run of 'midground bench predict'"):
        find_runs(tmp_path / "nothing")
