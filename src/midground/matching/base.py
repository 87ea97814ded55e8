"""What a matcher is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from midground.core.correspondences import Correspondences
from midground.core.image import Image


@runtime_checkable
class Matcher(Protocol):
    """Finds conjugate points of two images with the same number of channels.

    Points are pixel centres in (x, y) of each image, on valid pixels. The result is the same for the same input.
    No match is an empty result, never an error.
    """

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; channels are expected between 0 and 1."""
        ...
