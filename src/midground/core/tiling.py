"""Windows of a scene: cores that cover it exactly, margins around them, weights that fade from one into the next."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32

from midground.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Span:
    """One window along one axis, in pixels; stops are exclusive."""

    start: int
    """First pixel of the core."""
    stop: int
    """End of the core."""
    outer_start: int
    """First pixel of core and margin."""
    outer_stop: int
    """End of core and margin."""

    @property
    def outer(self) -> slice:
        """Core and margin, in the scene."""
        return slice(self.outer_start, self.outer_stop)

    @property
    def core(self) -> slice:
        """The core, in the scene."""
        return slice(self.start, self.stop)

    @property
    def core_inside(self) -> slice:
        """The core, counted from the start of the margin."""
        return slice(self.start - self.outer_start, self.stop - self.outer_start)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a scene: a core of its own and a margin that it shares."""

    rows: Span
    """Along the height."""
    columns: Span
    """Along the width."""

    @property
    def outer(self) -> tuple[slice, slice]:
        """Core and margin, in the scene."""
        return (self.rows.outer, self.columns.outer)

    @property
    def core(self) -> tuple[slice, slice]:
        """The core, in the scene."""
        return (self.rows.core, self.columns.core)

    @property
    def core_inside(self) -> tuple[slice, slice]:
        """The core, in an array that holds core and margin."""
        return (self.rows.core_inside, self.columns.core_inside)


def spans(size_px: int, core_px: int, halo_px: int, *, multiple_px: int = 1) -> list[Span]:
    """Cut an axis into cores of nearly equal length that cover it without overlap.

    Args:
        size_px: Length of the axis, a multiple of ``multiple_px``.
        core_px: Largest length of a core, a multiple of ``multiple_px``.
        halo_px: Margin on both sides, cut off at the ends of the axis.
        multiple_px: Cores start at multiples of this.

    Raises:
        ConfigError: A length is below 1 or no multiple, or the margin is negative.
    """
    lengths_fit = min(size_px, core_px, multiple_px) >= 1 and size_px % multiple_px == core_px % multiple_px == 0
    if not lengths_fit or halo_px < 0:
        raise ConfigError(
            f"Windows need a size and a core that are positive multiples of {multiple_px} px and no negative margin, "
            f"found {size_px}, {core_px} and {halo_px}."
        )
    n_cores = -(-size_px // core_px)
    units = size_px // multiple_px
    edges = [multiple_px * (index * units // n_cores) for index in range(n_cores + 1)]
    return [Span(start, stop, max(0, start - halo_px), min(size_px, stop + halo_px)) for start, stop in pairwise(edges)]


def windows(hw: tuple[int, int], core_px: int, halo_px: int, *, multiple_px: int = 1) -> list[Window]:
    """Cut a scene into windows, row by row.

    Args:
        hw: Height and width of the scene.
        core_px: Largest side of a core; see :func:`spans`.
        halo_px: Margin around it.
        multiple_px: Cores start at multiples of this.
    """
    rows, columns = (spans(size, core_px, halo_px, multiple_px=multiple_px) for size in hw)
    return [Window(row, column) for row in rows for column in columns]


def feather(window: Window, hw: tuple[int, int], ramp_px: int) -> Float32[np.ndarray, "h w"]:
    """Weights of a window's pixels, core and margin; those of all windows sum to 1 at every pixel of the scene.

    Args:
        window: One of :func:`windows`.
        hw: Height and width of the scene.
        ramp_px: How far the weights fade into a neighbour, at most the margin and half a core; 0 cuts hard.
    """
    rows = _ramp(window.rows, hw[0], ramp_px)
    columns = _ramp(window.columns, hw[1], ramp_px)
    return (rows[:, None] * columns[None, :]).astype(np.float32)


def _ramp(span: Span, size_px: int, ramp_px: int) -> np.ndarray:
    centres = np.arange(span.outer_start, span.outer_stop) + 0.5
    weights = np.ones(len(centres))
    if span.start > 0:
        weights *= _rise(centres - span.start, ramp_px)
    if span.stop < size_px:
        weights *= 1 - _rise(centres - span.stop, ramp_px)
    return weights


def _rise(distance_px: np.ndarray, ramp_px: int) -> np.ndarray:
    """From 0 at one ramp before a border to 1 at one ramp behind it."""
    if ramp_px == 0:
        return (distance_px > 0).astype(np.float64)
    return np.asarray(np.clip((distance_px + ramp_px) / (2 * ramp_px), 0, 1))
