"""Reading every pixel of a collection, to find everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from midground.core.progress import Progress, silent
from midground.datasets.base import PixelWindow, RawPairs
from midground.errors import InputError

_STRIP_PX = 1 << 22
_REPEATED_WITHIN = 1.0
"""So close, in 8-bit values, lossy compression leaves the bands of a grey image that was saved as colour."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What reading all of a collection brought to light."""

    problems: tuple[str, ...]
    """What has to be mended, a sentence each."""
    hints: tuple[str, ...]
    """What may be wanted as it is, a sentence each."""


def check(source: RawPairs, *, progress: Progress = silent) -> Findings:
    """Read all pairs and say what is wrong with each; a bad one does not keep the others from being read.

    Large scenes are read in strips.

    Args:
        source: The collection.
        progress: Told after every pair.
    """
    problems: list[str] = []
    is_sar_repeated = source.sar_profile.dtype == "uint8" and len(source.sar_profile.bands) > 1
    for index, name in enumerate(source.names):
        found = _Found()
        try:
            for window in _strips(source.hw(index)):
                found.add(source, index, window)
        except InputError as error:
            problems.append(str(error))
        else:
            problems += found.problems(name)
            is_sar_repeated &= found.is_sar_repeated
        progress("checking pairs", index + 1, len(source))
    hint = "The SAR images are grey, saved as colour: 'bands_sar: [1]' reads them as one band."
    return Findings(tuple(problems), (hint,) if is_sar_repeated else ())


class _Found:
    """What the strips of one pair hold."""

    def __init__(self) -> None:
        self._has_data = {"SAR": False, "optical": False}
        self._has_both = False
        self.is_sar_repeated = True

    def add(self, source: RawPairs, index: int, window: PixelWindow) -> None:
        pair = source.read(index, window)
        self._has_data["SAR"] |= bool(pair.sar.valid.any())
        self._has_data["optical"] |= bool(pair.optical.valid.any())
        self._has_both |= bool((pair.sar.valid & pair.optical.valid).any())
        differences = np.abs(pair.sar.channels[1:] - pair.sar.channels[:1])
        self.is_sar_repeated &= bool((differences <= _REPEATED_WITHIN).all())

    def problems(self, name: str) -> Iterator[str]:
        empty = [modality for modality, has_data in self._has_data.items() if not has_data]
        for modality in empty:
            yield f"Pair '{name}': no pixel of the {modality} image holds data; exclude the pair."
        if not empty and not self._has_both:
            yield f"Pair '{name}': no pixel holds data in both images; exclude the pair."


def _strips(hw: tuple[int, int]) -> Iterator[PixelWindow]:
    height, width = hw
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        yield PixelWindow(top, 0, min(rows, height - top), width)
