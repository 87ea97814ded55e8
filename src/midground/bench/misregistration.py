"""How well the pairs of a collection are aligned themselves: the floor under every error that is measured on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from midground.core.progress import Progress, silent
from midground.core.transforms import Transform
from midground.datasets.base import PairSource
from midground.evaluation.windows import window_shifts_px
from midground.modality.structure import StructureMapper

SEARCH_PX = 16
_WINDOW_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Misregistration:
    """Shift of each pair as one large window finds it; errors of finding it are in it."""

    shifts_px: Float64[np.ndarray, "n 2"]
    """From where the place should be to where it was found, (x, y); infinite without data."""

    def __str__(self) -> str:
        lengths = np.linalg.norm(self.shifts_px, axis=1)
        shares = ", ".join(f"{(lengths <= limit).mean():.0%} within {limit:g} px" for limit in (1, 2, 3))
        return (
            f"They are aligned to a median of {np.median(lengths):.1f} px ({shares}), as far as one large window of "
            f"oriented gradients tells, searched within ±{SEARCH_PX} px; what it finds wrongly is in these numbers."
        )


def estimate_misregistration(pairs: PairSource, *, progress: Progress = silent) -> Misregistration:
    """Search the middle of each SAR image in its optical image, by oriented gradients.

    Args:
        pairs: Unit-scaled pairs.
        progress: Told after every pair.
    """
    mapper, shifts = StructureMapper(), []
    for index in range(len(pairs)):
        pair = pairs.read(index)
        found = window_shifts_px(
            mapper.map(pair.sar, "sar"),
            mapper.map(pair.optical, "optical"),
            Transform.identity(),
            window_px=max(8, int(_WINDOW_SHARE * min(pair.sar.hw))),
            search_px=SEARCH_PX,
        )
        shifts.append(found[0])
        progress("alignment of the pairs", index + 1, len(pairs))
    return Misregistration(np.array(shifts, np.float64))
