"""``midground map``: images into the shared modality."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.outputs import Outputs, all_or_none
from midground.cli.progress import progress_bars
from midground.errors import ConfigError

if TYPE_CHECKING:
    from midground.core.progress import Progress
    from midground.modality.base import Mapper
    from midground.registration.config import InputConfig


def map_images(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Rasters of one modality.")],
    modality: Annotated[str, typer.Option("--modality", metavar="MODALITY", help="sar or optical.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Result (GeoTIFF), for a single image.")
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option("--out-dir", metavar="FOLDER", help="Folder for one GeoTIFF per image, named like it; created."),
    ] = None,
    model: options.ModelOption = "default",
    bands: Annotated[str | None, typer.Option("--bands", metavar="N,N,N", help="Bands to use, from 1.")] = None,
    sar_scale: options.SarScaleOption = None,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Map images into the shared modality, in which SAR and optical images look alike; georeference is kept."""
    from midground.cli.config_file import resolve_config
    from midground.modality.base import MODALITIES
    from midground.modality.mappers import build_mapper
    from midground.registration.config import InputConfig

    options.require_known("modality", modality, MODALITIES)
    config = resolve_config(
        InputConfig,
        options={"modality": modality, "bands": options.parse_bands("--bands", bands), "sar_scale": sar_scale},
    )
    sources = [options.existing_raster(path) for path in images]
    with all_or_none(sources) as outputs:
        targets = _plan(outputs, sources, output, out_dir)
        mapper = build_mapper(model)
        with progress_bars(quiet=quiet) as progress:
            for done, (source, target) in enumerate(zip(sources, targets, strict=True)):
                progress("images", done, len(sources))
                assumptions = _map(source, outputs[target], mapper, config, progress=progress)
                if not quiet:
                    for sentence in assumptions:
                        typer.echo(f"{source}: {sentence}", err=True)
            progress("images", len(sources), len(sources))
    if not quiet:
        for target in targets:
            typer.echo(str(target))


def _plan(outputs: Outputs, sources: Sequence[Path], output: Path | None, out_dir: Path | None) -> list[Path]:
    if (output is None) == (out_dir is None):
        raise ConfigError("map needs either -o FILE, for a single image, or --out-dir FOLDER.")
    if output is not None:
        if len(sources) > 1:
            raise ConfigError(f"-o names one file for {len(sources)} images; use --out-dir FOLDER.")
        options.require_geotiff(output)
        targets = [output]
    else:
        folder = outputs.make_folder(out_dir or Path())
        targets = [folder / f"{source.stem}.tif" for source in sources]
    for target in targets:
        outputs.add(target)
    return targets


def _map(source: Path, out: Path, mapper: Mapper, config: InputConfig, *, progress: Progress) -> tuple[str, ...]:
    import numpy as np

    from midground.geo.raster import write_raster
    from midground.registration.inputs import open_sources

    # Images are opened in pairs; what is decided about one of known modality does not depend on the other.
    opened, _ = open_sources(source, source, (config, config), mapper.inputs, band_options=("--bands", "--bands"))
    shared = mapper.map(opened.unit(opened.grid, mapper.inputs[opened.modality]), opened.modality, progress=progress)
    channels = np.where(shared.valid, shared.channels, np.float32(np.nan))
    names = tuple(f"{mapper.name} {index}" for index in range(1, shared.n_channels + 1))
    write_raster(out, channels, opened.grid, nodata=float("nan"), descriptions=names)
    return opened.assumptions
