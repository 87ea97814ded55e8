"""An image in memory: channels and the mask of pixels that hold data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from midground.errors import InputError

REPEATED_WITHIN = 1.0
"""So close, in 8-bit values, lossy compression leaves the bands of a grey image that was saved as colour."""


@dataclass(frozen=True, slots=True)
class Image:
    """Channels with a valid mask; pixels outside the mask hold zero, never NaN."""

    channels: Float32[np.ndarray, "c h w"]
    """Values; the unit depends on the stage (raw, unit-scaled, mapped)."""
    valid: Bool[np.ndarray, "h w"]
    """True where the pixel holds data."""

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.channels.shape[1], self.channels.shape[2])

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.channels.shape[0]

    @classmethod
    def from_array(cls, array: np.ndarray, valid: np.ndarray | None = None) -> Image:
        """Wrap an array of shape (h, w), (c, h, w) or, with three or four channels last, (h, w, c).

        Values that are not finite become invalid.

        Args:
            array: Real-valued pixels of any dtype.
            valid: Mask of pixels that hold data; all finite pixels if omitted.

        Raises:
            InputError: The array is complex, is not two- or three-dimensional, or the mask has another shape.
        """
        array = np.asarray(array)
        if np.iscomplexobj(array):
            raise InputError(
                "The array is complex (single-look complex SAR): pass its amplitude, numpy.abs(array), instead."
            )
        if array.ndim == 2:
            array = array[None]
        if array.ndim != 3 or 0 in array.shape:
            raise InputError(f"Expected an array of shape (h, w) or (c, h, w), found {array.shape}.")
        if array.shape[-1] in (3, 4) and array.shape[0] > 4:
            array = np.moveaxis(array, -1, 0)
        channels = array.astype(np.float32)
        mask = np.asarray(np.isfinite(channels).all(axis=0))
        if valid is not None:
            if valid.shape != mask.shape:
                raise InputError(f"The valid mask has shape {valid.shape}, the image {mask.shape}.")
            mask &= valid.astype(bool)
        return cls(np.where(mask, channels, np.float32(0)), mask)

    def is_repeated(self, within: float = 0.0) -> bool:
        """Whether all channels hold the values of the first one, to within a difference."""
        return bool((np.abs(self.channels[1:] - self.channels[:1]) <= within).all())

    def crop(self, top: int, left: int, height: int, width: int) -> Image:
        """Cut out a window that lies inside the image."""
        rows, columns = slice(top, top + height), slice(left, left + width)
        return Image(self.channels[:, rows, columns], self.valid[rows, columns])

    def crop_padded(self, top: int, left: int, height: int, width: int) -> Image:
        """Cut out a window that may reach beyond the image; what lies outside is invalid."""
        rows = slice(max(top, 0), min(top + height, self.hw[0]))
        columns = slice(max(left, 0), min(left + width, self.hw[1]))
        if rows.stop - rows.start == height and columns.stop - columns.start == width:
            return self.crop(top, left, height, width)
        channels = np.zeros((self.n_channels, height, width), np.float32)
        valid = np.zeros((height, width), bool)
        if rows.start < rows.stop and columns.start < columns.stop:
            inside = (slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left))
            channels[:, inside[0], inside[1]] = self.channels[:, rows, columns]
            valid[inside] = self.valid[rows, columns]
        return Image(channels, valid)


def three_channels(image: Image) -> Image:
    """At most three channels, evenly chosen, to be seen as colours."""
    if image.n_channels <= 3:
        return image
    return Image(image.channels[np.arange(3) * image.n_channels // 3], image.valid)
