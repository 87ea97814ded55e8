"""What every step of one registration needs: the inputs, the mappers, the settings, the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from midground.core.progress import Progress
from midground.modality.base import InputSpec, Mapper, Modality
from midground.modality.mappers import build_mapper
from midground.modality.structure import StructureMapper
from midground.registration.config import RegisterConfig
from midground.registration.inputs import Source


@dataclass
class Stopwatch:
    """Adds up the seconds of named stages."""

    seconds: dict[str, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start

    def total(self) -> dict[str, float]:
        """All stages, and the time since the beginning."""
        rounded = {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}
        return {**rounded, "total": round(time.perf_counter() - self._start, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One registration."""

    fixed: Source
    moving: Source
    mappers: tuple[Mapper, ...]
    """The lead first, then the independent witness."""
    config: RegisterConfig
    watch: Stopwatch
    progress: Progress


def build_mappers(config: RegisterConfig) -> tuple[Mapper, ...]:
    """The lead first, then the independent witness."""
    if config.model in (None, "none", "structure"):
        return (StructureMapper(),)
    structure, learned = StructureMapper(), build_mapper(config.model)
    return (structure, learned) if config.lead == "structure" else (learned, structure)


def band_wishes(mappers: tuple[Mapper, ...]) -> dict[Modality, InputSpec]:
    """Bands to read: those of the learned model if there is one, since the other mappers take any."""
    return dict(most_particular(mappers).inputs)


def most_particular(mappers: Sequence[Mapper]) -> Mapper:
    """The learned mapper, which wants certain bands, or the first if there is none."""
    return next((mapper for mapper in mappers if mapper.sha256 is not None), mappers[0])
