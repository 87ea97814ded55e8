"""Settings: refused out of range, as they are stored, and where two of them differ."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from midground.errors import ConfigError, unknown_name

Config = TypeVar("Config")
_NUMBERS: dict[object, type] = {float: Real, int: Integral}


def require(condition: bool, message: str) -> None:
    """Refuse a setting, with a message, unless a condition holds.

    Raises:
        ConfigError: It does not hold.
    """
    if not condition:
        raise ConfigError(message)


def changed(config: Config, settings: Mapping[str, object], prefix: str = "") -> Config:
    """A config dataclass with some of its settings changed.

    Args:
        config: The settings as they are.
        settings: New values by name; those of a dataclass inside may be a mapping of what changes in it.
        prefix: What the names in messages begin with.

    Raises:
        ConfigError: A setting does not exist, or its value is of another type or out of range.
    """
    hints = get_type_hints(type(config))
    known = [item.name for item in fields(config) if item.init]  # type: ignore[arg-type]  # any dataclass
    new: dict[str, object] = {}
    for name, given in settings.items():
        if name not in known:
            raise unknown_name("setting", f"{prefix}{name}", known)
        value = given.item() if isinstance(given, np.generic) else tuple(given) if isinstance(given, list) else given
        now = getattr(config, name)
        if is_dataclass(now) and isinstance(value, Mapping):
            new[name] = changed(now, value, f"{prefix}{name}.")
        elif _is_a(value, hints[name]):
            new[name] = value
        else:
            raise ConfigError(f"setting '{prefix}{name}': {_told(hints[name])} is expected, found {value!r}.")
    return replace(config, **new)  # type: ignore[type-var]  # any dataclass


def _is_a(value: object, hint: Any) -> bool:
    """Whether a value is of a type as settings have them: numbers, texts, choices, tuples, and either of several."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is Literal:
        return any(isinstance(value, type(part)) for part in parts)
    if origin is tuple:
        each = parts[:1] * len(value) if isinstance(value, tuple) and parts[-1] is ... else parts
        return (
            isinstance(value, tuple)
            and len(value) == len(each)
            and all(_is_a(item, part) for item, part in zip(value, each, strict=True))
        )
    if hint in _NUMBERS:
        return isinstance(value, _NUMBERS[hint]) and not isinstance(value, bool)
    return isinstance(value, hint)


def _told(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_told(part) for part in get_args(hint)))
    if get_origin(hint) is Literal:
        return " or ".join(repr(part) for part in get_args(hint))
    if get_origin(hint) is tuple:
        return "a tuple of numbers"
    words = {float: "a number", int: "a whole number", bool: "True or False", str: "a text", types.NoneType: "None"}
    return words.get(hint, f"a {hint.__name__}")


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON gives them back: tuples become lists, paths texts."""
    return dict(json.loads(json.dumps(settings, default=str)))


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys at which two nested mappings differ, sorted.

    Args:
        one: Settings.
        other: Settings to compare with them.
        prefix: What the keys begin with.
    """
    found: list[str] = []
    for key in sorted({*one, *other}):
        first, second = one.get(key), other.get(key)
        if isinstance(first, dict) and isinstance(second, dict):
            found += differences(first, second, f"{prefix}{key}.")
        elif first != second:
            found.append(f"{prefix}{key}")
    return found
