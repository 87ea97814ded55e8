"""Fixtures that every kind of test shares. The package is imported inside them: shape checks hook its first import."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from midground.matching.configs import DeDoDeConfig

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


@pytest.fixture(scope="session")
def simulated_pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of 14 aligned pairs of 128 px: one band of SAR power, and B04, B03, B02.

    Never write into it.
    """
    import numpy as np
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    from midground.simulate.config import SceneConfig
    from midground.simulate.render import render_pair

    root = tmp_path_factory.mktemp("collection") / "places"
    for seed in range(14):
        config = SceneConfig(seed=seed, size_px=128, shift_m=(0.0, 0.0), rotation_deg=0.0, scale=1.0, looks=4.4)
        pair = render_pair(config)
        optical = np.clip(np.rint(600 * pair.optical.channels[2::-1]), 1, 255).astype(np.uint8)
        for path, array in (
            (root / "sar" / f"place_{seed}.tif", pair.sar.channels),
            (root / "optical" / f"place_{seed}.png", optical),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            count, height, width = array.shape
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(
                    path, "w", count=count, height=height, width=width, dtype=array.dtype.name
                ) as target:
                    target.write(array)
    return root


@pytest.fixture(scope="session")
def untrained_dedode(tmp_path_factory: pytest.TempPathFactory) -> DeDoDeConfig:
    """Settings of the matcher dedode with random weights of its real networks: the trained ones are not shipped.

    Random networks tell places apart, but only just; hence the temperature.
    """
    torch = pytest.importorskip("torch", reason="needs the extra matchers")
    feature = pytest.importorskip("kornia.feature", reason="needs the extra matchers")

    from midground.matching.configs import DeDoDeConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = feature.DeDoDe("L", "B")
    folder = tmp_path_factory.mktemp("dedode")
    paths = {}
    for part in ("detector", "descriptor"):
        paths[f"{part}_weights"] = folder / f"{part}.pth"
        torch.save(getattr(network, part).state_dict(), paths[f"{part}_weights"])
    return DeDoDeConfig(**paths, inverse_temperature=1000, min_confidence=0)
