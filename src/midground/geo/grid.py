"""Where the pixels of a raster lie: coordinate reference system, transform and size.

The library's points are pixel centres; GDAL's transforms act on pixel corners. The half pixel between the two is added
here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from jaxtyping import Float, Float64

from midground.errors import InputError
from midground.geo.crs import (
    convert_xy,
    is_geographic,
    local_metric_crs,
    metres_per_degree,
    metres_per_unit,
    parse_crs,
    to_lon_lat,
)

CORNER_FROM_CENTRE: Float64[np.ndarray, "3 3"] = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
"""Takes pixel centres (integers at centres) to GDAL's pixel corners (integers at corners)."""
_MAX_STRETCH = 0.01
"""Scale error of a projection up to which its metres pass for metres on the ground; UTM's is below 0.1 %."""
MIN_OVERLAP_PX = 64
"""Smallest side of an overlap that can be registered, px of the working grid."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The lattice of a raster's pixels."""

    crs: str | None
    """``EPSG:...`` or WKT; None if the raster has no georeference."""
    transform: Affine
    """Map coordinates from pixel corners, as in GDAL; may be rotated or south-up."""
    hw: tuple[int, int]
    """Height and width, px."""

    def __post_init__(self) -> None:
        if min(self.hw) < 1:
            raise InputError(f"A raster grid needs at least one pixel, found {self.hw[1]} × {self.hw[0]}.")
        t = self.transform
        if not np.isfinite(tuple(t)).all() or t.a * t.e - t.b * t.d == 0:
            raise InputError(f"The geotransform {tuple(t)[:6]} is degenerate: pixels have no area; correct it first.")

    @classmethod
    def without_georeference(cls, hw: tuple[int, int]) -> Grid:
        """The grid of an image that has no place on the Earth."""
        return cls(None, Affine.identity(), hw)

    @classmethod
    def from_matrix(cls, crs: str | None, world_from_pixel: Float64[np.ndarray, "3 3"], hw: tuple[int, int]) -> Grid:
        """Build a grid from an affine matrix that acts on pixel centres."""
        return cls(crs, affine_from_centres(world_from_pixel), hw)

    def world_from_pixel(self) -> Float64[np.ndarray, "3 3"]:
        """Matrix that takes pixel centres to map coordinates."""
        corners = np.array(tuple(self.transform), dtype=np.float64).reshape(3, 3)
        matrix: np.ndarray = corners @ CORNER_FROM_CENTRE
        return matrix

    def pixel_from_world(self) -> Float64[np.ndarray, "3 3"]:
        """Matrix that takes map coordinates to pixel centres."""
        return np.linalg.inv(self.world_from_pixel())

    def to_world(self, points_xy: Float[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Map coordinates of pixel centres."""
        matrix = self.world_from_pixel()
        world: np.ndarray = np.asarray(points_xy, dtype=np.float64) @ matrix[:2, :2].T + matrix[:2, 2]
        return world

    def to_pixel(self, world_xy: Float[np.ndarray, "n 2"]) -> Float64[np.ndarray, "n 2"]:
        """Pixel centres of map coordinates; differences are taken first, so that large coordinates lose no digits."""
        matrix = self.world_from_pixel()
        offsets = np.asarray(world_xy, dtype=np.float64) - matrix[:2, 2]
        pixels: np.ndarray = offsets @ np.linalg.inv(matrix[:2, :2]).T
        return pixels

    @property
    def centre_xy(self) -> Float64[np.ndarray, " 2"]:
        """The middle of the raster in pixel centres."""
        return np.array([(self.hw[1] - 1) / 2, (self.hw[0] - 1) / 2])

    @property
    def centre_world(self) -> Float64[np.ndarray, " 2"]:
        """The middle of the raster in map coordinates."""
        centre: np.ndarray = self.to_world(self.centre_xy[None])[0]
        return centre

    @property
    def is_geographic(self) -> bool:
        """Whether map coordinates are degrees."""
        return self.crs is not None and is_geographic(self.crs)

    def metres_per_crs_unit(self) -> tuple[float, float] | None:
        """Length in metres of one unit of x and of y at the centre; None without georeference.

        Units of a projected system count as they are: a metre of EPSG:3395 is a metre, at every latitude.
        """
        if self.crs is None:
            return None
        if not self.is_geographic:
            factor = metres_per_unit(self.crs)
            return factor, factor
        latitude = float(to_lon_lat(self.centre_world[None], self.crs)[0, 1])
        return metres_per_degree(latitude)

    @property
    def gsd_m(self) -> float | None:
        """Ground sample distance at the centre, m: the side of a square of a pixel's area; None without CRS."""
        metres = self.metres_per_crs_unit()
        if metres is None:
            return None
        t = self.transform
        return float(np.sqrt(abs(t.a * t.e - t.b * t.d) * metres[0] * metres[1]))

    @property
    def ground_gsd_m(self) -> float | None:
        """Side of a square of the area that a pixel at the centre covers on the ground, m; None without CRS.

        It is ``gsd_m``, unless the projection stretches the ground by more than 1 %, as Mercator's does.
        """
        stated = self.gsd_m
        if stated is None or self.crs is None or self.is_geographic:
            return stated
        longitude, latitude = to_lon_lat(self.centre_world[None], self.crs)[0]
        if not np.isfinite([longitude, latitude]).all():
            return stated
        steps = self.to_world(self.centre_xy + np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]]))
        left, right, above, below = convert_xy(steps, self.crs, local_metric_crs(float(longitude), float(latitude)))
        found = float(np.sqrt(abs(np.linalg.det([right - left, below - above]))))
        return found if abs(found / stated - 1) > _MAX_STRETCH else stated

    def resized(self, hw: tuple[int, int]) -> Grid:
        """The same footprint with another number of pixels."""
        sx, sy = self.hw[1] / hw[1], self.hw[0] / hw[0]
        t = self.transform
        return Grid(self.crs, Affine(t.a * sx, t.b * sy, t.c, t.d * sx, t.e * sy, t.f), hw)

    def window(self, left: int, top: int, hw: tuple[int, int]) -> Grid:
        """A rectangle of the same lattice, which may reach beyond the raster."""
        t = self.transform
        corner = (t.a * left + t.b * top + t.c, t.d * left + t.e * top + t.f)
        return Grid(self.crs, Affine(t.a, t.b, corner[0], t.d, t.e, corner[1]), hw)

    def scaled(self, factor: float) -> Grid:
        """The same footprint with ``factor`` times as many pixels along each side, rounded, at least one."""
        return self.resized((max(1, round(self.hw[0] * factor)), max(1, round(self.hw[1] * factor))))

    def fitted(self, max_side_px: int) -> Grid:
        """The same footprint, made coarser if need be so that no side is longer than ``max_side_px``."""
        return self if max(self.hw) <= max_side_px else self.scaled(max_side_px / max(self.hw))

    def outline_xy(self, per_side: int = 17) -> Float64[np.ndarray, "n 2"]:
        """Points along the outer edge of the raster, in pixel centres (so from -0.5 to the size minus 0.5)."""
        height, width = self.hw
        along = np.linspace(0.0, 1.0, per_side)[:-1]
        top = np.stack([along, np.zeros_like(along)], axis=1)
        right = np.stack([np.ones_like(along), along], axis=1)
        outline = np.concatenate([top, right, 1 - top, 1 - right])
        points: np.ndarray = outline * [width, height] - 0.5
        return points

    def to_dict(self) -> dict[str, object]:
        """As plain values for JSON."""
        return {"crs": self.crs, "transform": list(tuple(self.transform)[:6]), "hw": list(self.hw)}

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Grid:
        """Read what :meth:`to_dict` gave.

        Raises:
            InputError: The values do not describe a grid.
        """
        crs, transform, hw = values.get("crs"), values.get("transform"), values.get("hw")
        if not (
            (crs is None or isinstance(crs, str))
            and _is_numbers(transform, 6)
            and _is_numbers(hw, 2)
            and isinstance(transform, list)
            and isinstance(hw, list)
        ):
            raise InputError(f"A grid needs crs, six numbers of transform and two of hw, found {dict(values)}.")
        if crs is not None:
            parse_crs(crs)
        return cls(crs, Affine(*[float(value) for value in transform]), (int(hw[0]), int(hw[1])))


def affine_from_centres(world_from_pixel: Float64[np.ndarray, "3 3"]) -> Affine:
    """Turn an affine matrix that acts on pixel centres into GDAL's transform, which acts on corners."""
    matrix = world_from_pixel @ np.linalg.inv(CORNER_FROM_CENTRE)
    return Affine(*[float(value) for value in matrix[:2].ravel()])


def map_points(points_xy: Float[np.ndarray, "n 2"], source: Grid, target: Grid) -> Float64[np.ndarray, "n 2"]:
    """Take pixel centres of one raster to pixel centres of another, through their coordinate reference systems.

    Two images without georeference share their pixels: points are returned unchanged. A point that the target's
    projection cannot show becomes NaN.

    Raises:
        InputError: One raster has a coordinate reference system and the other has none.
    """
    if source.crs is None and target.crs is None:
        return np.asarray(points_xy, dtype=np.float64).copy()
    if source.crs is None or target.crs is None:
        raise InputError(
            "One image has no coordinate reference system and the other has one, so their positions cannot be "
            "compared: georeference both, or ignore the georeference of both."
        )
    return target.to_pixel(convert_xy(source.to_world(points_xy), source.crs, target.crs))


def working_crs(fixed: Grid) -> str:
    """The system to work in: the fixed image's own if it is projected and in metres, else its UTM zone.

    Raises:
        InputError: The fixed image has no georeference.
    """
    if fixed.crs is None:
        raise InputError("The fixed image has no coordinate reference system: georeference it, or ignore both images'.")
    if not fixed.is_geographic and abs(metres_per_unit(fixed.crs) - 1.0) < 1e-9:
        return fixed.crs
    longitude, latitude = to_lon_lat(fixed.centre_world[None], fixed.crs)[0]
    return local_metric_crs(float(longitude), float(latitude))


def common_grid(fixed: Grid, moving: Grid, *, gsd_m: float, margin_m: float) -> Grid:
    """Make the north-up grid in metres on which two rasters are compared.

    It covers the part of the fixed image that the moving image covers, or would cover if it were shifted by up to
    ``margin_m``. Where the fixed image is unrotated, pixel edges fall on its own.

    Args:
        fixed: Grid of the fixed image.
        moving: Grid of the moving image.
        gsd_m: Ground sample distance of the result, m.
        margin_m: How far the moving image's georeference may be off, m.

    Raises:
        InputError: A raster has no georeference, the footprints lie apart, or share less than 64 px.
    """
    crs = working_crs(fixed)
    fixed_area, moving_area = _footprint(fixed, crs), _footprint(moving, crs)
    _require_overlap(fixed_area, moving_area, gsd_m)
    shared_west, shared_south, shared_east, shared_north = fixed_area.intersection(_grown(moving_area, margin_m)).bounds
    west, north = fixed.transform.c, fixed.transform.f
    if crs != fixed.crs:
        west, north = 0.0, 0.0
    left = np.floor((shared_west - west) / gsd_m + 1e-6)
    right = np.ceil((shared_east - west) / gsd_m - 1e-6)
    bottom = np.floor((shared_south - north) / gsd_m + 1e-6)
    top = np.ceil((shared_north - north) / gsd_m - 1e-6)
    transform = Affine(gsd_m, 0.0, float(west + left * gsd_m), 0.0, -gsd_m, float(north + top * gsd_m))
    return Grid(crs, transform, (int(top - bottom), int(right - left)))


def overlap_share(grid: Grid, reference: Grid) -> float:
    """Share of the reference's footprint that another raster covers, 0 to 1, both with georeference."""
    crs = working_crs(reference)
    area = _footprint(reference, crs)
    return min(1.0, area.intersection(_footprint(grid, crs)).area / area.area)


def _footprint(grid: Grid, crs: str) -> shapely.Geometry:
    if grid.crs is None:
        raise InputError(
            "The moving image has no coordinate reference system: georeference it, or ignore both images'."
        )
    outline = convert_xy(grid.to_world(grid.outline_xy()), grid.crs, crs)
    if not np.isfinite(outline).all():
        raise InputError(
            f"The images do not overlap: the footprint of one cannot be shown in {crs}, the system of the other."
        )
    return shapely.MultiPoint(outline).convex_hull


def _grown(area: shapely.Geometry, margin_m: float) -> shapely.Geometry:
    """The places that a convex area covers when it is shifted by up to the margin along each axis."""
    corners = shapely.get_coordinates(area)
    offsets = margin_m * np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    return shapely.MultiPoint((corners[:, None] + offsets).reshape(-1, 2)).convex_hull


def _require_overlap(fixed: shapely.Geometry, moving: shapely.Geometry, gsd_m: float) -> None:
    shared = fixed.intersection(moving)
    if shared.area == 0:
        east, north = moving.centroid.x - fixed.centroid.x, moving.centroid.y - fixed.centroid.y
        raise InputError(
            "The images do not overlap: the moving image's centre lies "
            f"{_km(abs(east))} {'east' if east >= 0 else 'west'} and {_km(abs(north))} "
            f"{'north' if north >= 0 else 'south'} of the fixed image's. Choose images of one place, or correct the "
            "coordinate reference system of one of them."
        )
    smallest_px = _width(shared) / gsd_m
    if smallest_px < MIN_OVERLAP_PX - 0.5:
        raise InputError(
            f"The images overlap by only {smallest_px:.0f} px of {gsd_m:.4g} m; at least {MIN_OVERLAP_PX} px are "
            "needed. Use larger images, or a finer working grid (--gsd)."
        )


def _width(area: shapely.Geometry) -> float:
    """The shorter side of the smallest rectangle around an area, in its units."""
    around = shapely.oriented_envelope(area)
    sides = np.linalg.norm(np.diff(shapely.get_coordinates(around), axis=0), axis=1)
    return float(around.area / sides.max())


def _km(metres: float) -> str:
    return f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"


def _is_numbers(values: object, count: int) -> bool:
    return isinstance(values, list) and len(values) == count and all(isinstance(v, int | float) for v in values)
