"""The slow loop: find matches in every pair, and keep them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2

from midground.bench.config import BenchConfig
from midground.bench.methods import Found, Method, MethodConfig, build_method
from midground.bench.misregistration import Misregistration, estimate_misregistration
from midground.bench.records import (
    ALIGNMENT,
    PairMatches,
    begin,
    manifest_of,
    pair_file,
    save,
    write_alignment,
)
from midground.bench.weights import weights_sha256
from midground.core.correspondences import Correspondences
from midground.core.processors import usable_cpus, use_cpus
from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.datasets.base import PairSource
from midground.datasets.catalogue import PairsConfig, open_pairs
from midground.datasets.splits import Subset, evenly_spread
from midground.errors import DependencyError, InputError, MidgroundError, ModelError, RegistrationError
from midground.evaluation.cuts import warped
from midground.evaluation.side_by_side import mapper_by_name
from midground.modality.base import Mapper
from midground.modality.structure import GreyMapper


def predict(config: BenchConfig, folder: Path, *, n_workers: int = 1, progress: Progress = silent) -> int:
    """Match every pair that has no matches yet; a run that was stopped goes on.

    Args:
        config: What is run.
        folder: Where matches are kept: a manifest, and a file for each pair.
        n_workers: Processes; with more than 1, each one uses one processor.
        progress: Told after every pair.

    Returns:
        How many pairs were matched now.

    Raises:
        ConfigError: The folder holds another run.
        InputError: A pair cannot be read.
        ModelError: The method does not take what the model makes of the pairs, which is not the same as not succeeding.
    """
    cv2.setNumThreads(usable_cpus())
    work = _Work.begun(config)
    missing = [index for index in range(len(work.pairs)) if not pair_file(folder, index).exists()]
    if missing:
        work.require_fit(missing[0])
    begin(folder, manifest_of(config, work.pairs, work.mapper))
    if not (folder / ALIGNMENT).exists():
        write_alignment(folder, alignment_of(config, progress))
    stage = f"{config.model} + {config.method.name}, {config.protocol}"
    for done, (index, found) in enumerate(_all(work, missing, n_workers), 1):
        save(pair_file(folder, index), found)
        progress(stage, done, len(missing))
    return len(missing)


def refusals(methods: Mapping[str, MethodConfig]) -> dict[str, DependencyError | ModelError]:
    """Which methods cannot be had here, and why: each is built, and its weights are read, before anything is run.

    Args:
        methods: Settings by name.
    """
    mapper = GreyMapper()
    refused: dict[str, DependencyError | ModelError] = {}
    for name, config in methods.items():
        try:
            build_method(config, mapper, mapper.name)
            weights_sha256(config)
        except (DependencyError, ModelError) as error:
            refused[name] = error
    return refused


def open_bench_pairs(config: BenchConfig) -> Subset:
    """The pairs of a run."""
    return evenly_spread(_opened(config.pairs), config.limit)


def alignment_of(config: BenchConfig, progress: Progress = silent) -> Misregistration:
    """How well the pairs of a run are aligned themselves; measured once for all runs on them."""
    key = (config.pairs, config.limit)
    if key not in _alignments:
        _alignments.clear()
        _alignments[key] = estimate_misregistration(open_bench_pairs(config), progress=progress)
    return _alignments[key]


_alignments: dict[tuple[PairsConfig, int | None], Misregistration] = {}
"""Of the last collection that was asked for."""


@lru_cache(maxsize=1)
def _opened(pairs: PairsConfig) -> PairSource:
    """A collection whose limits may have to be measured, which is done once for all runs on it."""
    return open_pairs(pairs)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is needed to match one pair after the other."""

    config: BenchConfig
    pairs: PairSource
    mapper: Mapper
    method: Method

    @classmethod
    def begun(cls, config: BenchConfig) -> _Work:
        mapper = mapper_by_name(config.model)
        method = build_method(config.method, mapper, config.model)
        return cls(config, open_bench_pairs(config), mapper, method)

    def require_fit(self, index: int) -> None:
        pair = self.pairs.read(index)
        self.method.require_fit(pair.sar.n_channels, pair.optical.n_channels)

    def match(self, index: int) -> PairMatches:
        pair = self.pairs.read(index)
        hw, truth = pair.sar.hw, Transform.identity()
        found, failure = Found(Correspondences.empty()), ""
        start = time.perf_counter()
        try:
            sar, optical, truth = warped(pair, self.config.warp, index)
            hw, start = sar.hw, time.perf_counter()
            found = self.method.find(sar, optical)
        except (RegistrationError, InputError) as error:
            failure = str(error)
        except MidgroundError as error:
            raise ModelError(f"Pair '{pair.name}': {error}") from error
        except Exception as error:
            error.add_note(f"while matching the pair '{pair.name}'")
            raise
        return PairMatches(
            name=pair.name,
            hw=hw,
            truth=truth,
            matches=found.matches,
            estimates=found.estimates,
            transform=found.transform,
            failure=failure,
            seconds=time.perf_counter() - start,
            n_threads=usable_cpus(),
        )


_worker: _Work
"""What a worker process made when it began."""


def _all(work: _Work, indices: list[int], n_workers: int) -> Iterator[tuple[int, PairMatches]]:
    if n_workers == 1 or len(indices) < 2:
        for index in indices:
            yield index, work.match(index)
        return
    # Forking a process that has threads, as GDAL and array libraries start them, may hang.
    executor = ProcessPoolExecutor(n_workers, get_context("spawn"), initializer=_begin, initargs=(work.config,))
    try:
        yield from zip(indices, executor.map(_match, indices, chunksize=4), strict=True)
    finally:
        executor.shutdown(cancel_futures=True)


def _match(index: int) -> PairMatches:
    return _worker.match(index)


def _begin(config: BenchConfig) -> None:
    global _worker  # noqa: PLW0603
    # Ctrl-C reaches all processes; the parent ends the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    cv2.setNumThreads(1)
    use_cpus(1)
    _worker = _Work.begun(config)
