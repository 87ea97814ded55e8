from __future__ import annotations

import numpy as np
import pytest

from midground.datasets.percentiles import ValueCounts

PERCENTS = (0.0, 0.5, 37.0, 50.0, 99.5, 100.0)


def counted(values: np.ndarray, dtype: str, n_parts: int = 7) -> ValueCounts:
    counts = ValueCounts(dtype)
    for part in np.array_split(values.astype(np.float32), n_parts):
        other = ValueCounts(dtype)
        other.add(part)
        counts.merge(other)
    return counts


@pytest.mark.parametrize(
    ("dtype", "low", "high", "n"),
    [("uint8", 0, 256, 10), ("uint16", 0, 65_536, 100_001), ("int16", -32_768, 32_768, 5003), ("int8", -128, 128, 1)],
)
def test_integers_are_exact(dtype, low, high, n):
    values = np.random.default_rng(1).integers(low, high, n)
    counts = counted(values, dtype)

    assert counts.n == n
    np.testing.assert_allclose([counts.percentile(p) for p in PERCENTS], np.percentile(values, PERCENTS), rtol=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).normal(-14, 5, 200_000),
        np.random.default_rng(3).exponential(1e-3, 100_000),
        np.random.default_rng(4).normal(0, 3e4, 100_000),
        np.full(3, -2.5),
    ],
    ids=["decibels", "power", "both signs", "constant"],
)
def test_floats_are_within_a_small_share_of_the_value(values):
    counts = counted(values, "float32")
    exact = np.percentile(values, PERCENTS)

    # Half a bin is 1/4096 of the value; ranks next to each other may lie a little apart where values are rare.
    np.testing.assert_allclose(
        [counts.percentile(p) for p in PERCENTS], exact, rtol=1.01 / 4096, atol=2e-5 * values.std()
    )


def test_zero_is_zero():
    assert counted(np.zeros(5), "float32").percentile(50) == pytest.approx(0, abs=1e-40)
    assert counted(np.array([-1.0, 0.0, 1.0]), "float32").percentile(50) == pytest.approx(0, abs=1e-40)


def test_nothing_counted_changes_nothing():
    counts = counted(np.array([4.0, 6.0]), "uint8", n_parts=1)
    counts.add(np.zeros(0, np.float32))
    assert (counts.n, counts.percentile(50)) == (2, 5.0)
