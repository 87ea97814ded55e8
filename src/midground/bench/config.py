"""What one run of a benchmark is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from midground.bench.methods import MethodConfig
from midground.datasets.catalogue import PairsConfig
from midground.errors import ConfigError, unknown_name
from midground.evaluation.config import PAPER_WARP, WarpConfig
from midground.matching.configs import SiftConfig

PROTOCOLS: Mapping[str, WarpConfig] = MappingProxyType(
    {
        "identity": WarpConfig(),
        "shift": WarpConfig(shift_px=12),
        "known-warp": PAPER_WARP,
        "wide": WarpConfig(shift_px=64, rotation_deg=180, scale=(0.7, 1.4)),
    }
)
"""Warps of the SAR image. ``identity``: the paper's truth, aligned pairs as they are (section 4.5). ``shift``: the same
for what sees only content; networks may match places by their distance from the border. ``known-warp``: the ranges that
the paper trains RoMa with (section 4.3). ``wide``: any rotation."""
_ALIASES = {"paper": "identity"}


def protocol_name(name: str) -> str:
    """The name in ``PROTOCOLS`` of a protocol; ``paper`` is ``identity``.

    Raises:
        ConfigError: No protocol has this name.
    """
    found = _ALIASES.get(name, name)
    if found not in PROTOCOLS:
        raise unknown_name("protocol", name, (*PROTOCOLS, *_ALIASES))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchConfig:
    """One model and one method on one collection of pairs under one protocol."""

    pairs: PairsConfig
    """The pairs; taken as aligned."""
    limit: int | None = None
    """Only so many pairs, evenly spread; all if omitted."""
    model: str = "default"
    """What maps the images: a name of ``midground models list``, a bundle's folder, ``structure`` or ``none``."""
    method: MethodConfig = field(default_factory=SiftConfig)
    """What finds the matches."""
    protocol: str = "identity"
    """Which warps: ``identity``, ``shift``, ``known-warp`` or ``wide``."""
    seed: int = 0
    """Seed of the warps; each pair has its own."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise unknown_name("protocol", self.protocol, PROTOCOLS)
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be 1 or more, found {self.limit}.")

    @property
    def warp(self) -> WarpConfig:
        """Ranges of the warps, with the seed."""
        return replace(PROTOCOLS[self.protocol], seed=self.seed)
