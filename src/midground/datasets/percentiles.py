"""Percentiles of more values than memory holds: counts of values as they come, and ranks among them afterwards."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int64

_DROPPED_BITS = 12
"""Of the 32 bits of a float. The 11 bits of the fraction that are kept tell values 1/2048 of their size apart."""
_SIGN = np.uint32(1 << 31)


class ValueCounts:
    """How often each value was seen: exactly for integers of 8 and 16 bits, else to 1/4096 of the value.

    Floats are counted in bins of equal leading bits. Flipped so that they sort as the floats do, these make a histogram
    that is as fine as the values are small, whatever their range, and takes at most 8 MB.

    Args:
        dtype: Type of the values in the files.
    """

    def __init__(self, dtype: str) -> None:
        kind = np.dtype(dtype)
        self._is_exact = kind.kind in "iu" and kind.itemsize <= 2
        self._low = int(np.iinfo(kind).min) if self._is_exact else 0
        size = 1 << (8 * kind.itemsize if self._is_exact else 32 - _DROPPED_BITS)
        self._counts: Int64[np.ndarray, " bins"] = np.zeros(size, np.int64)

    @property
    def n(self) -> int:
        """Number of values."""
        return int(self._counts.sum())

    def add(self, values: Float32[np.ndarray, " n"]) -> None:
        """Count finite values; of an integer type, they are whole."""
        if values.size == 0:
            return
        bins = self._bins(values)
        first = int(bins.min())
        counts = np.bincount(bins - first)
        self._counts[first : first + counts.size] += counts

    def merge(self, other: ValueCounts) -> None:
        """Add what another counter of the same type has seen."""
        self._counts += other._counts

    def percentile(self, percent: float) -> float:
        """The value below which a share lies, between two values linearly, as NumPy's default has it.

        Args:
            percent: Between 0 and 100; at least one value must have been counted.
        """
        totals = np.cumsum(self._counts)
        rank = percent / 100 * (int(totals[-1]) - 1)
        below, above = (self._value(int(np.searchsorted(totals, int(at), "right"))) for at in (rank, np.ceil(rank)))
        return below + (above - below) * (rank - int(rank))

    def _bins(self, values: Float32[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        if self._is_exact:
            return values.astype(np.int64) - self._low
        bits = values.view(np.uint32)
        ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN)
        return (ordered >> _DROPPED_BITS).astype(np.int64)

    def _value(self, number: int) -> float:
        """The value that a bin stands for: the middle of it, if it has a width."""
        if self._is_exact:
            return float(number + self._low)
        ordered = np.array([(number << _DROPPED_BITS) | (1 << (_DROPPED_BITS - 1))], np.uint32)
        return float(np.where(ordered & _SIGN, ordered ^ _SIGN, ~ordered).view(np.float32)[0])
