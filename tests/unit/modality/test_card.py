"""Cards are read strictly."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from midground.core.radiometry import Scaling
from midground.errors import ModelError
from midground.modality.base import InputSpec
from midground.modality.card import card_from_json
from midground.modality.catalogue import DEFAULT_MODEL, find_bundle


@pytest.fixture
def document() -> dict[str, Any]:
    return json.loads(find_bundle(DEFAULT_MODEL).card.to_json())


def test_a_card_survives_its_file() -> None:
    card = find_bundle(DEFAULT_MODEL).card
    assert card_from_json(card.to_json(), "card.json") == card


def test_inputs_become_specifications(document: dict[str, Any]) -> None:
    document["inputs"]["optical"] = {"bands": ["B08", "B04"], "scaling": {"kind": "fixed", "low": 0, "high": 3000}}
    card = card_from_json(json.dumps(document), "card.json")
    assert card.inputs["optical"] == InputSpec(bands=("B08", "B04"), scaling=Scaling("fixed", 0.0, 3000.0))


def put(*path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            document = document[key]
        document[last] = value

    return change


def drop(*path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            document = document[key]
        del document[last]

    return change


DEFECTS = {
    "missing key": (drop("licence"), "key 'licence' is missing"),
    "unknown key": (put("license", value="MIT"), "unknown key 'license'"),
    "missing key inside": (drop("inputs", "sar", "bands"), "inputs: sar: key 'bands' is missing"),
    "unknown key inside": (put("inputs", "sar", "scaling", "gamma", value=2), "unknown key 'gamma'"),
    "third modality": (put("inputs", "lidar", value={}), "unknown key 'lidar'"),
    "other schema": (put("schema", value="midground/model/9"), "schema is 'midground/model/9'"),
    "wrong type": (put("n_channels", value="3"), "'n_channels' has the wrong type"),
    "truth as a number": (put("n_channels", value=True), "'n_channels' has the wrong type"),
    "no bands": (put("inputs", "sar", "bands", value=[]), "'bands' must be a list of texts"),
    "no channels": (put("n_channels", value=0), "'n_channels' must be 1 or more"),
    "no ground sample distance": (put("gsd_m", value=0), "'gsd_m' must be more than 0"),
    "unknown scaling": (put("inputs", "sar", "scaling", "kind", value="gauss"), "'kind' is 'gauss'"),
    "limits swapped": (put("inputs", "sar", "scaling", "low", value=99.9), "low must lie under high"),
    "short digest": (put("files", "sar.onnx", value="abc"), "'sar.onnx' is 'abc'"),
    "name with a path": (put("name", value="../escape"), "'name' is '../escape'"),
    "result without a number": (drop("results"), "key 'results' is missing"),
    "inputs as a list": (put("inputs", value=[]), "'inputs' has the wrong type"),
}


@pytest.mark.parametrize(("change", "message"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_is_named(document: dict[str, Any], change: Callable[[dict[str, Any]], None], message: str) -> None:
    change(document)
    with pytest.raises(ModelError, match=r"^card\.json: ") as caught:
        card_from_json(json.dumps(document), "card.json")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "nonsense"])
def test_text_that_is_no_json(text: str) -> None:
    with pytest.raises(ModelError, match="not a JSON document"):
        card_from_json(text, "card.json")


def test_json_that_is_no_object() -> None:
    with pytest.raises(ModelError, match="must be an object, found list"):
        card_from_json("[]", "card.json")
