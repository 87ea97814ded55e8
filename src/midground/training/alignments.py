"""Misregistration of training pairs, kept in a run's folder: a resumed run does not look for it again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from midground.core.files import write_text
from midground.core.progress import Progress, silent
from midground.core.settings import plain
from midground.datasets.base import PairSource, listing_sha256
from midground.modality.base import Mapper
from midground.training.config import RealignConfig
from midground.training.realign import Realignment, realign

ALIGNMENTS_FILE = "alignments.json"
_SCHEMA = "midground/alignments/1"


def kept_alignments(
    folder: Path,
    mapper: Mapper,
    sources: Sequence[PairSource],
    config: RealignConfig,
    *,
    progress: Progress = silent,
) -> list[Realignment]:
    """The shifts of all pairs: those that the folder keeps, or found now and kept there, whole or not at all.

    What was found with another model, of other pairs or with other settings is found anew, and so is what cannot be
    read.

    Args:
        folder: The run's; must exist.
        mapper: A model that training does not change.
        sources: Unit-scaled pairs of each collection.
        config: How far to search, and how clear a peak must be.
        progress: Told after every pair that is looked at.

    Raises:
        OutputError: The folder cannot be written to.
    """
    path = folder / ALIGNMENTS_FILE
    found_with = _found_with(mapper, sources, config)
    known = _read(path, found_with)
    if known is not None:
        return known
    found = [realign(mapper, source, config, progress=progress) for source in sources]
    document = {"schema": _SCHEMA, "found_with": found_with, "collections": [asdict(one) for one in found]}
    write_text(path, json.dumps(document, indent=1) + "\n")
    return found


def _found_with(mapper: Mapper, sources: Sequence[PairSource], config: RealignConfig) -> dict[str, Any]:
    """Everything that decides the shifts, but for the pixels."""
    return plain(
        {
            "model": mapper.name,
            "model_sha256": mapper.sha256,
            "realign": asdict(config),
            "pairs_sha256": [listing_sha256(source) for source in sources],
        }
    )


def _read(path: Path, found_with: dict[str, Any]) -> list[Realignment] | None:
    """What a file keeps; None if there is none, or none that was found with the same."""
    try:
        document = json.loads(path.read_text("utf-8"))
        if (document["schema"], document["found_with"]) != (_SCHEMA, found_with):
            return None
        return [_realignment(**collection) for collection in document["collections"]]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _realignment(shifts_xy: dict[str, list[int] | None], n_undecided: int) -> Realignment:
    shifts = {name: None if shift is None else (shift[0], shift[1]) for name, shift in shifts_xy.items()}
    return Realignment(shifts, n_undecided)
