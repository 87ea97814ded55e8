"""Several mappers as one: their channels after one another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.modality.base import InputSpec, Mapper, Modality
from midground.modality.mappers import build_mapper


class SideBySide:
    """Channels of several mappers as those of one; follows the ``Mapper`` protocol.

    Args:
        mappers: One or more that take the same inputs; what the last one asks for is what is asked for.
    """

    gsd_m = None
    sha256 = None

    def __init__(self, mappers: Sequence[Mapper]) -> None:
        self._mappers = tuple(mappers)

    @property
    def name(self) -> str:
        """Names of the mappers with a plus between them."""
        return "+".join(mapper.name for mapper in self._mappers)

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """What each modality's input holds."""
        return self._mappers[-1].inputs

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Map one unit-scaled image."""
        parts = [mapper.map(image, modality, progress=progress) for mapper in self._mappers]
        valid = np.logical_and.reduce([part.valid for part in parts])
        return Image(np.concatenate([part.channels for part in parts]), valid)


def mapper_by_name(name: str) -> Mapper:
    """Build a mapper, or several side by side: ``structure``, ``default``, a bundle's folder, ``structure+default``.

    Raises:
        ConfigError: No mapper and no bundle has this name.
        ModelError: A bundle is damaged.
    """
    mappers = [build_mapper(Path(part) if Path(part).is_dir() else part) for part in name.split("+")]
    return mappers[0] if len(mappers) == 1 else SideBySide(mappers)
