"""The error that all matches share; needs torch."""

from __future__ import annotations

import numpy as np
import pytest

from midground.matching.roma_shared import DenseNetwork

torch = pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("kornia", reason="needs the extra matchers")

from midground.training.matcher import centring  # noqa: E402
from midground.training.matcher.module import dense_network  # noqa: E402
from midground.training.matcher.network import Shape, SharedRoma  # noqa: E402
from midground.training.matcher.samples import MatcherSample  # noqa: E402

pytestmark = pytest.mark.extras

SIDE_PX = 64


class Samples:
    """Pairs whose truth is a shift."""

    def sample(self, number: int) -> MatcherSample:
        channels = np.random.default_rng(number).normal(size=(3, SIDE_PX, SIDE_PX)).astype(np.float32)
        matrix = np.eye(3)
        matrix[:2, 2] = (4.0, -6.0)
        valid = np.ones((1, SIDE_PX, SIDE_PX), np.float32)
        return MatcherSample(channels, channels, valid, valid, matrix)


def biased(error_xy: tuple[float, float], certainty: float) -> DenseNetwork:
    """A network's stand-in that is always off by the same, in all places but one."""

    def run(moving: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del moving, fixed
        y, x = np.mgrid[: SIDE_PX // 2, : SIDE_PX // 2] * 2.0 + 0.5
        fixed_xy = np.stack([x + 4.0 + error_xy[0], y - 6.0 + error_xy[1]]).astype(np.float32)
        fixed_xy[:, 0, :20] += 40
        return fixed_xy, np.full(x.shape, certainty, np.float32)

    return run


def test_the_error_is_that_of_the_certain_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(centring, "dense_network", lambda _: biased((0.4, -0.3), 0.9))
    assert centring.shared_error_px(SharedRoma(Shape(3)), Samples(), 0, 3) == pytest.approx([0.4, -0.3], abs=1e-5)
    monkeypatch.setattr(centring, "dense_network", lambda _: biased((0.4, -0.3), 0.1))
    assert centring.shared_error_px(SharedRoma(Shape(3)), Samples(), 0, 3) == pytest.approx([0.0, 0.0])


def test_what_is_taken_off_is_off_every_match() -> None:
    torch.manual_seed(0)
    network = SharedRoma(Shape(3)).eval()
    sample = Samples().sample(0)
    before, _ = dense_network(network)(sample.moving[None], sample.fixed[None])
    centring.take_off(network, np.array([0.4, -0.3]))
    after, _ = dense_network(network)(sample.moving[None], sample.fixed[None])
    np.testing.assert_allclose((before - after).reshape(2, -1).T, np.tile([0.4, -0.3], (after[0].size, 1)), atol=5e-3)
