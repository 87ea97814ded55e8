"""``python -m midground`` is the command ``midground``."""

from __future__ import annotations

import sys

from midground.cli.app import main

sys.exit(main())
