"""The report: one HTML file that needs nothing else, neither files beside it nor a network."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from midground.geo.raster import atomic_output
from midground.registration.result import Registration
from midground.report import view, words


def write_report(registration: Registration, out: Path) -> None:
    """Write a registration as one self-contained HTML page; nothing half-written remains on failure.

    Args:
        registration: Any outcome, also a rejected one; pictures need ``registration.previews``.
        out: The file to write, replaced if it exists.

    Raises:
        OutputError: The folder is missing or cannot be written, or the disk is full.
    """
    page = render_report(registration, written=datetime.now(UTC))
    with atomic_output(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def render_report(registration: Registration, *, written: datetime | None = None) -> str:
    """Make the page; the same registration and time give the same text.

    Args:
        registration: What to show.
        written: Date stated in the report; none is stated if omitted.
    """
    residuals = view.residuals_of(registration)
    inputs = registration.inputs
    return _template().render(
        result=registration,
        written=None if written is None else f"{written:%Y-%m-%d %H:%M} UTC",
        verdict=words.VERDICT_WORDS[registration.verdict],
        trust=words.trust(registration.trust),
        next_steps=words.next_steps(registration),
        key_numbers=words.key_numbers(registration),
        fixed_kind=words.kind_of(inputs.fixed),
        moving_kind=words.kind_of(inputs.moving),
        fixed_title=f"Fixed: {words.kind_of(inputs.fixed)}",
        moving_title=f"Moving: {words.kind_of(inputs.moving)}",
        fixed_name=words.name_of(inputs.fixed, "fixed"),
        moving_name=words.name_of(inputs.moving, "moving"),
        witnesses=view.witness_rows(registration),
        pictures=view.pictures_of(registration),
        tie_point_map=view.map_of(registration, residuals),
        residuals=view.residual_charts(registration, residuals),
        inputs=view.input_rows(registration),
        transform_rows=view.transform_rows(registration),
        settings=words.flattened(registration.config),
        timings=view.timing_rows(registration),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("midground.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["coded"] = words.coded
    return environment.get_template("report.html")
