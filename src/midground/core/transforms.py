"""Plane transforms of points (x, y): apply, invert, compose, compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Float64

from midground.errors import ConfigError

TransformKind = Literal["translation", "similarity", "affine", "homography"]
TRANSFORM_KINDS: tuple[TransformKind, ...] = get_args(TransformKind)
MIN_MATCHES: dict[TransformKind, int] = {"translation": 1, "similarity": 2, "affine": 3, "homography": 4}


@dataclass(frozen=True, slots=True)
class Transform:
    """A projective map of the plane, named right to left: ``fixed_from_moving``."""

    matrix: Float64[np.ndarray, "3 3"]
    """Acts on column vectors (x, y, 1) of pixel centres; the last entry is 1."""
    kind: TransformKind = "affine"

    def __post_init__(self) -> None:
        matrix = np.asarray(self.matrix, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-15:
            raise ConfigError("A transform needs a finite, invertible 3×3 matrix.")
        if matrix[2, 2] == 0:
            raise ConfigError("A transform must not send the origin to infinity: the last entry of its matrix is 0.")
        object.__setattr__(self, "matrix", matrix / matrix[2, 2])

    @classmethod
    def identity(cls) -> Transform:
        """The transform that moves nothing."""
        return cls(np.eye(3), "translation")

    @classmethod
    def translation(cls, dx: float, dy: float) -> Transform:
        """A shift by (dx, dy) pixels."""
        return cls(np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]]), "translation")

    @classmethod
    def similarity(
        cls, *, scale: float = 1.0, rotation_deg: float = 0.0, dx: float = 0.0, dy: float = 0.0
    ) -> Transform:
        """Scale and rotation about the origin, then a shift; positive angles turn x towards y."""
        angle = np.deg2rad(rotation_deg)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        return cls(np.array([[c, -s, dx], [s, c, dy], [0.0, 0.0, 1.0]]), "similarity")

    def __call__(self, points_xy: Float[np.ndarray, "*n 2"]) -> Float64[np.ndarray, "*n 2"]:
        """Transform points."""
        points_xy = np.asarray(points_xy, dtype=np.float64)
        mapped = points_xy @ self.matrix[:, :2].T + self.matrix[:, 2]
        return mapped[..., :2] / mapped[..., 2:]

    def __matmul__(self, first: Transform) -> Transform:
        """Compose: ``c_from_a = c_from_b @ b_from_a``; the kind is the more general of the two."""
        kind = max(self.kind, first.kind, key=TRANSFORM_KINDS.index)
        return Transform(self.matrix @ first.matrix, kind)

    def inverse(self) -> Transform:
        """The transform that undoes this one."""
        return Transform(np.linalg.inv(self.matrix), self.kind)

    def scale_at(self, point_xy: Float[np.ndarray, " 2"]) -> tuple[float, float]:
        """Smallest and largest local magnification at a point (singular values of the Jacobian)."""
        w = float(self.matrix[2, :2] @ point_xy + 1.0)
        mapped = self(point_xy)
        jacobian = (self.matrix[:2, :2] - np.outer(mapped, self.matrix[2, :2])) / w
        largest, smallest = np.linalg.svd(jacobian, compute_uv=False)
        return float(smallest), float(largest)


def corners_xy(hw: tuple[int, int]) -> Float64[np.ndarray, "4 2"]:
    """Centres of the four corner pixels of an image, in (x, y)."""
    height, width = hw
    return np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], dtype=np.float64)


def corner_error(estimate: Transform, truth: Transform, hw: tuple[int, int]) -> float:
    """Average corner error: the mean distance between where two transforms put the corners of an image.

    Args:
        estimate: The transform to judge.
        truth: The transform to compare with.
        hw: Height and width of the moving image, px.

    Source:
        Paper, section 4.5 (ACE), with corner pixels at their centres.
    """
    corners = corners_xy(hw)
    return float(np.linalg.norm(estimate(corners) - truth(corners), axis=1).mean())
