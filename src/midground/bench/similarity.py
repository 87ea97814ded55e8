"""The paper's table 1: how alike the two images of a pair are.

Source:
    Paper, section 4.6, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64

from midground.bench.published import N_PAIRS, Similarity, published
from midground.bench.rows import IN_BRACKETS, averaged
from midground.bench.tables import Cell, Column, Row, Table
from midground.core.image import Image
from midground.core.metrics import Summary, mean_of_defined, psnr, rmse, ssim
from midground.core.progress import Progress, silent
from midground.core.radiometry import Scaling, to_unit
from midground.datasets.base import Pair, PairSource
from midground.datasets.percentiles import ValueCounts
from midground.errors import InputError
from midground.modality.base import Mapper
from midground.modality.structure import GreyMapper

LOW_CONTRAST = "ours-1"
"""The paper's row of criterion (3), whose images have so little contrast that it scales them before it compares."""
_COLUMNS = (
    Column(head="RMSE", digits=2, better="lower"),
    Column(head="PSNR, dB", digits=2, better="higher"),
    Column(head="SSIM", digits=2, better="higher"),
)
_LIMITS = Scaling()
"""Percentiles 0.5 and 99.5 (section 4.1)."""


def similarity_table(mappers: Mapping[str, Mapper], pairs: PairSource, progress: Progress = silent) -> Table:
    """Likeness of the images as each mapper makes them.

    As in the paper, images of ``none`` and ``ours-1`` are scaled between percentiles of all their pixels first.

    Args:
        mappers: By the name of the row.
        pairs: Unit-scaled pairs.
        progress: Told after every pair.
    """
    rows = []
    for name, mapper in mappers.items():
        is_scaled = name == LOW_CONTRAST or isinstance(mapper, GreyMapper)
        found = similarity(mapper, pairs, is_scaled=is_scaled, progress=progress)
        rows.append(Row((name,), tuple(map(averaged, found)), len(pairs)))
    title = (
        f"Likeness of the two images of a pair, {len(pairs)} pairs: mean; (n): over n of them. {IN_BRACKETS}. none: "
        f"the optical bands against the first SAR band repeated. none and {LOW_CONTRAST}: scaled between percentiles "
        f"{_LIMITS.low:g} and {_LIMITS.high:g} of all pixels."
    )
    return Table(title, ("transformation",), _COLUMNS, tuple(rows))


def published_similarity() -> Table:
    """The paper's table 1 itself."""

    def row(one: Similarity) -> Row:
        return Row((one.model,), (Cell(one.rmse), Cell(one.psnr_db), Cell(one.ssim)), N_PAIRS)

    title = f"Published: likeness of the two images of a pair, MultiSenGE, {N_PAIRS:,} pairs."
    return Table(title, ("transformation",), _COLUMNS, tuple(map(row, published().similarity)))


def similarity(
    mapper: Mapper, pairs: PairSource, *, is_scaled: bool, progress: Progress = silent
) -> tuple[Summary, Summary, Summary]:
    """RMSE, PSNR (dB) and SSIM of the two mapped images, over the pairs for which they are defined.

    Args:
        mapper: What maps; for one that takes the grey, the optical bands are compared with the first SAR band repeated.
        pairs: Unit-scaled pairs.
        is_scaled: Whether the images of each modality are scaled between percentiles of all their pixels first.
        progress: Told after every pair.

    Raises:
        InputError: No pixel of a modality holds data.
    """
    limits = _limits(mapper, pairs, progress) if is_scaled else None
    rows = []
    for index in range(len(pairs)):
        images = _compared(mapper, pairs.read(index))
        if limits is not None:
            images = tuple(
                to_unit(image, _of_channels(image, pair)) for image, pair in zip(images, limits, strict=True)
            )
        sar, optical = images
        both = (sar.channels, optical.channels, sar.valid & optical.valid)
        rows.append((rmse(*both), psnr(*both), ssim(*both)))
        progress("likeness of pairs", index + 1, len(pairs))
    first, second, third = (mean_of_defined(column) for column in zip(*rows, strict=True))
    return first, second, third


def _compared(mapper: Mapper, pair: Pair) -> tuple[Image, ...]:
    """SAR and optical image as the paper compares them."""
    if isinstance(mapper, GreyMapper):
        repeated = np.repeat(pair.sar.channels[:1], pair.optical.n_channels, axis=0)
        return Image(repeated, pair.sar.valid), pair.optical
    return mapper.map(pair.sar, "sar"), mapper.map(pair.optical, "optical")


def _limits(mapper: Mapper, pairs: PairSource, progress: Progress) -> Float64[np.ndarray, "2 2"]:
    """Percentiles of all pixels of all pairs; a row for each modality (section 4.1)."""
    counts = (ValueCounts("float32"), ValueCounts("float32"))
    for index in range(len(pairs)):
        for counted, image in zip(counts, _compared(mapper, pairs.read(index)), strict=True):
            counted.add(image.channels[:, image.valid].ravel())
        progress("range of values", index + 1, len(pairs))
    if min(counted.n for counted in counts) == 0:
        raise InputError("No pixel of the pairs holds data, so nothing can be compared.")
    return np.array([[one.percentile(_LIMITS.low), one.percentile(_LIMITS.high)] for one in counts])


def _of_channels(image: Image, limits: Float64[np.ndarray, " 2"]) -> Float64[np.ndarray, "c 2"]:
    return np.tile(limits, (image.n_channels, 1))
