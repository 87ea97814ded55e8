"""Fixtures that every kind of test shares. The package is imported inside them: shape checks hook its first import."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data: MIDGROUND_SHARED, or `shared` beside the checkout."""
    shared = Path(os.environ.get("MIDGROUND_SHARED", CHECKOUT.parent / "shared"))
    if not (shared / "data").is_dir():
        pytest.skip(f"needs real data, and there is none at {shared} (set MIDGROUND_SHARED)")
    return shared


@dataclass(frozen=True)
class ScenePair:
    """A small simulated pair on disk."""

    optical: Path
    sar: Path
    truth: Path


@pytest.fixture(scope="session")
def scene_pair(tmp_path_factory: pytest.TempPathFactory) -> ScenePair:
    """Two images of 512 px that do not line up, with the truth; never write beside them."""
    from midground.simulate.scene import simulate_scene_pair

    pair = simulate_scene_pair(tmp_path_factory.mktemp("scene"), seed=11, size_px=512, shift_m=(90.0, -60.0))
    return ScenePair(pair.optical, pair.sar, pair.truth)
