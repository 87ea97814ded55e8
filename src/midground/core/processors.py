"""How many processors there are to work with."""

from __future__ import annotations

import os

_most: int | None = None


def allowed_cpus() -> int:
    """Processors that this process is allowed, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cpus() -> int:
    """Processors that this process is to use: at most what ``OMP_NUM_THREADS`` and :func:`use_cpus` leave it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    limits = [allowed_cpus(), _most, int(asked) if asked.isdecimal() else None]
    return min(limit for limit in limits if limit)


def use_cpus(n: int) -> None:
    """Use no more than so many processors from now on: one of several processes that share the machine says this."""
    global _most  # noqa: PLW0603
    _most = n
