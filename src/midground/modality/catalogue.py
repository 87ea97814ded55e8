"""The learned models at hand: those shipped with the package, and those in the folders of MIDGROUND_MODELS."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from midground.errors import ModelError, unknown_name
from midground.modality.bundle import Bundle
from midground.modality.card import CARD_FILE

DEFAULT_MODEL = "sar1-rgb"
SEARCH_VARIABLE = "MIDGROUND_MODELS"
"""Environment variable: folders that hold bundles, separated like those of PATH; searched before the shipped ones."""


def bundle_folders() -> dict[str, Path]:
    """Folder of every bundle at hand, by name, sorted. Nothing is verified."""
    found: dict[str, Path] = {}
    for root in _roots():
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if (folder / CARD_FILE).is_file():
                    found.setdefault(folder.name, folder)
    return dict(sorted(found.items()))


def bundle_names() -> tuple[str, ...]:
    """Names of all bundles at hand."""
    return tuple(bundle_folders())


def find_bundle(name: str | Path) -> Bundle:
    """Find a bundle by its name, or by the path of its folder, and verify it.

    Args:
        name: A name of :func:`bundle_names`, or ``default``; or a folder: a :class:`~pathlib.Path`, a text with a path
            separator, or the name of a folder that exists.

    Raises:
        ConfigError: No bundle has this name; the nearest one is offered.
        ModelError: The bundle is missing, incomplete or damaged.
    """
    folders = bundle_folders()
    name = DEFAULT_MODEL if name == "default" else name
    if isinstance(name, str) and name in folders:
        bundle = Bundle.load(folders[name])
        if bundle.card.name != name:
            raise ModelError(f"{bundle.folder}: the card names the model '{bundle.card.name}', the folder '{name}'.")
        return bundle
    if isinstance(name, Path) or os.sep in name or "/" in name or Path(name).is_dir():
        return Bundle.load(Path(name))
    raise unknown_name("model", str(name), ("default", "none", "structure", *folders))


def _roots() -> list[Path]:
    listed = os.environ.get(SEARCH_VARIABLE, "")
    # Wheels are installed as folders, so package data are files; an archive on sys.path has no shipped models.
    shipped = Path(str(files("midground.modality").joinpath("models")))
    return [*(Path(entry).expanduser() for entry in listed.split(os.pathsep) if entry), shipped]
