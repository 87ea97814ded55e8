"""Coordinate reference systems by name: parse, convert points, metres. Axis order is always east (longitude) first."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float64
from rasterio import warp
from rasterio.crs import CRS
from rasterio.errors import CRSError

from midground.errors import InputError

_SEMI_MAJOR_M = 6378137.0
_ECCENTRICITY_2 = 0.0066943799901413165
_WGS84 = "EPSG:4326"
_UTM_LATITUDES_DEG = (-80.0, 84.0)


@lru_cache(maxsize=64)
def parse_crs(text: str) -> CRS:
    """Parse a coordinate reference system.

    Args:
        text: ``EPSG:...`` or WKT.

    Raises:
        InputError: It is not known to PROJ.
    """
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise InputError(f"The coordinate reference system '{text[:80]}' is not understood: {error}.") from error


def same_crs(one: str, other: str) -> bool:
    """Whether two names mean the same coordinate reference system."""
    return one == other or bool(parse_crs(one) == parse_crs(other))


def is_geographic(crs: str) -> bool:
    """Whether coordinates are longitude and latitude in degrees."""
    return bool(parse_crs(crs).is_geographic)


def metres_per_unit(crs: str) -> float:
    """Length of one unit of a projected coordinate reference system, m, taken at its word (no scale distortion)."""
    return float(parse_crs(crs).linear_units_factor[1])


def metres_per_degree(latitude_deg: float) -> tuple[float, float]:
    """Ground length of one degree of longitude and of latitude on the WGS 84 ellipsoid, m."""
    latitude = np.deg2rad(latitude_deg)
    w2 = 1.0 - _ECCENTRICITY_2 * np.sin(latitude) ** 2
    east = _SEMI_MAJOR_M * np.cos(latitude) / np.sqrt(w2)
    north = _SEMI_MAJOR_M * (1.0 - _ECCENTRICITY_2) / w2**1.5
    return float(np.deg2rad(east)), float(np.deg2rad(north))


def convert_xy(points_xy: Float[np.ndarray, "n 2"], source: str, target: str) -> Float64[np.ndarray, "n 2"]:
    """Convert map coordinates (east first); a point outside the projection's domain becomes NaN."""
    points_xy = np.asarray(points_xy, dtype=np.float64)
    if len(points_xy) == 0 or same_crs(source, target):
        return points_xy.copy()
    usable = np.isfinite(points_xy).all(axis=1)
    converted = np.full_like(points_xy, np.nan)
    if usable.any():
        kept = points_xy[usable]
        columns = warp.transform(parse_crs(source), parse_crs(target), kept[:, 0].tolist(), kept[:, 1].tolist())
        converted[usable] = np.array(columns[:2]).T
    return np.where(np.isfinite(converted).all(axis=1, keepdims=True), converted, np.nan)


def to_lon_lat(points_xy: Float[np.ndarray, "n 2"], crs: str) -> Float64[np.ndarray, "n 2"]:
    """Convert map coordinates to WGS 84 longitude and latitude, degrees."""
    return convert_xy(points_xy, crs, _WGS84)


def local_metric_crs(longitude_deg: float, latitude_deg: float) -> str:
    """Name the UTM zone of a place, or the polar stereographic system beyond UTM's limits."""
    south, north = _UTM_LATITUDES_DEG
    if latitude_deg > north:
        return "EPSG:32661"
    if latitude_deg < south:
        return "EPSG:32761"
    zone = int((longitude_deg + 180.0) // 6.0) % 60 + 1
    return f"EPSG:{(32600 if latitude_deg >= 0 else 32700) + zone}"
