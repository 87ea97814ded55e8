"""The values that the paper publishes, to stand beside one's own.

Source:
    Paper, section 4.6, tables 1 and 2.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

N_PAIRS = 14405
"""Test pairs of the paper (section 4.1)."""
MAX_POINTS = 4096
"""Most key points of an image, or matches of a dense matcher, in the paper (section 4.6)."""
_SHARED = "model of 512 epochs of 1024 batches of 4 pairs"
_MODELS = {
    "pix2pix": "model trained with the defaults of its own code",
    "lsgan": "model trained without identity loss, at rates of 0.0002 and 0.001",
    "ours-1": _SHARED,
    "ours-2": _SHARED,
}
_MATCHERS = {"roma": "a RoMa trained on photographs", "roma-shared": "a RoMa trained on their images"}


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


def published_cause(model: str, method: str = "") -> str:
    """What a published row was made with (sections 4.1, 4.3, 4.4).

    Args:
        model: Its transformation.
        method: Its matcher; none in table 1.
    """
    told = (f"{N_PAIRS:,} pairs of MultiSenGE", _MODELS.get(model), _MATCHERS.get(method))
    return "; ".join(part for part in told if part)
