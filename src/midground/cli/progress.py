"""Progress bars on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from midground.core.progress import Progress, silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

_QUICK_S = 2.0


class _BarPerStage:
    """One bar per stage, the first of them shown once the work has taken longer than two seconds."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._start = time.monotonic()
        self._shown = False

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)
        if not self._shown and time.monotonic() - self._start > _QUICK_S:
            self._shown = True
            self._bars.start()


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[Progress]:
    """Provide a progress receiver that draws bars on a terminal, and shows nothing elsewhere.

    Args:
        quiet: Whether to show nothing in any case.
    """
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import Progress as Bars

    bars = Bars(console=Console(stderr=True), transient=True)
    try:
        yield _BarPerStage(bars)
    finally:
        bars.stop()
