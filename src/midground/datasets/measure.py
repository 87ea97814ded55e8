"""Limits of a whole dataset, from every pixel of it: one pair of percentiles for SAR and one for optical."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from midground.core.image import Image
from midground.core.progress import Progress, silent
from midground.core.radiometry import SarScale, Scaling, to_log_scale
from midground.datasets.files import FilePairs
from midground.datasets.percentiles import ValueCounts
from midground.datasets.processes import in_chunks
from midground.datasets.radiometry import Radiometry, estimate_radiometry
from midground.errors import InputError

_EIGHT_BIT = Scaling("fixed", 0.0, 255.0)
_PERCENTILES = Scaling()


def measure_limits(
    source: FilePairs, *, sar_scale: SarScale | None = None, n_workers: int = 1, progress: Progress = silent
) -> Radiometry:
    """Measure the percentiles 0.5 and 99.5 of each modality over all pixels and all of its bands.

    Unlike :func:`estimate_radiometry`, which looks at a sample and takes each band by itself, so that it can be done at
    every start, this reads everything once. SAR values that are linear and not positive hold no signal: they do not
    count, and become the lower limit. Modalities in 8 bits are not measured: they have the limits 0 and 255.

    Source: paper, section 4.1.

    Args:
        source: The dataset, with the bands that are wanted.
        sar_scale: What the SAR values are; guessed from a sample if omitted.
        n_workers: Number of processes.
        progress: Told while pixels are read.

    Raises:
        InputError: A pair cannot be read, or a modality holds no value that counts.
    """
    rough = estimate_radiometry(
        source, sar_scale=sar_scale, sar_scaling=_EIGHT_BIT, optical_scaling=_EIGHT_BIT, progress=progress
    )
    is_sar_measured = rough.sar_scale != "8bit"
    is_optical_measured = source.optical_profile.dtype != "uint8"
    if not is_sar_measured and not is_optical_measured:
        return rough
    sar, optical = ValueCounts("float32"), ValueCounts(source.optical_profile.dtype)
    work = partial(_count, scale=rough.sar_scale)
    for chunk in in_chunks(work, source, n_workers=n_workers, stage="measuring values", progress=progress):
        sar.merge(chunk[0])
        optical.merge(chunk[1])
    if is_sar_measured:
        low, high = _limits(sar, "SAR")
        factor = {"power": 10, "amplitude": 20}.get(rough.sar_scale)
        floor = None if factor is None else 10 ** (low / factor)
        rough = replace(rough, sar_floor=floor, sar_limits=((low, high),) * len(rough.sar_limits))
    if is_optical_measured:
        rough = replace(rough, optical_limits=(_limits(optical, "optical"),) * len(rough.optical_limits))
    return rough


def _count(source: FilePairs, indices: Sequence[int], *, scale: SarScale) -> tuple[ValueCounts, ValueCounts]:
    sar, optical = ValueCounts("float32"), ValueCounts(source.optical_profile.dtype)
    for index in indices:
        pair = source.read(index)
        optical.add(pair.optical.channels[:, pair.optical.valid].ravel())
        values = pair.sar.channels[:, pair.sar.valid].ravel()
        if scale in ("power", "amplitude"):
            values = values[values > 0]
        if values.size:
            row = Image(values[None, None], np.ones((1, values.size), bool))
            sar.add(to_log_scale(row, scale).channels.ravel())
    return sar, optical


def _limits(counts: ValueCounts, modality: str) -> tuple[float, float]:
    if counts.n == 0:
        raise InputError(f"No pixel of the {modality} images holds a value that counts; choose another sar_scale.")
    return counts.percentile(_PERCENTILES.low), counts.percentile(_PERCENTILES.high)
