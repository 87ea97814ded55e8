"""The paper's figures 4, 5 and 6 from one's own pairs and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from midground.bench.records import load, pair_file
from midground.bench.scores import CORRECT_PX, Run
from midground.core.files import write_text
from midground.core.image import Image, three_channels
from midground.core.metrics import point_errors
from midground.datasets.base import Pair, PairSource
from midground.errors import InputError
from midground.evaluation.config import WarpConfig
from midground.evaluation.cuts import warped
from midground.modality.base import Mapper
from midground.report.charts import curves
from midground.report.figures import draw_matches, tile, titled, to_preview, write_picture

DELTAS_PX = tuple(step / 2 for step in range(1, 21))
"""Distances up to which a match counts as correct, px."""
_PANEL_PX = 192
_MATCH_PANEL_PX = 420
_COLOURS = (
    "#1f5fbf",
    "#b4540a",
    "#0a6b52",
    "#8a2be2",
    "#a91f2b",
    "#5a6b00",
    "#0b8793",
    "#7a4a21",
    "#444444",
    "#d16ba5",
)
_STYLE = (
    "svg{background:#fff;font:12px sans-serif;fill:#16202b}.grid{stroke:#dde2e8}.axis{stroke:#55616e}"
    ".curve{fill:none;stroke-width:2}"
) + "".join(f".curve-{index}{{stroke:{colour}}}" for index, colour in enumerate(_COLOURS))


def examples(mappers: Mapping[str, Mapper], pairs: PairSource, indices: Sequence[int]) -> UInt8[np.ndarray, "h w 3"]:
    """Figure 4: a column for each pair; the images, then what each mapper makes of them, three channels at most.

    Args:
        mappers: By the name that is printed.
        pairs: The collection.
        indices: Which of its pairs.
    """
    chosen = [pairs.read(index) for index in indices]
    panels = [_panel(pair.optical, f"optical {pair.name}") for pair in chosen]
    panels += [_panel(pair.sar, "SAR") for pair in chosen]
    for name, mapper in mappers.items():
        panels += [_panel(three_channels(mapper.map(pair.sar, "sar")), f"SAR, {name}") for pair in chosen]
        panels += [_panel(three_channels(mapper.map(pair.optical, "optical")), f"optical, {name}") for pair in chosen]
    return tile(panels, n_columns=len(chosen))


def correct_match_curves(runs: Mapping[str, Run]) -> dict[str, str]:
    """Figure 5 as two SVG documents by file name: CMR and LE against the distance up to which a match is correct.

    CMR is over all pairs, one without a match counting as 0; LE over the pairs with a correct match.

    Args:
        runs: By the name that is printed.
    """
    limits = (0.0, DELTAS_PX[-1])
    cmr = {name: [(delta, run.cmr_of_all(delta).value) for delta in DELTAS_PX] for name, run in runs.items()}
    error = {name: [(delta, run.localization_error(delta).value) for delta in DELTAS_PX] for name, run in runs.items()}
    top = max((value for points in error.values() for _, value in points if value is not None), default=1.0)
    return {
        "figure5-cmr.svg": _document(curves(cmr, x_limits=limits, y_limits=(0, 1), labels=("δ, px", "CMR"))),
        "figure5-le.svg": _document(curves(error, x_limits=limits, y_limits=(0, top), labels=("δ, px", "LE, px"))),
    }


def matches_of(run: Run, pair: Pair, index: int, title: str) -> UInt8[np.ndarray, "h w 3"]:
    """One panel of figure 6: matches within 5 px of the truth are green, others red.

    Args:
        run: Where the matches are kept.
        pair: The pair that they are of.
        index: Its number in the run.
        title: Printed above it.
    """
    found = load(pair_file(run.folder, index))
    correct = point_errors(found.matches, found.truth) <= CORRECT_PX
    stored = run.manifest["warp"]
    sar, optical, _ = warped(pair, WarpConfig(**stored | {"scale": tuple(stored["scale"])}), index)
    return draw_matches(sar, optical, found.matches, correct, title=title, max_px=_MATCH_PANEL_PX)


def shown_index(pairs: PairSource, warp: WarpConfig) -> int | None:
    """The pair nearest to the middle of a collection that is large enough for its warp; None if none is."""
    middle = len(pairs) // 2
    for index in sorted(range(len(pairs)), key=lambda index: abs(index - middle)):
        try:
            warped(pairs.read(index), warp, index)
        except InputError:
            continue
        return index
    return None


def write_figures(
    folder: Path, *, grid: UInt8[np.ndarray, "h w 3"], curve_files: Mapping[str, str], panels: Sequence[np.ndarray]
) -> list[Path]:
    """Write all figures, and give their paths."""
    write_picture(folder / "figure4.png", grid)
    for name, text in curve_files.items():
        write_text(folder / name, text)
    paths = [folder / "figure4.png", *(folder / name for name in curve_files)]
    if panels:
        write_picture(folder / "figure6.png", tile(list(panels)))
        paths.append(folder / "figure6.png")
    return paths


def _panel(image: Image, title: str) -> UInt8[np.ndarray, "h w 3"]:
    return titled(to_preview(image, max_px=_PANEL_PX), title)


def _document(svg: str) -> str:
    """A file of its own: the report's charts take their colours from its page."""
    return (
        str(svg)
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace(">", f"><style>{_STYLE}</style>", 1)
    )
