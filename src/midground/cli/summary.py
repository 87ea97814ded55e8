"""What a registration came to, in a few lines for a terminal, and as an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from midground.cli.exits import EXIT_REJECTED, EXIT_SUSPECT

if TYPE_CHECKING:
    from midground.core.transforms import Transform
    from midground.registration.result import Inputs, Registration


def summarise(result: Registration, written: Sequence[Path], known: Transform | None) -> str:
    """Put the verdict, the reasons, the numbers, what to do, how the images were read, and the files into lines.

    Args:
        result: The registration.
        written: Files that were written.
        known: The true transform, to state the error against.
    """
    from midground.report.words import VERDICT_WORDS, key_numbers, next_steps

    verdict = VERDICT_WORDS[result.verdict]
    lines = [f"{verdict.word}. {verdict.headline}", *(f"  - {reason}" for reason in result.reasons), ""]
    rows = [(number.label, number.value, number.detail) for number in key_numbers(result)]
    if known is not None:
        rows.append(("Error against truth", *_error_against(known, result)))
    width = max(len(label) for label, _, _ in rows)
    lines += [f"{label:<{width}}  {value}  ({detail})" for label, value, detail in rows]
    if result.verdict != "accept":
        lines += ["", "What to do:", *(f"  - {step.replace('`', '')}" for step in next_steps(result))]
    return "\n".join([*lines, *read_and_written(result.inputs, written)])


def read_and_written(inputs: Inputs, written: Sequence[Path]) -> list[str]:
    """How the images were read, and the files that were written, as lines after a summary."""
    lines = ["", "Read as:"]
    for role, image in (("fixed", inputs.fixed), ("moving", inputs.moving)):
        lines.append(f"  {role:<6}  {'; '.join(image.assumptions) or image.modality}")
    if written:
        lines += ["", "Written:", *(f"  {path}" for path in written)]
    return lines


def conclude(result: Registration, *, strict: bool) -> int:
    """Say aloud what must not be overlooked, and choose the exit code.

    Args:
        result: The registration.
        strict: Whether a suspect result counts as a failure.
    """
    if result.verdict == "accept":
        return 0
    reason = result.reasons[0] if result.reasons else "see the report."
    if result.verdict == "suspect":
        typer.secho(f"midground: SUSPECT, check it by eye: {reason}", err=True, fg="yellow", bold=True)
        return EXIT_SUSPECT if strict else 0
    typer.secho(f"midground: REJECTED, do not use it: {reason}", err=True, fg="red", bold=True)
    return EXIT_REJECTED


def _error_against(known: Transform, result: Registration) -> tuple[str, str]:
    from midground.core.transforms import Transform, corner_error

    if result.fixed_from_moving is None or result.transform is None:
        return "–", "no transform found"
    error_px = corner_error(Transform(result.fixed_from_moving, result.transform), known, result.inputs.moving.hw)
    return f"{error_px:.2f} px", "mean over the four corners of the moving image"
