"""How many processors are used."""

import pytest

from midground.core import processors


def test_a_process_may_be_told_to_use_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(processors, "_most", None)
    whole = processors.usable_cpus()
    assert whole == processors.allowed_cpus() >= 1
    processors.use_cpus(1)
    assert processors.usable_cpus() == 1
    processors.use_cpus(10_000)
    assert processors.usable_cpus() == whole


@pytest.mark.parametrize(("asked", "found"), [("1", 1), ("2", 2), ("100", 4), ("0", 4), ("many", 4), ("", 4)])
def test_the_number_of_threads_that_the_environment_asks_for_is_kept(
    monkeypatch: pytest.MonkeyPatch, asked: str, found: int
) -> None:
    monkeypatch.setattr(processors, "_most", None)
    monkeypatch.setattr(processors, "allowed_cpus", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert processors.usable_cpus() == found
