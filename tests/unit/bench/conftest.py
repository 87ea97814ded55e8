"""A small collection of pairs that match."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from midground.datasets.catalogue import PairsConfig

N_PAIRS = 4
HW = (96, 120)


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PairsConfig:
    """Four pairs of one band and three, the same texture in both; not square."""
    folder = tmp_path_factory.mktemp("bench") / "places"
    for name in ("sar", "optical"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(N_PAIRS):
        noise = cv2.GaussianBlur(rng.normal(size=HW).astype(np.float32), (0, 0), 2.0)
        grey = np.clip(128 + 90 * noise / np.abs(noise).max() * 1.4, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / "sar" / f"{index}.png"), grey)
        cv2.imwrite(str(folder / "optical" / f"{index}.png"), np.repeat(grey[..., None], 3, axis=2))
    return PairsConfig(path=folder)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Where a run goes."""
    return tmp_path / "run"
