"""Everything midground raises on purpose.

MidgroundError
├─ ConfigError(ValueError)         unknown key or name, value out of range
├─ InputError(ValueError)          a raster that cannot be used: names the file, the band, what to do
├─ OutputError(OSError)            a result that cannot be written; nothing half-written remains
├─ ModelError                      bundle missing, sha256 differs, card and network disagree
├─ DependencyError(ImportError)    an extra is not installed; carries the pip command
└─ RegistrationError               ran, but there is no acceptable answer
   ├─ TooFewMatchesError
   └─ NoConsensusError
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from types import MappingProxyType

_MAX_QUOTED = 240
"""Characters of what an error of another package says."""


class MidgroundError(Exception):
    """Base of every error that midground raises on purpose."""


class ConfigError(MidgroundError, ValueError):
    """A setting has an unknown name or a value out of range."""


class InputError(MidgroundError, ValueError):
    """An input image cannot be used."""


class OutputError(MidgroundError, OSError):
    """A result cannot be written."""


class ModelError(MidgroundError):
    """A model bundle is missing, altered or inconsistent."""


class DependencyError(MidgroundError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, *, extra: str) -> None:
        super().__init__(f"{feature} needs an extra that is not installed: pip install 'midground[{extra}]'")
        self.extra = extra


class RegistrationError(MidgroundError):
    """The registration ran, but there is no acceptable answer.

    Attributes:
        diagnostics: What was counted or measured before giving up.
    """

    def __init__(self, message: str, *, diagnostics: Mapping[str, float] | None = None) -> None:
        super().__init__(message)
        self.diagnostics = MappingProxyType(dict(diagnostics or {}))


class TooFewMatchesError(RegistrationError):
    """Fewer matches than the transform needs."""


class NoConsensusError(RegistrationError):
    """No transform is supported by enough matches."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ConfigError:
    """Build the error for a name that is not in a table, offering the nearest known one.

    Args:
        kind: What the name names, for instance ``"matcher"``.
        name: The name that was given.
        known: The names that exist.
    """
    options = sorted(known)
    nearest = difflib.get_close_matches(name, options, n=1, cutoff=0.4)
    hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
    return ConfigError(f"Unknown {kind} '{name}'.{hint} Known: {', '.join(options)}.")


def quoted(error: Exception) -> str:
    """The kind of an error of another package, and the beginning of its first line: compilers say hundreds of them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    is_cut = len(lines) > 1 or len(lines[0]) > _MAX_QUOTED
    return f"{type(error).__name__}: {lines[0][:_MAX_QUOTED]}{' …' if is_cut else ''}"
