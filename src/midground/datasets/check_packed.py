"""Everything that is wrong with a packed collection: shards that are missing, cut short or altered, and empty pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from midground.core.progress import Progress, silent
from midground.datasets.archive import Index, absent_shards, altered_shard, read_index
from midground.datasets.catalogue import PairsConfig, not_found, selection_of
from midground.datasets.check import Findings, check
from midground.datasets.listing import Problem
from midground.datasets.packed import PackedPairs, choose_bands
from midground.datasets.selection import Selection
from midground.errors import InputError


def check_packed(config: PairsConfig, *, progress: Progress = silent) -> Findings:
    """Say what is wrong with a packed collection; only pairs of shards that are missing or cut short are not read.

    Args:
        config: Where it lies, and which pairs and bands are read; all bands where it lacks one of them.
        progress: Told after every shard and every pair.

    Raises:
        InputError: The index or a list of names cannot be read, or no pair is left by the settings.
    """
    folder, selection = config.path, selection_of(config)
    index = read_index(folder)
    absent = absent_shards(folder, index)
    problems = _of_shards(folder, index, absent, progress)
    bands: dict[str, Sequence[int] | None] = {}
    for setting, wanted, stored in (
        ("bands_sar", config.bands_sar, index.sar),
        ("bands_optical", config.bands_optical, index.optical),
    ):
        try:
            choose_bands(folder, setting, wanted, stored)
            bands[setting] = wanted
        except InputError as error:
            problems.append(Problem(kind="mismatched", message=str(error)))
    kept = [entry for entry in index.pairs if selection.keeps(entry.name)]
    problems += not_found(selection, [entry.name for entry in kept], folder)
    problems += _of_places([entry.name for entry in kept], selection)
    readable = frozenset(entry.name for entry in kept if entry.shard not in absent)
    if kept and not readable:
        return Findings(0, tuple(problems), ())
    source = PackedPairs(folder, **bands, selection=Selection(include=readable))
    found = check(source, progress=progress)
    return Findings(len(source), (*problems, *found.problems), found.hints)


def _of_shards(folder: Path, index: Index, absent: dict[int, str], progress: Progress) -> list[Problem]:
    problems: list[Problem] = []
    for number, shard in enumerate(index.shards):
        if number in absent:
            n_pairs = sum(entry.shard == number for entry in index.pairs)
            is_there = (folder / shard.file).exists()
            message = f"{absent[number]} Its {n_pairs} pair(s) were not read."
            problems.append(Problem(kind="unreadable" if is_there else "missing", message=message))
        elif (altered := altered_shard(folder, shard)) is not None:
            problems.append(Problem(kind="unreadable", message=altered))
        progress("verifying shards", number + 1, len(index.shards))
    return problems


def _of_places(names: Sequence[str], selection: Selection) -> list[Problem]:
    problems: list[Problem] = []
    for name in names:
        try:
            selection.place(name)
        except InputError as error:
            problems.append(Problem(kind="unplaced", message=str(error)))
    return problems
