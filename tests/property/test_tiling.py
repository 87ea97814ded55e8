"""Windows of any scene: cores partition it exactly, weights sum to 1."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from midground.core.tiling import feather, spans, windows

SIDES = st.integers(1, 40)


@given(height=SIDES, width=SIDES, core_px=st.integers(1, 50), halo_px=st.integers(0, 30))
def test_cores_partition_the_scene(height: int, width: int, core_px: int, halo_px: int) -> None:
    count = np.zeros((height, width), int)
    for window in windows((height, width), core_px, halo_px):
        count[window.core] += 1
        for span, size in ((window.rows, height), (window.columns, width)):
            assert 1 <= span.stop - span.start <= core_px
            assert span.outer_start == max(0, span.start - halo_px)
            assert span.outer_stop == min(size, span.stop + halo_px)
    assert (count == 1).all()


@given(n_units=st.integers(1, 40), core_units=st.integers(1, 12), multiple_px=st.integers(1, 32))
def test_cores_keep_to_multiples(n_units: int, core_units: int, multiple_px: int) -> None:
    found = spans(n_units * multiple_px, core_units * multiple_px, 0, multiple_px=multiple_px)
    assert all(span.start % multiple_px == 0 and span.stop % multiple_px == 0 for span in found)
    assert max(span.stop - span.start for span in found) <= core_units * multiple_px


@given(height=SIDES, width=SIDES, core_px=st.integers(1, 50), halo_px=st.integers(0, 30), data=st.data())
def test_weights_sum_to_one(height: int, width: int, core_px: int, halo_px: int, data: st.DataObject) -> None:
    cut = windows((height, width), core_px, halo_px)
    smallest = min(min(span.stop - span.start for span in (window.rows, window.columns)) for window in cut)
    ramp_px = data.draw(st.integers(0, min(halo_px, smallest // 2)))
    total = np.zeros((height, width))
    for window in cut:
        weights = feather(window, (height, width), ramp_px)
        assert weights.min() >= 0
        total[window.outer] += weights
    assert np.allclose(total, 1, atol=1e-6)
