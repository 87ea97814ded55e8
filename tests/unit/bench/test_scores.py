"""Numbers on matches that were made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from midground.bench.causes import cause_of
from midground.bench.comparable import require_comparable
from midground.bench.config import BenchConfig
from midground.bench.differences import difference_table
from midground.bench.predict import predict
from midground.bench.published import published
from midground.bench.records import PairMatches
from midground.bench.rows import all_pairs_table, overview_table, paper_table, published_table
from midground.bench.scores import Run, bootstrap_interval, find_finished, find_runs, read_fits, read_run, score
from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform
from midground.errors import ConfigError, InputError
from midground.matching.configs import SiftConfig
from midground.matching.roma_card import SHIPPED, load_matcher
from midground.modality.mappers import build_mapper


def found(moving, fixed, *, truth=None, estimates=False, transform=None, n_threads=1) -> PairMatches:
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
        n_threads=n_threads,
    )


def run_of(scores, tmp_path, *, model="m", method="sift", protocol="identity", method_settings=None, **more) -> Run:
    manifest = {
        "model": {"name": model, "sha256": None},
        "method": {"name": method, **(method_settings or {})},
        "weights": None,
        "protocol": protocol,
        "pairs": {"name": "places", "n_pairs": len(scores)},
        "versions": {},
        "method_versions": {},
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
    assert "| m | sift | 0.00 (0.00 to 0.00) | *0.50* (0.00 to 1.00) |" in every
    assert "| ∞ |" in every


def test_differences_are_ours_minus_theirs(tmp_path):
    good = score(found(grid(), shifted(2.0)))
    run = run_of([good], tmp_path)
    other = run_of([good], tmp_path, model="mine")
    ours = paper_table([run, other], {run.folder: "ours-2"})
    table = difference_table(ours, published_table(published().matching), {("ours-2", "sift"): "1 pair"})
    one, theirs, apart = table.rows
    assert one.labels == ("ours-2", "sift", "ours", "1 pair")
    made_with = "14,405 pairs of MultiSenGE; model of 512 epochs of 1024 batches of 4 pairs"
    assert theirs.labels == ("ours-2", "sift", "published", made_with)
    assert (one.cells[0].value, theirs.cells[0].value) == (1, 0.74)
    assert apart.cells[0].value == pytest.approx(1 - 0.74)
    assert apart.cells[1].value == pytest.approx(2 - 7.13)
    assert (one.n_pairs, theirs.n_pairs) == (1, 14405)


def test_small_published_shares_are_not_shown_as_none():
    assert "| none | sift | 0.0001 |" in published_table(published().matching).markdown()


def test_means_over_fewer_than_half_of_the_pairs_are_not_ranked(tmp_path):
    good, failed = score(found(grid(), shifted(2.0))), score(found([], []))
    rare = run_of([score(found(grid(), shifted(1.0))), failed, failed], tmp_path)
    usual = run_of([good, good, failed], tmp_path, model="usual")
    for table in (paper_table([rare, usual]), all_pairs_table([rare, usual]), overview_table([rare, usual])):
        (at,) = (index for index, column in enumerate(table.columns) if "LE5" in column.head)
        digits = table.columns[at].digits
        lines = table.markdown().splitlines()
        assert f"| [{1:.{digits}f}] (1) |" in lines[-2]
        assert f"| **{2:.{digits}f}** (2) |" in lines[-1]
        assert "not ranked: means over fewer than half of the pairs" in table.title


def test_what_a_run_was_made_with_is_said_of_its_data_its_model_and_its_matcher(tmp_path):
    pairs = {"n_pairs": 34, "name": "ombria"}
    run = run_of([], tmp_path, pairs=pairs)
    ratio = "nearest neighbours both ways and a ratio test, of which the paper says nothing"
    grey = "grey of both images, where the paper matches colours with grey"
    assert cause_of(run, build_mapper("none")) == f"34 pairs of ombria; {grey}; {ratio}"
    untrained = "34 pairs of ombria; structure, which is not trained, as the model"
    assert cause_of(run, build_mapper("structure")) == f"{untrained}; {ratio}"
    fewer = run_of([], tmp_path, pairs=pairs, method_settings={"max_keypoints": 2048})
    assert cause_of(fewer, build_mapper("structure")) == f"{untrained}; {ratio}; max_keypoints 2048, not 4096"
    learned = cause_of(run, build_mapper("default"))
    assert learned.startswith("34 pairs of ombria; model trained on OMBRIA")
    assert "2000 steps" in learned
    given = run_of(
        [], tmp_path, method="dedode", pairs=pairs, weights={"detector": "0" * 64, "descriptor": "published"}
    )
    assert cause_of(given, build_mapper("none")).endswith(
        "; weights of the matcher: detector 000000000000, descriptor published"
    )
    shared = Run(tmp_path, run.manifest | {"method": {"name": "roma-shared", "weights": None}}, ())
    card, _ = load_matcher(SHIPPED)
    assert cause_of(shared, build_mapper("none")).endswith(
        f"; matcher trained on {', '.join(card.data)}: {card.recipe}"
    )


def test_seconds_are_shown_only_where_threads_are_alike(tmp_path):
    one, two = (score(found(grid(), grid(), n_threads=n)) for n in (1, 2))
    same = [run_of([one], tmp_path), run_of([one], tmp_path, model="n")]
    for table in (all_pairs_table(same), overview_table(same)):
        assert table.rows[0].cells[-1].value == 2.0
        assert "Seconds: with 1 thread a process." in table.title
    for mixed in ([run_of([one], tmp_path), run_of([two], tmp_path, model="n")], [run_of([one, two], tmp_path)]):
        for table in (all_pairs_table(mixed), overview_table(mixed)):
            assert {row.cells[-1].value for row in table.rows} == {None}
            assert "No seconds, as not all pairs were matched with the same number of threads" in table.title


def test_tables_say_that_matches_of_the_registration_are_guided(tmp_path):
    good = score(found(grid(), grid()))
    plain, guided = run_of([good], tmp_path), run_of([good], tmp_path, method="register")
    for make in (paper_table, all_pairs_table, overview_table):
        assert "guided" not in make([plain]).title
        assert "Matches of register are guided: tie points" in make([plain, guided]).title


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
        (
            {"pairs": {"name": "places", "n_pairs": 7}},
            r"differ in pairs\.n_pairs, so their numbers do not belong in one table",
        ),
        ({"versions": {"numpy": "1"}}, r"differ in versions\.numpy"),
        ({"model": {"name": "m", "sha256": "1"}, "method": {"name": "xfeat"}}, r"differ in model\.sha256"),
        ({"model": {"name": "n"}, "method": {"name": "sift", "ratio": 0.9}}, r"differ in method\.ratio"),
        ({"model": {"name": "n"}, "warp": {"seed": 1}}, r"differ in warp\.seed"),
        ({"model": {"name": "n"}, "weights": {"network": "1"}}, r"differ in weights"),
        ({"model": {"name": "n"}, "method_versions": {"torch": "1"}}, r"differ in method_versions\.torch"),
        ({"pairs": {"name": "ombria/test", "n_pairs": 0}}, r"differ in pairs\.name"),
        ({}, "are one run made twice; name one of them"),
    ],
)
def test_runs_that_do_not_belong_in_one_table(tmp_path, changes, message):
    one = run_of([], tmp_path)
    other = Run(tmp_path / "other", one.manifest | changes, ())
    with pytest.raises(ConfigError, match=message):
        require_comparable([one, other])


def test_packages_of_other_methods_and_the_folder_above_the_pairs_may_differ(tmp_path):
    other = run_of(
        [], tmp_path, method="xfeat", method_versions={"torch": "1"}, pairs={"name": "a/places", "n_pairs": 0}
    )
    require_comparable([run_of([], tmp_path), other])


def test_protocols_have_warps_of_their_own(tmp_path):
    require_comparable([run_of([], tmp_path), run_of([], tmp_path, protocol="wide", warp={"seed": 5})])


def test_a_run_is_scored_with_several_fits_at_once(pairs, tmp_path):
    predict(BenchConfig(pairs=pairs, limit=2, model="none", method=SiftConfig()), tmp_path / "run")
    paper, affine = read_fits(tmp_path / "run", ("paper", "affine"))
    for run, alone in ((paper, read_run(tmp_path / "run")), (affine, read_run(tmp_path / "run", "affine"))):
        np.testing.assert_array_equal(run.corner_errors_px, alone.corner_errors_px)
    assert (paper.corner_errors_px != affine.corner_errors_px).any()


def test_runs_are_found_below_a_folder(pairs, tmp_path):
    config = BenchConfig(pairs=pairs, limit=1, model="none", method=SiftConfig())
    predict(config, tmp_path / "a" / "b")
    predict(replace(config, protocol="wide"), tmp_path / "c")
    assert find_runs(tmp_path) == [tmp_path / "a" / "b", tmp_path / "c"]
    require_comparable([read_run(path) for path in find_runs(tmp_path)])
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing: holds no run; name a folder that 'midground bench predict PAIRS -o"):
        find_runs(tmp_path / "nothing")
    with pytest.raises(InputError, match="nowhere: there is no such folder; check the path"):
        find_runs(tmp_path / "nowhere")


def test_runs_that_are_not_finished_keep_no_other_from_being_measured(pairs, tmp_path):
    config = BenchConfig(pairs=pairs, limit=2, model="none", method=SiftConfig())
    done, begun = (tmp_path / "runs" / protocol / "none" / "sift" for protocol in ("identity", "wide"))
    predict(config, done)
    predict(replace(config, protocol="wide"), begun)
    (begun / "000001.npz").unlink()
    finished, (told,) = find_finished(tmp_path / "runs")
    assert finished == [done]
    assert told.startswith(f"{begun}: 1 of its 2 pairs were not matched; the command that began it goes on with it")
    command = f"PAIRS -o {tmp_path / 'runs'} --models none --methods sift --protocols wide'."
    assert told.endswith(f"'midground bench predict {command}")
    assert find_finished(begun) == ([begun], [])
    with pytest.raises(InputError, match="1 of its 2 pairs were not matched"):
        find_finished(tmp_path / "runs" / "wide")
