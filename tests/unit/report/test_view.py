from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from midground.report import view


def test_residuals_point_from_the_find_to_where_the_transform_puts_it(make_registration):
    found = make_registration()
    residuals = view.residuals_of(found)
    assert residuals.length_px == pytest.approx(found.tie_points.residual_px, abs=1e-9)
    assert (residuals.vectors_xy[~residuals.used] < 0).all()


def test_scale_of_the_map_belongs_to_the_drawn_vectors(make_registration):
    found = make_registration()
    half = replace(found.previews, preview_from_fixed=np.diag([0.5, 0.5, 1.0]))
    for previews, px_size in ((found.previews, 1.0), (half, 0.5)):
        result = replace(found, previews=previews)
        content = view.map_of(result, view.residuals_of(result))
        width = previews.fixed.hw[1]
        assert content["scale_share"] == pytest.approx(100 * content["scale_px"] * px_size * content["factor"] / width)
        assert content["scale_share"] <= 10


def test_rotation_and_scale_are_read_off_the_transform(make_registration):
    turn = np.deg2rad(30)
    matrix = np.array([[2 * np.cos(turn), -2 * np.sin(turn), 5], [2 * np.sin(turn), 2 * np.cos(turn), 1], [0, 0, 1.0]])
    rows = dict(view.transform_rows(replace(make_registration(), fixed_from_moving=matrix, transform="similarity")))
    assert rows["Model"] == "similarity"
    assert rows["Rotation"].startswith("30.000°")
    assert rows["Scale along x, along y"].startswith("2.00000, 2.00000")
    assert rows["Angle between the axes"] == "90.000°"


def test_timings_are_shown_relative_to_the_longest(make_registration):
    assert view.timing_rows(make_registration()) == [("map learned", "1.50 s", 1.0), ("tie points", "0.50 s", 1 / 3)]


def test_one_point_is_too_few_for_charts(make_registration):
    found = make_registration()
    used = np.zeros_like(found.tie_points.used)
    used[0] = True
    result = replace(found, tie_points=replace(found.tie_points, used=used))
    assert view.residual_charts(result, view.residuals_of(result)) is None


def test_residuals_follow_the_exact_correction_where_there_is_one(make_registration):
    from affine import Affine

    from midground.geo.correction import Correction
    from midground.geo.grid import Grid

    found = make_registration()
    grid = Grid(None, Affine.identity(), found.inputs.fixed.hw)
    correction = Correction.from_pixels(found.fixed_from_moving, fixed=grid, moving=grid, kind="affine")
    exact = view.residuals_of(replace(found, correction=correction))
    assert exact.vectors_xy == pytest.approx(view.residuals_of(found).vectors_xy, abs=1e-9)
