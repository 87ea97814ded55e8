"""What the page shows, worked out of a registration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from markupsafe import Markup

from midground.core.transforms import Transform
from midground.registration.result import InputInfo, Registration, Witness
from midground.report import charts, figures, words

_MIN_LIMIT_PX = 0.5
_MIN_BAR_PX = 4.0
_SPECKLE_SMOOTHING_PX = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Tie points with the vector from where they were found to where the transform puts them."""

    fixed_xy: Float64[np.ndarray, "n 2"]
    vectors_xy: Float64[np.ndarray, "n 2"]
    """px of the fixed image."""
    held_out_px: Float64[np.ndarray, " n"]
    """NaN where a point was never held out."""
    used: Bool[np.ndarray, " n"]
    score: Float64[np.ndarray, " n"]

    @property
    def length_px(self) -> Float64[np.ndarray, " n"]:
        """Length of the vectors."""
        return np.asarray(np.hypot(self.vectors_xy[:, 0], self.vectors_xy[:, 1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The images as ``data:`` addresses, all of one size."""

    fixed: str
    moving_before: str
    moving_after: str | None
    checker_before: str
    checker_after: str | None
    shared_fixed: str
    shared_moving: str
    hw: tuple[int, int]


def residuals_of(result: Registration) -> Residuals | None:
    """Residual vectors of all tie points; None without a transform or without tie points."""
    points = result.tie_points
    if result.fixed_from_moving is None or len(points.used) == 0:
        return None
    if result.correction is not None:
        mapped = result.correction.to_fixed_px(result.correction.moving, points.moving_xy)
    else:
        mapped = Transform(result.fixed_from_moving, result.transform or "homography")(points.moving_xy)
    return Residuals(
        fixed_xy=points.fixed_xy,
        vectors_xy=mapped - points.fixed_xy,
        held_out_px=points.held_out_residual_px,
        used=points.used,
        score=points.score,
    )


def pictures_of(result: Registration) -> Pictures | None:
    """Reduced and encoded images; None if the registration kept none."""
    previews = result.previews
    if previews is None:
        return None
    fixed = figures.to_preview(previews.fixed, smooth_px=_smoothing(result.inputs.fixed))
    smooth_px = _smoothing(result.inputs.moving)
    stretch = figures.display_stretch(previews.moving_before)
    before = figures.to_preview(previews.moving_before, stretch=stretch, smooth_px=smooth_px)
    after = None
    if previews.moving_after is not None:
        after = figures.to_preview(previews.moving_after, stretch=stretch, smooth_px=smooth_px)
    return Pictures(
        fixed=figures.data_uri(fixed),
        moving_before=figures.data_uri(before),
        moving_after=None if after is None else figures.data_uri(after),
        checker_before=figures.data_uri(figures.checkerboard(fixed, before)),
        checker_after=None if after is None else figures.data_uri(figures.checkerboard(fixed, after)),
        shared_fixed=figures.data_uri(figures.to_preview(previews.shared_fixed)),
        shared_moving=figures.data_uri(figures.to_preview(previews.shared_moving)),
        hw=(fixed.shape[0], fixed.shape[1]),
    )


def map_of(result: Registration, residuals: Residuals | None) -> Mapping[str, object] | None:
    """The map of tie points with its legend; None without previews or tie points."""
    previews = result.previews
    if previews is None or len(result.tie_points.used) == 0:
        return None
    points = result.tie_points
    vectors = np.zeros_like(points.fixed_xy) if residuals is None else residuals.vectors_xy
    preview_from_fixed = Transform(previews.preview_from_fixed, "homography")
    starts = preview_from_fixed(points.fixed_xy)
    spans = preview_from_fixed(points.fixed_xy + vectors) - starts
    used = points.used
    factor = charts.exaggeration_for(np.hypot(spans[used, 0], spans[used, 1]), previews.fixed.hw)
    px_size = float(np.hypot(*(preview_from_fixed(np.array([[1.0, 0.0]])) - preview_from_fixed(np.zeros((1, 2))))[0]))
    scale_px = _scale_length(previews.fixed.hw[1] / (factor * px_size))
    titles = [] if residuals is None else [_point_title(residuals, index) for index in range(len(used))]
    return {
        "svg": charts.tie_point_map(starts, spans * factor, used, titles or [""] * len(used), previews.fixed.hw),
        "factor": factor,
        "n_used": int(used.sum()),
        "n_left_out": int((~used).sum()),
        "n_drawn": min(len(used), charts.MAX_MARKS),
        "scale_px": scale_px,
        "scale_share": 100.0 * factor * scale_px * px_size / previews.fixed.hw[1],
    }


def residual_charts(result: Registration, residuals: Residuals | None) -> Mapping[str, list[Markup]] | None:
    """Histograms and trends of the residuals of the points used; None if there are too few."""
    if residuals is None or residuals.used.sum() < 2:
        return None
    used = residuals.used
    dx, dy = residuals.vectors_xy[used].T
    radial = residuals.length_px[used]
    held_out = residuals.held_out_px[used & np.isfinite(residuals.held_out_px)]
    limit = max(_MIN_LIMIT_PX, float(np.percentile(np.abs(residuals.vectors_xy[used]), 99.5)) * 1.1)
    pooled = np.concatenate([radial, held_out])
    far = max(_MIN_LIMIT_PX, float(np.percentile(pooled, 99)) * 1.1, 1.15 * (result.ce90_px or 0.0))
    height, width = result.inputs.fixed.hw
    column, row = residuals.fixed_xy[used].T
    marker = () if result.ce90_px is None else (("CE90", result.ce90_px),)
    return {
        "histograms": [
            charts.histogram(dx, limits=(-limit, limit), x_label=f"dx, px (mean {words.decimal(float(dx.mean()))})"),
            charts.histogram(dy, limits=(-limit, limit), x_label=f"dy, px (mean {words.decimal(float(dy.mean()))})"),
            charts.histogram(radial, limits=(0.0, far), x_label="distance, px", held_out=held_out, markers=marker),
        ],
        "trends": [
            charts.trend(position, component, x_limits=(0.0, float(size)), y_limit=limit, labels=(place, name))
            for position, size, place in ((column, width, "column, px"), (row, height, "row, px"))
            for component, name in ((dx, "dx, px"), (dy, "dy, px"))
        ],
    }


def witness_rows(result: Registration) -> list[Mapping[str, object]]:
    """The independent estimates, with the length of a bar for their disagreement."""
    known = [witness.disagreement_px for witness in result.witnesses if witness.disagreement_px is not None]
    longest = max([_MIN_BAR_PX, *known])
    return [_witness_row(witness, result.inputs.fixed.gsd_m, longest) for witness in result.witnesses]


def input_rows(result: Registration) -> list[tuple[str, str, str]]:
    """The table of inputs: property, fixed, moving."""
    columns = [_input_column(info) for info in (result.inputs.fixed, result.inputs.moving)]
    return [(name, columns[0][name], columns[1][name]) for name in columns[0]]


def transform_rows(result: Registration) -> list[tuple[str, str]]:
    """Scale, rotation and shear of the transform at the centre of the moving image."""
    if result.fixed_from_moving is None:
        return []
    transform = Transform(result.fixed_from_moving, result.transform or "homography")
    height, width = result.inputs.moving.hw
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    right, down = transform(centre + np.eye(2) * 0.5) - transform(centre - np.eye(2) * 0.5)
    size_x, size_y = float(np.hypot(*right)), float(np.hypot(*down))
    angle = float(np.degrees(np.arctan2(right[1], right[0])))
    cross = float(right[0] * down[1] - right[1] * down[0])
    return [
        ("Model", result.transform or "not stated"),
        ("Scale along x, along y", f"{size_x:.5f}, {size_y:.5f} px of the fixed image per px of the moving one"),
        ("Rotation", f"{words.decimal(angle, 3)}° (positive: x turns towards y)"),
        ("Angle between the axes", f"{words.decimal(float(np.degrees(np.arctan2(cross, right @ down))), 3)}°"),
    ]


def timing_rows(result: Registration) -> list[tuple[str, str, float]]:
    """Stage, seconds and share of the longest stage."""
    longest = max(result.timings_s.values(), default=0.0) or 1.0
    return [
        (name.replace("_", " "), f"{words.decimal(seconds)} s", seconds / longest)
        for name, seconds in result.timings_s.items()
    ]


def _witness_row(witness: Witness, gsd_m: float | None, longest_px: float) -> dict[str, object]:
    apart_px = witness.disagreement_px
    x, y = witness.shift_px or (None, None)
    return {
        "name": witness.name,
        "x": words.decimal(x),
        "y": words.decimal(y),
        "px": "found nothing" if apart_px is None else words.decimal(apart_px),
        "m": "–" if apart_px is None or gsd_m is None else words.metres(apart_px * gsd_m),
        "share": None if apart_px is None else apart_px / longest_px,
    }


def _input_column(info: InputInfo) -> dict[str, str]:
    height, width = info.hw
    return {
        "File": info.path or "array in memory",
        "Modality": "SAR" if info.modality == "sar" else "Optical",
        "Size": f"{width} × {height} px",
        "Bands used": f"{', '.join(map(str, info.bands))} of {info.n_bands}",
        "Data type": info.dtype,
        "Coordinate system": info.crs or "none",
        "Ground sample distance": "not known" if info.gsd_m is None else f"{info.gsd_m:.4g} m",
        "Assumptions": "\n".join(info.assumptions) or "none",
    }


def _point_title(residuals: Residuals, index: int) -> str:
    x, y = residuals.fixed_xy[index]
    held_out = residuals.held_out_px[index]
    return (
        f"x {x:.1f}, y {y:.1f}: residual {words.decimal(float(residuals.length_px[index]))} px"
        + (f", held out {words.decimal(float(held_out))} px" if np.isfinite(held_out) else "")
        + f", score {residuals.score[index]:.2f}"
        + ("" if residuals.used[index] else ", left out")
    )


def _smoothing(info: InputInfo) -> float:
    return _SPECKLE_SMOOTHING_PX if info.modality == "sar" else 0.0


def _scale_length(width_px: float) -> float:
    """The longest round residual whose vector takes up to a tenth of the map's width."""
    rounds = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
    return max((length for length in rounds if length <= 0.1 * width_px), default=rounds[0])
