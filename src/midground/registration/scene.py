"""Register two raster files: open, bring to a common grid, attempt, refine, judge."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from midground.core.progress import Progress, silent
from midground.errors import InputError
from midground.geo.correction import Correction
from midground.geo.grid import Grid, common_grid
from midground.registration.arrays import register_by_content
from midground.registration.blocks import refine_in_blocks
from midground.registration.config import RegisterConfig
from midground.registration.inputs import Working, map_pair, open_sources
from midground.registration.level import Attempt, attempt
from midground.registration.outcome import Frame, Shown, assemble
from midground.registration.result import Registration
from midground.registration.run import Run, Stopwatch, band_wishes, build_mappers

BLOCKWISE_ABOVE_PX = 1536
"""Working grids with a longer side are first registered reduced, then refined in blocks."""
_OVERVIEW_PX = 1024
_SMALLEST_RETRY_PX = 192


def register_files(
    fixed: Path | str, moving: Path | str, config: RegisterConfig, *, progress: Progress = silent
) -> Registration:
    """Find the transform that lays one raster onto another, and judge it.

    Args:
        fixed: The raster that stays, usually the optical one.
        moving: The raster that is brought onto it, usually SAR.
        config: Settings.
        progress: Told about the stages.

    Raises:
        InputError: A raster cannot be used, or they do not overlap.
        ModelError: The learned model is damaged.
    """
    watch = Stopwatch()
    mappers = build_mappers(config)
    with watch("opening"):
        fixed_source, moving_source = open_sources(
            Path(fixed), Path(moving), (config.fixed, config.moving), band_wishes(mappers)
        )
    run = Run(fixed=fixed_source, moving=moving_source, mappers=mappers, config=config, watch=watch, progress=progress)
    return _register_on_the_ground(run) if uses_georeference(run) else register_by_content(run)


def uses_georeference(run: Run) -> bool:
    """Whether both images have a georeference that may be used.

    Raises:
        InputError: Only one of them has one, and nothing says that it is to be ignored.
    """
    if run.config.georeference == "ignore":
        return False
    without = [source for source in (run.fixed, run.moving) if source.grid.crs is None]
    if len(without) == 1:
        raise InputError(
            f"{without[0].info.path}: the image has no coordinate reference system, but the other one has: assign one "
            "to it, or register by content alone with --ignore-georeference."
        )
    return not without


def working_gsd_m(run: Run) -> float:
    """Ground sample distance of the working grid: the coarser of the two images', unless the user names one."""
    if run.config.gsd_m is not None:
        return run.config.gsd_m
    return max(source.grid.gsd_m or 0.0 for source in (run.fixed, run.moving))


def _register_on_the_ground(run: Run) -> Registration:
    fixed, moving = run.fixed.grid, run.moving.grid
    try:
        finest = common_grid(fixed, moving, gsd_m=working_gsd_m(run), margin_m=run.config.search_m)
    except InputError as error:
        raise InputError(f"{run.fixed.info.path} and {run.moving.info.path}: {error}") from error
    grid = finest.fitted(_OVERVIEW_PX) if max(finest.hw) > BLOCKWISE_ABOVE_PX else finest
    best, working, grid = _attempt_coarser_until_accepted(run, grid)
    found = None if best.lead is None else best.lead.transform
    shown = Shown(working, Frame.on_the_ground(fixed, moving, grid), found)
    if found is not None and best.judgement.verdict != "reject" and grid.hw != finest.hw:
        with run.watch("refining in blocks"):
            refined = refine_in_blocks(run, grid, finest, best)
        if refined is not None:
            best, grid = refined, finest
    frame = Frame.on_the_ground(fixed, moving, grid)
    return assemble(run, best, frame, shown, _correction(run, best, grid))


def _attempt_coarser_until_accepted(run: Run, grid: Grid) -> tuple[Attempt, Working, Grid]:
    """Attempt on the grid, and on coarser ones while it is rejected: speckle and layover shrink with distance."""
    first: tuple[Attempt, Working, Grid] | None = None
    while True:
        with run.watch("reading and mapping"):
            working = map_pair(run.fixed, run.moving, run.mappers, grid)
        search_px = int(np.ceil(run.config.search_m / (grid.gsd_m or 1.0)))
        with run.watch("matching"):
            now = attempt(working.pairs, search_px, run.config, georeferenced=True, progress=run.progress)
        # Every further attempt is another chance for a wrong transform to look right, so it has to convince.
        if now.judgement.verdict == "accept" or (first is None and now.judgement.verdict == "suspect"):
            return now, working, grid
        first = first or (now, working, grid)
        if min(grid.hw) // 2 < _SMALLEST_RETRY_PX or run.config.gsd_m is not None:
            return first
        grid = grid.scaled(0.5)


def _correction(run: Run, best: Attempt, grid: Grid) -> Correction | None:
    if best.lead is None:
        return None
    found = best.lead.transform
    matrix = grid.world_from_pixel() @ found.matrix @ grid.pixel_from_world()
    return Correction.from_world(
        str(grid.crs), matrix / matrix[2, 2], fixed=run.fixed.grid, moving=run.moving.grid, kind=found.kind
    )
