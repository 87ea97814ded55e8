"""Which descriptor of one image belongs to which of the other.

Similarities are computed in blocks of rows, so memory grows with the number of descriptors of one image, not with
the product of both: 4096 against 4096 descriptors need about 50 MB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

_BLOCK_ROWS = 512


@dataclass(frozen=True, slots=True)
class DescriptorMatches:
    """Pairs of rows, ordered by ``moving_index``; no row appears twice."""

    moving_index: Int64[np.ndarray, " n"]
    fixed_index: Int64[np.ndarray, " n"]
    distance: Float64[np.ndarray, " n"]
    """Euclidean distance of the two descriptors."""
    confidence: Float64[np.ndarray, " n"]
    """Between 0 and 1; what it measures is stated by the function that made it."""

    @classmethod
    def empty(cls) -> DescriptorMatches:
        """No matches."""
        index = np.zeros(0, dtype=np.int64)
        return cls(index, index, np.zeros(0), np.zeros(0))


def mutual_nearest(
    moving: Float32[np.ndarray, "m d"], fixed: Float32[np.ndarray, "k d"], *, ratio: float | None = None
) -> DescriptorMatches:
    """Pair descriptors that are each other's nearest neighbour.

    The confidence is one minus the ratio of the distances to the nearest and to the second-nearest fixed descriptor:
    0 where nothing tells the two apart, or where there is no second one. Of equally near ones the first is taken.

    Args:
        moving: One descriptor per row.
        fixed: One descriptor per row.
        ratio: Keep a pair only if the nearest distance is less than ``ratio`` times the second-nearest (Lowe's test).
            A lone fixed descriptor has no second-nearest, so it cannot pass. No test if omitted.
    """
    if 0 in (len(moving), len(fixed)):
        return DescriptorMatches.empty()
    nearest, second, nearest_back = _neighbours(moving, fixed)
    rows = np.arange(len(moving))
    kept = rows[nearest_back[nearest] == rows]
    distance = _distances(moving, fixed, kept, nearest[kept])
    quotient = np.ones(len(kept))
    if len(fixed) > 1:
        runner_up = _distances(moving, fixed, kept, second[kept])
        np.divide(distance, runner_up, out=quotient, where=runner_up > 0)
    quotient = np.minimum(quotient, 1.0)
    passed = quotient < ratio if ratio is not None else np.ones(len(kept), dtype=bool)
    if ratio is not None and len(fixed) == 1:
        passed[:] = False
    kept = kept[passed]
    return DescriptorMatches(kept, nearest[kept], distance[passed], 1.0 - quotient[passed])


def dual_softmax(
    moving: Float32[np.ndarray, "m d"],
    fixed: Float32[np.ndarray, "k d"],
    *,
    inverse_temperature: float = 20.0,
    min_confidence: float = 0.01,
) -> DescriptorMatches:
    """Pair descriptors by the product of two softmaxes, over the rows and over the columns of their similarities.

    The confidence is ``softmax_fixed(t * s) * softmax_moving(t * s)`` with the scalar products ``s``: the share that
    a pair holds among all partners of its one descriptor, times that among all partners of the other. A pair is kept
    if it holds the largest product of its row and of its column.

    Args:
        moving: One descriptor of unit length per row.
        fixed: One descriptor of unit length per row.
        inverse_temperature: ``t``, positive; larger is more selective.
        min_confidence: Smallest confidence kept, 0 to 1.
    """
    if 0 in (len(moving), len(fixed)):
        return DescriptorMatches.empty()
    row_norm, column_norm = _log_norms(moving, fixed, inverse_temperature)
    best = np.zeros(len(moving), dtype=np.int64)
    log_confidence = np.zeros(len(moving))
    best_back = np.zeros(len(fixed), dtype=np.int64)
    column_best = np.full(len(fixed), -np.inf)
    for rows in _blocks(len(moving)):
        product = 2 * inverse_temperature * _scalar_products(moving[rows], fixed)
        product -= row_norm[rows, None] + column_norm
        best[rows] = product.argmax(axis=1)
        log_confidence[rows] = product.max(axis=1)
        _take_better(product, rows.start, column_best, best_back)
    indices = np.arange(len(moving))
    confidence = np.minimum(np.exp(log_confidence), 1.0)
    kept = indices[(best_back[best] == indices) & (confidence >= min_confidence)]
    return DescriptorMatches(kept, best[kept], _distances(moving, fixed, kept, best[kept]), confidence[kept])


def _neighbours(
    moving: np.ndarray, fixed: np.ndarray
) -> tuple[Int64[np.ndarray, " m"], Int64[np.ndarray, " m"], Int64[np.ndarray, " k"]]:
    """Nearest and second-nearest fixed row of each moving row, and nearest moving row of each fixed row."""
    nearest = np.zeros(len(moving), dtype=np.int64)
    second = np.zeros(len(moving), dtype=np.int64)
    nearest_back = np.zeros(len(fixed), dtype=np.int64)
    column_best = np.full(len(fixed), -np.inf)
    half_square_moving, half_square_fixed = ((rows.astype(np.float64) ** 2).sum(axis=1) / 2 for rows in (moving, fixed))
    for rows in _blocks(len(moving)):
        closeness = _scalar_products(moving[rows], fixed) - half_square_fixed - half_square_moving[rows, None]
        _take_better(closeness, rows.start, column_best, nearest_back)
        nearest[rows] = closeness.argmax(axis=1)
        closeness[np.arange(len(closeness)), nearest[rows]] = -np.inf
        second[rows] = closeness.argmax(axis=1)
    return nearest, second, nearest_back


def _log_norms(moving: np.ndarray, fixed: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the sums of ``exp(factor * s)`` over each row and over each column."""
    row_norm = np.zeros(len(moving))
    column_norm = np.full(len(fixed), -np.inf)
    for rows in _blocks(len(moving)):
        scaled = factor * _scalar_products(moving[rows], fixed)
        row_norm[rows] = _log_sum_exp(scaled, axis=1)
        column_norm = np.logaddexp(column_norm, _log_sum_exp(scaled, axis=0))
    return row_norm, column_norm


def _log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    peak = values.max(axis=axis, keepdims=True)
    total: np.ndarray = np.log(np.exp(values - peak).sum(axis=axis)) + peak.squeeze(axis)
    return total


def _take_better(block: np.ndarray, first_row: int, best: np.ndarray, best_row: np.ndarray) -> None:
    """Update the best value and its row for each column with a further block of rows."""
    row = block.argmax(axis=0)
    value = block[row, np.arange(block.shape[1])]
    better = value > best
    best[better] = value[better]
    best_row[better] = first_row + row[better]


def _scalar_products(moving: np.ndarray, fixed: np.ndarray) -> Float64[np.ndarray, "r k"]:
    return (moving @ fixed.T).astype(np.float64)


def _distances(
    moving: np.ndarray, fixed: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> Float64[np.ndarray, " n"]:
    difference = moving[rows].astype(np.float64) - fixed[columns]
    distances: np.ndarray = np.sqrt((difference**2).sum(axis=1))
    return distances


def _blocks(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _BLOCK_ROWS):
        yield slice(start, min(start + _BLOCK_ROWS, n_rows))
