"""Going through a collection in several processes."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from midground.core.progress import Progress
from midground.datasets.files import FilePairs

Result = TypeVar("Result")
Work = Callable[[FilePairs, Sequence[int]], Result]
"""Takes a collection and the numbers of some of its pairs."""

_CHUNK_PAIRS = 64

_source: FilePairs
"""The collection that a worker process was given when it began."""


def in_chunks(
    work: Work[Result], source: FilePairs, *, n_workers: int, stage: str, progress: Progress
) -> Iterator[Result]:
    """Do some work for all pairs, 64 at a time, and hand on what each chunk gives, in order.

    Args:
        work: A function of a module, or a ``functools.partial`` of one, so that other processes can import it.
        source: The collection.
        n_workers: Number of processes; with 1, this process does the work.
        stage: What the progress is called.
        progress: Told after every chunk.
    """
    n_pairs = len(source)
    chunks = [range(start, min(start + _CHUNK_PAIRS, n_pairs)) for start in range(0, n_pairs, _CHUNK_PAIRS)]
    if n_workers == 1:
        for chunk in chunks:
            yield work(source, chunk)
            progress(stage, chunk.stop, n_pairs)
        return
    # Forking a process that has threads, as GDAL and array libraries start them, may hang.
    executor = ProcessPoolExecutor(n_workers, get_context("spawn"), initializer=_begin, initargs=(source,))
    try:
        for chunk, result in zip(chunks, executor.map(partial(_run, work), chunks), strict=True):
            yield result
            progress(stage, chunk.stop, n_pairs)
    finally:
        executor.shutdown(cancel_futures=True)


def _run(work: Work[Any], chunk: Sequence[int]) -> Any:
    return work(_source, chunk)


def _begin(source: FilePairs) -> None:
    global _source  # noqa: PLW0603
    _source = source
    # Ctrl-C reaches all processes; the parent ends the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
