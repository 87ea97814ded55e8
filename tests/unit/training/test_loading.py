"""Batches of every process, from wherever a run is; needs torch."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest

from midground.core.image import Image
from midground.datasets.base import Pair, PixelWindow
from midground.training.augment import AugmentConfig
from midground.training.sampling import SampleStream

torch = pytest.importorskip("torch", reason="needs the extra train")

from midground.training.loading import Plan, batches, default_workers  # noqa: E402

pytestmark = pytest.mark.extras

PLAN = Plan(steps_per_epoch=5, batch_size=2)


class Constant:
    """Pairs whose pixels are all their number / 10; the last optical column holds no data."""

    names = places = ("a", "b", "c")

    def __len__(self) -> int:
        return 3

    def hw(self, index: int) -> tuple[int, int]:
        return (64, 64)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        sar = Image.from_array(np.full((1, 64, 64), index / 10, np.float32))
        valid = np.ones((64, 64), bool)
        valid[:, -1] = False
        optical = Image(np.where(valid, np.full((3, 64, 64), index / 10, np.float32), np.float32(0)), valid)
        return Pair(self.names[index], self.places[index], sar, optical)


def stream() -> SampleStream:
    augment = AugmentConfig(flips=False, quarter_turns=False)
    return SampleStream([Constant()], [1.0], n_epoch=10, crop_px=64, augment=augment, seed=4)


def numbers(plan: Plan, step: int) -> list[list[int]]:
    return [batch["number"].tolist() for batch in batches(stream(), plan, lambda: step)]


def test_a_batch_holds_tensors_of_both_images_and_their_common_mask() -> None:
    batch = next(iter(batches(stream(), PLAN, lambda: 0)))
    assert {name: tuple(tensor.shape) for name, tensor in batch.items()} == {
        "sar": (2, 1, 64, 64),
        "optical": (2, 3, 64, 64),
        "valid": (2, 1, 64, 64),
        "number": (2,),
    }
    assert {batch[name].dtype for name in ("sar", "optical", "valid")} == {torch.float32}
    assert batch["valid"][:, 0, :, :-1].all()
    assert not batch["valid"][:, 0, :, -1].any()
    # What holds no data is filled with the mean of the rest.
    assert torch.allclose(batch["sar"].amax((1, 2, 3)), batch["optical"].amin((1, 2, 3)))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]),
        (3, [[6, 7], [8, 9]]),
        (5, [[10, 11], [12, 13], [14, 15], [16, 17], [18, 19]]),
        (9, [[18, 19]]),
    ],
)
def test_an_epoch_goes_on_from_the_step_that_the_run_is_at(step: int, expected: list[list[int]]) -> None:
    assert numbers(PLAN, step) == expected
    # Lightning adds what was done before.
    assert len(batches(stream(), PLAN, lambda: step)) == 5


def test_processes_share_the_samples_of_every_step() -> None:
    plan = replace(PLAN, batch_size=1, world_size=2)
    dealt = [numbers(replace(plan, rank=rank), 0) for rank in (0, 1)]
    assert [one + other for one, other in zip(*dealt, strict=True)] == numbers(PLAN, 0)


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")
def test_processes_that_read_change_nothing() -> None:
    alone, helped = (list(batches(stream(), replace(PLAN, workers=n), lambda: 2)) for n in (0, 2))
    assert len(alone) == len(helped) == 3
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_readers_are_for_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)))
    assert (default_workers(on_gpu=False), default_workers(on_gpu=True)) == (0, 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert default_workers(on_gpu=True) == 8
