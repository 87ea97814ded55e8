"""``midground apply``: put a saved transform onto another raster of the same geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from midground.cli import options
from midground.cli.outputs import all_or_none
from midground.cli.progress import progress_bars


def apply(
    transform: Annotated[Path, typer.Argument(metavar="TRANSFORM", help="What --save-transform wrote.")],
    raster: Annotated[Path, typer.Argument(metavar="RASTER", help="Another band, resolution or date.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Aligned raster (GeoTIFF).")],
    onto: options.OntoOption = "fixed",
    resampling: options.ResamplingOption = "cubic",
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Align RASTER with a transform that 'register --save-transform' wrote for the same geometry."""
    options.require_geotiff(output)
    warping = options.parse_warping(onto, resampling)
    sources = [options.existing(transform), options.existing_raster(raster)]
    with all_or_none(sources) as outputs:
        staged = outputs.add(output)
        from midground.geo.correction import Correction
        from midground.registration.save import write_aligned

        correction = Correction.load(transform)
        with progress_bars(quiet=quiet) as progress:
            note = write_aligned(
                raster, staged, correction, onto=warping.onto, resampling=warping.resampling, progress=progress
            )
    if not quiet:
        typer.echo(f"{output}: {note}")
