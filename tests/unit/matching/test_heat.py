import numpy as np

from midground.matching.heat import heat_peaks


def heat_with(*peaks_xy: tuple[int, int], hw=(20, 30)) -> np.ndarray:
    heat = np.full(hw, 0.01, np.float32)
    for index, (x, y) in enumerate(peaks_xy):
        heat[y, x] = 0.5 + 0.1 * index
    return heat


def found(heat: np.ndarray, valid: np.ndarray | None = None, **settings: float) -> set[tuple[int, int]]:
    valid = np.ones(heat.shape, bool) if valid is None else valid
    return {(int(x), int(y)) for x, y in heat_peaks(heat, valid, **settings)}


def test_peaks_are_columns_and_rows():
    assert found(heat_with((7, 3), (21, 12)), min_heat=0.1) == {(7, 3), (21, 12)}


def test_of_two_within_two_pixels_the_hotter_one_counts():
    assert found(heat_with((7, 5), (9, 7), (12, 5)), min_heat=0.1) == {(9, 7), (12, 5)}


def test_a_peak_must_exceed_the_least_heat():
    assert found(heat_with((7, 5), (21, 12)), min_heat=0.55) == {(21, 12)}
    assert found(heat_with((7, 5)), min_heat=0.5) == set()


def test_no_peak_at_the_edge():
    inside = [(2, 2), (27, 17)]
    assert found(heat_with((1, 10), (28, 10), (15, 1), (15, 18), *inside), min_heat=0.1) == set(inside)


def test_no_peak_beside_ground_without_data():
    valid = np.ones((20, 30), bool)
    valid[:, 15:] = False
    assert found(heat_with((8, 5), (13, 12), (20, 5)), valid, min_heat=0.1) == {(8, 5)}


def test_no_peak_in_a_tiny_image():
    assert found(np.ones((1, 1), np.float32)) == set()
