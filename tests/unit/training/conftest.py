"""Training runs of a few steps with small networks."""

from __future__ import annotations

import shutil
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from midground.training.config import TrainConfig

CONFIGS = Path(__file__).parents[3] / "configs"
Settings = Callable[..., "TrainConfig"]


@pytest.fixture(scope="session")
def settings(simulated_pairs: Path) -> Settings:
    """``settings(steps_per_epoch=3, ...)``: two epochs of two steps on the simulated places, unless told otherwise."""
    from midground.core.radiometry import Scaling
    from midground.datasets.catalogue import PairsConfig
    from midground.training.config import (
        DataConfig,
        NetworkConfig,
        OptimizerConfig,
        SourceConfig,
        TrainConfig,
        ValidationConfig,
    )
    from midground.training.criterion_configs import CorrelationConfig

    pairs = PairsConfig(path=simulated_pairs, sar_scale="power", scaling_sar=Scaling("fixed", -30.0, 5.0))
    config = TrainConfig(
        name="tiny",
        data=DataConfig(
            train=(SourceConfig(pairs=pairs),), validation_share=0.3, validation_block_places=1, crop_px=64, workers=0
        ),
        # One orientation: the network has to learn the others.
        network=NetworkConfig(name="compact", widths=(8, 12), n_orientations=1),
        n_channels=4,
        criterion=CorrelationConfig(window_px=(24, 32), search_px=12, frame_shift_px=0, n_windows=4),
        optimizer=OptimizerConfig(name="adamw", learning_rate=5e-3, warmup_epochs=0.0, clip_norm=1.0),
        validation=ValidationConfig(windows_px=(24,), search_px=16, windows_per_side=2, matchers=()),
        epochs=2,
        steps_per_epoch=2,
    )

    def changed(**changes: Any) -> TrainConfig:
        return replace(config, **changes)

    return changed


@dataclass(frozen=True)
class Trained:
    """A finished run."""

    config: TrainConfig
    folder: Path
    score: float
    lines: list[str]


@pytest.fixture(scope="session")
def trained(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run of the preset ``small``, which is long enough to learn something; never write into its folder."""
    from midground.cli.config_file import resolve_config
    from midground.training.config import CardConfig, TrainConfig
    from midground.training.run import train
    from midground.training.running import RunOptions

    config = replace(
        resolve_config(TrainConfig, file=CONFIGS / "small.yaml"),
        data=settings().data,
        # Four places are held out, so the score is made of many windows, and of small ones.
        validation=replace(settings().validation, windows_per_side=6),
        card=CardConfig(sar_bands=("any",), optical_bands=("B04", "B03", "B02"), licence="Apache-2.0"),
    )
    folder = tmp_path_factory.mktemp("trained") / "run"
    lines: list[str] = []
    done = train(config, folder, RunOptions(accelerator="cpu"), report=lines.append)
    assert done.score is not None
    return Trained(config, folder, done.score, lines)


@pytest.fixture
def signals_after() -> Callable[..., Callable[[str], None]]:
    """``signals_after(3)``: told the lines of a run with ``tell_every_s=0``, sends SIGINT to it after that step."""

    def signals(step: int, number: int = signal.SIGINT, *, times: int = 1) -> Callable[[str], None]:
        def report(line: str) -> None:
            if f"step {step}/" in line:
                for _ in range(times):
                    signal.raise_signal(number)

        return report

    return signals


@pytest.fixture
def empty_pair(simulated_pairs: Path) -> Callable[[Path], str]:
    """``empty_pair(root)``: copies two pairs there, blackens the optical image of the second, and gives its name."""

    def copied(root: Path) -> str:
        import numpy as np
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        for name in ("place_0", "place_1"):
            for file in (f"sar/{name}.tif", f"optical/{name}.png"):
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(simulated_pairs / file, root / file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            path = root / "optical" / "place_1.png"
            with rasterio.open(path, "w", driver="PNG", count=3, height=128, width=128, dtype="uint8") as target:
                target.write(np.zeros((3, 128, 128), np.uint8))
        return "place_1"

    return copied
