"""What to simulate."""

from __future__ import annotations

import math
from dataclasses import dataclass

from midground.errors import ConfigError

SIZES_PX = (128, 2048)
GSDS_M = (3.0, 30.0)
LOOKS = (0.5, 1000.0)
ROTATIONS_DEG = (-10.0, 10.0)
SCALES = (0.9, 1.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneConfig:
    """What to simulate; values left out are drawn from the seed."""

    seed: int = 0
    """Seed of the landscape, the sensors and the noise, 0 or more."""
    size_px: int = 1024
    """Side of both images, 128 to 2048 px."""
    gsd_m: float = 10.0
    """Ground sample distance of both images, 3 to 30 m."""
    shift_m: tuple[float, float] | None = None
    """East and north shift that the SAR image's georeference lacks, m; at most half a scene each. Random: ±300 m."""
    rotation_deg: float | None = None
    """Rotation that the georeference lacks, clockwise, -10 to 10 degrees. Random: ±0.3 degrees."""
    scale: float | None = None
    """Scale that the georeference lacks, 0.9 to 1.1. Random: 1 ± 0.002."""
    looks: float = 4.4
    """Equivalent number of looks of the SAR image, 0.5 to 1000."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigError(f"simulate: seed must be 0 or more, found {self.seed}.")
        _within("size_px", self.size_px, SIZES_PX)
        _within("gsd_m", self.gsd_m, GSDS_M)
        _within("looks", self.looks, LOOKS)
        _within("rotation_deg", self.rotation_deg, ROTATIONS_DEG)
        _within("scale", self.scale, SCALES)
        half_m = self.size_px * self.gsd_m / 2
        if self.shift_m is not None and len(self.shift_m) != 2:
            raise ConfigError(f"simulate: shift_m must be two numbers (east, north), found {self.shift_m}.")
        for part in self.shift_m or ():
            _within("shift_m", part, (-half_m, half_m))


def _within(name: str, value: float | None, limits: tuple[float, float]) -> None:
    if value is not None and not (math.isfinite(value) and limits[0] <= value <= limits[1]):
        raise ConfigError(f"simulate: {name} must lie between {limits[0]:g} and {limits[1]:g}, found {value}.")
