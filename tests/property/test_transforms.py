"""Laws that all plane transforms obey."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from midground.core.transforms import TRANSFORM_KINDS, Transform, corner_error

SHIFT = st.floats(-500, 500)
POINTS_XY = arrays.arrays(np.float64, st.tuples(st.integers(1, 20), st.just(2)), elements=st.floats(0, 1024))


@st.composite
def transforms(draw: st.DrawFn) -> Transform:
    """Transforms as images are related by: no mirror, scales of 1/2 to 2, horizons far outside."""
    kind = draw(st.sampled_from(TRANSFORM_KINDS))
    if kind == "translation":
        return Transform.translation(draw(SHIFT), draw(SHIFT))
    similarity = Transform.similarity(
        scale=draw(st.floats(0.5, 2)), rotation_deg=draw(st.floats(-180, 180)), dx=draw(SHIFT), dy=draw(SHIFT)
    )
    if kind == "similarity":
        return similarity
    shear = np.eye(3)
    shear[0, 0], shear[0, 1] = draw(st.floats(0.7, 1.4)), draw(st.floats(-0.3, 0.3))
    if kind == "homography":
        shear[2, :2] = draw(st.floats(0, 1e-4)), draw(st.floats(0, 1e-4))
    return Transform(similarity.matrix @ shear, kind)


@given(transforms(), POINTS_XY)
@settings(max_examples=100)
def test_inverse_undoes(transform, points_xy):
    np.testing.assert_allclose(transform.inverse()(transform(points_xy)), points_xy, atol=1e-6)


@given(transforms(), transforms(), POINTS_XY)
@settings(max_examples=100)
def test_composition_is_application_one_after_the_other(second, first, points_xy):
    once = first(points_xy)
    horizon = once @ second.matrix[2, :2] + 1
    points_xy, once = points_xy[np.abs(horizon) > 0.1], once[np.abs(horizon) > 0.1]

    np.testing.assert_allclose((second @ first)(points_xy), second(once), rtol=1e-6, atol=1e-6)


@given(transforms(), transforms())
@settings(max_examples=100)
def test_composition_has_the_more_general_kind(second, first):
    rank = TRANSFORM_KINDS.index

    assert rank((second @ first).kind) == max(rank(second.kind), rank(first.kind))


@given(transforms(), transforms())
@settings(max_examples=50)
def test_corner_error_is_symmetric_and_zero_for_the_same(one, other):
    hw = (200, 300)

    assert corner_error(one, one, hw) == 0
    assert corner_error(one, other, hw) == corner_error(other, one, hw)


@given(transforms(), st.floats(0, 1000), st.floats(0, 1000))
@settings(max_examples=50)
def test_magnification_is_inverted_by_the_inverse(transform, x, y):
    point_xy = np.array([x, y])
    smallest, largest = transform.scale_at(point_xy)
    back_smallest, back_largest = transform.inverse().scale_at(transform(point_xy))

    np.testing.assert_allclose([back_smallest, back_largest], [1 / largest, 1 / smallest], rtol=1e-6)
