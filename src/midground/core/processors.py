"""How many processors there are to work with."""

from __future__ import annotations

import os

_most: int | None = None


def usable_cpus() -> int:
    """Processors that this process may use, which may be fewer than the machine has."""
    n_cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return n_cpus if _most is None else min(_most, n_cpus)


def use_cpus(n: int) -> None:
    """Use no more than so many processors from now on: one of several processes that share the machine says this."""
    global _most  # noqa: PLW0603
    _most = n
