"""Projective maps of the plane at any scale of coordinates: apply and fit."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from midground.errors import InputError


def apply_projective(
    matrix: Float64[np.ndarray, "3 3"], points_xy: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n 2"]:
    """Apply a projective map; points at or beyond its horizon become NaN.

    The matrix is signed so that the denominator is positive on the side that is seen.
    """
    scale = matrix[2, :2] @ points_xy.T + matrix[2, 2]
    mapped = points_xy @ matrix[:2, :2].T + matrix[:2, 2]
    is_seen = scale > 0
    return np.where(is_seen[:, None], mapped / np.where(is_seen, scale, 1)[:, None], np.nan)


def fit_affine(from_xy: Float64[np.ndarray, "n 2"], to_xy: Float64[np.ndarray, "n 2"]) -> Float64[np.ndarray, "3 3"]:
    """Fit the affine map between points by least squares.

    Raises:
        InputError: The points do not fix it.
    """
    source, target, back = _normalised(from_xy, to_xy)
    design = np.column_stack([source[0], np.ones(len(source[0]))])
    solution, _, rank, _ = np.linalg.lstsq(design, target[0], rcond=None)
    if rank < 3:
        raise InputError("The points do not fix an affine transform: they lie on one line.")
    matrix = np.eye(3)
    matrix[:2] = solution.T
    fitted: np.ndarray = back @ matrix @ source[1]
    return fitted


def fit_projective(
    from_xy: Float64[np.ndarray, "n 2"], to_xy: Float64[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "3 3"]:
    """Fit the projective map between points by algebraic least squares on normalised coordinates.

    Raises:
        InputError: The points do not fix it.
    """
    (source, to_unit), (target, _), back = _normalised(from_xy, to_xy)
    x, y = source.T
    u, v = target.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    design = np.concatenate(
        [
            np.stack([x, y, one, zero, zero, zero, -u * x, -u * y], axis=1),
            np.stack([zero, zero, zero, x, y, one, -v * x, -v * y], axis=1),
        ]
    )
    solution, _, rank, _ = np.linalg.lstsq(design, np.concatenate([u, v]), rcond=None)
    if rank < 8:
        raise InputError("The points do not fix a projective transform: too many of them lie on one line.")
    matrix: np.ndarray = back @ np.append(solution, 1.0).reshape(3, 3) @ to_unit
    scaled: np.ndarray = matrix / matrix[2, 2]
    return scaled


Normalised = tuple[np.ndarray, np.ndarray]


def _normalised(from_xy: np.ndarray, to_xy: np.ndarray) -> tuple[Normalised, Normalised, np.ndarray]:
    usable = np.isfinite(from_xy).all(axis=1) & np.isfinite(to_xy).all(axis=1)
    if not usable.any():
        raise InputError("No point can be shown in both coordinate reference systems.")
    source, to_unit = _to_unit(from_xy[usable])
    target, target_to_unit = _to_unit(to_xy[usable])
    return (source, to_unit), (target, target_to_unit), np.linalg.inv(target_to_unit)


def _to_unit(points_xy: np.ndarray) -> Normalised:
    centre = points_xy.mean(axis=0)
    spread = max(float(np.abs(points_xy - centre).max()), 1e-12)
    matrix = np.array([[1 / spread, 0, -centre[0] / spread], [0, 1 / spread, -centre[1] / spread], [0, 0, 1.0]])
    return (points_xy - centre) / spread, matrix
