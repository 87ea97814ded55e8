"""Cards of trained matchers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from midground.errors import ModelError
from midground.matching.configs import RomaSharedConfig
from midground.matching.registry import build_matcher
from midground.matching.roma_card import RomaCard, card_from_json, load_matcher

GRAPH = b"a graph"
CARD = RomaCard(
    name="mine",
    version="1",
    description="For tests.",
    model="structure",
    model_sha256=None,
    n_channels=9,
    side_px=256,
    data=("places: 12 pairs",),
    recipe="none",
    score=0.5,
    licence="Apache-2.0",
    imagery_notice="none",
    sources=("here",),
    opset=17,
    generator="midground",
    sha256=hashlib.sha256(GRAPH).hexdigest(),
)


def changed(**changes: Any) -> str:
    document = json.loads(CARD.to_json())
    for key, value in changes.items():
        document.pop(key, None)
        if value is not ...:
            document[key] = value
    return json.dumps(document)


@pytest.mark.parametrize("card", [CARD, replace(CARD, score=None, model_sha256="ab", data=("a", "b"))])
def test_a_card_is_read_as_it_was_written(card: RomaCard) -> None:
    assert card_from_json(card.to_json(), "card.json") == card


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"^card\.json: not a JSON document \(.+, line 1\)\.$"),
        ("[]", r"is no card of the schema 'midground/matcher/1'; export the matcher again"),
        (changed(schema="midground/model/1"), r"is no card of the schema"),
        (changed(recipe=...), r"key 'recipe' is missing"),
        (changed(colour="red"), r"key 'colour' is unknown"),
        (changed(side_px="256"), r"'side_px' has the wrong type \(str\)"),
        (changed(side_px=True), r"'side_px' has the wrong type \(bool\)"),
        (changed(n_channels=0), r"'n_channels' must be 1 or more, found 0"),
        (changed(sources=["here", 1]), r"'sources' must be a list of texts"),
        (changed(score="good"), r"'score' has the wrong type \(str\)"),
    ],
)
def test_what_is_no_card(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        card_from_json(text, "card.json")


def test_a_matcher_is_verified_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no trained matcher that can be read .*'midground train-matcher'"):
        load_matcher(tmp_path)
    (tmp_path / "card.json").write_text(CARD.to_json())
    (tmp_path / "matcher.onnx").write_bytes(GRAPH)
    assert load_matcher(tmp_path) == (CARD, GRAPH)
    (tmp_path / "matcher.onnx").write_bytes(GRAPH + b"!")
    with pytest.raises(ModelError, match=r"matcher\.onnx: the file was altered or damaged: its sha256 is \w{64}, the"):
        load_matcher(tmp_path)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_text(CARD.to_json())
    (tmp_path / "matcher.onnx").write_bytes(GRAPH)
    with pytest.raises(ModelError, match=r"matcher\.onnx: ONNX Runtime cannot load the network"):
        build_matcher(RomaSharedConfig(weights=tmp_path))
