"""The folder of a training run: what may begin or go on in it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from midground.core.files import write_text
from midground.core.settings import differences, plain
from midground.errors import ConfigError, OutputError
from midground.training.matcher.config import AnyTrainConfig

_SETTINGS_FILE = "settings.json"
_FREE_KEYS = frozenset({"data.workers", "data.max_validation_pairs", "patience", "compile", "validate_first"})
"""Settings that a resumed run may change: they do not decide what the weights become."""


def check_folder(config: AnyTrainConfig, folder: Path, *, resume: bool) -> None:
    """Make sure that a run can begin in a folder, or go on in it.

    Raises:
        OutputError: Something is there already, or nothing can be written there; or, to go on, no run is.
        ConfigError: The run to go on with had other settings.
    """
    path = folder / _SETTINGS_FILE
    _try(folder)
    if not resume:
        if folder.exists() and any(folder.iterdir()):
            raise OutputError(
                f"{folder}: is there and not an empty folder; --resume goes on with the run in it, or choose another."
            )
        return
    if not path.is_file():
        raise OutputError(f"{folder}: there is no run to resume; leave out --resume to start one.")
    try:
        known = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise OutputError(f"{path}: the settings of the run are damaged ({error}); start another run.") from error
    settings = _plain(config)
    if config.data.validation is not None:
        # Pairs that turned out to be damaged may be left out: which places are held out does not depend on it.
        known, settings = _without_exclusions(known), _without_exclusions(settings)
    changed = [key for key in differences(known, settings) if key not in _FREE_KEYS]
    if changed:
        raise ConfigError(
            f"{path}: the run to resume had other settings ({', '.join(changed)}): resume it with the same, or start "
            "another run in another folder."
        )


def _try(folder: Path) -> None:
    """Make sure that a folder can be made, or written to, by making one in the nearest that is there."""
    nearest = folder
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        tempfile.TemporaryDirectory(prefix=".midground.", dir=nearest).cleanup()
    except OSError as error:
        raise OutputError(
            f"{folder}: no run can be written there ({nearest}: {error.strerror}); choose another folder with --output."
        ) from error


def begin_folder(config: AnyTrainConfig, folder: Path) -> None:
    """Begin a run's folder, once everything that can be checked without training was.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror}).") from error
    write_text(folder / _SETTINGS_FILE, json.dumps(_plain(config), indent=2) + "\n")


def _plain(config: AnyTrainConfig) -> dict[str, Any]:
    return plain(dataclasses.asdict(config))


def _without_exclusions(settings: dict[str, Any]) -> dict[str, Any]:
    data = settings["data"]
    train = [source | {"pairs": source["pairs"] | {"exclude": None}} for source in data["train"]]
    return settings | {"data": data | {"train": train}}
