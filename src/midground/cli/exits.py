"""Exit codes of the command line."""

from __future__ import annotations

EXIT_UNEXPECTED = 1
EXIT_INPUT = 2
"""An input, a setting, a model, an extra or an output cannot be used."""
EXIT_REJECTED = 3
EXIT_SUSPECT = 4
"""Only under ``--strict``."""
EXIT_INTERRUPTED = 130
