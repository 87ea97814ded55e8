"""Windows: where cores and margins lie, and how weights fade."""

import numpy as np
import pytest

from midground.core.tiling import Span, feather, spans, windows
from midground.errors import ConfigError


def test_cores_are_of_nearly_equal_length() -> None:
    assert spans(1000, 512, 10) == [Span(0, 500, 0, 510), Span(500, 1000, 490, 1000)]


def test_cores_start_at_multiples() -> None:
    assert [span.start for span in spans(1024, 384, 0, multiple_px=32)] == [0, 320, 672]


def test_one_core_covers_a_small_axis() -> None:
    assert spans(100, 512, 64) == [Span(0, 100, 0, 100)]


def test_slices_find_the_core_in_the_scene_and_in_the_window() -> None:
    scene = np.arange(60 * 40).reshape(60, 40)
    for window in windows((60, 40), 25, 6):
        assert np.array_equal(scene[window.outer][window.core_inside], scene[window.core])


def test_weights_fade_linearly_over_the_ramp() -> None:
    left, right = windows((1, 20), 10, 4)
    assert feather(left, (1, 20), 2)[0] == pytest.approx([1] * 8 + [0.875, 0.625, 0.375, 0.125, 0, 0])
    assert feather(right, (1, 20), 2)[0] == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875] + [1] * 8)


def test_no_ramp_cuts_at_the_border_of_the_core() -> None:
    window = windows((8, 8), 4, 2)[0]
    weights = feather(window, (8, 8), 0)
    assert weights[window.core_inside].min() == 1
    assert weights.sum() == 16


@pytest.mark.parametrize(
    ("size_px", "core_px", "halo_px", "multiple_px"),
    [(0, 4, 1, 1), (8, 0, 1, 1), (8, 4, -1, 1), (9, 4, 1, 4), (8, 5, 1, 4)],
)
def test_impossible_windows_are_refused(size_px: int, core_px: int, halo_px: int, multiple_px: int) -> None:
    with pytest.raises(ConfigError, match="positive multiples"):
        spans(size_px, core_px, halo_px, multiple_px=multiple_px)
