"""What a run is told, and tells, while it runs."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from midground.datasets.catalogue import PairsConfig
from midground.training.config import DataConfig, SourceConfig, TrainConfig
from midground.training.running import Run, RunOptions
from midground.training.stopping import Stop


def test_the_first_signal_is_a_wish_and_the_second_an_order() -> None:
    stop = Stop()
    with stop.listening():
        signal.raise_signal(signal.SIGTERM)
        assert stop.is_asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_are_left_alone_where_none_arrive() -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def listen() -> None:
        with Stop().listening():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert during == [before]


@pytest.mark.extras
def test_work_between_the_steps_is_told_and_can_be_stopped() -> None:
    pytest.importorskip("lightning", reason="needs the extra train")
    from midground.training.telling import Lines

    config = TrainConfig(name="one", data=DataConfig(train=(SourceConfig(pairs=PairsConfig(path=Path("pairs"))),)))
    told: list[str] = []
    options = RunOptions(tell_every_s=0)
    run = Run(config=config, folder=Path("run"), options=options, report=told.append, on_gpu=False)
    lines = Lines(run)
    for done in (1, 2, 3):
        lines("matching pairs", done, 3)
    assert told == ["matching pairs: 2 of 3"]
    run.stop.is_asked = True
    with pytest.raises(KeyboardInterrupt):
        lines("matching pairs", 1, 3)
