"""The values that the paper publishes, to stand beside one's own.

Source:
    Paper, section 4.6, tables 1 and 2.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PUBLISHED_WITH = (
    "14,405 pairs of MultiSenGE; models of 512 epochs of 1024 batches of 4 pairs; a RoMa trained on their images in "
    "roma-shared, and trained on photographs in roma"
)
"""What the paper's values were made with (sections 4.1, 4.3, 4.4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarity:
    """One row of table 1."""

    model: str
    rmse: float
    psnr_db: float
    ssim: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """One row of table 2."""

    model: str
    method: str
    """By the name that the matcher has here."""
    sr: float
    ace_px: float
    mma: float
    delta_p_px: float
    n_matches: float
    n_correct5: float
    cmr5: float
    le5_px: float
    le5_ignored: bool = False
    """Whether the paper puts ``le5_px`` in brackets, since less than one match is correct."""


@dataclass(frozen=True, slots=True)
class Published:
    """Both tables."""

    similarity: tuple[Similarity, ...]
    matching: tuple[Matching, ...]


@cache
def published() -> Published:
    """Read the tables."""
    stored = tomllib.loads(files(__package__).joinpath("expected", "paper.toml").read_text(encoding="utf-8"))
    return Published(
        tuple(Similarity(**row) for row in stored["similarity"]), tuple(Matching(**row) for row in stored["matching"])
    )
