"""``midground register``: two rasters in, an aligned raster and the evidence for it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from midground.cli import options
from midground.cli.outputs import all_or_none
from midground.cli.progress import progress_bars
from midground.cli.results import STDOUT, ResultFiles, plan_files, write_results
from midground.cli.summary import conclude, summarise
from midground.errors import ConfigError


def register(
    fixed: Annotated[Path, typer.Argument(metavar="FIXED", help="Image that stays, usually the optical one.")],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="Image that is brought onto it, usually SAR.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Aligned raster (GeoTIFF).")
    ] = None,
    out_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder for aligned.tif, result.json, tie_points.*, transform.json and report.html; created.",
        ),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE|-", help="Result as JSON; - is standard output.")
    ] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Report (one HTML file).")] = None,
    tie_points: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Tie points; .geojson, .gpkg, .csv or .points (QGIS); repeatable."),
    ] = None,
    save_transform: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Transform (JSON) for 'midground apply'.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known transform (JSON) to state the error against.")
    ] = None,
    onto: options.OntoOption = "fixed",
    resampling: options.ResamplingOption = "cubic",
    transform: Annotated[
        str | None,
        typer.Option(metavar="KIND", help="translation, similarity, affine (default), homography or auto."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER|none",
            help="Learned shared modality: a name of 'midground models list', a bundle's folder, or none.",
        ),
    ] = None,
    search: Annotated[
        float | None, typer.Option(metavar="METRES", help="Largest error of the georeference searched (default 500).")
    ] = None,
    gsd: Annotated[
        float | None, typer.Option(metavar="METRES", help="Pixel size to work at; chosen from the images if omitted.")
    ] = None,
    bands_fixed: options.BandsFixedOption = None,
    bands_moving: options.BandsMovingOption = None,
    fixed_modality: options.ModalityOption = None,
    moving_modality: options.ModalityOption = None,
    sar_scale: options.SarScaleOption = None,
    ignore_georeference: Annotated[
        bool, typer.Option("--ignore-georeference", help="Register by the pixels alone.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write the aligned raster of a rejected result too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 if the result is suspect.")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of everything random (default 0).")] = None,
    config: options.ConfigFileOption = None,
    settings: options.SettingsOption = None,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Align MOVING onto FIXED, and say whether to trust the result.

    Without an output option the verdict is printed and nothing is written. A rejected result leaves no aligned raster.
    """
    from midground.cli.config_file import resolve_config
    from midground.registration.config import RegisterConfig
    from midground.registration.save import as_json, write_aligned

    if search is not None and ignore_georeference:
        raise ConfigError(
            "--search is how far the georeference may be off, which --ignore-georeference leaves out: give one of both."
        )
    given: dict[str, object] = {
        "transform": transform,
        "model": model,
        "search_m": search,
        "gsd_m": gsd,
        "seed": seed,
        "fixed.bands": options.parse_bands("--bands-fixed", bands_fixed),
        "moving.bands": options.parse_bands("--bands-moving", bands_moving),
        "fixed.modality": fixed_modality,
        "moving.modality": moving_modality,
        "fixed.sar_scale": sar_scale,
        "moving.sar_scale": sar_scale,
        "georeference": "ignore" if ignore_georeference else None,
    }
    explicit = {key: value for key, value in given.items() if value is not None}
    if model == "none":
        explicit["model"] = None
    chosen = resolve_config(RegisterConfig, file=config, settings=settings or (), options=explicit)
    warping = options.parse_warping(onto, resampling)
    known = None if truth is None else options.read_known_transform(truth)
    sources = [options.existing_raster(path) for path in (fixed, moving)]
    sources += [options.existing(path) for path in (config, truth) if path is not None]
    is_stdout_taken = json_file == STDOUT
    named = ResultFiles(
        aligned=output,
        json=None if is_stdout_taken else json_file,
        report=report,
        transform=save_transform,
        tie_points=tuple(tie_points or ()),
    )
    from midground.registration.api import register as register_images

    with all_or_none(sources) as outputs:
        files = plan_files(outputs, named, out_dir)
        with progress_bars(quiet=quiet) as progress:
            result = register_images(fixed, moving, config=chosen, progress=progress)
            correction = result.correction if force or result.verdict != "reject" else None
            write_results(result, files, outputs, correction=correction)
            if files.aligned is not None:
                if correction is None:
                    outputs.drop(files.aligned)
                else:
                    write_aligned(
                        moving,
                        outputs[files.aligned],
                        correction,
                        onto=warping.onto,
                        resampling=warping.resampling,
                        progress=progress,
                    )
    if is_stdout_taken:
        typer.echo(as_json(result.to_dict()))
    if not quiet:
        typer.echo(summarise(result, list(outputs), known), err=is_stdout_taken)
    return conclude(result, strict=strict)
