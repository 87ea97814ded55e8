"""Key-point matchers see one channel at a time; the matches of all channels are pooled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.errors import InputError


def match_by_channel(
    moving: Image, fixed: Image, match_one: Callable[[Image, Image], Correspondences]
) -> Correspondences:
    """Match each channel with the same channel of the other image.

    The mean of the channels would cancel what tells them apart: oriented gradients of unit length have a nearly
    constant one. Channels that resemble each other find some places more than once; equal points are merged.

    Args:
        moving: Any number of channels.
        fixed: The same number of channels.
        match_one: Matches two images of one channel.

    Raises:
        InputError: The numbers of channels differ.
    """
    if moving.n_channels != fixed.n_channels:
        raise InputError(
            f"The moving image has {moving.n_channels} channels, the fixed one {fixed.n_channels}: "
            "bring both to the same channels with one mapper first."
        )
    if not (moving.valid.any() and fixed.valid.any()):
        return Correspondences.empty()
    channels = zip(moving.channels, fixed.channels, strict=True)
    return without_repeats(
        Correspondences.concatenate(
            match_one(Image(moving_channel[None], moving.valid), Image(fixed_channel[None], fixed.valid))
            for moving_channel, fixed_channel in channels
        )
    )


def without_repeats(matches: Correspondences) -> Correspondences:
    """Keep the best of the matches between the same two points, in the order given."""
    best_first = np.argsort(-matches.score, kind="stable")
    points = np.hstack([matches.moving_xy, matches.fixed_xy])[best_first]
    _, first = np.unique(points, axis=0, return_index=True)
    return matches.select(np.sort(best_first[first]))
