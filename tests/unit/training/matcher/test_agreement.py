"""The transform that most matches agree on; needs torch."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.matcher.agreement import Similarity, agreed  # noqa: E402
from midground.training.matcher.cells import turned  # noqa: E402

pytestmark = pytest.mark.extras

SCALES_PX = (64.0, 32.0, 16.0, 8.0)


def matches(share_wrong: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Places, where a similarity maps them, and the same with some of them anywhere."""
    draw = torch.Generator().manual_seed(0)
    moving_xy = torch.rand((1, 2, 400), generator=draw) * 256
    cos, sin = 1.05 * math.cos(0.3), 1.05 * math.sin(0.3)
    true_xy = torch.tensor([[[cos, -sin], [sin, cos]]]) @ moving_xy + torch.tensor([[[20.0], [-30.0]]])
    is_wrong = torch.rand(400, generator=draw) < share_wrong
    found_xy = torch.where(is_wrong, torch.rand((1, 2, 400), generator=draw) * 256, true_xy)
    return moving_xy, true_xy, found_xy


@pytest.mark.parametrize("share_wrong", [0.0, 0.5])
def test_most_matches_decide(share_wrong: float) -> None:
    moving_xy, true_xy, found_xy = matches(share_wrong)
    found = agreed(moving_xy, found_xy, torch.ones(1, 1, 400), SCALES_PX)
    assert (found.transform(moving_xy) - true_xy).norm(dim=1).max() < 0.5
    assert float(found.transform.rotation) == pytest.approx(0.3, abs=0.003)


def test_each_pair_gets_its_best_candidate() -> None:
    moving_xy, true_xy, found_xy = matches(0.5)
    anywhere_xy = found_xy.flip(2)
    # Of the first pair the first candidate is right, of the second one the last.
    places = torch.cat([found_xy, anywhere_xy, anywhere_xy, anywhere_xy, anywhere_xy, found_xy])
    best = agreed(moving_xy, places, torch.ones(6, 1, 400), SCALES_PX).strongest(3)
    assert best.linear.shape == (2, 2, 2)
    assert (best(moving_xy) - true_xy).norm(dim=1).max() < 0.5


def test_candidates_are_put_together_pair_after_pair() -> None:
    one, other = (
        Similarity(value * torch.ones(2, 2, 2), value * torch.tensor([[[1.0], [1.0]], [[10.0], [10.0]]]))
        for value in (1.0, 2.0)
    )
    both = Similarity.by_pair([one, other])
    assert both.shift[:, 0, 0].tolist() == [1, 2, 10, 20]
    assert both.linear[:, 0, 0].tolist() == [1, 2, 1, 2]


def test_channels_of_orientations_change_places_as_an_image_turns() -> None:
    image = torch.eye(4)[None, :, :, None]
    quarter, eighth = (
        turned(image[:, :, :1], torch.tensor([angle]), 3)[0, :, 0, 0] for angle in (math.pi / 3, math.pi / 6)
    )
    torch.testing.assert_close(quarter, torch.tensor([0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(eighth, torch.tensor([0.5, 0.5, 0.0, 0.0]))
    assert torch.equal(turned(image, torch.tensor([1.0]), 3)[0, 3], image[0, 3])
