"""Pictures of two images: previews, checkerboards and drawn matches, as arrays of 8-bit RGB."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import OutputError

MAX_PREVIEW_PX = 900
"""Longest side of a picture, px."""

_STRETCH_PERCENTILES = (1.0, 50.0, 99.0)
_MIDDLE_TONE = 0.4
_MIN_GAMMA = 0.45
_MAX_SAMPLES = 250_000
_MAX_LINES = 60
_ENLARGED_PX = 512
"""Longest side up to which small images are enlarged where matches are drawn, px."""
_GAP_PX = 12
_SCREEN_RATIO = 1.5
_EMPTY_COST = 3.0
"""Weight of the share of places left empty against the logarithm of how far the shape is from a screen's."""
_HEADER_PX = 30
_FONT, _FONT_SCALE, _MIN_FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0.35
_MIN_WIDTH_PX = 360
"""Width that a title of matches needs."""
_PAPER = (24, 27, 31)
_INLIER = (46, 214, 107)
_OUTLIER = (226, 62, 54)
_TEXT = (235, 238, 242)


@dataclass(frozen=True, slots=True)
class Stretch:
    """How values become brightness: the same for all channels, so that colours keep their balance."""

    low: float
    """Value shown black."""
    high: float
    """Value shown white."""
    gamma: float = 1.0
    """Exponent of the unit-scaled value; below 1 brightens."""


def display_stretch(image: Image) -> Stretch:
    """Choose a stretch that uses the whole range of brightness and lifts a dark picture's middle tones."""
    stride = max(1, int(np.sqrt(image.valid.size / _MAX_SAMPLES)))
    values = image.channels[:, ::stride, ::stride][:, image.valid[::stride, ::stride]]
    if values.size == 0:
        return Stretch(0.0, 1.0)
    low, middle, high = (float(value) for value in np.percentile(values, _STRETCH_PERCENTILES))
    if high <= low:
        return Stretch(low, low + 1.0)
    middle = (middle - low) / (high - low)
    if not 0 < middle < _MIDDLE_TONE:
        return Stretch(low, high)
    return Stretch(low, high, max(_MIN_GAMMA, float(np.log(_MIDDLE_TONE) / np.log(middle))))


def to_preview(
    image: Image, *, stretch: Stretch | None = None, smooth_px: float = 0.0, max_px: int = MAX_PREVIEW_PX
) -> UInt8[np.ndarray, "h w 4"]:
    """Make a picture of an image: RGB and opacity, reduced to a longest side, never enlarged.

    Three channels are shown as red, green and blue; any other number as the grey of their mean.

    Args:
        image: Channels in any unit.
        stretch: How values become brightness; chosen from the image if omitted.
        smooth_px: Standard deviation of a Gaussian that calms speckle, px of the picture; 0 for none.
        max_px: Longest side of the picture, px.
    """
    stretch = stretch or display_stretch(image)
    hw = _reduced_hw(image.hw, max_px)
    bands = image.channels if image.n_channels == 3 else image.channels.mean(axis=0, keepdims=True)
    weight = image.valid.astype(np.float32)
    opacity = _resize(weight, hw)
    safe = np.maximum(_smooth(opacity, smooth_px), np.float32(1e-6))
    picture = np.empty((*hw, 4), dtype=np.uint8)
    for index, band in enumerate(bands):
        reduced = _smooth(_resize(band * weight, hw), smooth_px) / safe
        unit = np.clip((reduced - np.float32(stretch.low)) / np.float32(stretch.high - stretch.low), 0, 1)
        picture[..., index] = np.rint(unit**stretch.gamma * 255)
    if len(bands) == 1:
        picture[..., 1:3] = picture[..., :1]
    picture[..., 3] = np.where(opacity > 0.5, 255, 0)
    return picture


def checkerboard(
    first: UInt8[np.ndarray, "h w k"], second: UInt8[np.ndarray, "h w k"], *, n_tiles: int = 8
) -> UInt8[np.ndarray, "h w k"]:
    """Fill the fields of a chessboard with two pictures in turn; the first one holds the top left field.

    Args:
        first: One picture.
        second: Another one of the same size.
        n_tiles: Number of fields along the longer side.
    """
    height, width = first.shape[:2]
    side = max(1, -(-max(height, width) // n_tiles))
    odd = (np.arange(height)[:, None] // side + np.arange(width)[None, :] // side) % 2 == 1
    return np.where(odd[..., None], second, first)


def draw_matches(
    moving: Image,
    fixed: Image,
    matches: Correspondences,
    inliers: Bool[np.ndarray, " n"],
    *,
    title: str | None = None,
    max_px: int = MAX_PREVIEW_PX,
) -> UInt8[np.ndarray, "h w 3"]:
    """Draw two images side by side and join their conjugate points.

    Inliers are green with round ends; outliers are red, thinner, and end in a cross. Of more than 60 matches, the same
    share of both kinds is drawn, evenly spread over the moving image. Small images are enlarged by a whole factor.

    Args:
        moving: Shown on the left.
        fixed: Shown on the right.
        matches: Points in pixels of the two images.
        inliers: Which matches support the transform, in the order of ``matches``.
        title: What to head the picture with, before the number of green ones; the names of the two images if omitted.
        max_px: Longest side of each image in the picture, px.

    Returns:
        An RGB picture.
    """
    factor = max(1, min(max_px, _ENLARGED_PX) // max(*moving.hw, *fixed.hw))
    left, right = (
        _opaque(to_preview(image, max_px=max_px)).repeat(factor, axis=0).repeat(factor, axis=1)
        for image in (moving, fixed)
    )
    height = max(left.shape[0], right.shape[0])
    offset = np.array([left.shape[1] + _GAP_PX, _HEADER_PX])
    width = max(int(offset[0]) + right.shape[1], _MIN_WIDTH_PX)
    canvas = np.full((height + _HEADER_PX, width, 3), _PAPER, dtype=np.uint8)
    canvas[_HEADER_PX : _HEADER_PX + left.shape[0], : left.shape[1]] = left
    canvas[_HEADER_PX : _HEADER_PX + right.shape[0], offset[0] : offset[0] + right.shape[1]] = right

    drawn = _spread(matches.moving_xy, inliers)
    starts = _to_picture(matches.moving_xy, moving.hw, left.shape[:2]) + np.array([0, _HEADER_PX])
    ends = _to_picture(matches.fixed_xy, fixed.hw, right.shape[:2]) + offset
    overlay = canvas.copy()
    for index in drawn[np.argsort(inliers[drawn], kind="stable")]:
        _draw_match(overlay, starts[index], ends[index], is_inlier=bool(inliers[index]))
    canvas = cv2.addWeighted(overlay, 0.85, canvas, 0.15, 0).astype(np.uint8)
    note = "" if len(drawn) == len(matches) else f" ({len(drawn)} drawn)"
    counts = f"{int(inliers.sum())} of {len(matches)} matches{note}"
    if title is None:
        _write(canvas[:, : offset[0]], "moving", 8)
        _write(canvas, f"fixed: inliers {counts}", int(offset[0]) + 8)
    else:
        _write(canvas, f"{title}: {counts}", 8)
    return canvas


def titled(picture: UInt8[np.ndarray, "h w 4"], title: str) -> UInt8[np.ndarray, "r w 3"]:
    """Put a line of text above a picture with opacity."""
    header = np.full((_HEADER_PX, picture.shape[1], 3), _PAPER, dtype=np.uint8)
    _write(header, title, 2)
    return np.concatenate([header, _opaque(picture)])


def tile(panels: Sequence[UInt8[np.ndarray, "_ _ 3"]], *, n_columns: int | None = None) -> UInt8[np.ndarray, "r c 3"]:
    """Put pictures into rows and columns of cells that hold the largest.

    Args:
        panels: One or more, by row.
        n_columns: Pictures in a row; so many that the whole is about as wide as a screen, with few places left empty,
            if omitted.
    """
    height, width = (max(panel.shape[axis] for panel in panels) + _GAP_PX for axis in (0, 1))
    if n_columns is None:
        n_columns = _columns(len(panels), height, width)
    n_rows = -(-len(panels) // n_columns)
    canvas = np.full((n_rows * height - _GAP_PX, n_columns * width - _GAP_PX, 3), _PAPER, dtype=np.uint8)
    for index, panel in enumerate(panels):
        top, left = index // n_columns * height, index % n_columns * width
        canvas[top : top + panel.shape[0], left : left + panel.shape[1]] = panel
    return canvas


def data_uri(picture: UInt8[np.ndarray, "h w k"], *, quality: int = 82) -> str:
    """Encode a picture (grey, RGB or RGB with opacity) as WebP inside a ``data:`` address.

    Args:
        picture: 8-bit picture with 1, 3 or 4 channels.
        quality: WebP quality, 1 to 100.
    """
    if picture.shape[2] == 4 and (picture[..., 3] == 255).all():
        picture = picture[..., :3]
    order = {1: [0, 0, 0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[picture.shape[2]]
    _, encoded = cv2.imencode(".webp", np.ascontiguousarray(picture[..., order]), [cv2.IMWRITE_WEBP_QUALITY, quality])
    return "data:image/webp;base64," + base64.b64encode(encoded.tobytes()).decode("ascii")


def _reduced_hw(hw: tuple[int, int], max_px: int) -> tuple[int, int]:
    factor = min(1.0, max_px / max(hw))
    return (max(1, round(hw[0] * factor)), max(1, round(hw[1] * factor)))


def _resize(band: np.ndarray, hw: tuple[int, int]) -> np.ndarray:
    if band.shape == hw:
        return band
    return np.asarray(cv2.resize(band, (hw[1], hw[0]), interpolation=cv2.INTER_AREA))


def _smooth(band: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(band, (0, 0), sigma_px)) if sigma_px > 0 else band


def _opaque(picture: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(picture[..., 3:] > 0, picture[..., :3], np.array(_PAPER, dtype=np.uint8)))


def _to_picture(
    points_xy: Float64[np.ndarray, "n 2"], hw: tuple[int, int], picture_hw: tuple[int, int]
) -> Float64[np.ndarray, "n 2"]:
    factor_xy = np.array([picture_hw[1] / hw[1], picture_hw[0] / hw[0]])
    return np.asarray((points_xy + 0.5) * factor_xy - 0.5)


def _spread(moving_xy: np.ndarray, inliers: np.ndarray) -> np.ndarray:
    """Indices of the matches to draw, both kinds thinned by the same share."""
    n_drawn = min(_MAX_LINES, len(inliers))
    kinds = np.flatnonzero(inliers), np.flatnonzero(~inliers)
    n_inliers = math.ceil(len(kinds[0]) * n_drawn / max(1, len(inliers)))
    counts = n_inliers, n_drawn - n_inliers
    return np.concatenate([kind[_farthest(moving_xy[kind], n)] for kind, n in zip(kinds, counts, strict=True)])


def _farthest(points_xy: np.ndarray, n: int) -> np.ndarray:
    """Indices of points of which each lies as far as can be from those before it."""
    chosen: list[int] = []
    distance = np.full(len(points_xy), np.inf)
    for _ in range(n):
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, np.linalg.norm(points_xy - points_xy[chosen[-1]], axis=1))
        distance[chosen] = -1
    return np.array(chosen, dtype=int)


def _columns(n_panels: int, height: int, width: int) -> int:
    """Panels in a row: the shape of a screen is weighed against places that are left empty."""

    def cost(n_columns: int) -> float:
        n_rows = -(-n_panels // n_columns)
        shape = abs(math.log(n_columns * width / (n_rows * height) / _SCREEN_RATIO))
        return shape + _EMPTY_COST * (1 - n_panels / (n_rows * n_columns))

    return min(range(1, n_panels + 1), key=cost)


def _draw_match(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, *, is_inlier: bool) -> None:
    first, last = ((round(float(x)), round(float(y))) for x, y in (start, end))
    if is_inlier:
        cv2.line(canvas, first, last, _INLIER, thickness=1, lineType=cv2.LINE_AA)
        for point in (first, last):
            cv2.circle(canvas, point, 3, _INLIER, thickness=-1, lineType=cv2.LINE_AA)
        return
    cv2.line(canvas, first, last, _OUTLIER, thickness=1, lineType=cv2.LINE_4)
    for point in (first, last):
        cv2.drawMarker(canvas, point, _OUTLIER, markerType=cv2.MARKER_TILTED_CROSS, markerSize=7, thickness=1)


def _write(canvas: np.ndarray, text: str, left: int) -> None:
    """Write a line into the header, in smaller letters or cut off if it is too long for the rest of the width."""
    room = canvas.shape[1] - left - 2

    def length(text: str, scale: float) -> int:
        return int(cv2.getTextSize(text, _FONT, scale, 1)[0][0])

    scale = max(_MIN_FONT_SCALE, min(_FONT_SCALE, _FONT_SCALE * room / max(1, length(text, _FONT_SCALE))))
    if length(text, scale) > room:
        while text and length(f"{text}...", scale) > room:
            text = text[:-1]
        text = f"{text}..."
    cv2.putText(canvas, text, (left, 20), _FONT, scale, _TEXT, thickness=1, lineType=cv2.LINE_AA)


def write_picture(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Write an RGB picture as PNG or JPEG, by the suffix.

    Raises:
        OutputError: It cannot be written.
    """
    is_encoded, data = cv2.imencode(path.suffix, picture[..., ::-1])
    if not is_encoded:
        raise OutputError(f"{path}: OpenCV cannot encode a picture as {path.suffix}.")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror}).") from error
