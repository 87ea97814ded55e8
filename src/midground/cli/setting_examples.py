"""Values that a setting could have, for the message on one that it cannot."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import yaml

from midground.core.settings import plain


def example(kind: object, loc: Sequence[int | str], found: object) -> str:
    """A value for a setting that takes a list or further settings, in YAML on one line.

    Args:
        kind: The config dataclass.
        loc: Where the setting is in it: keys, numbers in lists, and class names where there are several.
        found: What was given, which becomes part of the example where it may belong.
    """
    hint = kind
    for part in loc:
        members = _members(hint)
        if len(members) > 1:
            hint = next(member for member in members if getattr(member, "__name__", None) == part)
        elif isinstance(part, int):
            hint = get_args(members[0])[0]
        else:
            hint = get_type_hints(members[0])[part]
    return yaml.safe_dump(_value(hint, found), default_flow_style=True, sort_keys=False, width=10_000).strip()


def _members(hint: object) -> list[Any]:
    """The types that a setting may be of, beside null."""
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return [member for member in members if member is not types.NoneType]


def _value(hint: object, found: object) -> object:
    kind = _members(hint)[0]
    if get_origin(kind) is tuple:
        parts = get_args(kind)
        return [_value(parts[0], found)] * (1 if parts[-1] is ... else len(parts))
    if dataclasses.is_dataclass(kind):
        return _settings(kind, found)
    if kind in (int, float):
        return found if isinstance(found, int | float) and not isinstance(found, bool) else 1
    return found if isinstance(found, str) else "PATH" if kind is Path else "TEXT"


def _settings(kind: Any, found: object) -> Mapping[str, object]:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    if isinstance(found, Mapping) and found.keys() <= fields.keys():
        return found
    hints = get_type_hints(kind)
    needed = {
        name: _value(hints[name], found)
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    if needed:
        return needed
    if "name" in fields and isinstance(found, str):
        return {"name": found}
    return dict([next(iter(plain(dataclasses.asdict(kind())).items()))])
