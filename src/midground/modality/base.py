"""What a mapper is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args, runtime_checkable

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.radiometry import Scaling

Modality = Literal["sar", "optical"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What a mapper wants to be given for one modality."""

    bands: tuple[str, ...]
    """Band names in order, or ("any",): the first band, whatever it is called."""
    scaling: Scaling = field(default_factory=Scaling)
    """How raw values (decibels for SAR) become 0 to 1."""


@runtime_checkable
class Mapper(Protocol):
    """Maps both modalities into one space with a fixed number of channels.

    Input channels lie between 0 and 1 and follow ``inputs[modality]``; output has the same height, width and mask.
    """

    @property
    def name(self) -> str:
        """Name in the table of mappers, or of the bundle."""
        ...

    @property
    def inputs(self) -> dict[Modality, InputSpec]:
        """What each modality's input must hold."""
        ...

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance the mapper was made for, m; None if it suits any."""
        ...

    @property
    def sha256(self) -> str | None:
        """Digest of the model's files; None for a mapper without a model."""
        ...

    def map(self, image: Image, modality: Modality, *, progress: Progress = silent) -> Image:
        """Map one unit-scaled image."""
        ...
