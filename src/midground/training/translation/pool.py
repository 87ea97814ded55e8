"""Earlier translations that a discriminator is shown again.

Source:
    Shrivastava et al. 2017; Zhu et al. 2017 (CycleGAN), section 4.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from midground.errors import DependencyError

try:
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise DependencyError("Training a network", extra="train") from error


class ImagePool(nn.Module):
    """Holds images up to a number; a resumed run goes on with the same.

    Args:
        size: Most images that are held.
        n_channels: Bands of an image.
        side_px: Its side, px.
    """

    held: Tensor
    n_held: Tensor

    def __init__(self, size: int, n_channels: int, side_px: int) -> None:
        super().__init__()
        self.register_buffer("held", torch.zeros(size, n_channels, side_px, side_px))
        self.register_buffer("n_held", torch.zeros((), dtype=torch.int64))

    def exchange(self, images: Float[Tensor, "n c p p"], rng: np.random.Generator) -> Float[Tensor, "n c p p"]:
        """Give the images back; once the pool is full, each one changes places with a held one every other time."""
        shown = images.clone()
        for index, image in enumerate(images):
            n_held = int(self.n_held)
            if n_held < len(self.held):
                self.held[n_held] = image
                self.n_held += 1
            elif rng.random() < 1 / 2:
                place = int(rng.integers(n_held))
                shown[index] = self.held[place].to(image.dtype)
                self.held[place] = image
        return shown
