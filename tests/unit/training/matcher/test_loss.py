"""The matcher's loss, with values worked out by hand; needs torch."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")

from midground.training.matcher.grids import centres_xy, sampled  # noqa: E402
from midground.training.matcher.loss import Truth, charbonnier, classification, loss_parts  # noqa: E402
from midground.training.matcher.network import Coarse, Matches  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX, GRID = 64, 8


def truth(shift_xy: tuple[float, float] = (0.0, 0.0), *, fixed_valid: torch.Tensor | None = None) -> Truth:
    matrix = torch.eye(3)[None].clone()
    matrix[0, :2, 2] = torch.tensor(shift_xy)
    whole = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    return Truth(matrix, whole, whole if fixed_valid is None else fixed_valid)


def found_at(shift_xy: tuple[float, float], logit: float = 0.0) -> Matches:
    places = centres_xy(torch.zeros(1, 1, GRID, GRID), 8) + torch.tensor(shift_xy)[:, None, None]
    return Matches(places[None], torch.full((1, 1, GRID, GRID), logit), 8)


def coarse(shift_cells: int, logit: float) -> Coarse:
    """Every place resembles that so many cells to its right by ``logit``, and all others by 0."""
    logits = torch.zeros(1, GRID * GRID, GRID * GRID)
    for column in range(GRID * GRID):
        if column % GRID + shift_cells < GRID:
            logits[0, column + shift_cells, column] = logit
    return Coarse(logits)


def test_cells_lie_at_pixel_centres() -> None:
    grid = centres_xy(torch.zeros(1, 1, 2, 3), 8)
    np.testing.assert_array_equal(grid[0], [[3.5, 11.5, 19.5]] * 2)
    np.testing.assert_array_equal(grid[1], [[3.5] * 3, [11.5] * 3])


def test_features_are_sampled_at_their_places() -> None:
    """A map that holds each cell's own place gives back any place between the outermost centres."""
    places = torch.tensor([[[[3.5, 10.0, 59.5]], [[3.5, 40.25, 12.0]]]])
    values = centres_xy(torch.zeros(1, 1, GRID, GRID), 8)[None]
    torch.testing.assert_close(sampled(values, places, 8), places)


def test_the_truth_is_known_where_both_images_hold_data() -> None:
    valid = torch.ones(1, 1, SIDE_PX, SIDE_PX)
    valid[..., :32, :] = 0
    fixed_xy, is_seen = truth((16.0, 0.0), fixed_valid=valid).at(centres_xy(torch.zeros(1, 1, GRID, GRID), 8))
    np.testing.assert_array_equal(fixed_xy[0, :, 0, 0], [19.5, 3.5])
    expected = np.zeros((GRID, GRID), bool)
    expected[4:, :6] = True
    np.testing.assert_array_equal(is_seen[0], expected)


def test_the_penalty_of_an_error_is_its_square_root_and_flat_at_zero() -> None:
    error_px = torch.tensor([0.0, 1.0, 4.0, 100.0], requires_grad=True)
    penalty = charbonnier(error_px, 2)
    np.testing.assert_allclose(penalty.detach()[1:], [1.0, 2.0, 10.0], rtol=1e-3)
    assert float(penalty[0].detach()) == pytest.approx(math.sqrt(0.06))
    penalty.sum().backward()
    assert error_px.grad is not None
    assert float(error_px.grad[0]) == 0


def test_the_classification_is_the_entropy_of_the_true_cell() -> None:
    logit = 3.0
    right = -math.log(math.exp(logit) / (math.exp(logit) + 63))
    wrong = -math.log(1 / (math.exp(logit) + 63))
    like = found_at((0.0, 0.0))
    # 0.4 cells are rounded down, 0.6 cells up; one column leaves the image in the second case.
    assert float(classification(coarse(0, logit), truth((3.2, 0.0)), like)) == pytest.approx(right, rel=1e-5)
    assert float(classification(coarse(1, logit), truth((4.8, 0.0)), like)) == pytest.approx(right, rel=1e-5)
    assert float(classification(coarse(1, logit), truth((0.0, 0.0)), like)) == pytest.approx(
        (7 * wrong + math.log(64)) / 8, rel=1e-5
    )


def test_the_fixed_image_may_be_divided_otherwise_than_the_moving_one() -> None:
    """Places of a grid of 8 px, shifted by (5.6, -12.4) px, among cells of 6.4 px."""
    n_cells = 10
    true_xy = found_at((5.6, -12.4)).fixed_xy[0].flatten(1)
    column, row = ((true_xy + 0.5) / 6.4).floor().long()
    logits = torch.zeros(1, n_cells**2, GRID**2)
    is_inside = (column < n_cells) & (row >= 0)
    logits[0, (row * n_cells + column)[is_inside], torch.arange(GRID**2)[is_inside]] = 30.0
    shifted, like = truth((5.6, -12.4)), found_at((0.0, 0.0))
    assert float(classification(Coarse(logits, fixed_px=6.4), shifted, like)) < 1e-6
    assert float(classification(Coarse(logits.roll(1, 1), fixed_px=6.4), shifted, like)) > 29


def test_the_parts_of_matches_that_are_off_by_a_known_shift() -> None:
    for shift_px, is_right in ((3.0, True), (20.0, False)):
        parts = loss_parts(coarse(0, 3.0), [found_at((shift_px, 0.0), logit=2.0)], truth())
        assert set(parts) == {"coarse", "error at stride 8", "certainty at stride 8"}
        assert float(parts["error at stride 8"]) == pytest.approx(math.sqrt(shift_px), rel=2e-3)
        entropy = math.log1p(math.exp(-2.0)) if is_right else math.log1p(math.exp(2.0))
        assert float(parts["certainty at stride 8"]) == pytest.approx(0.5 * entropy, rel=1e-5)


def test_pairs_without_common_ground_teach_only_that_nothing_is_certain() -> None:
    nothing = truth(fixed_valid=torch.zeros(1, 1, SIDE_PX, SIDE_PX))
    parts = loss_parts(coarse(0, 3.0), [found_at((3.0, 0.0), logit=2.0)], nothing)
    assert float(parts["coarse"]) == float(parts["error at stride 8"]) == 0
    assert float(parts["certainty at stride 8"]) == pytest.approx(0.5 * math.log1p(math.exp(2.0)), rel=1e-5)
