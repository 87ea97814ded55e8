"""The card of a model bundle: what it is, what it wants, what it was made from and what it reaches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from midground.core.radiometry import Scaling
from midground.errors import ModelError
from midground.modality.base import MODALITIES, InputSpec, Modality

CARD_FILE = "card.json"
SCHEMA = "midground/model/1"
GRAPH_FILES: Mapping[Modality, str] = {modality: f"{modality}.onnx" for modality in MODALITIES}

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SCALING_KINDS: Mapping[str, Literal["percentile", "fixed"]] = {"percentile": "percentile", "fixed": "fixed"}
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One measured result."""

    what: str
    """The quantity, with its unit."""
    on: str
    """The data and the protocol."""
    value: float
    """What was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Where the weights come from."""

    data: tuple[str, ...]
    """Data sets and splits."""
    recipe: str
    """Criterion, optimiser, length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a bundle says about itself."""

    name: str
    """Small letters, digits, dots, dashes and underscores; the name of its folder."""
    version: str
    """Version of these weights."""
    description: str
    """One sentence."""
    inputs: Mapping[Modality, InputSpec]
    """Bands in their order, and radiometry, per modality."""
    sensors: Mapping[Modality, str]
    """Sensor and product that each modality was trained on."""
    n_channels: int
    """Channels of the shared modality."""
    gsd_m: float
    """Ground sample distance of the training data, m."""
    stride_px: int
    """Height and width of an input are multiples of this, px."""
    halo_px: int
    """Margin that makes a window exact, px; of a network in three parts, the outer ones."""
    training: Training
    """Where the weights come from."""
    results: tuple[Measurement, ...]
    """What was measured; never what is hoped for."""
    licence: str
    """SPDX identifier of the weights' licence."""
    imagery_notice: str
    """Notice that the imagery's provider asks for."""
    sources: tuple[str, ...]
    """Where the imagery comes from."""
    opset: int
    """ONNX operator set."""
    generator: str
    """Program that wrote the bundle, with its version."""
    files: Mapping[str, str]
    """sha256 of each file."""

    def to_json(self) -> str:
        """The card as its file holds it."""
        document: dict[str, Any] = {"schema": SCHEMA, **asdict(self)}
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def card_from_json(text: str, where: str) -> Card:
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
    root = _Node(document, where)
    schema = root.text("schema")
    if schema != SCHEMA:
        raise ModelError(f"{where}: schema is '{schema}', this version reads '{SCHEMA}'; convert the model again.")
    training = root.node("training")
    files = root.node("files")
    card = Card(
        name=root.text("name", _NAME),
        version=root.text("version"),
        description=root.text("description"),
        inputs=_per_modality(root.node("inputs"), _input_spec),
        sensors=_per_modality(root.node("sensors"), lambda node, key: node.text(key)),
        n_channels=root.integer("n_channels"),
        gsd_m=root.number("gsd_m", minimum=0),
        stride_px=root.integer("stride_px"),
        halo_px=root.integer("halo_px", minimum=0),
        training=Training(data=training.texts("data"), recipe=training.text("recipe")),
        results=tuple(_measurement(node) for node in root.nodes("results")),
        licence=root.text("licence"),
        imagery_notice=root.text("imagery_notice"),
        sources=root.texts("sources"),
        opset=root.integer("opset"),
        generator=root.text("generator"),
        files={name: files.text(name, _SHA256) for name in GRAPH_FILES.values()},
    )
    for node in (root, training, files):
        node.finish()
    return card


def _per_modality(node: _Node, read: Callable[[_Node, str], _Value]) -> dict[Modality, _Value]:
    values = {modality: read(node, modality) for modality in MODALITIES}
    node.finish()
    return values


def _input_spec(parent: _Node, key: str) -> InputSpec:
    node = parent.node(key)
    bands = node.texts("bands")
    limits = node.node("scaling")
    node.finish()
    scaling = Scaling(limits.choice("kind", _SCALING_KINDS), limits.number("low"), limits.number("high"))
    limits.finish()
    if not scaling.low < scaling.high:
        raise ModelError(f"{limits.where}: low must lie under high, found {scaling.low:g} and {scaling.high:g}.")
    return InputSpec(bands=bands, scaling=scaling)


def _measurement(node: _Node) -> Measurement:
    result = Measurement(what=node.text("what"), on=node.text("on"), value=node.number("value"))
    node.finish()
    return result


class _Node:
    """An object of the document that remembers which keys were read."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ModelError(f"{where} must be an object, found {type(value).__name__}.")
        self._values: dict[str, object] = dict(value)
        self._read: set[str] = set()
        self.where = where

    def finish(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = sorted(set(self._values) - self._read)
        if unknown:
            raise ModelError(f"{self.where}: unknown key '{unknown[0]}'; known are {', '.join(sorted(self._read))}.")

    def text(self, key: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self._get(key, str)
        if pattern is not None and not pattern.fullmatch(value):
            raise ModelError(f"{self.where}: '{key}' is '{value}', which does not fit {pattern.pattern}.")
        return value

    def choice(self, key: str, options: Mapping[str, _Value]) -> _Value:
        value = self.text(key)
        if value not in options:
            raise ModelError(f"{self.where}: '{key}' is '{value}', expected one of {', '.join(options)}.")
        return options[value]

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._get(key, list)
        if not values or not all(isinstance(value, str) for value in values):
            raise ModelError(f"{self.where}: '{key}' must be a list of texts with at least one entry.")
        return tuple(values)

    def integer(self, key: str, *, minimum: int = 1) -> int:
        value = self._get(key, int)
        if value < minimum:
            raise ModelError(f"{self.where}: '{key}' must be {minimum} or more, found {value}.")
        return value

    def number(self, key: str, *, minimum: float | None = None) -> float:
        value = self._get(key, (int, float))
        if minimum is not None and value <= minimum:
            raise ModelError(f"{self.where}: '{key}' must be more than {minimum:g}, found {value:g}.")
        return float(value)

    def node(self, key: str) -> _Node:
        return _Node(self._get(key, dict), f"{self.where}: {key}")

    def nodes(self, key: str) -> list[_Node]:
        values = self._get(key, list)
        return [_Node(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(values)]

    def _get(self, key: str, kind: Any) -> Any:
        if key not in self._values:
            raise ModelError(f"{self.where}: key '{key}' is missing.")
        self._read.add(key)
        value = self._values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ModelError(f"{self.where}: '{key}' has the wrong type ({type(value).__name__}).")
        return value
