"""Large scenes: a transform found on a reduced grid is refined with tie points from blocks at full resolution.

Memory does not grow with the scene: one block at a time is read, mapped and matched. Blocks are searched close to the
transform, so they measure how good it is, and do not testify that it was found: trust stays that of the reduced grid.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from midground.core.correspondences import Correspondences
from midground.core.transforms import Transform
from midground.errors import RegistrationError
from midground.geo.grid import Grid
from midground.matching.template import TemplateMatcher, TemplateMatches
from midground.registration.inputs import map_pair
from midground.registration.level import Attempt, halves_distance_px, overlap_mask
from midground.registration.pair import TiePointSearch, fit_tie_points
from midground.registration.run import Run
from midground.registration.validation import coverage
from midground.registration.verdict import judge

BLOCK_PX = 768
MAX_BLOCKS = 16
_POINTS_PER_BLOCK = 36
_MIN_VALID = 0.5
_MIN_SUPPORT = 0.35


def refine_in_blocks(run: Run, coarse_grid: Grid, grid: Grid, best: Attempt) -> Attempt | None:
    """Match blocks spread over the overlap on a finer grid, near where an attempt expects them.

    Args:
        run: Inputs and settings.
        coarse_grid: Grid of the attempt.
        grid: Finer grid with the same coordinate reference system.
        best: The attempt on the coarse grid, with a transform.

    Returns:
        The attempt in pixels of ``grid``; None if the finer grid does not support one, so that the coarse one stands.
    """
    if best.lead is None or best.evidence is None:
        return None
    fine_from_coarse = Transform(grid.pixel_from_world() @ coarse_grid.world_from_pixel(), "affine")
    around = fine_from_coarse @ best.lead.transform @ fine_from_coarse.inverse()
    around = Transform(around.matrix, best.lead.transform.kind)
    factor = (coarse_grid.gsd_m or 1.0) / (grid.gsd_m or 1.0)
    search_px = int(np.clip(np.ceil(2 * factor) + 4, 8, 32))
    corners = choose_blocks(overlap_mask(best.pairs[0], best.lead.transform), coarse_grid, grid)
    blind = _match_blocks(run, grid, around, corners, search_px)
    try:
        search = fit_tie_points(run.mappers[0].name, blind, blind.matches, around, run.config, grid.hw)
    except RegistrationError:
        return None
    if search.blind_support < _MIN_SUPPORT:
        return None
    used = search.matches.select(search.inliers)
    evidence = replace(
        best.evidence,
        n_matches=len(search.matches),
        n_inliers=len(used),
        coverage=_coverage(best, search, fine_from_coarse, factor),
        ce90_px=search.held_out.ce90_px,
        transform_std_px=search.held_out.transform_std_px,
        halves_px=halves_distance_px(search, grid.hw),
        deviation=search.transform,
        n_blocks=len(corners),
    )
    return Attempt(best.pairs, best.coarse, search, best.witness, evidence, judge(evidence))


def choose_blocks(overlap: Bool[np.ndarray, "h w"], coarse_grid: Grid, grid: Grid) -> list[tuple[int, int]]:
    """Top left corners (row, column) of at most 16 blocks of the fine grid, spread evenly, that hold enough data."""
    height, width = grid.hw
    # From edge to edge: where two blocks do not fit side by side, they overlap.
    n_rows, n_columns = (max(1 + (side > BLOCK_PX), side // BLOCK_PX) for side in (height, width))
    while n_rows * n_columns > MAX_BLOCKS:
        n_rows, n_columns = max(1, n_rows - (n_rows >= n_columns)), max(1, n_columns - (n_columns > n_rows))
    rows = np.rint(np.linspace(0, max(height - BLOCK_PX, 0), n_rows)).astype(int)
    columns = np.rint(np.linspace(0, max(width - BLOCK_PX, 0), n_columns)).astype(int)
    scale_y, scale_x = coarse_grid.hw[0] / height, coarse_grid.hw[1] / width
    chosen = []
    for row in rows:
        for column in columns:
            part = overlap[
                int(row * scale_y) : int((row + BLOCK_PX) * scale_y) + 1,
                int(column * scale_x) : int((column + BLOCK_PX) * scale_x) + 1,
            ]
            if part.size and part.mean() >= _MIN_VALID:
                chosen.append((int(row), int(column)))
    return chosen


def _match_blocks(
    run: Run, grid: Grid, around: Transform, corners: list[tuple[int, int]], search_px: int
) -> TemplateMatches:
    template = run.config.template
    matcher = TemplateMatcher(replace(template, max_points=_POINTS_PER_BLOCK, spacing_px=template.window_px))
    parts: list[TemplateMatches] = []
    for index, (row, column) in enumerate(corners):
        centre = np.array([[column + BLOCK_PX / 2, row + BLOCK_PX / 2]])
        offset = np.rint(around.inverse()(centre) - centre)[0]
        fixed_xy = np.array([column, row], dtype=np.float64)
        moving_xy = fixed_xy + offset
        windows = [_window(grid, corner) for corner in (fixed_xy, moving_xy)]
        pair = map_pair(run.fixed, run.moving, run.mappers[:1], windows[0], moving_grid=windows[1]).pairs[0]
        local = Transform.translation(*-fixed_xy) @ around @ Transform.translation(*moving_xy)
        found = matcher.match_around(pair.moving, pair.fixed, local, search_px=search_px)
        matches = Correspondences(
            found.matches.moving_xy + moving_xy, found.matches.fixed_xy + fixed_xy, found.matches.score
        )
        parts.append(replace(found, matches=matches))
        run.progress("refining in blocks", index + 1, len(corners))
    return TemplateMatches(
        Correspondences.concatenate(part.matches for part in parts),
        np.concatenate([np.zeros(0), *(part.peak_ratio for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.window_px for part in parts)]),
        sum(part.n_windows for part in parts),
    )


def _window(grid: Grid, corner_xy: np.ndarray) -> Grid:
    left, top = (int(value) for value in corner_xy)
    return grid.window(left, top, (min(BLOCK_PX, grid.hw[0]), min(BLOCK_PX, grid.hw[1])))


def _coverage(best: Attempt, search: TiePointSearch, fine_from_coarse: Transform, factor: float) -> float:
    """Coverage in the coarse grid; a block vouches for the gap to the next one."""
    if best.lead is None:
        return 0.0
    overlap = overlap_mask(best.pairs[0], best.lead.transform)
    used = search.matches.select(search.inliers)
    reach_px = max(BLOCK_PX / factor, max(overlap.shape) / 8)
    return coverage(fine_from_coarse.inverse()(used.fixed_xy), overlap, reach_px)
