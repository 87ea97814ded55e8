"""One attempt on one grid: tie points, the choice of the model, the witness, what is warped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.core.transforms import Transform, corner_error
from midground.errors import TooFewMatchesError
from midground.matching.template import TemplateMatches
from midground.registration import level
from midground.registration.coarse import Coarse, MappedPair
from midground.registration.config import EstimateConfig, RegisterConfig
from midground.registration.level import Attempt, attempt, halves_distance_px, overlap_mask
from midground.registration.pair import fit_tie_points, search_tie_points, warp_image, warp_mask
from midground.registration.verdict import Judgement

HW = (200, 220)
AFFINE = Transform(np.array([[1.012, 0.006, 4.3], [-0.009, 0.991, -2.6], [0, 0, 1]]), "affine")


@pytest.fixture(scope="module")
def make_pair(textured):
    def make(truth: Transform, hw=HW, *, name="any", seed=0) -> MappedPair:
        return MappedPair(name, *(textured(hw, each, n_channels=1, seed=seed) for each in (None, truth)))

    return make


def no_windows() -> TemplateMatches:
    return TemplateMatches(Correspondences.empty(), np.zeros(0), np.zeros(0, np.int64), 0)


def scattered(
    truth: Transform, n: int = 80, noise_px: float = 0.5, side_px: float = 500.0, seed: int = 3
) -> Correspondences:
    rng = np.random.default_rng(seed)
    moving = rng.uniform(0, side_px, (n, 2))
    return Correspondences(moving, truth(moving) + rng.normal(0, noise_px, moving.shape), rng.uniform(0.3, 1, n))


def test_an_image_is_warped_where_the_transform_says(textured):
    image = textured((90, 120))
    moved = warp_image(image, Transform.translation(7, -4), (100, 110))
    assert moved.hw == (100, 110)
    np.testing.assert_allclose(moved.channels[:, 1:85, 8:110], image.channels[:, 5:89, 1:103], atol=1e-6)
    assert not moved.valid[:, :7].any()
    assert not moved.valid[86:].any()
    assert (moved.channels[:, ~moved.valid] == 0).all()
    assert moved.valid[1:85, 8:110].all()


def test_a_warped_mask_keeps_pixels_whose_neighbours_all_have_data():
    valid = np.ones((50, 60), bool)
    valid[20, 30] = False
    np.testing.assert_array_equal(
        warp_mask(valid, Transform.translation(5, 3), (50, 60))[23, 34:37], [True, False, True]
    )
    half = warp_mask(valid, Transform.translation(0.5, 0), (50, 60))
    assert not half[20, 30:32].any()
    assert half[20, 29]
    assert half[20, 32]


def test_the_overlap_is_where_both_have_data(textured):
    valid = np.ones((80, 80), bool)
    valid[:, 60:] = False
    pair = MappedPair("any", Image.from_array(np.ones((80, 80))), Image.from_array(np.ones((80, 80)), valid))
    overlap = overlap_mask(pair, Transform.translation(20, 10))
    assert overlap[11:80, 21:60].all()
    assert overlap.sum() == pytest.approx(70 * 40, abs=2)


@pytest.mark.parametrize("kind", ["translation", "similarity", "affine", "homography"])
def test_a_shift_is_found_under_every_model(make_pair, quick, kind):
    truth = Transform.translation(6.4, -9.7)
    found = search_tie_points(make_pair(truth), Transform.translation(5, -8), replace(quick, transform=kind))
    assert found.transform.kind == kind
    assert corner_error(found.transform, truth, HW) < 0.3
    assert found.blind_support > 0.9
    assert found.inliers.mean() > 0.9
    assert found.held_out.ce90_px < 1


def test_an_affine_pair_is_found_from_its_coarse_shift(make_pair, quick):
    found = search_tie_points(make_pair(AFFINE), Transform.translation(5, -4), quick)
    assert corner_error(found.transform, AFFINE, HW) < 0.3


def test_a_turned_pair_is_warped_before_it_is_matched_again(make_pair, quick):
    centre = np.array([110.0, 100.0])
    turn = Transform.similarity(rotation_deg=3.0, scale=1.02)
    truth = Transform.translation(*(centre - turn(centre) + (4, 3))) @ turn
    assert truth.kind == "similarity"
    found = search_tie_points(make_pair(truth), Transform.translation(4, 3), quick)
    # On so small an image the prior, which expects no turn, takes a part of it.
    assert corner_error(found.transform, truth, HW) < 1.0
    # Points of the warped image were taken back to the moving image itself.
    assert np.linalg.norm(truth(found.matches.moving_xy) - found.matches.fixed_xy, axis=1).mean() < 0.5


@pytest.mark.parametrize(
    ("truth", "kind"),
    [
        (Transform.translation(7, -3), "translation"),
        (Transform.similarity(scale=1.012, rotation_deg=1.5, dx=-6), "similarity"),
        (AFFINE, "affine"),
        (Transform(np.array([[1, 0, 0], [0, 1.0, 0], [8e-5, -6e-5, 1]]), "homography"), "homography"),
    ],
)
def test_auto_takes_the_simplest_model_that_explains_the_points(truth, kind):
    found = fit_tie_points(
        "any", no_windows(), scattered(truth), Transform.identity(), RegisterConfig(transform="auto"), (500, 500)
    )
    assert found.transform.kind == kind
    assert corner_error(found.transform, truth, (500, 500)) < 1


@pytest.mark.parametrize("seed", range(4))
def test_auto_does_not_follow_noise_into_richer_models(seed):
    truth = Transform.translation(7, -3)
    matches = scattered(truth, 50, noise_px=0.8, seed=seed)
    auto = RegisterConfig(transform="auto")
    assert fit_tie_points("any", no_windows(), matches, truth, auto, (500, 500)).transform.kind == "translation"


def test_auto_finds_the_model_of_a_pair_of_images(make_pair, quick):
    auto = replace(quick, transform="auto")
    shift = search_tie_points(make_pair(Transform.translation(6, -9)), Transform.translation(6, -9), auto)
    assert shift.transform.kind == "translation"
    np.testing.assert_array_equal(shift.transform.matrix[:2, :2], np.eye(2))
    affine = search_tie_points(make_pair(AFFINE), Transform.translation(5, -4), auto)
    assert affine.transform.kind in ("affine", "homography")
    assert corner_error(affine.transform, AFFINE, HW) < 0.5


def test_a_shift_chosen_by_auto_is_a_shift_whatever_was_expected():
    expected = Transform.similarity(scale=1.01, rotation_deg=1)
    found = fit_tie_points(
        "any",
        no_windows(),
        scattered(Transform.translation(7, -3)),
        expected,
        RegisterConfig(transform="auto"),
        (500, 500),
    )
    assert found.transform.kind == "translation"
    np.testing.assert_array_equal(found.transform.matrix[:2, :2], np.eye(2))


def test_too_few_matches_for_the_model_still_hold_a_shift():
    matches = scattered(Transform.translation(5, 5), 7, 0.1, side_px=3.0)
    noisy = Correspondences(matches.moving_xy, matches.fixed_xy, matches.score)
    config = RegisterConfig(estimate=EstimateConfig(min_inliers=7))
    found = fit_tie_points("any", no_windows(), noisy, Transform.identity(), config, (500, 500))
    np.testing.assert_allclose(found.transform(np.array([[1.5, 1.5]])), [[6.5, 6.5]], atol=0.2)
    assert found.blind_support == 0
    assert found.held_out.ce90_px is None


def test_images_without_contrast_have_no_tie_points(quick, textured):
    flat = Image.from_array(np.full((1, *HW), 0.5))
    with pytest.raises(TooFewMatchesError, match=r"^0 matches were found"):
        search_tie_points(MappedPair("any", flat, textured(HW, n_channels=1)), Transform.identity(), quick)


def test_an_attempt_gathers_its_evidence(make_pair, quick):
    truth = Transform.translation(11.3, -7.6)
    pairs = [make_pair(truth, name="lead"), make_pair(truth, name="second", seed=7)]
    steps = []
    found = attempt(pairs, 30, quick, georeferenced=True, progress=lambda *step: steps.append(step))
    assert found.judgement.verdict == "accept"
    assert corner_error(found.lead.transform, truth, HW) < 0.3
    evidence = found.evidence
    assert 0.9 * evidence.search.n_blind <= evidence.search.n_supporting <= evidence.search.n_blind
    assert evidence.search.n_blind <= evidence.search.n_windows
    assert evidence.n_inliers <= evidence.n_matches
    assert evidence.witness_name == "second"
    assert evidence.witness_px < 0.5
    assert evidence.witness_trust > 0.9
    assert evidence.georeferenced
    assert not evidence.at_edge
    assert evidence.coverage > 0.8
    assert evidence.halves_px < 0.5
    assert evidence.search.n_independent == pytest.approx(overlap_mask(pairs[0], truth).sum() / 64**2, rel=0.02)
    assert evidence.deviation is found.lead.transform
    assert steps


def test_a_witness_of_another_place_contradicts(make_pair, quick):
    pairs = [make_pair(Transform.translation(5, 5)), make_pair(Transform.translation(-15, 8), name="second", seed=7)]
    found = attempt(pairs, 30, quick, georeferenced=True)
    assert found.judgement.verdict == "suspect"
    assert "'second' contradicts it" in found.judgement.reasons[0]
    assert found.evidence.witness_px == pytest.approx(np.hypot(20, 3), abs=0.5)


def test_a_witness_that_finds_nothing_is_absent(make_pair, quick):
    flat = Image.from_array(np.full((1, *HW), 0.5))
    found = attempt(
        [make_pair(Transform.translation(5, 5)), MappedPair("flat", flat, flat)], 30, quick, georeferenced=True
    )
    assert found.witness is None
    assert found.evidence.witness_px is None
    assert found.judgement.verdict == "accept"


def test_the_lead_follows_the_other_mapper_where_its_own_shift_fails(make_pair, quick, textured):
    truth, wrong = Transform.translation(25, -20), Transform.translation(-20, 15)
    # A bright patch at another shift is what the lead's correlation of the whole images sees.
    rows, columns = np.mgrid[: HW[0], : HW[1]]
    patch = (rows > 120) & (columns < 70)
    bright = (textured(HW, each, n_channels=1, seed=4).channels for each in (None, wrong))
    faint = make_pair(truth)
    moving, fixed = (
        Image.from_array(np.where(where, one, 0.5 + 0.05 * (image.channels - 0.5)))
        for where, one, image in zip(
            (patch, warp_mask(patch, wrong, HW)), bright, (faint.moving, faint.fixed), strict=True
        )
    )
    lead = MappedPair("lead", moving, fixed)
    alone = attempt([lead], 50, quick, georeferenced=True)
    assert corner_error(alone.lead.transform, truth, HW) > 20
    assert alone.judgement.verdict != "accept"
    helped = attempt([lead, make_pair(truth, name="second", seed=7)], 50, quick, georeferenced=True)
    assert corner_error(helped.lead.transform, truth, HW) < 0.5
    assert helped.judgement.trust > alone.judgement.trust
    assert helped.witness is None


@pytest.mark.parametrize(
    ("own", "others", "is_kept"),
    [
        (("suspect", 0.80), ("reject", 0.99), True),
        (("suspect", 0.80), ("suspect", 0.90), False),
        (("suspect", 0.95), ("accept", 0.94), False),
        (("reject", 0.30), ("suspect", 0.75), False),
        (("reject", 0.30), ("reject", 0.20), True),
    ],
)
def test_another_coarse_shift_replaces_the_own_one_if_its_verdict_is_better(
    monkeypatch, make_pair, quick, own, others, is_kept
):
    pair, coarse = make_pair(Transform.identity()), Coarse(Transform.identity(), 2.0, at_edge=False)
    first, second = (
        Attempt((pair,), coarse, None, None, None, Judgement(named, (), None, trusted))
        for named, trusted in (own, others)
    )
    answers = iter((first, second))
    monkeypatch.setattr(level, "coarse_shifts", lambda *_, **__: [coarse, coarse])
    monkeypatch.setattr(level, "_ask_witness", lambda *_: None)
    monkeypatch.setattr(level, "_follow", lambda *_, **__: next(answers))
    assert attempt([pair, pair], 30, quick, georeferenced=True) is (first if is_kept else second)


def test_unrelated_images_are_rejected(textured, quick):
    images = (textured(HW, n_channels=1, seed=seed) for seed in (0, 9))
    assert attempt([MappedPair("any", *images)], 40, quick, georeferenced=True).judgement.verdict == "reject"


def test_an_attempt_without_tie_points_is_rejected_with_their_number(textured, quick):
    flat = Image.from_array(np.full((1, *HW), 0.5))
    found = attempt([MappedPair("any", flat, textured(HW, n_channels=1))], 40, quick, georeferenced=True)
    assert found.judgement.verdict == "reject"
    assert found.judgement.reasons == ("0 matches were found; a transform of kind affine needs at least 3.",)
    assert found.judgement.expected_error_px is None
    assert found.lead is found.evidence is None


def test_halves_need_points_on_both_colours_of_the_board():
    truth = Transform.translation(3, 3)
    everywhere = fit_tie_points("any", no_windows(), scattered(truth), truth, RegisterConfig(), (500, 500))
    assert halves_distance_px(everywhere, (500, 500)) < 1
    corner = fit_tie_points("any", no_windows(), scattered(truth, side_px=100), truth, RegisterConfig(), (500, 500))
    assert halves_distance_px(corner, (500, 500)) is None
