"""Every check on its good, weak and failed side; the limits themselves are the module's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midground.core.transforms import Transform
from midground.registration import verdict
from midground.registration.evidence import (
    FEATURES,
    WEIGHTS,
    Evidence,
    SearchEvidence,
    features,
    trust,
    wilson_lower_bound,
)
from midground.registration.verdict import Judgement, expected_error_px, judge

SEARCH = SearchEvidence(
    peak_ratio=2.5, n_windows=50, n_blind=48, n_supporting=46, n_independent=30.0, residual_rmse_px=0.8
)
GOOD = Evidence(
    search=SEARCH,
    n_matches=48,
    n_inliers=45,
    at_edge=False,
    coverage=0.8,
    ce90_px=1.5,
    transform_std_px=0.3,
    halves_px=0.6,
    witness_name="structure",
    witness_px=0.9,
    witness_trust=0.97,
    deviation=Transform.translation(3, -4),
    georeferenced=True,
)
BELOW, ABOVE = 0.99, 1.01


def test_good_evidence_is_accepted_and_told():
    judgement = judge(GOOD)
    assert judgement.verdict == "accept"
    assert judgement.trust == trust(SEARCH) > verdict.MIN_TRUST[1]
    told = " ".join(judgement.reasons)
    for fragment in (
        "46 of 48 windows matched without guidance agree",
        "out of 50 tried",
        "stands out 2.5 times",
        "45 of 48 tie points fit the transform.",
        "The independent estimate from 'structure' lies 0.9 working pixels away.",
        "Two disjoint halves of the tie points give transforms 0.6 working pixels apart.",
        "90 % of the tie points held out of the fit lie within 1.5 working pixels.",
        "Leaving out parts of the scene moves the transform by about 0.3 working pixels.",
        "Tie points cover 80% of the overlap.",
    ):
        assert fragment in told
    assert "" not in judgement.reasons


def test_of_a_large_scene_each_number_is_told_as_what_it_is():
    told = " ".join(judge(replace(GOOD, n_blocks=4)).reasons)
    for fragment in (
        "On the reduced grid, 46 of 48 windows matched without guidance agree with the transform, out of 50 tried",
        "45 of 48 tie points, searched around the transform in 4 blocks of the finer grid, fit it.",
        "The independent estimate from 'structure' lies 0.9 pixels of the reduced grid away.",
        "Two disjoint halves of the tie points give transforms 0.6 working pixels apart.",
    ):
        assert fragment in told


def test_the_verdict_ranks_before_the_trust():
    ranked = sorted(
        (
            Judgement(named, (), None, trusted)
            for named, trusted in (("reject", 0.99), ("accept", 0.94), ("suspect", 0.95), ("accept", 0.97))
        ),
        key=lambda judgement: judgement.rank,
    )
    assert [(found.verdict, found.trust) for found in ranked] == [
        ("accept", 0.97),
        ("accept", 0.94),
        ("suspect", 0.95),
        ("reject", 0.99),
    ]


def with_trust_between(low: float, high: float) -> dict[str, object]:
    """Evidence whose trust lies between two values, by fewer and fewer supporting windows."""
    for n_supporting in range(48, -1, -1):
        for peak_ratio in np.arange(2.5, 1.0, -0.1):
            search = replace(SEARCH, n_supporting=n_supporting, peak_ratio=float(peak_ratio))
            if low <= trust(search) < high:
                return {"search": search}
    raise AssertionError(f"no evidence has a trust between {low} and {high}")


CHECKS = [
    ("suspect", with_trust_between(*verdict.MIN_TRUST), "windows matched without guidance agree with the transform"),
    ("reject", with_trust_between(0, verdict.MIN_TRUST[0]), "of the transforms with such evidence were right"),
    ("suspect", {"n_inliers": verdict.MIN_INLIERS[1] - 1}, "8 of 48 tie points fit the transform"),
    ("reject", {"n_inliers": verdict.MIN_INLIERS[0] - 1}, "5 of 48 tie points fit the transform"),
    ("suspect", {"coverage": verdict.MIN_COVERAGE[1] * BELOW}, "Tie points cover 35% of the overlap"),
    ("reject", {"coverage": verdict.MIN_COVERAGE[0] * BELOW}, "Tie points cover 10% of the overlap"),
    ("suspect", {"ce90_px": verdict.MAX_CE90_PX[1] * ABOVE}, "held out of the fit lie within 4.8 working pixels"),
    ("reject", {"ce90_px": verdict.MAX_CE90_PX[0] * ABOVE}, "held out of the fit lie within 5.7 working pixels"),
    ("suspect", {"ce90_px": None}, "too few tie points to hold some out"),
    ("suspect", {"transform_std_px": verdict.MAX_STD_PX[1] * ABOVE}, "moves the transform by about 1.5 working"),
    ("reject", {"transform_std_px": verdict.MAX_STD_PX[0] * ABOVE}, "moves the transform by about 4.0 working"),
    ("suspect", {"halves_px": verdict.MAX_HALVES_PX[1] * ABOVE}, "give transforms 2.5 working pixels apart"),
    ("reject", {"halves_px": verdict.MAX_HALVES_PX[0] * ABOVE}, "give transforms 6.1 working pixels apart"),
    ("suspect", {"halves_px": None}, "too few tie points to compare two halves"),
    ("suspect", {"witness_px": verdict.WITNESS_AGREES_PX * ABOVE}, "'structure' contradicts it, 3.0 working pixels"),
    ("suspect", {"rotation_ratio": verdict.MIN_ROTATION_RATIO[1] * BELOW}, "found is 1.24 times as good as the best"),
    (
        "reject",
        {"rotation_ratio": verdict.MIN_ROTATION_RATIO[0] * BELOW},
        "All rotations were searched; the one found is",
    ),
    ("suspect", {"rotation_ratio": 0.99}, "found is 0.99 times as good as the best"),
    ("suspect", {"at_edge": True}, "at the edge of the search range"),
    ("reject", {"deviation": Transform(np.diag([-1.0, 1, 1]))}, "mirrors the image"),
    ("reject", {"deviation": Transform.similarity(scale=1.11)}, "scales by 1.11 to 1.11"),
    ("reject", {"deviation": Transform.similarity(scale=0.9)}, "scales by 0.90 to 0.90 and turns by 0.0 degrees"),
    ("reject", {"deviation": Transform.similarity(rotation_deg=-5.2)}, "turns by 5.2 degrees"),
]


def test_another_rotation_that_looks_better_is_outweighed_by_good_trust_alone():
    weaker = replace(GOOD.search, n_supporting=round(0.6 * GOOD.search.n_supporting), peak_ratio=1.15)
    assert verdict.MIN_TRUST[0] < trust(weaker) < verdict.MIN_TRUST[1]
    judgement = judge(replace(GOOD, search=weaker, rotation_ratio=0.99))
    assert judgement.verdict == "reject"
    assert "does not outweigh that" in judgement.reasons[0]


@pytest.mark.parametrize(("expected", "changes", "sentence"), CHECKS)
def test_a_check_that_goes_badly_decides_and_is_told_first(expected, changes, sentence):
    judgement = judge(replace(GOOD, **changes))
    assert judgement.verdict == expected
    assert sentence in judgement.reasons[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"n_inliers": verdict.MIN_INLIERS[1]},
        {"coverage": verdict.MIN_COVERAGE[1]},
        {"ce90_px": verdict.MAX_CE90_PX[1]},
        {"transform_std_px": verdict.MAX_STD_PX[1]},
        {"transform_std_px": None},
        {"halves_px": verdict.MAX_HALVES_PX[1]},
        {"rotation_ratio": verdict.MIN_ROTATION_RATIO[1]},
        {"witness_px": verdict.WITNESS_AGREES_PX},
        {"deviation": Transform.similarity(scale=1.09, rotation_deg=4.9)},
    ],
)
def test_a_limit_itself_is_still_good(changes):
    assert judge(replace(GOOD, **changes)).verdict == "accept"


def test_a_witness_that_would_not_be_trusted_itself_does_not_testify():
    weak = replace(GOOD, witness_px=200.0, witness_trust=verdict.MIN_TRUST[1] * BELOW)
    judgement = judge(weak)
    assert judgement.verdict == "accept"
    assert "The estimate from 'structure' lies 200.0 working pixels away, with too little evidence to count." in (
        judgement.reasons
    )
    silent = judge(replace(GOOD, witness_px=None, witness_trust=None))
    assert silent.verdict == "accept"
    assert any("'structure', found no answer of its own" in reason for reason in silent.reasons)
    without = judge(replace(GOOD, witness_name=None, witness_px=None, witness_trust=None))
    assert without.verdict == "accept"
    assert not any("estimate" in reason or "mapper" in reason for reason in without.reasons)


def test_without_georeference_images_may_be_turned_and_scaled():
    turned = replace(GOOD, deviation=Transform.similarity(scale=3, rotation_deg=170), georeferenced=False)
    assert judge(turned).verdict == "accept"
    assert judge(replace(turned, deviation=Transform.similarity(scale=4.2))).verdict == "reject"
    assert judge(replace(turned, deviation=Transform(np.diag([1.6, 1.0, 1.0])))).verdict == "reject"


def test_failed_checks_come_before_weak_ones_and_those_before_the_rest():
    judgement = judge(replace(GOOD, coverage=0.2, n_inliers=3, at_edge=True))
    assert judgement.verdict == "reject"
    assert "3 of 48" in judgement.reasons[0]
    assert "cover 20%" in judgement.reasons[1]
    assert "edge of the search" in judgement.reasons[2]
    assert "windows matched without guidance" in judgement.reasons[3]


@pytest.mark.parametrize(
    ("std_px", "halves_px", "expected"),
    [(2.0, 1.0, 2.0), (0.1, 6.0, 3.0), (0.0, None, 0.0), (1.0, 2.0, 1.0)],
)
def test_the_expected_error_adds_the_floor_in_squares(std_px, halves_px, expected):
    evidence = replace(GOOD, transform_std_px=std_px, halves_px=halves_px)
    assert expected_error_px(evidence) == pytest.approx(np.hypot(expected, verdict.ERROR_FLOOR_PX))
    assert judge(evidence).expected_error_px == expected_error_px(evidence)


def test_without_a_jackknife_no_error_is_expected():
    assert expected_error_px(replace(GOOD, transform_std_px=None)) is None


@pytest.mark.parametrize(
    ("n_hits", "n", "bound"),
    [
        (0, 0, 0.0),
        (0, 10, 0.0),
        (8, 10, 0.5412),
        (10, 10, 0.7881),
        (80, 100, 0.7264),
        (500, 1000, 0.4741),
    ],
)
def test_wilson_bounds_have_their_known_values(n_hits, n, bound):
    assert wilson_lower_bound(n_hits, n) == pytest.approx(bound, abs=2e-3)


def test_wilson_bounds_rise_with_the_sample_and_with_the_share():
    assert wilson_lower_bound(4, 5) < wilson_lower_bound(40, 50) < wilson_lower_bound(4000, 5000) < 0.8
    bounds = [wilson_lower_bound(hits, 20) for hits in range(21)]
    assert bounds == sorted(bounds)


def test_shares_survive_the_absence_of_windows():
    empty = replace(SEARCH, n_windows=0, n_blind=0, n_supporting=0)
    assert empty.matched_share == empty.supporting_share == empty.support_bound == 0
    assert judge(replace(GOOD, search=empty)).verdict == "reject"


def test_overlapping_windows_count_as_often_as_they_are_independent():
    few = replace(SEARCH, n_independent=4.0)
    assert few.support_bound == pytest.approx(wilson_lower_bound(4 * 46 / 48, 4))
    assert few.support_bound < SEARCH.support_bound
    assert replace(SEARCH, n_independent=500.0).support_bound == pytest.approx(wilson_lower_bound(46, 48))


def test_trust_is_the_logistic_function_of_the_features():
    values = features(SEARCH)
    assert len(values) == len(FEATURES) == len(WEIGHTS) - 1
    np.testing.assert_allclose(values, [np.log(2.5), 48 / 50, SEARCH.support_bound, 0.8])
    assert trust(SEARCH) == pytest.approx(1 / (1 + np.exp(-(values @ WEIGHTS[:-1] + WEIGHTS[-1]))))
    assert features(replace(SEARCH, peak_ratio=99.0))[0] == pytest.approx(np.log(3))
    assert features(replace(SEARCH, peak_ratio=0.2))[0] == 0
    assert features(replace(SEARCH, residual_rmse_px=50.0))[3] == 3


@pytest.mark.parametrize("changes", [{"peak_ratio": 1.2}, {"n_blind": 25, "n_supporting": 24}, {"n_supporting": 20}])
def test_less_evidence_earns_less_trust(changes):
    assert trust(replace(SEARCH, **changes)) < trust(SEARCH)
