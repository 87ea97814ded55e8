from __future__ import annotations

import json

import numpy as np
import pytest
from affine import Affine

from midground.errors import InputError, OutputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid, map_points

UTM = "EPSG:32631"
FIXED = Grid(UTM, Affine(10, 0, 500000, 0, -10, 5000000), (600, 600))
MOVING = Grid(UTM, Affine(5, 0, 500500, 0, -5, 4999500), (800, 800))
SHIFT = np.array([[1.0, 0.0, 40.0], [0.0, 1.0, -25.0], [0.0, 0.0, 1.0]])
BENT = np.array([[1.0, 0.0, 40.0], [0.0, 1.0, -25.0], [2e-7, 1e-7, 1.0]])
DEGREES = Grid("EPSG:4326", Affine(6e-5, 0, 3.005, 0, -5e-5, 45.14), (700, 700))


def about(centre_xy, matrix):
    move = np.eye(3)
    move[:2, 2] = centre_xy
    return move @ matrix @ np.linalg.inv(move)


def test_shift_in_metres_and_pixels():
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=MOVING, kind="translation")
    assert correction.shift_m(MOVING) == (40, -25)
    # Pixel (0, 0) of the moving image: 500502.5, 4999497.5; corrected 500542.5, 4999472.5.
    assert np.allclose(correction.fixed_from_moving @ [0, 0, 1], [(542.5 - 5) / 10, (522.5) / 10, 1])
    transform, misfit = correction.corrected_transform(MOVING)
    assert transform == Affine(5, 0, 500540, 0, -5, 4999475)
    assert misfit == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "transform",
    [Affine(5, 0, 500500, 0, 5, 4995500), Affine(4, 3, 500500, 3, -4, 4998000), Affine(5, 0, 500500, 0, -5, 4999500)],
)
def test_shift_does_not_depend_on_the_orientation(transform):
    moving = Grid(UTM, transform, (800, 800))
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=moving)
    assert correction.shift_m(moving) == pytest.approx((40, -25))


def test_shift_of_degrees_is_in_ground_metres():
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=DEGREES)
    # The central meridian's scale, 0.9996, is the difference between UTM's metres and the ground's.
    assert correction.shift_m(DEGREES) == pytest.approx((40 / 0.9996, -25 / 0.9996), abs=0.05)
    assert correction.corrected_crs(DEGREES) == "EPSG:4326"
    transform, misfit = correction.corrected_transform(DEGREES)
    assert transform.is_rectilinear or abs(transform.b) < 1e-8
    assert misfit < 0.01
    corrected = Grid("EPSG:4326", transform, DEGREES.hw)
    moved = map_points(DEGREES.centre_xy[None], corrected, FIXED) - map_points(DEGREES.centre_xy[None], DEGREES, FIXED)
    assert moved[0] == pytest.approx([4.0, 2.5], abs=0.002)


def test_fixed_from_moving_across_systems_is_good_to_a_fraction_of_a_pixel():
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=DEGREES)
    points = DEGREES.outline_xy()
    mapped = points @ correction.fixed_from_moving[:2, :2].T + correction.fixed_from_moving[:2, 2]
    mapped /= (points @ correction.fixed_from_moving[2, :2] + 1)[:, None]
    assert np.abs(mapped - correction.to_fixed_px(DEGREES, points)).max() < 0.05


def test_the_misfit_of_the_matrix_between_systems_grows_with_the_scene():
    wide = Grid("EPSG:4326", Affine(2e-4, 0, 2.5, 0, -2e-4, 45.4), (3000, 3000))
    misfits_px = [
        Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=moving).misfit_px() for moving in (MOVING, DEGREES, wide)
    ]
    assert misfits_px[0] == pytest.approx(0, abs=1e-6)
    assert misfits_px[1] < 0.05
    assert misfits_px[2] > 1


@pytest.mark.parametrize("moving", [MOVING, DEGREES])
@pytest.mark.parametrize("world", [SHIFT, about((502000, 4998000), BENT)])
def test_target_to_source_undoes_source_to_fixed(moving, world):
    correction = Correction.from_world(UTM, world, fixed=FIXED, moving=moving, kind="homography")
    points = moving.outline_xy()
    there = correction.to_fixed_px(moving, points)
    assert np.allclose(correction.source_from_target(moving, FIXED, there), points, atol=1e-4)


def test_affine_misfit_of_a_homography_is_stated_and_control_points_are_exact():
    correction = Correction.from_world(
        UTM, about((502000, 4998000), np.array([[1, 0, 40], [0, 1, -25], [5e-6, 0, 1.0]])),
        fixed=FIXED, moving=MOVING, kind="homography",
    )  # fmt: skip
    _, misfit = correction.corrected_transform(MOVING)
    assert misfit > 1
    points = correction.gcps(MOVING, 5)
    assert len(points) == 25
    assert (points[0].row, points[0].col) == (0, 0)
    world = correction.corrected_world(MOVING, np.array([[-0.5, -0.5]]))[0]
    assert (points[0].x, points[0].y) == pytest.approx(tuple(world))


def test_other_resolution_with_georeference():
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=MOVING)
    coarse = Grid(UTM, Affine(20, 0, 500500, 0, -20, 4999500), (200, 200))
    assert correction.corrected_transform(coarse)[0] == Affine(20, 0, 500540, 0, -20, 4999475)


@pytest.mark.parametrize("hw", [(400, 400), (1600, 1600), (267, 267)])
def test_other_resolution_without_georeference(hw):
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=MOVING)
    placed = correction.grid_of(Grid.without_georeference(hw))
    assert placed == MOVING.resized(hw)
    corner = correction.to_fixed_px(Grid.without_georeference(hw), np.array([[-0.5, -0.5]]))
    assert np.allclose(corner, correction.to_fixed_px(MOVING, np.array([[-0.5, -0.5]])), atol=1e-6)


class TestWithoutGeoreference:
    plain = Correction.from_pixels(
        np.array([[2.0, 0, 3], [0, 2.0, 4], [0, 0, 1]]),
        fixed=Grid.without_georeference((500, 500)),
        moving=Grid.without_georeference((200, 200)),
    )

    def test_pixels(self):
        points = np.array([[10.0, 20.0]])
        assert self.plain.to_fixed_px(self.plain.moving, points).tolist() == [[23, 44]]
        assert self.plain.source_from_target(
            self.plain.moving, self.plain.fixed, np.array([[23.0, 44.0]])
        ).tolist() == [[10, 20]]

    def test_image_of_twice_the_size(self):
        points = np.array([[20.5, 40.5]])
        assert self.plain.to_fixed_px(Grid.without_georeference((400, 400)), points).tolist() == [[23, 44]]

    def test_image_of_another_shape(self):
        with pytest.raises(InputError, match="not in proportion"):
            self.plain.to_fixed_px(Grid.without_georeference((400, 500)), np.zeros((1, 2)))

    def test_nothing_to_say_about_the_earth(self):
        assert self.plain.shift_m(self.plain.moving) is None
        assert self.plain.corrected_transform(self.plain.moving) == (None, 0.0)
        with pytest.raises(InputError, match="no georeference"):
            self.plain.gcps(self.plain.moving)

    def test_fixed_image_gives_its_georeference(self):
        correction = Correction.from_pixels(self.plain.fixed_from_moving, fixed=FIXED, moving=self.plain.moving)
        transform, misfit = correction.corrected_transform(self.plain.moving)
        # The corner (-0.5, -0.5) of the moving image falls on (2, 3) of the fixed one, 2.5 and 3.5 px from its corner.
        assert transform == Affine(20, 0, 500025, 0, -20, 4999965)
        assert misfit < 1e-9
        assert correction.corrected_crs(self.plain.moving) == UTM


def test_raster_of_another_place():
    correction = Correction.from_world(UTM, SHIFT, fixed=FIXED, moving=MOVING)
    with pytest.raises(InputError, match="another place"):
        correction.to_fixed_px(Grid(UTM, Affine(5, 0, 700000, 0, -5, 4999500), (800, 800)), np.zeros((1, 2)))


class TestFile:
    def test_round_trip(self, tmp_path):
        for correction in (
            Correction.from_world(UTM, BENT, fixed=FIXED, moving=DEGREES, kind="homography"),
            TestWithoutGeoreference.plain,
        ):
            correction.save(tmp_path / "t.json")
            loaded = Correction.load(tmp_path / "t.json")
            assert loaded.to_dict() == correction.to_dict()
            assert (loaded.fixed, loaded.moving, loaded.kind) == (correction.fixed, correction.moving, correction.kind)
        assert json.loads((tmp_path / "t.json").read_text())["schema"] == "midground/transform/1"

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "which is JSON"),
            ("[]", "not a saved transform"),
            ("{}", "Expected a saved transform of schema"),
            ('{"schema": "midground/result/1"}', "found 'midground/result/1'; give the file that register"),
            ('{"schema": "midground/transform/1"}', "needs kind, fixed and moving"),
        ],
    )
    def test_other_files(self, tmp_path, content, message):
        (tmp_path / "t.json").write_text(content)
        with pytest.raises(InputError, match=message):
            Correction.load(tmp_path / "t.json")

    def test_binary_file(self, tmp_path):
        (tmp_path / "t.json").write_bytes(b"\xff\xfe\x00\x81")
        with pytest.raises(InputError, match="not a saved transform"):
            Correction.load(tmp_path / "t.json")

    def test_broken_matrix(self, tmp_path):
        values = TestWithoutGeoreference.plain.to_dict() | {"fixed_from_moving": [[1, 2], [3, 4]]}
        (tmp_path / "t.json").write_text(json.dumps(values))
        with pytest.raises(InputError, match=r"t\.json: fixed_from_moving must be three rows"):
            Correction.load(tmp_path / "t.json")

    def test_missing(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            Correction.load(tmp_path / "t.json")

    def test_folder_is_missing(self, tmp_path):
        with pytest.raises(OutputError, match="does not exist"):
            TestWithoutGeoreference.plain.save(tmp_path / "none" / "t.json")
