import numpy as np
import pytest

from midground.core.transforms import MIN_MATCHES, TRANSFORM_KINDS, Transform, corner_error, corners_xy
from midground.errors import ConfigError


def test_every_kind_states_how_many_matches_it_needs():
    assert MIN_MATCHES == {"translation": 1, "similarity": 2, "affine": 3, "homography": 4}
    assert tuple(MIN_MATCHES) == TRANSFORM_KINDS


def test_translation_moves_x_and_y():
    np.testing.assert_array_equal(Transform.translation(3, -2)(np.array([[10.0, 20.0]])), [[13.0, 18.0]])


def test_similarity_turns_x_towards_y():
    turned = Transform.similarity(scale=2, rotation_deg=90, dx=1, dy=5)

    np.testing.assert_allclose(turned(np.array([[1.0, 0.0], [0.0, 1.0]])), [[1, 7], [-1, 5]], atol=1e-12)


def test_homography_divides_by_the_third_coordinate():
    transform = Transform(np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]]), "homography")

    np.testing.assert_allclose(transform(np.array([[100.0, 50.0]])), [[50.0, 25.0]])


def test_a_single_point_and_a_grid_of_points_keep_their_shape():
    shift = Transform.translation(1, 2)

    assert shift(np.array([0.0, 0.0])).tolist() == [1.0, 2.0]
    assert shift(np.zeros((4, 5, 2))).shape == (4, 5, 2)
    assert shift(np.zeros((0, 2))).shape == (0, 2)


def test_matrix_is_normalised_by_its_last_entry():
    np.testing.assert_array_equal(Transform(np.diag([2.0, 4.0, 2.0])).matrix, np.diag([1.0, 2.0, 1.0]))


def test_composition_reads_right_to_left_and_keeps_the_more_general_kind():
    turn, shift = Transform.similarity(rotation_deg=90), Transform.translation(10, 0)
    point_xy = np.array([[1.0, 0.0]])

    np.testing.assert_allclose((shift @ turn)(point_xy), [[10, 1]], atol=1e-12)
    np.testing.assert_allclose((turn @ shift)(point_xy), [[0, 11]], atol=1e-12)
    assert (shift @ turn).kind == (turn @ shift).kind == "similarity"


def test_inverse_keeps_the_kind():
    assert Transform.translation(1, 2).inverse().kind == "translation"
    np.testing.assert_array_equal(Transform.translation(1, 2).inverse().matrix, Transform.translation(-1, -2).matrix)


@pytest.mark.parametrize(
    "matrix",
    [np.zeros((3, 3)), np.full((3, 3), np.nan), np.diag([1.0, np.inf, 1.0]), np.ones((3, 3))],
    ids=["zero", "nan", "inf", "singular"],
)
def test_a_matrix_without_inverse_is_refused(matrix):
    with pytest.raises(ConfigError, match="finite, invertible 3×3 matrix"):
        Transform(matrix)


def test_a_matrix_that_sends_the_origin_to_infinity_is_refused():
    with pytest.raises(ConfigError, match="last entry of its matrix is 0"):
        Transform(np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), "homography")


def test_scale_at_gives_the_extreme_magnifications():
    stretched = Transform(np.diag([2.0, 0.5, 1.0]))
    tilted = Transform(np.array([[1.0, 0, 0], [0, 1, 0], [0.01, 0, 1]]), "homography")

    assert stretched.scale_at(np.array([7.0, 7.0])) == pytest.approx((0.5, 2.0))
    # x / (1 + x/100) has the slope 1 / (1 + x/100)^2, y / (1 + x/100) the slope 1 / (1 + x/100).
    assert tilted.scale_at(np.array([100.0, 0.0])) == pytest.approx((0.25, 0.5))


def test_corners_are_pixel_centres_in_x_and_y():
    assert corners_xy((3, 5)).tolist() == [[0, 0], [4, 0], [0, 2], [4, 2]]


def test_corner_error_of_a_shift_is_its_length():
    assert corner_error(Transform.translation(3, 4), Transform.identity(), (100, 200)) == pytest.approx(5)


def test_corner_error_tells_width_from_height():
    """A stretch of 5 % along x of an image of 256×1024 moves two corners by 51.15 px, and two not at all."""
    stretched = Transform(np.diag([1.05, 1.0, 1.0]))

    assert corner_error(stretched, Transform.identity(), (256, 1024)) == pytest.approx(0.05 * 1023 / 2)
    assert corner_error(stretched, Transform.identity(), (1024, 256)) == pytest.approx(0.05 * 255 / 2)
