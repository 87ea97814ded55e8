"""The table of mappers: two that need no training, and every learned bundle by name or folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from midground.modality.base import Mapper
from midground.modality.catalogue import find_bundle
from midground.modality.learned import LearnedMapper
from midground.modality.structure import GreyMapper, StructureMapper

MAPPERS: MappingProxyType[str, Callable[[], Mapper]] = MappingProxyType(
    {
        "none": GreyMapper,
        "structure": StructureMapper,
    }
)
"""Mappers without a model. Any other name is looked up among the learned bundles; ``default`` is the shipped one."""


def build_mapper(name: str | Path) -> Mapper:
    """Build a mapper by name, or a learned one from the folder of its bundle.

    Raises:
        ConfigError: No mapper and no bundle has this name.
        ModelError: The bundle is damaged.
    """
    if isinstance(name, str) and name in MAPPERS:
        return MAPPERS[name]()
    return _learned(name)


@lru_cache(maxsize=2)
def _learned(name: str | Path) -> LearnedMapper:
    """A network takes half a second to load, so that of the last bundles is kept."""
    return LearnedMapper(find_bundle(name))
