"""A learned model on disk: two ONNX files, and a card that says what they are, what they want and what they reach.

The sha256 of a file is compared with the card's before anything of the file is parsed. Never a pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from midground.core.files import whole_folder
from midground.errors import ModelError, OutputError
from midground.modality.base import MODALITIES, Modality
from midground.modality.card import CARD_FILE, GRAPH_FILES, Card, card_from_json


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose files were there and had the right sha256 when it was loaded."""

    folder: Path
    """Where it lies."""
    card: Card
    """What it says about itself."""

    @classmethod
    def load(cls, folder: Path) -> Bundle:
        """Read the card and verify every file.

        Raises:
            ModelError: A file is missing or was altered, or the card is not one.
        """
        path = folder / CARD_FILE
        if not path.exists():
            raise ModelError(
                f"{folder}: there is no model bundle here, which is a folder with {CARD_FILE}; name one that "
                "'midground models export' or 'midground models convert' wrote."
            )
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            words = getattr(error, "strerror", None) or "it is not text in UTF-8"
            raise ModelError(
                f"{path}: the card of the model bundle cannot be read ({words}); fetch or convert the model again."
            ) from error
        bundle = cls(folder, card_from_json(text, str(path)))
        for modality in MODALITIES:
            bundle.read(modality)
        return bundle

    @property
    def sha256(self) -> str:
        """One digest for all files of the bundle, in the order of their names."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.card.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()

    def read(self, modality: Modality) -> bytes:
        """The network of one modality, verified.

        Raises:
            ModelError: The file is missing, or its sha256 is not the card's.
        """
        name = GRAPH_FILES[modality]
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ModelError(f"{path}: a file of the model bundle cannot be read ({error.strerror}).") from error
        found, wanted = hashlib.sha256(content).hexdigest(), self.card.files[name]
        if found != wanted:
            raise ModelError(
                f"{path}: the file was altered or damaged: its sha256 is {found}, the card says {wanted}. "
                "Fetch or convert the model again."
            )
        return content


def require_free(folder: Path, *, overwrite: bool) -> None:
    """Make sure that a bundle may be written where a folder shall lie.

    Raises:
        OutputError: Something is there that is not to be replaced, or is no bundle.
    """
    if not folder.exists():
        return
    if not (folder / CARD_FILE).is_file():
        raise OutputError(f"{folder}: exists already and holds no bundle, so it is not replaced; choose another one.")
    if not overwrite:
        raise OutputError(f"{folder}: the bundle exists already; replace it with --overwrite, or choose another one.")


def write_bundle(folder: Path, card: Card, graphs: Mapping[Modality, bytes], *, overwrite: bool = False) -> Bundle:
    """Write a bundle as a whole or not at all.

    Args:
        folder: Where it shall lie; made with its parents.
        card: The card; the digests of its files are filled in here.
        graphs: The ONNX file of each modality.
        overwrite: Whether an existing bundle there is replaced.

    Raises:
        OutputError: The folder exists, or cannot be written.
    """
    require_free(folder, overwrite=overwrite)
    files = {GRAPH_FILES[modality]: hashlib.sha256(graphs[modality]).hexdigest() for modality in MODALITIES}
    card = replace(card, files=files)
    # Read back what is about to be written: a card that cannot be loaded must not come into being.
    text = card.to_json()
    card = card_from_json(text, str(folder / CARD_FILE))
    with whole_folder(folder, replaces=overwrite) as fresh:
        for modality in MODALITIES:
            (fresh / GRAPH_FILES[modality]).write_bytes(graphs[modality])
        (fresh / CARD_FILE).write_text(text, encoding="utf-8")
    return Bundle(folder, card)
