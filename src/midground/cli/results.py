"""The files that a registration leaves behind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from midground.cli.options import require_geotiff
from midground.cli.outputs import Outputs, write_text
from midground.errors import unknown_name

if TYPE_CHECKING:
    from midground.geo.correction import Correction
    from midground.registration.result import Registration

STDOUT = Path("-")
"""What ``--json`` takes for standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFiles:
    """Which result goes where; None for a result that is not wanted."""

    aligned: Path | None = None
    json: Path | None = None
    report: Path | None = None
    transform: Path | None = None
    tie_points: tuple[Path, ...] = ()


def plan_files(outputs: Outputs, named: ResultFiles, out_dir: Path | None) -> ResultFiles:
    """Announce every result: where an option says, else under its usual name in the output folder.

    Args:
        outputs: Told about every file.
        named: What options name.
        out_dir: Output folder, created; only what is named is written without one.

    Raises:
        ConfigError: A format of tie points that does not exist, or an aligned raster that is not named as GeoTIFF.
        OutputError: A file that cannot be written.
    """
    from midground.geo.tiepoints import WRITERS

    files = named
    if named.aligned is not None:
        require_geotiff(named.aligned)
    for path in named.tie_points:
        if path.suffix.lower() not in WRITERS:
            raise unknown_name("format of tie points", path.suffix, WRITERS)
    if out_dir is not None:
        folder = outputs.make_folder(out_dir)
        files = replace(
            named,
            aligned=named.aligned or folder / "aligned.tif",
            json=named.json or folder / "result.json",
            report=named.report or folder / "report.html",
            transform=named.transform or folder / "transform.json",
            tie_points=named.tie_points or (folder / "tie_points.gpkg", folder / "tie_points.csv"),
        )
    for wanted in (files.aligned, files.json, files.report, files.transform, *files.tie_points):
        if wanted is not None:
            outputs.add(wanted)
    return files


def write_results(result: Registration, files: ResultFiles, outputs: Outputs, *, correction: Correction | None) -> None:
    """Write everything but the aligned raster; what cannot or must not be written is taken back.

    Args:
        result: The registration.
        files: Where results go.
        outputs: What was announced.
        correction: What may be handed on; None if the result must not be used.
    """
    if files.transform is not None:
        if correction is None:
            outputs.drop(files.transform)
        else:
            correction.save(outputs[files.transform])
    for path in files.tie_points:
        _write_tie_points(result, path, outputs)
    if files.report is not None:
        from midground.report.html import write_report

        write_report(result, outputs[files.report])
    if files.json is not None:
        from midground.registration.save import as_json

        write_text(outputs[files.json], as_json(result.to_dict()) + "\n")


def _write_tie_points(result: Registration, path: Path, outputs: Outputs) -> None:
    if result.correction is None:
        outputs.drop(path)
        return
    from midground.geo.tiepoints import write_tie_points

    write_tie_points(outputs[path], result.tie_points, result.correction)
