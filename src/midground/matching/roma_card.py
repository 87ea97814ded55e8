"""A trained dense matcher on disk: one ONNX file, and a card that says what it is and what it was made from.

The sha256 of the file is compared with the card's before anything of it is parsed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from midground.errors import ModelError

CARD_FILE, GRAPH_FILE = "card.json", "matcher.onnx"
SHIPPED = Path(__file__).parent / "models" / "roma-shared"
"""Weights of our own training, on images of ``structure``."""
SCHEMA = "midground/matcher/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RomaCard:
    """What a trained matcher says about itself."""

    name: str
    """Name of the run that made it."""
    version: str
    """Version of these weights."""
    description: str
    """One sentence."""
    model: str
    """Mapper whose shared images it was trained on, and wants to be given."""
    model_sha256: str | None
    """Digest of that mapper's files; None for a mapper without a model."""
    n_channels: int
    """Channels of the shared images."""
    side_px: int
    """Height and width of what the network takes, px."""
    data: tuple[str, ...]
    """Collections that were trained on, with the number of pairs."""
    recipe: str
    """Pairing, warps, optimiser and length in one sentence."""
    score: float | None
    """Mean of the shares of validation pairs with a corner error below 3 and below 5 px; None if never measured."""
    licence: str
    """SPDX identifier of the weights' licence."""
    imagery_notice: str
    """Notice that the imagery's provider asks for."""
    sources: tuple[str, ...]
    """Where the imagery and the first weights come from."""
    opset: int
    """ONNX operator set."""
    generator: str
    """Program that wrote the files, with its version."""
    sha256: str
    """Digest of the network's file."""

    def to_json(self) -> str:
        """The card as its file holds it."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def load_matcher(folder: Path | None) -> tuple[RomaCard, bytes]:
    """Read the card of a trained matcher, and its network once its sha256 is verified.

    Args:
        folder: Where it lies; None for the shipped one.

    Raises:
        ModelError: A file is missing or was altered, or the card is not one.
    """
    folder = SHIPPED if folder is None else folder
    try:
        text = (folder / CARD_FILE).read_text(encoding="utf-8")
        graph = (folder / GRAPH_FILE).read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{folder}: there is no trained matcher that can be read ({error}); give the folder that 'midground "
            "train-matcher' wrote."
        ) from error
    card = card_from_json(text, str(folder / CARD_FILE))
    found = hashlib.sha256(graph).hexdigest()
    if found != card.sha256:
        raise ModelError(
            f"{folder / GRAPH_FILE}: the file was altered or damaged: its sha256 is {found}, the card says "
            f"{card.sha256}. Fetch or export the matcher again."
        )
    return card, graph


def card_from_json(text: str, where: str) -> RomaCard:
    """Read a card strictly: every key must be there and no other.

    Args:
        text: Content of the file.
        where: What error messages call it.

    Raises:
        ModelError: Not a card of this schema; the message names the key.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ModelError(f"{where}: not a JSON document ({error.msg}, line {error.lineno}).") from error
    if not isinstance(document, dict) or document.pop("schema", None) != SCHEMA:
        raise ModelError(f"{where}: is no card of the schema '{SCHEMA}'; export the matcher again.")
    known = {field.name: str(field.type) for field in fields(RomaCard)}
    for name in (*known, *document):
        if name not in document or name not in known:
            raise ModelError(f"{where}: key '{name}' is {'missing' if name in known else 'unknown'}.")
        document[name] = _checked(document[name], known[name], f"{where}: '{name}'")
    return RomaCard(**document)


_KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "float | None": (float, int, type(None)),
    "tuple[str, ...]": (list, tuple),
}


def _checked(value: Any, annotation: str, where: str) -> Any:
    is_right: bool = isinstance(value, _KINDS[annotation]) and not isinstance(value, bool)
    if not is_right:
        raise ModelError(f"{where} has the wrong type ({type(value).__name__}).")
    if annotation == "int" and value < 1:
        raise ModelError(f"{where} must be 1 or more, found {value}.")
    if isinstance(value, list | tuple):
        if not all(isinstance(item, str) for item in value):
            raise ModelError(f"{where} must be a list of texts.")
        return tuple(value)
    return float(value) if annotation.startswith("float") and value is not None else value
