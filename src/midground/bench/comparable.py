"""Which runs may stand beside one another: those that differ in nothing that is not shown."""

from __future__ import annotations

from collections.abc import Sequence

from midground.bench.records import manifest_differences
from midground.bench.scores import Run
from midground.errors import ConfigError

_NOT_ONE_TABLE = "so their numbers do not belong in one table; evaluate them one by one"


def require_comparable(runs: Sequence[Run]) -> None:
    """Make sure that runs differ in nothing that their rows in a table do not show.

    Raises:
        ConfigError: They do; the settings are named.
    """
    first = runs[0]
    seen: dict[tuple[str, str], Run] = {}
    rows: dict[tuple[str, str, str], Run] = {}
    for run in runs:
        require_same(first, run, ("pairs", "versions"), _NOT_ONE_TABLE)
        for key, name in (
            ("model", run.model),
            ("method", run.method),
            ("method_versions", run.method),
            ("weights", run.method),
            ("warp", run.protocol),
        ):
            require_same(seen.setdefault((key, name), run), run, (key,), _NOT_ONE_TABLE)
        other = rows.setdefault((run.protocol, run.model, run.method), run)
        if other is not run:
            raise ConfigError(f"{other.folder} and {run.folder}: are one run made twice; name one of them.")


def require_same(one: Run, other: Run, keys: Sequence[str], remedy: str) -> None:
    """Make sure that two runs agree in parts of their manifests.

    Args:
        one: A run.
        other: Another one.
        keys: The parts.
        remedy: End of the message: what follows, and what to do.

    Raises:
        ConfigError: They do not; the settings are named.
    """
    differing = [key for key in manifest_differences(one.manifest, other.manifest) if key.partition(".")[0] in keys]
    if differing:
        raise ConfigError(f"{one.folder} and {other.folder}: differ in {', '.join(differing)}, {remedy}.")
