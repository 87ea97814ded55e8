"""What dense matchers of photographs share: channels as colours, pixel centres, valid ground, which matches to keep.

Such a network says for every pixel of one image where it lies in the other, and how sure that is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float32, Float64

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.channels import match_by_channel
from midground.matching.chunks import match_in_chunks
from midground.matching.configs import RomaConfig, Romav2Config
from midground.matching.ground import filled_rgb, is_flat, on_valid_pixels

RgbNetwork = Callable[
    [Float32[np.ndarray, "3 h w"], Float32[np.ndarray, "3 k l"]],
    tuple[Float32[np.ndarray, "n 4"], Float32[np.ndarray, " n"]],
]
"""From two pictures of values between 0 and 1 (moving, fixed) to matches (x, y, x, y) and their certainty.

Coordinates run from -1 to 1 between the outer edges of each picture.
"""

_BLOCKS = 8


class DenseMatcher:
    """Matches by a dense network of photographs, which sees three channels at a time as red, green and blue.

    Matches are drawn by their certainty and spread over the image; the same input gives the same matches.
    """

    def __init__(self, config: RomaConfig | Romav2Config, network: RgbNetwork) -> None:
        self._config, self._network = config, network

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match two images; the score is the certainty.

        Raises:
            InputError: The numbers of channels differ.
        """
        return self._drawn(match_in_chunks(moving, fixed, self._match_whole, self._config.chunk_px), moving)

    def _match_whole(self, moving: Image, fixed: Image) -> Correspondences:
        return self._drawn(match_by_channel(moving, fixed, self._match_picture, n_together=3), moving)

    def _match_picture(self, moving: Image, fixed: Image) -> Correspondences:
        if is_flat(moving) or is_flat(fixed):
            return Correspondences.empty()
        unit, certainty = self._network(filled_rgb(moving), filled_rgb(fixed))
        sure = certainty >= self._config.min_certainty
        matches = Correspondences(
            pixel_centres(unit[sure, :2].astype(np.float64), moving.hw),
            pixel_centres(unit[sure, 2:].astype(np.float64), fixed.hw),
            certainty[sure].astype(np.float64),
        )
        on_ground = on_valid_pixels(matches.moving_xy, moving) & on_valid_pixels(matches.fixed_xy, fixed)
        return self._drawn(matches.select(on_ground), moving)

    def _drawn(self, matches: Correspondences, moving: Image) -> Correspondences:
        return draw_spread(matches, moving.hw, self._config.max_matches, seed=self._config.seed)


def pixel_centres(unit_xy: Float64[np.ndarray, "n 2"], hw: tuple[int, int]) -> Float64[np.ndarray, "n 2"]:
    """From coordinates that run from -1 to 1 between the outer edges of an image to pixels counted at their centres."""
    return (unit_xy + 1) / 2 * np.array(hw[::-1]) - 0.5


def draw_spread(matches: Correspondences, hw: tuple[int, int], n_matches: int, *, seed: int) -> Correspondences:
    """Draw matches by their score, the same share from every block of the moving image that has any.

    Args:
        matches: Any number, with scores above 0; as many as wanted, or fewer, are kept as they are.
        hw: Height and width of the moving image; eight blocks make up its longer side.
        n_matches: Number of matches wanted.
        seed: Seed of the draws.
    """
    if len(matches) <= n_matches:
        return matches
    block = np.floor((matches.moving_xy + 0.5) / (max(hw) / _BLOCKS)) @ [1, _BLOCKS]
    _, index = np.unique(block, return_inverse=True)
    weight = matches.score / np.bincount(index, weights=matches.score)[index]
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(matches), n_matches, replace=False, p=weight / weight.sum())
    return matches.select(np.sort(drawn))
