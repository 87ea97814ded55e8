"""Misregistration of training pairs, found with a model and corrected.

Real pairs are off by up to several pixels, scene by scene. A criterion that compares pixels learns the blur between
them; one that compares places learns the wrong place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from midground.core.progress import Progress, silent
from midground.datasets.base import PairSource
from midground.evaluation.frames import map_in_frame
from midground.matching.correlation import find_peak, shift_surface
from midground.modality.base import Mapper
from midground.training.config import RealignConfig
from midground.training.sampling import Alignment

_FRAME_SHIFT_PX = 24


@dataclass(frozen=True, slots=True)
class Realignment:
    """Shifts of the pairs of a collection."""

    shifts_xy: Alignment
    """By name: shift (x, y) from an optical pixel to the SAR pixel of the same place, px; None: the pair is dropped."""
    n_undecided: int
    """Pairs whose peak is neither clear nor absent: they are left as they are."""

    @property
    def n_dropped(self) -> int:
        """Pairs that match nowhere."""
        return sum(shift is None for shift in self.shifts_xy.values())

    def __str__(self) -> str:
        moved = [shift for shift in self.shifts_xy.values() if shift is not None]
        lengths = np.hypot(*np.array(moved).T) if moved else np.zeros(1)
        return (
            f"{len(moved)} pairs confident, off by {np.median(lengths):.1f} px (median) and {lengths.max():.1f} px at "
            f"most; {self.n_undecided} undecided, left as they are; {self.n_dropped} dropped"
        )


def realign(mapper: Mapper, pairs: PairSource, config: RealignConfig, *, progress: Progress = silent) -> Realignment:
    """Correlate both whole images of every pair in the shared modality.

    Args:
        mapper: The current model.
        pairs: Unit-scaled pairs.
        config: How far to search, and how clear a peak must be.
        progress: Told after every pair.
    """
    shifts: dict[str, tuple[int, int] | None] = {}
    n_undecided = 0
    for index, name in enumerate(pairs.names):
        pair = pairs.read(index)
        sar = map_in_frame(mapper, pair.sar, index, _FRAME_SHIFT_PX)
        surface = shift_surface(sar, mapper.map(pair.optical, "optical"), config.search_px)
        peak = find_peak(surface)
        if peak.at_edge or peak.ratio < config.drop_peak_ratio:
            shifts[name] = None
        elif peak.ratio >= config.min_peak_ratio:
            # The surface tells how SAR pixels come to optical ones.
            shifts[name] = (config.search_px - round(peak.x), config.search_px - round(peak.y))
        else:
            n_undecided += 1
        progress("realigning pairs", index + 1, len(pairs))
    return Realignment(shifts, n_undecided)
