"""Settings from a YAML file and from the command line, checked against a config dataclass."""

from __future__ import annotations

import dataclasses
import difflib
import re
import shlex
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from midground.cli.setting_examples import example
from midground.errors import ConfigError, InputError, MidgroundError, unknown_name

Config = TypeVar("Config")
_EXPECTED = {"tuple_type": "a list in brackets is", "dataclass_type": "settings in braces are"}
"""By pydantic's type of error, where its own words name what YAML does not have."""


def resolve_config(
    kind: type[Config],
    *,
    file: Path | None = None,
    settings: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> Config:
    """Build a config: defaults, then the file, then ``--set``, then explicit options.

    Args:
        kind: A frozen dataclass.
        file: YAML.
        settings: ``key.key=value`` each, the value in YAML.
        options: Values by dotted key.

    Raises:
        InputError: The file is missing or not YAML.
        ConfigError: An unknown key, or a value that does not fit.
    """
    tree: dict[str, Any] = {}
    if file is not None:
        tree = read_yaml(file)
        _check(kind, tree, f"{file}: ")
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set takes KEY=VALUE, for instance seed=1; found '{setting}'.")
        _put(tree, key, _parse(setting, text))
    for key, value in (options or {}).items():
        _put(tree, key, value)
    return _check(kind, tree, "")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        InputError: It is missing, not YAML, or holds something else.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); settings in YAML are expected.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not text in UTF-8; settings in YAML are expected.") from error
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", line {error.problem_mark.line + 1}"
        raise InputError(f"{path}{line}: is not YAML ({error.problem}); correct it.") from error
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML ({' '.join(str(error).split())}); correct it.") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{path}: settings are 'key: value' lines, found {type(tree).__name__}.")
    return tree


def _parse(setting: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {setting}: the value is not YAML.") from error


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        branch = tree.setdefault(parent, {})
        if not isinstance(branch, dict):
            raise ConfigError(f"'{key}': '{parent}' is a value, it has no settings inside.")
        tree = branch
    tree[last] = value


def _check(kind: type[Config], tree: Mapping[str, Any], where: str) -> Config:
    _check_keys(kind, tree, where)
    return _validate(kind, tree, where)


def _check_keys(kind: type, tree: Mapping[str, Any], where: str, prefix: str = "") -> None:
    hints = get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind) if field.init]
    for key, value in tree.items():
        if key not in known:
            raise ConfigError(
                f"{where}unknown setting '{prefix}{key}'.{_hint(str(key), known)} Known: {', '.join(known)}."
            )
        hint, items = hints[key], [value]
        if get_origin(hint) is tuple and isinstance(value, list):
            hint, items = get_args(hint)[0], value
        for item in items:
            nested = _dataclass_for(hint, item, where, f"{prefix}{key}") if isinstance(item, Mapping) else None
            if nested is not None:
                _check_keys(nested, item, where, f"{prefix}{key}.")


def _dataclass_for(hint: object, tree: Mapping[str, Any], where: str, key: str) -> type | None:
    """Find the dataclass that a nested mapping describes; among several, the one whose default name it gives."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    classes = [member for member in members if isinstance(member, type) and dataclasses.is_dataclass(member)]
    if len(classes) == 1:
        return classes[0]
    by_name = {
        str(field.default): member for member in classes for field in dataclasses.fields(member) if field.name == "name"
    }
    if by_name and "name" not in tree:
        raise ConfigError(
            f"{where}setting '{key}': there are several kinds, and '{key}.name' does not say which; set it to one of "
            f"{', '.join(sorted(by_name))}."
        )
    return by_name.get(str(tree.get("name")))


def _validate(kind: type[Config], tree: Mapping[str, Any], where: str) -> Config:
    try:
        return TypeAdapter(kind).validate_python(tree)
    except ValidationError as error:
        errors = _of_named_alternative(error.errors())
        cause = errors[0].get("ctx", {}).get("error")
        if isinstance(cause, MidgroundError):
            raise type(cause)(f"{where}{cause}") from error
        loc, is_missing = errors[0]["loc"], errors[0]["type"] == "missing"
        # What is missing is the last part, and is no key of the settings.
        keys = _all_keys(tree) | {loc[-1]} if is_missing else _all_keys(tree)
        key = ".".join(str(part) for part in loc if part in keys)
        if is_missing:
            raise ConfigError(f"{where}the setting '{key}' is missing; give it a value.") from error
        found = errors[0]["input"]
        choices = [
            word
            for one in errors
            if one["type"] == "literal_error" and one["loc"][0] == errors[0]["loc"][0]
            for word in re.findall(r"'([^']*)'", one["ctx"]["expected"])
        ]
        if choices and isinstance(found, str):
            raise ConfigError(f"{where}{unknown_name(key, found, choices)}") from error
        words = errors[0]["msg"]
        if errors[0]["type"] in _EXPECTED:
            such = example(kind, loc, found)
            # In a shell, brackets and braces stand in quotes; in a file, they do not.
            words = f"{_EXPECTED[errors[0]['type']]} expected, such as {such if where else shlex.quote(such)}"
        raise ConfigError(f"{where}setting '{key}': {words}, found {found!r}.") from error


def _of_named_alternative(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out what the other dataclasses of a union say about settings that name one of them."""
    others = [error["loc"][:-1] for error in errors if error["type"] == "literal_error" and error["loc"][-1] == "name"]
    kept = [error for error in errors if not any(error["loc"][: len(other)] == other for other in others)]
    return kept or errors


def _all_keys(tree: object) -> set[str]:
    """Keys of a mapping and of all that lies in it."""
    if isinstance(tree, Mapping):
        return set(tree).union(*map(_all_keys, tree.values()))
    return set().union(*map(_all_keys, tree)) if isinstance(tree, list) else set()


def _hint(name: str, known: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean '{nearest[0]}'?" if nearest else ""
