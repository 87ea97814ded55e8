"""How many processors are used."""

import pytest

from midground.core import processors


def test_a_process_may_be_told_to_use_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = processors.usable_cpus()
    assert whole >= 1
    monkeypatch.setattr(processors, "_most", None)
    processors.use_cpus(1)
    assert processors.usable_cpus() == 1
    processors.use_cpus(10_000)
    assert processors.usable_cpus() == whole
