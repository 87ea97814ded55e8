"""The saved result of a registration, and what it means for any raster of the same geometry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from jaxtyping import Float, Float64
from rasterio.control import GroundControlPoint

from midground.core.transforms import TRANSFORM_KINDS, TransformKind
from midground.errors import InputError
from midground.geo.crs import convert_xy
from midground.geo.grid import Grid, affine_from_centres, map_points, overlap_share
from midground.geo.output import atomic_output
from midground.geo.projective import apply_projective, fit_affine, fit_projective

CORRECTION_SCHEMA = "midground/transform/1"
_LATTICE = 9
_MAX_ASPECT_DIFFERENCE = 0.02


@dataclass(frozen=True, slots=True)
class Correction:
    """How the moving image's geometry has to change so that it lies on the fixed image.

    Where both images have a georeference, ``world_from_world`` is the exact statement and ``fixed_from_moving`` follows
    from it: as the best projective fit if the two images have different coordinate reference systems, whose relation is
    curved; :meth:`misfit_px` says how good it is. Where one has none, ``fixed_from_moving`` is the exact statement.
    """

    crs: str | None
    """Working system, in which ``world_from_world`` acts; None if an image has no georeference or it is ignored."""
    world_from_world: Float64[np.ndarray, "3 3"] | None
    """Takes the moving image's map coordinates to the corrected ones, in ``crs``; its denominator is positive there."""
    fixed_from_moving: Float64[np.ndarray, "3 3"]
    """Takes full-resolution pixel centres of the moving image to those of the fixed image."""
    fixed: Grid
    """Grid of the fixed image."""
    moving: Grid
    """Grid of the moving image, as registered."""
    kind: TransformKind = "affine"
    """Model of the transform."""

    def __post_init__(self) -> None:
        if (self.crs is None) != (self.world_from_world is None):
            raise InputError("A correction names a working system exactly if it has a transform of map coordinates.")
        for matrix in (self.world_from_world, self.fixed_from_moving):
            if matrix is not None and (not np.isfinite(matrix).all() or np.linalg.det(matrix) == 0):
                raise InputError("A correction needs finite, invertible 3×3 matrices.")
        if self.crs is not None and None in (self.fixed.crs, self.moving.crs):
            raise InputError("A correction of map coordinates needs a georeference of both images.")
        if self.crs is not None and self.world_from_world is not None and self.moving.crs is not None:
            # The origin of map coordinates may lie beyond the horizon of a homography, the image does not.
            centre = convert_xy(self.moving.centre_world[None], self.moving.crs, self.crs)[0]
            if self.world_from_world[2] @ np.append(centre, 1.0) < 0:
                object.__setattr__(self, "world_from_world", -self.world_from_world)

    @classmethod
    def from_world(
        cls,
        crs: str,
        world_from_world: Float64[np.ndarray, "3 3"],
        *,
        fixed: Grid,
        moving: Grid,
        kind: TransformKind = "affine",
    ) -> Correction:
        """Build from a transform of map coordinates, and work out what it does to full-resolution pixels.

        Args:
            crs: Working system, in which the transform acts.
            world_from_world: Takes the moving image's map coordinates to the corrected ones.
            fixed: Grid of the fixed image.
            moving: Grid of the moving image.
            kind: Model of the transform.
        """
        draft = cls(crs, world_from_world, np.eye(3), fixed, moving, kind)
        if crs == fixed.crs == moving.crs:
            pixels = fixed.pixel_from_world() @ world_from_world @ moving.world_from_pixel()
            return cls(crs, world_from_world, pixels / pixels[2, 2], fixed, moving, kind)
        lattice = _lattice(moving)
        pixels = fit_projective(lattice, draft.to_fixed_px(moving, lattice))
        return cls(crs, world_from_world, pixels, fixed, moving, kind)

    @classmethod
    def from_pixels(
        cls,
        fixed_from_moving: Float64[np.ndarray, "3 3"],
        *,
        fixed: Grid,
        moving: Grid,
        kind: TransformKind = "affine",
    ) -> Correction:
        """Build from a transform of pixel centres: where a georeference is missing or ignored."""
        return cls(None, None, fixed_from_moving / fixed_from_moving[2, 2], fixed, moving, kind)

    def grid_of(self, grid: Grid) -> Grid:
        """Find where a raster of the moving image's geometry lies.

        A raster with a georeference of its own keeps it. One without is taken to show the registered moving image with
        another number of pixels.

        Raises:
            InputError: The raster shows another place, or its sides are not in proportion to the moving image's.
        """
        if grid.crs is not None and self.moving.crs is not None:
            if overlap_share(grid, self.moving) == 0:
                raise InputError(
                    "The raster shows another place than the moving image that this transform was made for; apply it "
                    "to bands or dates of the same geometry."
                )
            return grid
        across, down = self.moving.hw[1] / grid.hw[1], self.moving.hw[0] / grid.hw[0]
        if abs(across / down - 1) > _MAX_ASPECT_DIFFERENCE:
            raise InputError(
                f"The raster has {grid.hw[1]} × {grid.hw[0]} px, which is not in proportion to the "
                f"{self.moving.hw[1]} × {self.moving.hw[0]} px of the moving image that this transform was made for, "
                "and without georeference only a multiple of it can be placed."
            )
        return self.moving.resized(grid.hw)

    def corrected_crs(self, grid: Grid) -> str | None:
        """System of the raster's corrected georeference: its own if it takes part, else the fixed image's."""
        return self.fixed.crs if self.crs is None else self.grid_of(grid).crs

    def to_fixed_px(self, grid: Grid, points_xy: Float[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Take pixel centres of a raster to corrected pixel centres of the fixed image."""
        placed = self.grid_of(grid)
        if self.crs is None or self.fixed.crs is None:
            return apply_projective(self.fixed_from_moving, self._moving_px(placed, points_xy))
        return self.fixed.to_pixel(convert_xy(self._corrected_working(placed, points_xy), self.crs, self.fixed.crs))

    def misfit_px(self) -> float:
        """Largest distance over the moving image between ``fixed_from_moving`` and the exact statement, fixed px.

        Where a homography's horizon crosses the image, what lies beyond it takes no part.
        """
        lattice = _lattice(self.moving)
        off = apply_projective(self.fixed_from_moving, lattice) - self.to_fixed_px(self.moving, lattice)
        distances = np.linalg.norm(off, axis=1)
        return float(distances[np.isfinite(distances)].max(initial=0.0))

    def corrected_world(self, grid: Grid, points_xy: Float[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Corrected map coordinates of a raster's pixel centres, in ``corrected_crs(grid)``.

        Raises:
            InputError: Neither image has a georeference.
        """
        placed = self.grid_of(grid)
        if self.crs is None or placed.crs is None:
            if self.fixed.crs is None:
                raise InputError("The fixed image has no georeference, so the raster cannot be given one.")
            return self.fixed.to_world(self.to_fixed_px(grid, points_xy))
        return convert_xy(self._corrected_working(placed, points_xy), self.crs, placed.crs)

    def source_from_target(
        self, grid: Grid, target: Grid, points_xy: Float[np.ndarray, "n 2"]
    ) -> Float64[np.ndarray, "n 2"]:
        """Take pixel centres of a target grid to the uncorrected pixel centres of a raster: what resampling needs."""
        placed = self.grid_of(grid)
        if self.crs is None or self.world_from_world is None or placed.crs is None or target.crs is None:
            fixed_px = points_xy if target == self.fixed else map_points(points_xy, target, self.fixed)
            return self._from_moving_px(placed, apply_projective(np.linalg.inv(self.fixed_from_moving), fixed_px))
        corrected = convert_xy(target.to_world(points_xy), target.crs, self.crs)
        original = apply_projective(np.linalg.inv(self.world_from_world), corrected)
        return placed.to_pixel(convert_xy(original, self.crs, placed.crs))

    def corrected_transform(self, grid: Grid) -> tuple[Affine | None, float]:
        """Fit a geotransform to the corrected pixels of a raster.

        Returns:
            The geotransform in ``corrected_crs(grid)``, exact where the correction is affine in that system, and the
            largest distance between it and the correction, px of the raster; None and 0 if nothing has a georeference.
        """
        if self.fixed.crs is None:
            return None, 0.0
        lattice = _lattice(grid)
        world = self.corrected_world(grid, lattice)
        exact = self._affine_matrix(self.grid_of(grid))
        matrix = fit_affine(lattice, world) if exact is None else exact
        _drop_noise(matrix, grid.hw)
        back = np.linalg.inv(matrix[:2, :2])
        misfit = (world - (lattice @ matrix[:2, :2].T + matrix[:2, 2])) @ back.T
        return affine_from_centres(matrix), float(np.linalg.norm(misfit, axis=1).max())

    def gcps(self, grid: Grid, n_per_side: int = 8) -> list[GroundControlPoint]:
        """Corrected ground control points on a regular lattice over a raster, in ``corrected_crs(grid)``."""
        # Whole pixel corners, as some formats store the pixel of a control point with few digits.
        lattice = np.round(_lattice(grid, n_per_side) + 0.5) - 0.5
        world = self.corrected_world(grid, lattice)
        return [
            GroundControlPoint(row=float(y) + 0.5, col=float(x) + 0.5, x=float(east), y=float(north), z=0.0, id=str(i))
            for i, ((x, y), (east, north)) in enumerate(zip(lattice, world, strict=True), start=1)
        ]

    def shift_m(self, grid: Grid) -> tuple[float, float] | None:
        """By how much a raster's georeference must move at its centre, (east, north) in m.

        In a projected system these are the system's own metres, along its axes; in a geographic one, metres on the
        ground. None if the georeference takes no part.
        """
        if self.crs is None:
            return None
        placed = self.grid_of(grid)
        metres = placed.metres_per_crs_unit()
        if metres is None:
            return None
        moved = self.corrected_world(grid, grid.centre_xy[None])[0] - placed.centre_world
        return float(moved[0] * metres[0]), float(moved[1] * metres[1])

    def to_dict(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {
            "schema": CORRECTION_SCHEMA,
            "kind": self.kind,
            "crs": self.crs,
            "world_from_world": None if self.world_from_world is None else self.world_from_world.tolist(),
            "fixed_from_moving": self.fixed_from_moving.tolist(),
            "fixed": self.fixed.to_dict(),
            "moving": self.moving.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Correction:
        """Read what :meth:`to_dict` gave.

        Raises:
            InputError: The values are not a correction of this version.
        """
        if values.get("schema") != CORRECTION_SCHEMA:
            raise InputError(
                f"Expected a saved transform of schema {CORRECTION_SCHEMA}, found {values.get('schema')!r}; give the "
                "file that register --save-transform wrote, transform.json under --out-dir."
            )
        kind, crs, world = values.get("kind"), values.get("crs"), values.get("world_from_world")
        fixed, moving = values.get("fixed"), values.get("moving")
        if kind not in TRANSFORM_KINDS or not isinstance(fixed, dict) or not isinstance(moving, dict):
            raise InputError(f"A saved transform needs kind, fixed and moving, found kind {kind!r}.")
        if crs is not None and not isinstance(crs, str):
            raise InputError(f"The working system must be a name, found {crs!r}.")
        return cls(
            crs,
            None if world is None else _matrix("world_from_world", world),
            _matrix("fixed_from_moving", values.get("fixed_from_moving")),
            Grid.from_dict(fixed),
            Grid.from_dict(moving),
            kind,
        )

    def save(self, path: Path | str) -> None:
        """Write as JSON.

        Raises:
            OutputError: It cannot be written.
        """
        with atomic_output(Path(path)) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str) -> Correction:
        """Read a saved correction.

        Raises:
            InputError: The file is missing or holds something else.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: the saved transform cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise InputError(f"{path}: this is not a saved transform, which is JSON ({error}).") from error
        if not isinstance(values, dict):
            raise InputError(f"{path}: this is not a saved transform; give the file that register wrote.")
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error

    def _corrected_working(self, placed: Grid, points_xy: np.ndarray) -> np.ndarray:
        if self.crs is None or self.world_from_world is None or placed.crs is None:
            raise InputError("The correction acts on pixels, not on map coordinates.")
        return apply_projective(self.world_from_world, convert_xy(placed.to_world(points_xy), placed.crs, self.crs))

    def _affine_matrix(self, placed: Grid) -> np.ndarray | None:
        """The corrected geotransform on pixel centres where it follows without a fit."""
        if self.crs is None or self.world_from_world is None:
            matrix = self.fixed_from_moving
            placed_px = self.moving.pixel_from_world() @ placed.world_from_pixel()
            is_same_plane = placed.crs == self.moving.crs
            composed: np.ndarray = self.fixed.world_from_pixel() @ matrix @ placed_px
        else:
            matrix = self.world_from_world
            is_same_plane = placed.crs == self.crs
            composed = matrix @ placed.world_from_pixel()
        return composed / matrix[2, 2] if is_same_plane and not matrix[2, :2].any() else None

    def _moving_px(self, placed: Grid, points_xy: np.ndarray) -> np.ndarray:
        return self.moving.to_pixel(self._between(placed, self.moving, placed.to_world(points_xy)))

    def _from_moving_px(self, placed: Grid, points_xy: np.ndarray) -> np.ndarray:
        return placed.to_pixel(self._between(self.moving, placed, self.moving.to_world(points_xy)))

    @staticmethod
    def _between(source: Grid, target: Grid, world_xy: np.ndarray) -> np.ndarray:
        if source.crs is None or target.crs is None:
            return world_xy
        return convert_xy(world_xy, source.crs, target.crs)


def _lattice(grid: Grid, per_side: int = _LATTICE) -> Float64[np.ndarray, "n 2"]:
    height, width = grid.hw
    # From edge to edge, so that it spans an area even for a raster that is one pixel wide.
    columns, rows = np.meshgrid(np.linspace(-0.5, width - 0.5, per_side), np.linspace(-0.5, height - 0.5, per_side))
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


def _drop_noise(matrix: np.ndarray, hw: tuple[int, int]) -> None:
    # A fit leaves rotations of 1e-16 that would make software treat an upright raster as a rotated one.
    pixel = np.abs(matrix[:2, :2]).max()
    matrix[:2, :2][np.abs(matrix[:2, :2]) * max(hw) < 1e-6 * pixel] = 0.0


def _matrix(name: str, values: object) -> Float64[np.ndarray, "3 3"]:
    try:
        matrix = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be three rows of three numbers, found {values!r}.") from error
    if matrix.shape != (3, 3):
        raise InputError(f"{name} must be three rows of three numbers, found shape {matrix.shape}.")
    return matrix
