"""satalign: phase correlation (``PCC``) of gradients, images / 255, translations of up to 3 times the largest shift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import satalign.pcc

if TYPE_CHECKING:
    from run import Pair


def register(pair: Pair) -> np.ndarray:
    """The shift; satalign's warning that it has none, after which it returns the identity, is a failure."""
    moving = np.repeat(pair.moving[None], 3, axis=0).astype(np.float32) / 255
    task = satalign.pcc.PCC(
        datacube=moving[None],
        reference=pair.fixed.astype(np.float32) / 255,
        channel="gradients",
        max_translations=3 * pair.max_shift_px,
    )
    _, matrices = task.run()
    if task.warning_status:
        raise RuntimeError("satalign warns that it found no plausible shift")
    return np.vstack([matrices[0], [0, 0, 1]])
