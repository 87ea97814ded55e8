"""Images of several channels: matched one channel at a time, or a few, where a matcher's network takes no more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import InputError


def require_same_channels(moving: Image, fixed: Image) -> None:
    """Make sure that two images can be compared.

    Raises:
        InputError: The numbers of channels differ.
    """
    if moving.n_channels != fixed.n_channels:
        raise InputError(
            f"The moving image has {moving.n_channels} channels, the fixed one {fixed.n_channels}: "
            "bring both to the same channels with one mapper first."
        )


def match_by_channel(
    moving: Image, fixed: Image, match_one: Callable[[Image, Image], Correspondences], *, n_together: int = 1
) -> Correspondences:
    """Match each channel with the same channel of the other image.

    The mean of the channels would cancel what tells them apart: oriented gradients of unit length have a nearly
    constant one. Channels that resemble each other find some places more than once; equal points are merged.

    Args:
        moving: Any number of channels.
        fixed: The same number of channels.
        match_one: Matches two images of one channel, or of up to ``n_together``.
        n_together: Channels matched at once, 1 or more.

    Raises:
        InputError: The numbers of channels differ.
    """
    require_same_channels(moving, fixed)
    if not (moving.valid.any() and fixed.valid.any()):
        return Correspondences.empty()
    groups = [slice(start, start + n_together) for start in range(0, moving.n_channels, n_together)]
    return without_repeats(
        Correspondences.concatenate(
            match_one(Image(moving.channels[group], moving.valid), Image(fixed.channels[group], fixed.valid))
            for group in groups
        )
    )


def without_repeats(matches: Correspondences) -> Correspondences:
    """Keep the best of the matches between the same two points, in the order given."""
    best_first = np.argsort(-matches.score, kind="stable")
    points = np.hstack([matches.moving_xy, matches.fixed_xy])[best_first]
    _, first = np.unique(points, axis=0, return_index=True)
    return matches.select(np.sort(best_first[first]))
