"""Registration by content alone: what is found, what is refused, and in which words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import midground
from midground.core.image import Image
from midground.core.transforms import Transform
from midground.errors import ConfigError, InputError
from midground.registration import arrays
from midground.registration.api import register
from midground.registration.arrays import register_arrays
from midground.registration.config import InputConfig
from midground.report.html import render_report

SEARCH_PX = 24


@pytest.fixture(scope="module")
def optical(rendered) -> np.ndarray:
    return rendered().optical.channels[:3]


@pytest.fixture(scope="module")
def sar(rendered) -> np.ndarray:
    return rendered().sar.channels


@pytest.fixture(scope="module")
def truth(rendered) -> np.ndarray:
    return rendered().fixed_from_moving.matrix


@pytest.fixture(scope="module")
def plain_result(optical, sar, quick):
    return register_arrays(optical, sar, quick, search_px=SEARCH_PX)


def test_the_shift_of_a_simulated_pair_is_found(plain_result, truth, corner_error_px):
    assert plain_result.verdict == "accept"
    assert corner_error_px(plain_result.fixed_from_moving, truth, (256, 256)) < 0.75
    assert plain_result.trust > 0.95
    assert plain_result.expected_error_px < 2


def test_the_result_is_complete_and_consistent(plain_result, quick):
    result = plain_result
    points = result.tie_points
    assert result.n_matches == len(points)
    assert result.n_inliers == points.used.sum()
    mapped = Transform(result.fixed_from_moving, "affine")(points.moving_xy)
    np.testing.assert_allclose(points.residual_px, np.linalg.norm(mapped - points.fixed_xy, axis=1), atol=1e-6)
    assert result.residual_rmse_px == pytest.approx(np.sqrt((points.residual_px[points.used] ** 2).mean()))
    assert (points.residual_px[points.used] <= quick.estimate.threshold_px + 1e-6).all()
    assert result.lead == "structure"
    assert result.model is None
    assert result.transform == result.correction.kind == "affine"
    assert result.shift_m is None
    assert result.correction.crs is None
    assert result.inputs.fixed.modality == "optical"
    assert result.inputs.moving.modality == "sar"
    assert result.seed == quick.seed
    assert result.version == midground.__version__
    assert result.timings_s["total"] >= result.timings_s["matching"] > 0
    assert [witness.name for witness in result.witnesses] == ["two halves of the tie points"]


def test_the_result_is_json(plain_result):
    values = json.loads(json.dumps(plain_result.to_dict(), allow_nan=False))
    assert values["schema"] == "midground/result/1"
    assert values["verdict"] == "accept"
    assert values["shift_m"] is None
    assert values["config"]["template"]["window_px"] == 64
    assert values["config"] == plain_result.config
    assert np.shape(values["fixed_from_moving"]) == (3, 3)


def test_previews_lie_on_one_grid(plain_result):
    previews = plain_result.previews
    images = (previews.fixed, previews.moving_before, previews.moving_after, previews.shared_fixed)
    assert {image.hw for image in images} == {(256, 256)}
    assert previews.fixed.n_channels == 3
    assert previews.gsd_m is None
    np.testing.assert_allclose(previews.preview_from_fixed, np.eye(3), atol=1e-9)
    before, after = previews.moving_before, previews.moving_after
    moved = Transform(plain_result.fixed_from_moving, "affine")(np.array([[100.0, 120.0]]))[0]
    x, y = np.rint(moved).astype(int)
    near = after.channels[0, y - 1 : y + 2, x - 1 : x + 2]
    assert near.min() - 0.05 <= before.channels[0, 120, 100] <= near.max() + 0.05


def test_the_same_input_gives_the_same_result(optical, sar, quick, plain_result):
    again = register_arrays(optical, sar, quick, search_px=SEARCH_PX)
    np.testing.assert_array_equal(again.fixed_from_moving, plain_result.fixed_from_moving)
    np.testing.assert_array_equal(again.tie_points.fixed_xy, plain_result.tie_points.fixed_xy)
    assert again.reasons == plain_result.reasons


@pytest.mark.parametrize("kind", ["translation", "similarity", "homography", "auto"])
def test_other_models_find_the_shift_too(optical, sar, quick, truth, corner_error_px, kind):
    result = register_arrays(optical, sar, replace(quick, transform=kind), search_px=SEARCH_PX)
    assert result.verdict == "accept"
    assert kind in (result.transform, "auto")
    assert corner_error_px(result.fixed_from_moving, truth, (256, 256)) < 1.0


def test_roles_may_be_swapped(optical, sar, quick, truth, corner_error_px):
    config = replace(quick, fixed=InputConfig(modality="sar"), moving=InputConfig(modality="optical"))
    result = register_arrays(sar, optical, config, search_px=SEARCH_PX)
    assert result.verdict == "accept"
    assert result.inputs.fixed.modality == "sar"
    assert corner_error_px(result.fixed_from_moving, np.linalg.inv(truth), (256, 256)) < 0.75


def test_images_may_differ_in_size_and_layout(optical, sar, quick, truth, corner_error_px):
    fixed = np.moveaxis(optical[:, :210], 0, -1)
    result = register_arrays(fixed, sar[0, :, :230], quick, search_px=SEARCH_PX)
    assert result.verdict == "accept"
    assert result.inputs.fixed.hw == (210, 256)
    assert corner_error_px(result.fixed_from_moving, truth, (256, 230)) < 1.0


@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_half_of_an_image_may_be_without_data(optical, sar, quick, truth, corner_error_px, which):
    fixed, moving = optical.copy(), sar.copy()
    (fixed if which == "fixed" else moving)[:, :, :128] = np.nan
    result = register_arrays(fixed, moving, quick, search_px=SEARCH_PX)
    assert result.verdict != "reject"
    assert corner_error_px(result.fixed_from_moving, truth, (256, 256)) < 1.5
    empty = 128 if which == "fixed" else 128 + 6
    assert (result.tie_points.fixed_xy[:, 0] > empty - 0.4 * 64).all()


def test_images_larger_than_the_working_grid_are_reduced(optical, sar, quick, truth, corner_error_px, monkeypatch):
    monkeypatch.setattr(arrays, "WORKING_PX", 128)
    small = replace(quick, template=replace(quick.template, window_px=48, min_window_px=48))
    result = register_arrays(optical, sar, small, search_px=SEARCH_PX)
    assert result.verdict != "reject"
    assert corner_error_px(result.fixed_from_moving, truth, (256, 256)) < 1.5
    assert result.tie_points.fixed_xy.max() > 160
    np.testing.assert_allclose(result.previews.preview_from_fixed @ [127.5, 127.5, 1], [63.5, 63.5, 1], atol=1e-9)


def test_a_turned_and_grown_image_is_found_through_its_features(textured, quick, corner_error_px):
    side = 192
    turn = Transform.similarity(rotation_deg=5, scale=1.15)
    centre = np.array([side / 2, side / 2])
    truth = Transform.translation(*(centre - turn(centre))) @ turn
    moving, fixed = (textured((side, side), each, n_channels=1).channels for each in (None, truth))
    both = InputConfig(modality="optical")
    result = register_arrays(fixed, moving, replace(quick, fixed=both, moving=both, transform="similarity"))
    assert result.verdict == "accept"
    assert corner_error_px(result.fixed_from_moving, truth.matrix, (side, side)) < 0.5
    points = result.tie_points
    assert np.linalg.norm(truth(points.moving_xy) - points.fixed_xy, axis=1)[points.used].mean() < 0.5


@pytest.mark.parametrize("seed", [0, 1])
def test_images_of_different_places_are_rejected(rendered, optical, quick, seed):
    result = register_arrays(optical, rendered(seed=seed).sar.channels, quick, search_px=SEARCH_PX)
    assert result.verdict == "reject"
    assert result.reasons


def test_noise_is_rejected(optical, quick):
    noise = np.random.default_rng(0).gamma(4, 0.1, (256, 256))
    assert register_arrays(optical, noise, quick, search_px=SEARCH_PX).verdict == "reject"
    other = np.random.default_rng(100).random((256, 256))
    assert register_arrays(other, noise, quick, search_px=SEARCH_PX).verdict == "reject"


def test_a_mirrored_image_is_rejected(optical, sar, quick):
    assert register_arrays(optical, sar[:, :, ::-1].copy(), quick, search_px=SEARCH_PX).verdict == "reject"


def test_a_rejected_result_without_a_transform_is_still_a_result(optical, quick):
    noise = np.random.default_rng(5).gamma(4, 0.1, (256, 256))
    strict = replace(quick, estimate=replace(quick.estimate, min_inliers=30))
    result = register_arrays(optical, noise, strict, search_px=SEARCH_PX)
    assert result.verdict == "reject"
    assert result.fixed_from_moving is result.correction is result.expected_error_px is result.evidence is None
    assert result.n_matches == result.n_inliers == result.trust == result.coverage == 0
    assert "matches were found" in result.reasons[0]
    assert result.previews.moving_after is None
    assert result.witnesses == ()
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_rejected_image_of_another_size_is_shown_on_the_fixed_grid(optical, quick):
    noise = np.random.default_rng(5).gamma(4, 0.1, (175, 190))
    strict = replace(quick, estimate=replace(quick.estimate, min_inliers=30))
    result = register_arrays(optical, noise, strict, search_px=SEARCH_PX)
    assert result.fixed_from_moving is None
    before = result.previews.moving_before
    assert before.hw == result.previews.fixed.hw == (256, 256)
    assert before.valid[:174, :189].all()
    assert not before.valid[175:].any()
    assert "Rejected" in render_report(result)


@pytest.mark.parametrize(
    ("moving", "message"),
    [
        (
            np.full((256, 256), 0.3),
            r"^The sar image: every valid pixel has the value 0\.3, so there is nothing to match",
        ),
        (np.full((256, 256), np.nan), r"^The sar image holds no valid pixel"),
        (np.ones((40, 256)), r"^The sar array has 40 × 256 px; 64 px are needed"),
        (np.ones((256, 256), np.complex64), r"is complex .* pass its amplitude, numpy\.abs\(array\)"),
        (np.ones(256), r"^Expected an array of shape \(h, w\) or \(c, h, w\), found \(256,\)"),
        (-np.random.default_rng(0).random((256, 256)), r"holds no positive value, so it cannot be power"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(optical, quick, moving, message):
    config = replace(quick, moving=InputConfig(sar_scale="power"))
    with pytest.raises(InputError, match=message):
        register_arrays(optical, moving, config, search_px=SEARCH_PX)


def test_too_many_bands_are_refused(rendered, sar, quick):
    with pytest.raises(
        ConfigError, match=r"The optical array has 4 bands, .* wants 3: .* array\[:3\], the first 3 bands"
    ):
        register_arrays(rendered().optical.channels[:4], sar, quick)


@pytest.mark.parametrize("last", [0, 1], ids=["exact", "lossy"])
def test_a_grey_image_saved_as_colour_counts_as_one_band(optical, sar, quick, last):
    decibels = 10 * np.log10(np.maximum(sar[0], 1e-4))
    grey = np.clip(np.rint(6 * (decibels + 30)), 1, 200).astype(np.uint8)
    colour = np.stack([grey, grey, grey + np.uint8(last)], axis=-1)
    one, three = (register_arrays(optical, image, quick, search_px=SEARCH_PX) for image in (grey, colour))
    assert one.verdict == "accept"
    np.testing.assert_array_equal(three.fixed_from_moving, one.fixed_from_moving)

    colour[5, 7, 1] += 2
    with pytest.raises(
        ConfigError,
        match=r"The sar array has 3 bands, but 'structure' wants 1: pass those, .* array\[:1\], the first band",
    ):
        register_arrays(optical, colour, quick, search_px=SEARCH_PX)


def test_register_takes_arrays_images_and_single_settings(optical, sar, quick, plain_result):
    told = []
    result = register(
        Image.from_array(optical),
        sar,
        config=quick,
        search_px=SEARCH_PX,
        transform="translation",
        progress=lambda *step: told.append(step),
    )
    assert result.transform == "translation"
    assert result.config["transform"] == "translation"
    assert result.config["search_m"] == quick.search_m
    assert told
    np.testing.assert_allclose(result.fixed_from_moving, plain_result.fixed_from_moving, atol=1.5)


def test_register_refuses_settings_that_do_not_exist(optical, sar):
    with pytest.raises(ConfigError, match=r"Unknown setting 'tranform'\. Did you mean 'transform'\?"):
        register(optical, sar, tranform="affine")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search_m": "300"}, "setting 'search_m': a number is expected, found '300'"),
        ({"template": {"windowpx": 64}}, r"Unknown setting 'template\.windowpx'"),
        ({"similarity": {"scale": 2}}, r"setting 'similarity\.scale': a tuple of numbers is expected, found 2"),
    ],
)
def test_register_refuses_settings_of_another_type(optical, sar, settings, message):
    with pytest.raises(ConfigError, match=message):
        register(optical, sar, **settings)


def test_register_refuses_a_mixture_of_files_and_arrays(sar):
    with pytest.raises(ConfigError, match="Pass two files or two arrays"):
        register("optical.tif", sar)
    with pytest.raises(ConfigError, match="Pass two files or two arrays"):
        register(sar, Path("sar.tif"))


def test_register_refuses_pixels_as_the_search_range_of_files():
    with pytest.raises(ConfigError, match="search_px is for arrays; files take search_m"):
        register("optical.tif", Path("sar.tif"), search_px=5)


def test_the_model_may_lead_and_structure_witness(optical, sar, quick, truth, corner_error_px):
    result = register_arrays(optical, sar, replace(quick, model="sar1-rgb", lead="model"), search_px=SEARCH_PX)
    assert result.lead == result.model.name
    assert "structure" in [witness.name for witness in result.witnesses]
    assert corner_error_px(result.fixed_from_moving, truth, (256, 256)) < 1.5
