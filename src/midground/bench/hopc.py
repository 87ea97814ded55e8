"""HOPC: windows compared by histograms of oriented phase congruency; the area-based method that CFOG followed.

Source:
    Ye and Shen 2016, HOPC: a Novel Similarity Metric Based on Geometric Structural Properties; Ye et al. 2017, Robust
    Registration of Multimodal Remote Sensing Images Based on Structural Similarity.
"""

from __future__ import annotations

import cv2
import numpy as np

from midground.core.correspondences import Correspondences
from midground.core.image import Image
from midground.matching.configs import TemplateConfig
from midground.matching.ground import MIN_CONTRAST, fill_from_nearest
from midground.matching.phase_congruency import phase_congruency
from midground.matching.template import TemplateMatcher

N_ORIENTATIONS = 8
_CELL_PX = 4
_BLOCK_CELLS = 3
_NOISE_FLOOR = 0.01


class HopcMatcher:
    """Follows the ``Matcher`` protocol: windows of :func:`hopc` searched as ``template`` searches them.

    Args:
        search_px: Largest shift in x and y.
    """

    def __init__(self, *, search_px: int) -> None:
        self._matcher = TemplateMatcher(TemplateConfig(search_px=search_px))

    def match(self, moving: Image, fixed: Image) -> Correspondences:
        """Match by the grey of all channels."""
        return self._matcher.match(hopc(moving), hopc(fixed))


def hopc(image: Image) -> Image:
    """Histograms of the direction of phase congruency, one for each pixel: 8 channels between 0 and 1.

    A histogram covers a cell of 4 px, with linear shares between directions and between cells, and is divided by the
    norm of the block of 3 × 3 cells around it. The original has such histograms in the blocks of each window alone,
    and keeps one copy of a cell for each block that it lies in; here every pixel is the middle of one block.

    Args:
        image: Any number of channels, of which the mean is taken.
    """
    grey = image.channels.mean(axis=0, keepdims=True)
    channels = np.zeros((N_ORIENTATIONS, *image.hw), np.float32)
    spread = float(grey[:, image.valid].std()) if image.valid.any() else 0.0
    if spread < MIN_CONTRAST:
        return Image(channels, image.valid)
    found = phase_congruency(fill_from_nearest(Image(grey, image.valid)) / np.float32(spread), image.valid)
    place = found.direction * np.float32(N_ORIENTATIONS / np.pi)
    ramp = np.minimum(np.arange(1, 2 * _CELL_PX), np.arange(2 * _CELL_PX - 1, 0, -1)) / np.float32(_CELL_PX**2)
    for index in range(N_ORIENTATIONS):
        apart = np.abs((place - index + N_ORIENTATIONS / 2) % N_ORIENTATIONS - N_ORIENTATIONS / 2)
        share = found.congruency * np.maximum(1 - apart, 0) * image.valid
        channels[index] = cv2.sepFilter2D(share.astype(np.float32), cv2.CV_32F, ramp, ramp)
    cells = np.zeros(_CELL_PX * (_BLOCK_CELLS - 1) + 1, np.float32)
    cells[::_CELL_PX] = 1
    energy = cv2.sepFilter2D((channels**2).sum(axis=0), cv2.CV_32F, cells, cells)
    channels /= np.sqrt(energy + np.float32(_NOISE_FLOOR**2))
    channels[:, ~image.valid] = 0
    return Image(channels, image.valid)
