"""Settings: refused out of range, as they are stored, and where two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from midground.errors import ConfigError


def require(condition: bool, message: str) -> None:
    """Refuse a setting, with a message, unless a condition holds.

    Raises:
        ConfigError: It does not hold.
    """
    if not condition:
        raise ConfigError(message)


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
