from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from midground.report import charts


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (0, 10, 5, [0, 2, 4, 6, 8, 10]),
        (-1.2, 1.2, 4, [-1, 0, 1]),
        (0, 1024, 6, [0, 200, 400, 600, 800, 1000]),
        (0, 0.3, 3, [0, 0.1, 0.2, 0.3]),
    ],
)
def test_ticks_are_round(low, high, n, expected):
    assert charts.ticks(low, high, n=n) == pytest.approx(expected)


def test_tick_labels():
    assert charts.number(-0.5) == "−0.5"
    assert charts.number(1000.0) == "1000"


def test_histogram_holds_every_value():
    values = np.array([-9.0, -0.5, 0.0, 0.1, 0.6, 40.0])
    chart = charts.histogram(values, limits=(-1.0, 1.0), x_label="dx <px>", held_out=values, markers=(("CE90", 0.5),))
    root = ET.fromstring(chart)
    assert len(root.findall(".//rect[@class='bar']")) == 6
    assert root.find(".//path[@class='held']") is not None
    assert "CE90" in "".join(root.itertext())
    assert "dx <px>" in "".join(root.itertext())


def test_trend_draws_a_median_where_there_are_enough_points():
    positions = np.linspace(0, 99, 100)
    chart = charts.trend(positions, positions / 50 - 1, x_limits=(0, 100), y_limit=0.5, labels=("row, px", "dx, px"))
    root = ET.fromstring(chart)
    assert root.find(".//path[@class='median']").get("d").count("L") == 9
    few = charts.trend(positions[:5], positions[:5], x_limits=(0, 100), y_limit=0.5, labels=("row, px", "dx, px"))
    assert ET.fromstring(few).find(".//path[@class='median']") is None


def test_map_tells_used_points_from_others():
    points_xy = np.array([[10.0, 10.0], [20.0, 20.0], [30.0, 30.0]])
    drawing = charts.tie_point_map(
        points_xy, np.ones((3, 2)), np.array([True, False, True]), ["a<b", "left out", ""], (50, 60)
    )
    root = ET.fromstring(drawing)
    assert root.get("viewBox") == "0 0 60 50"
    assert len(root.findall("path[@class='point']")) == 2
    assert len(root.findall("path[@class='vector']")) == 2
    assert len(root.findall("path[@class='outlier']")) == 1
    assert root.find("path[@class='point']/title").text == "a<b"


def test_map_of_very_many_points_is_thinned():
    n = 4 * charts.MAX_MARKS
    drawing = charts.tie_point_map(np.zeros((n, 2)), np.zeros((n, 2)), np.ones(n, dtype=bool), [""] * n, (50, 60))
    assert drawing.count('class="point"') == charts.MAX_MARKS


@pytest.mark.parametrize(("length_px", "factor"), [(0.1, 500), (1.0, 50), (4.0, 10), (50.0, 1), (900.0, 1)])
def test_exaggeration_keeps_vectors_short(length_px, factor):
    assert charts.exaggeration_for(np.full(20, length_px), (1000, 1000)) == factor


def test_a_curve_breaks_where_it_has_no_value_and_is_named():
    series = {"one": [(0.0, 0.1), (1.0, None), (2.0, 0.3), (3.0, 5.0)], "a & b": [(0.0, 0.5), (3.0, 0.5)]}
    drawing = charts.curves(series, x_limits=(0, 3), y_limits=(0, 1), labels=("x", "y"))
    root = ET.fromstring(str(drawing))
    assert len(root.findall(".//path[@class='curve curve-0']")) == 2
    (second,) = root.findall(".//path[@class='curve curve-1']")
    ends = [tuple(map(float, point.split())) for point in second.get("d")[1:].split("L")]
    assert ends[0][1] == ends[1][1]
    # The value beyond the range lies at its upper edge.
    last = root.findall(".//path[@class='curve curve-0']")[1].get("d").rsplit("L", 1)[1]
    assert float(last.split()[1]) == charts._TOP
    assert [text.text for text in root.findall(".//text[@class='legend']")] == ["one", "a & b"]
