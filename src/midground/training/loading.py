"""Training samples as batches of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from midground.core.processors import allowed_cpus
from midground.errors import DependencyError
from midground.training.sampling import SampleStream

try:
    import torch
    from torch.utils.data import DataLoader, Dataset, Sampler
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error

_MAX_WORKERS = 8

Batch = dict[str, torch.Tensor]
"""``sar``, ``optical`` (n, c, p, p), ``valid`` (n, 1, p, p), and the ``number`` (n,) of each sample."""


class _Samples(Dataset[Batch]):
    def __init__(self, stream: SampleStream) -> None:
        self._stream = stream

    def __getitem__(self, number: int) -> Batch:
        sample = self._stream.sample(number)
        arrays = {"sar": sample.sar, "optical": sample.optical, "valid": sample.valid}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return {**tensors, "number": torch.tensor(number)}


class _RestOfEpoch(Sampler[int]):
    """Numbers of one process's samples, from the step that the run is at to the end of the epoch.

    Its length is that of a whole epoch even where it starts within one: Lightning adds the steps already done to those
    that it sees, and compares the sum with the length.
    """

    def __init__(self, plan: Plan, step: Callable[[], int]) -> None:
        self._plan, self._step = plan, step

    def __iter__(self) -> Iterator[int]:
        plan, step = self._plan, self._step()
        for later in range(step, step - step % plan.steps_per_epoch + plan.steps_per_epoch):
            first = (later * plan.world_size + plan.rank) * plan.batch_size
            yield from range(first, first + plan.batch_size)

    def __len__(self) -> int:
        return self._plan.steps_per_epoch * self._plan.batch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How samples are dealt to processes, steps and epochs."""

    steps_per_epoch: int
    """Steps of an epoch."""
    batch_size: int
    """Pairs of one process's step."""
    rank: int = 0
    """Which of the processes this is; each sees its own part of every step's samples."""
    world_size: int = 1
    """Number of processes."""
    workers: int = 0
    """Processes that read pairs for it."""
    pin_memory: bool = False
    """Whether batches lie in memory that a GPU copies from quickly."""


def batches(stream: SampleStream, plan: Plan, step: Callable[[], int]) -> DataLoader[Batch]:
    """Batches from the step that ``step()`` names when iteration starts, to the end of that step's epoch."""
    return rest_of_epoch(_Samples(stream), plan, step)


def rest_of_epoch(samples: Dataset[Batch], plan: Plan, step: Callable[[], int]) -> DataLoader[Batch]:
    """Likewise, of any samples that are numbered from 0 on."""
    return DataLoader(
        samples,
        batch_size=plan.batch_size,
        sampler=_RestOfEpoch(plan, step),
        num_workers=plan.workers,
        pin_memory=plan.pin_memory,
    )


def default_workers(*, on_gpu: bool) -> int:
    """Processes that read pairs: none beside a network that needs all processors, several beside a GPU."""
    return min(_MAX_WORKERS, allowed_cpus() - 1) if on_gpu else 0
