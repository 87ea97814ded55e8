"""``midground simulate``: a scene pair with a known transform."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from midground.cli import options
from midground.cli.outputs import all_or_none
from midground.cli.progress import progress_bars


def simulate(
    out_dir: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for optical.tif, sar.tif and truth.json; created.")
    ],
    seed: options.SeedOption = 0,
    size: Annotated[int, typer.Option(metavar="PIXELS", help="Side of both images, 128 to 2048.")] = 1024,
    gsd: Annotated[float, typer.Option(metavar="METRES", help="Pixel size, 3 to 30.")] = 10.0,
    shift: Annotated[
        str | None,
        typer.Option(metavar="EAST,NORTH", help="Shift in metres that the SAR georeference lacks; random if omitted."),
    ] = None,
    rotation: Annotated[
        float | None, typer.Option(metavar="DEGREES", help="Rotation that it lacks, clockwise; random if omitted.")
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Scale that it lacks; random if omitted.")] = None,
    looks: Annotated[float, typer.Option(help="Equivalent number of looks of the SAR image.")] = 4.4,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Make an optical and a SAR image of one landscape that do not line up, and state the truth beside them."""
    shift_m = options.parse_shift("--shift", shift)
    with all_or_none([]) as outputs:
        folder = outputs.make_folder(out_dir)
        staged = {name: outputs.add(folder / name) for name in ("optical.tif", "sar.tif", "truth.json")}
        from midground.simulate.scene import simulate_scene_pair

        with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as name, progress_bars(quiet=quiet) as progress:
            pair = simulate_scene_pair(
                Path(name),
                seed=seed,
                size_px=size,
                gsd_m=gsd,
                shift_m=shift_m,
                rotation_deg=rotation,
                scale=scale,
                looks=looks,
                progress=progress,
            )
            for path in (pair.optical, pair.sar, pair.truth):
                path.replace(staged[path.name])
    if not quiet:
        east, north = pair.shift_m
        typer.echo(f"optical  {folder / 'optical.tif'}")
        typer.echo(f"SAR      {folder / 'sar.tif'}, to be moved {east:+.1f} m east and {north:+.1f} m north")
        typer.echo(f"truth    {folder / 'truth.json'}")
