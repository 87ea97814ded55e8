"""Charts as inline SVG: colours come from the page's style sheet, so that they follow light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from markupsafe import Markup, escape

MAX_MARKS = 1500
"""Most points drawn in one chart; more are thinned evenly."""

_HISTOGRAM_HW = (220, 360)
_TREND_HW = (190, 540)
_CURVES_HW = (300, 460)
_LEGEND_PX = 230
_LINE_PX = 17
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 40
_N_BINS = 24
_N_TREND_BINS = 10
_MIN_IN_BIN = 4
_EXAGGERATIONS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
_VECTOR_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class _Axes:
    """Takes values to positions on the drawing."""

    x_limits: tuple[float, float]
    y_limits: tuple[float, float]
    hw: tuple[int, int]

    @property
    def right(self) -> float:
        return self.hw[1] - _RIGHT

    @property
    def bottom(self) -> float:
        return self.hw[0] - _BOTTOM

    def x(self, value: float) -> float:
        low, high = self.x_limits
        return _LEFT + (value - low) / (high - low) * (self.right - _LEFT)

    def y(self, value: float) -> float:
        low, high = self.y_limits
        return self.bottom - (value - low) / (high - low) * (self.bottom - _TOP)

    def draw(self, x_label: str, y_label: str) -> list[str]:
        """Grid lines, tick labels and the names of the axes."""
        parts = []
        for tick in ticks(*self.x_limits, n=6):
            x = self.x(tick)
            parts.append(_line("grid", x, _TOP, x, self.bottom))
            parts.append(_text("tick", x, self.bottom + 15, number(tick), anchor="middle"))
        for tick in ticks(*self.y_limits, n=4):
            y = self.y(tick)
            parts.append(_line("grid", _LEFT, y, self.right, y))
            parts.append(_text("tick", _LEFT - 6, y + 4, number(tick), anchor="end"))
        parts.append(_line("axis", _LEFT, self.bottom, self.right, self.bottom))
        parts.append(_text("label", (_LEFT + self.right) / 2, self.hw[0] - 5, x_label, anchor="middle"))
        middle = (_TOP + self.bottom) / 2
        turn = f' transform="rotate(-90 11 {middle:.1f})"'
        parts.append(_text("label", 11, middle, y_label, anchor="middle", extra=turn))
        return parts


def ticks(low: float, high: float, *, n: int) -> list[float]:
    """Round values between two limits, about ``n`` of them, in steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / max(1, n)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def number(value: float) -> str:
    """A tick label: no needless zeros, and a true minus sign."""
    return f"{value:.10g}".replace("-", "−")


def histogram(
    values: Float64[np.ndarray, " n"],
    *,
    limits: tuple[float, float],
    x_label: str,
    held_out: Float64[np.ndarray, " m"] | None = None,
    markers: Sequence[tuple[str, float]] = (),
) -> Markup:
    """Draw how values are distributed, in percent of all values given.

    Args:
        values: Drawn as bars; values beyond the limits count in the outermost bin.
        limits: Range of the horizontal axis.
        x_label: Name of the horizontal axis.
        held_out: A second distribution, drawn as an outline.
        markers: Names and positions of vertical lines.
    """
    edges = np.linspace(*limits, _N_BINS + 1)
    shares = _shares(values, edges)
    outline = None if held_out is None or held_out.size == 0 else _shares(held_out, edges)
    top = max(shares.max(initial=0.0), 0.0 if outline is None else outline.max(), 1.0)
    axes = _Axes(limits, (0.0, float(top) * 1.12), _HISTOGRAM_HW)
    parts = axes.draw(x_label, "share of points, %")
    for index, share in enumerate(shares):
        if share > 0:
            left, right, y = axes.x(edges[index]), axes.x(edges[index + 1]), axes.y(share)
            parts.append(
                f'<rect class="bar" x="{left + 0.6:.1f}" y="{y:.1f}" width="{right - left - 1.2:.1f}" '
                f'height="{axes.y(0) - y:.1f}"/>'
            )
    if outline is not None:
        corners = [(edges[index + end], share) for index, share in enumerate(outline) for end in (0, 1)]
        parts.append(_path("held", [(axes.x(x), axes.y(y)) for x, y in corners]))
    for name, position in markers:
        if limits[0] <= position <= limits[1]:
            x = axes.x(position)
            anchor = "end" if position > limits[0] + 0.6 * (limits[1] - limits[0]) else "start"
            parts.append(_line("marker", x, _TOP, x, axes.bottom))
            parts.append(_text("marker-label", x + (-5 if anchor == "end" else 5), _TOP + 9, name, anchor=anchor))
    return _svg(parts, _HISTOGRAM_HW, f"Histogram: {x_label}")


def trend(
    positions: Float64[np.ndarray, " n"],
    residuals: Float64[np.ndarray, " n"],
    *,
    x_limits: tuple[float, float],
    y_limit: float,
    labels: tuple[str, str],
) -> Markup:
    """Draw residuals against a position, with the median of each tenth of the range.

    Args:
        positions: Row or column, px.
        residuals: One component, px; values beyond the limit are drawn at the edge.
        x_limits: Range of the horizontal axis.
        y_limit: Half the range of the vertical axis, which is centred on zero.
        labels: Names of the horizontal and the vertical axis.
    """
    axes = _Axes(x_limits, (-y_limit, y_limit), _TREND_HW)
    parts = axes.draw(*labels)
    parts.append(_line("zero", _LEFT, axes.y(0), axes.right, axes.y(0)))
    shown = _thinned(len(positions))
    dots = "".join(
        f"M{axes.x(x):.1f} {axes.y(y):.1f}h0"
        for x, y in zip(positions[shown], np.clip(residuals[shown], -y_limit, y_limit), strict=True)
    )
    parts.append(f'<path class="dots" d="{dots}"/>')
    edges = np.linspace(*x_limits, _N_TREND_BINS + 1)
    bins = np.clip(np.digitize(positions, edges) - 1, 0, _N_TREND_BINS - 1)
    medians = [
        ((edges[index] + edges[index + 1]) / 2, float(np.median(residuals[bins == index])))
        for index in range(_N_TREND_BINS)
        if (bins == index).sum() >= _MIN_IN_BIN
    ]
    if len(medians) > 1:
        line = [(axes.x(x), axes.y(float(np.clip(y, -y_limit, y_limit)))) for x, y in medians]
        parts.append(_path("median", line))
    return _svg(parts, _TREND_HW, f"{labels[1]} against {labels[0]}")


def curves(
    series: Mapping[str, Sequence[tuple[float, float | None]]],
    *,
    x_limits: tuple[float, float],
    y_limits: tuple[float, float],
    labels: tuple[str, str],
) -> Markup:
    """Draw a line for each series, with a legend beside them; the classes ``curve-0``, ``curve-1`` ... tell them apart.

    Args:
        series: Points by name; a point without a value breaks the line.
        x_limits: Range of the horizontal axis.
        y_limits: Range of the vertical axis; values beyond it are drawn at the edge.
        labels: Names of the horizontal and the vertical axis.
    """
    axes = _Axes(x_limits, y_limits, _CURVES_HW)
    parts = axes.draw(*labels)
    for index, (name, points) in enumerate(series.items()):
        style = f"curve curve-{index}"
        for run in _unbroken(points):
            parts.append(_path(style, [(axes.x(x), axes.y(float(np.clip(y, *y_limits)))) for x, y in run]))
        row = _TOP + 8 + index * _LINE_PX
        parts.append(_line(style, axes.right + 14, row, axes.right + 38, row))
        parts.append(_text("legend", axes.right + 44, row + 4, name, anchor="start"))
    height, width = _CURVES_HW
    return _svg(parts, (height, width + _LEGEND_PX), f"{labels[1]} against {labels[0]}")


def exaggeration_for(lengths_px: Float64[np.ndarray, " n"], hw: tuple[int, int]) -> int:
    """Round factor that makes nine of ten vectors no longer than a twentieth of the picture's width."""
    typical = float(np.percentile(lengths_px, 90)) if lengths_px.size else 0.0
    room = _VECTOR_SHARE * hw[1]
    return max((factor for factor in _EXAGGERATIONS if factor * typical <= room), default=1)


def tie_point_map(
    points_xy: Float64[np.ndarray, "n 2"],
    vectors_xy: Float64[np.ndarray, "n 2"],
    used: Bool[np.ndarray, " n"],
    titles: Sequence[str],
    hw: tuple[int, int],
) -> Markup:
    """Draw tie points for laying over a picture: dots with residual vectors if used, crosses if not.

    Args:
        points_xy: Positions, px of the picture.
        vectors_xy: Residual vectors, px of the picture, already exaggerated.
        used: Which points took part in the fit.
        titles: A sentence for each point, shown when the pointer rests on it.
        hw: Height and width of the picture, px.
    """
    parts = []
    arm = 0.0055 * max(hw)
    shown = _thinned(len(used))
    for index in [*shown[~used[shown]], *shown[used[shown]]]:
        x, y = points_xy[index] + 0.5
        title = f"<title>{escape(titles[index])}</title>" if titles[index] else ""
        if used[index]:
            dx, dy = vectors_xy[index]
            stem = f"M{x:.1f} {y:.1f}l{dx:.1f} {dy:.1f}"
            parts.append(f'<path class="halo" d="{stem}"/><path class="vector" d="{stem}"/>')
            parts.append(f'<path class="point" d="M{x:.1f} {y:.1f}h0">{title}</path>')
        else:
            side = f"{2 * arm:.1f}"
            cross = f"M{x - arm:.1f} {y - arm:.1f}l{side} {side}m0 -{side}l-{side} {side}"
            parts.append(f'<path class="halo" d="{cross}"/><path class="outlier" d="{cross}">{title}</path>')
    label = f"Map of {int(used.sum())} tie points used and {int((~used).sum())} left out"
    head = f'<svg class="overlay" viewBox="0 0 {hw[1]} {hw[0]}" role="img" aria-label="{label}">'
    return Markup(head + "".join(parts) + "</svg>")


def _unbroken(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Stretches of points that all have a value."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _thinned(n: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, min(n, MAX_MARKS)).round().astype(int)) if n else np.zeros(0, dtype=int)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return 100.0 * counts / max(1, values.size)


def _line(name: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(name: str, x: float, y: float, text: str, *, anchor: str, extra: str = "") -> str:
    return f'<text class="{name}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(text)}</text>'


def _path(name: str, points: Iterable[tuple[float, float]]) -> str:
    return f'<path class="{name}" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + '"/>'


def _svg(parts: Iterable[str], hw: tuple[int, int], label: str) -> Markup:
    head = f'<svg class="chart" viewBox="0 0 {hw[1]} {hw[0]}" role="img" aria-label="{escape(label)}">'
    return Markup(head + "".join(parts) + "</svg>")
