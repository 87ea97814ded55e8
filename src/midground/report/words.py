"""Plain words for the numbers of a registration: what they mean, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup, escape

from midground.registration.result import InputInfo, Registration
from midground.registration.verdict import Verdict

_NO_SHIFT_M = 0.005
"""Shorter shifts are printed as zero, which has no direction."""


@dataclass(frozen=True, slots=True)
class VerdictWords:
    """How a verdict is put."""

    word: str
    headline: str


VERDICT_WORDS: dict[Verdict, VerdictWords] = {
    "accept": VerdictWords("Accepted", "The two images line up. The result can be used."),
    "suspect": VerdictWords("Suspect", "A result was found, but not all the evidence supports it. Check it by eye."),
    "reject": VerdictWords("Rejected", "No trustworthy alignment was found. Do not use this result."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNumber:
    """One number with its meaning."""

    label: str
    value: str
    detail: str
    meaning: str
    share: float | None = None
    """Drawn as a bar, 0 to 1."""
    bearing_deg: float | None = None
    """Drawn as an arrow, degrees clockwise from north (or from up)."""


def decimal(value: float | None, digits: int = 2) -> str:
    """A number with a fixed number of decimals and a true minus sign; a dash if it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{abs(value):.{digits}f}"
    return f"−{text}" if value < 0 and float(text) > 0 else text


def metres(value: float | None) -> str:
    """A length on the ground, with decimals that suit it."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{decimal(value, 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2)} m"


def trust(share: float) -> str:
    """A share of right results in percent, never rounded up to certainty."""
    percent = 100 * share
    return ">99%" if percent > 99 else "<1%" if percent < 1 else f"{percent:.0f}%"


def ground(value_px: float | None, gsd_m: float | None) -> str:
    """The length in metres of a distance in pixels, or why there is none."""
    if value_px is None:
        return "not measured"
    if gsd_m is None:
        return "no ground size known"
    return f"{metres(value_px * gsd_m)} on the ground"


def kind_of(info: InputInfo) -> str:
    """What an image is, in words."""
    return "SAR" if info.modality == "sar" else "optical"


def name_of(info: InputInfo, role: str) -> str:
    """The file's name, or the role of an image that came as an array."""
    return info.path.replace("\\", "/").rsplit("/", 1)[-1] if info.path else f"{role} array"


def key_numbers(result: Registration) -> list[KeyNumber]:
    """The numbers that a reader needs first, in order of importance."""
    gsd_m = result.inputs.fixed.gsd_m
    return [
        _shift(result),
        KeyNumber(
            label="Expected error",
            value=_px(result.expected_error_px),
            detail=ground(result.expected_error_px, gsd_m),
            meaning="How far a point of the aligned image may be expected to lie from its true place, "
            "anywhere in the overlap.",
        ),
        KeyNumber(
            label="CE90, held out",
            value=_px(result.ce90_px),
            detail=ground(result.ce90_px, gsd_m),
            meaning="Nine of ten tie points that took no part in the fit lie within this distance of where "
            "the fit puts them. Part of it is the points' own scatter.",
        ),
        KeyNumber(
            label="Tie points used",
            value=f"{result.n_inliers} of {result.n_matches}",
            detail=f"{result.n_inliers / result.n_matches:.0%} agree" if result.n_matches else "no match found",
            meaning="Conjugate points that support one common transform, of all that were matched. The rest were "
            "left out of the fit.",
            share=result.n_inliers / result.n_matches if result.n_matches else 0.0,
        ),
        KeyNumber(
            label="Coverage",
            value=f"{result.coverage:.0%}",
            detail="of the overlap",
            meaning="Share of the common area that lies near a tie point used in the fit. Where there is none, "
            "the transform is extrapolated.",
            share=result.coverage,
        ),
        KeyNumber(
            label="Residual of the fit",
            value=_px(result.residual_rmse_px),
            detail=ground(result.residual_rmse_px, gsd_m),
            meaning="Root mean square distance between the tie points used and the transform fitted to them.",
        ),
    ]


def next_steps(result: Registration) -> list[str]:
    """What to do now, one sentence per step."""
    if result.verdict == "accept":
        return [
            f"Use the aligned image: expect errors of about {_error(result)}.",
            "Look once at the comparison below: roads, field borders and shorelines should run on across the line.",
            "For other bands, resolutions or dates of the same geometry, put the saved transform onto them: "
            "`midground apply TRANSFORM RASTER -o OUT`.",
        ]
    if result.verdict == "suspect":
        return [
            "Look at the comparison in the report (`--report FILE`) before using anything: follow roads, field borders "
            "and shorelines across the line, near the middle and near all four edges.",
            "If they meet everywhere, the result is usable; if they meet in one part only, crop both images to that "
            "part, or choose another kind of transform with `--transform`.",
            "If they do not meet, treat this result as rejected; `--strict` makes this automatic.",
        ]
    return [
        "Do not use an aligned image made from this result; none is written unless `--force` is given.",
        "Check with the pictures of the report (`--report FILE`) that both images show the same place, and enough land "
        "without cloud: open water, cloud and unchanging surfaces cannot be matched.",
        _search_hint(result),
        "Check how the images were read (bands, SAR scale); `--bands-fixed`, `--bands-moving` and "
        "`--sar-scale` override it.",
    ]


def coded(sentence: str) -> Markup:
    """A sentence as HTML, with what stands between backticks set as code."""
    pieces = sentence.split("`")
    if len(pieces) % 2 == 0:
        return escape(sentence)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )


def flattened(config: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """The settings as rows of (dotted name, value)."""
    rows: list[tuple[str, str]] = []
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            rows += flattened(value, f"{name}.")
        else:
            rows.append((name, _setting(value)))
    return rows


def _shift(result: Registration) -> KeyNumber:
    label = "Shift found"
    if result.shift_m is not None:
        east, north = result.shift_m
        sides = (
            f"{metres(abs(east))} {'east' if east >= 0 else 'west'}, "
            f"{metres(abs(north))} {'north' if north >= 0 else 'south'}"
        )
        return KeyNumber(
            label=label,
            value=metres(math.hypot(east, north)),
            detail=sides if math.hypot(east, north) >= _NO_SHIFT_M else "none",
            meaning="How far, and which way, the moving image must be shifted on the map at its centre.",
            bearing_deg=math.degrees(math.atan2(east, north)),
        )
    if result.fixed_from_moving is None:
        return KeyNumber(
            label=label, value="–", detail="no transform found", meaning="No candidate was supported by enough points."
        )
    height, width = result.inputs.moving.hw
    matrix = result.fixed_from_moving
    x, y = (width - 1) / 2, (height - 1) / 2
    u, v, w = matrix @ (x, y, 1.0)
    dx, dy = float(u / w) - x, float(v / w) - y
    return KeyNumber(
        label=label,
        value=_px(math.hypot(dx, dy)),
        detail=f"{decimal(abs(dx), 1)} px {'right' if dx >= 0 else 'left'}, "
        f"{decimal(abs(dy), 1)} px {'down' if dy >= 0 else 'up'}",
        meaning="How far the centre of the moving image moves in pixel coordinates. Without a coordinate system "
        "on both images there is no distance in metres.",
        bearing_deg=math.degrees(math.atan2(dx, -dy)),
    )


def _px(value: float | None) -> str:
    return "–" if value is None else f"{decimal(value)} px"


def _error(result: Registration) -> str:
    if result.expected_error_px is None:
        return "the size shown below"
    if result.inputs.fixed.gsd_m is None:
        return f"{decimal(result.expected_error_px, 1)} px"
    return f"{decimal(result.expected_error_px, 1)} px ({metres(result.expected_error_px * result.inputs.fixed.gsd_m)})"


def _search_hint(result: Registration) -> str:
    searched = result.config.get("search_m")
    is_placed = result.inputs.fixed.crs and result.inputs.moving.crs and result.config.get("georeference") != "ignore"
    if isinstance(searched, int | float) and is_placed:
        return (
            f"If the georeference may be off by more than {searched:g} m, search further with `--search`; if it may be "
            "turned or scaled, register by the pixels alone with `--ignore-georeference`."
        )
    return "Without georeference, bring both images to about the same pixel size and orientation first."


def _setting(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list | tuple):
        return ", ".join(_setting(item) for item in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
