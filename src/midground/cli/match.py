"""``midground match``: what one matcher finds between two images, or several side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from midground.cli import options
from midground.cli.exits import EXIT_REJECTED
from midground.cli.matches import Found, MappedPair, build_matchers, choose_mapper, map_pair, match_pair, wanted_by
from midground.cli.outputs import all_or_none, write_text
from midground.cli.progress import progress_bars
from midground.cli.results import STDOUT
from midground.cli.summary import read_and_written
from midground.cli.tables import aligned
from midground.errors import ConfigError

if TYPE_CHECKING:
    from midground.matching.configs import MatcherConfig

COMPARISON_SCHEMA = "midground/match-comparison/1"
ALL = "all"
_PANEL_PX = 512


def match(
    fixed: Annotated[
        Path, typer.Argument(metavar="FIXED", help="Image that is matched to, on the right of the picture.")
    ],
    moving: Annotated[Path, typer.Argument(metavar="MOVING", help="Image whose points are matched, on the left.")],
    matcher: Annotated[
        str,
        typer.Option(
            "--matcher",
            metavar="NAME",
            help="sift, template, rift2, xfeat, lighterglue, dedode, roma-shared, roma or romav2; several with commas "
            "between are compared, and all are those that can be built here.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Picture of the matches (.png or .jpg).")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE|-", help="Matches as JSON; - is standard output.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME|FOLDER",
            help="Shared modality: a name of 'midground models list', a bundle's folder, structure, or none (raw "
            "grey); if omitted, what the matcher was trained on, else default.",
        ),
    ] = None,
    transform: Annotated[
        str, typer.Option("--transform", metavar="KIND", help="translation, similarity, affine or homography.")
    ] = "affine",
    bands_moving: options.BandsMovingOption = None,
    bands_fixed: options.BandsFixedOption = None,
    moving_modality: options.ModalityOption = None,
    fixed_modality: options.ModalityOption = None,
    sar_scale: options.SarScaleOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the matcher, for instance ratio=0.9 or sift.ratio=0.9, as it must be with several; "
            "repeatable.",
        ),
    ] = None,
    allow_download: options.AllowDownloadOption = False,
    seed: options.SeedOption = 0,
    quiet: options.QuietOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Match MOVING to FIXED pixel by pixel, whatever their georeference; exit 3 if no transform is supported."""
    from midground.cli.config_file import resolve_config
    from midground.core.transforms import TRANSFORM_KINDS
    from midground.registration.config import InputConfig
    from midground.registration.save import as_json

    configs = _configs(matcher, settings or (), allow_download=allow_download)
    # With `all`, a matcher that cannot be had is left out; one that was named is needed.
    left_out: dict[str, str] = {}
    is_all = matcher.strip() == ALL
    excuses = left_out if is_all else None
    is_comparison = len(configs) > 1
    options.require_known("transform", transform, TRANSFORM_KINDS)
    if output is not None:
        options.require_known("picture format", output.suffix.lower(), (".jpg", ".png"))
    bands = (
        options.parse_bands("--bands-moving", bands_moving),
        options.parse_bands("--bands-fixed", bands_fixed),
    )
    inputs = [
        resolve_config(InputConfig, options={"modality": modality, "bands": chosen, "sar_scale": sar_scale})
        for modality, chosen in zip((moving_modality, fixed_modality), bands, strict=True)
    ]
    sources = [options.existing_raster(path) for path in (moving, fixed)]
    is_stdout_taken = json_file == STDOUT
    with all_or_none(sources) as outputs:
        picture = None if output is None else outputs.add(output)
        listing = None if json_file is None or is_stdout_taken else outputs.add(json_file)
        with progress_bars(quiet=quiet) as progress:
            matchers = build_matchers(configs, excuses)
            wanted = wanted_by({name: configs[name] for name in matchers})
            chosen, mapper = choose_mapper(model, {} if is_all else wanted)
            pair = map_pair(sources, inputs, mapper, progress)
            found = match_pair(pair, matchers, excuses, wanted, kind=transform, seed=seed, progress=progress)  # type: ignore[arg-type]
        facts = {"model": chosen, "seed": seed, "inputs": pair.read_as()}
        documents = [one.to_dict() | {"matcher": name} | facts for name, one in found.items()]
        comparison = {"schema": COMPARISON_SCHEMA, "matchers": documents, "left_out": left_out}
        described = comparison if is_comparison else documents[0]
        if picture is not None:
            _write_picture(picture, pair, found)
        if listing is not None:
            write_text(listing, as_json(described) + "\n")
    if is_stdout_taken:
        typer.echo(as_json(described))
    if not quiet:
        lines = _comparison(found, left_out) if is_comparison else [_summary(*found.values())]
        if model is None and chosen in wanted.values():
            lines.append(f"Mapped with '{chosen}', which {', '.join(wanted)} was trained on; --model names another.")
        lines += read_and_written(pair.inputs, list(outputs))
        typer.echo("\n".join(lines), err=is_stdout_taken)
    return _conclude(found)


def _configs(matcher: str, settings: Sequence[str], *, allow_download: bool) -> dict[str, MatcherConfig]:
    """Settings of every matcher that is named: ``NAME.KEY=VALUE``, of a single one ``KEY=VALUE`` too."""
    from midground.matching.registry import MATCHERS

    names = list(dict.fromkeys(name.strip() for name in matcher.split(",")))
    for name in names:
        options.require_known("matcher", name, [*MATCHERS, ALL])
    if ALL in names:
        if len(names) > 1:
            raise ConfigError(f"--matcher takes {ALL} alone, or names with commas between; found '{matcher}'.")
        names = list(MATCHERS)
    if len(names) == 1:
        own = {names[0]: [setting.removeprefix(f"{names[0]}.") for setting in settings]}
    else:
        own = options.settings_by_name("matcher", settings, names)
    return {name: _config(name, own[name], allow_download=allow_download) for name in names}


def _config(name: str, settings: Sequence[str], *, allow_download: bool) -> MatcherConfig:
    from midground.cli.config_file import resolve_config
    from midground.matching.registry import MATCHERS

    kind = MATCHERS[name].config
    return resolve_config(kind, settings=settings, options=options.download_permission(kind, allowed=allow_download))


def _summary(found: Found) -> str:
    return f"{len(found.matches)} matches, {found.n_inliers} inliers, {found.seconds:.2f} s"


def _comparison(found: Mapping[str, Found], left_out: Mapping[str, str]) -> list[str]:
    """A table with a row for each matcher, and a line for each one that found no transform or was left out."""
    rows = [("matcher", "matches", "inliers", "share", "residual px", "seconds")]
    for name, one in found.items():
        n_matches = len(one.matches)
        share = f"{one.n_inliers / n_matches:.0%}" if n_matches else "–"
        residual = "–" if one.residual_rmse_px is None else f"{one.residual_rmse_px:.2f}"
        rows.append((name, str(n_matches), str(one.n_inliers), share, residual, f"{one.seconds:.2f}"))
    return [
        *aligned(rows),
        *(f"{name}: no transform: {one.failure}" for name, one in found.items() if one.failure is not None),
        *(f"{name}: left out: {reason.removeprefix(f'{name}: ')}" for name, reason in left_out.items()),
    ]


def _conclude(found: Mapping[str, Found]) -> int:
    """Exit code; says why if no matcher supports a transform."""
    failures = [one.failure for one in found.values()]
    if None in failures:
        return 0
    reason = failures[0] if len(failures) == 1 else f"none of the {len(failures)} matchers supports one."
    typer.echo(f"midground: no transform: {reason}", err=True)
    return EXIT_REJECTED


def _write_picture(path: Path, pair: MappedPair, found: Mapping[str, Found]) -> None:
    from midground.report.figures import draw_matches, tile, write_picture

    if len(found) == 1:
        (one,) = found.values()
        write_picture(path, draw_matches(*pair.shown, one.matches, one.inliers))
        return
    panels = [
        draw_matches(*pair.shown, one.matches, one.inliers, title=f"{name}, inliers", max_px=_PANEL_PX)
        for name, one in found.items()
    ]
    write_picture(path, tile(panels))
