"""Pairs with values between 0 and 1."""

from __future__ import annotations

from midground.datasets.base import Pair, PixelWindow, Profile, RawPairs
from midground.datasets.radiometry import Radiometry
from midground.errors import ConfigError


class ScaledPairs:
    """Unit-scaled pairs of a collection; a window is scaled as the whole pair is.

    Args:
        source: Raw pairs.
        radiometry: How values become 0 to 1.

    Raises:
        ConfigError: The limits are for another number of bands.
    """

    def __init__(self, source: RawPairs, radiometry: Radiometry) -> None:
        self._source, self.radiometry = source, radiometry
        for modality, profile, limits in (
            ("sar", source.sar_profile, radiometry.sar_limits),
            ("optical", source.optical_profile, radiometry.optical_limits),
        ):
            if len(limits) != len(profile.bands):
                raise ConfigError(
                    f"The limits are for {len(limits)} {modality} band(s), the collection has {len(profile.bands)}; "
                    f"choose as many with bands_{modality}."
                )

    @property
    def sar_profile(self) -> Profile:
        """Bands and data type of the SAR images before they were scaled."""
        return self._source.sar_profile

    @property
    def optical_profile(self) -> Profile:
        """Bands and data type of the optical images before they were scaled."""
        return self._source.optical_profile

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each pair."""
        return self._source.names

    @property
    def places(self) -> tuple[str, ...]:
        """Place of each pair."""
        return self._source.places

    def __len__(self) -> int:
        return len(self._source)

    def hw(self, index: int) -> tuple[int, int]:
        """Height and width of a pair, px."""
        return self._source.hw(index)

    def read(self, index: int, window: PixelWindow | None = None) -> Pair:
        """Read a pair, or a window of it, with values between 0 and 1.

        Raises:
            InputError: It cannot be read, or the window does not lie inside.
        """
        pair = self._source.read(index, window)
        sar, optical = self.radiometry.unit_sar(pair.sar), self.radiometry.unit_optical(pair.optical)
        return Pair(pair.name, pair.place, sar, optical)
