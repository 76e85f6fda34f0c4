"""Positions of images: centers and bounds in degrees, and world files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from affine import Affine, loadsw

METERS_A_DEGREE = 111320.0
Bounds = list[float]


def describe_bounds(
    bounds: Sequence[float], meters: Sequence[float] | None = None, crossing: bool = False
) -> dict[str, object]:
    """Center and extent of a tile from its bounds in degrees, rounded to about a centimeter.

    ``meters`` are width and height on the ground; by default they are those on a sphere. With
    ``crossing``, longitudes may go on beyond 180 degrees; the west of a tile that crosses these is
    then larger than its east.
    """
    west, south, east, north = (round(side, 7) for side in bounds)
    most = 540 if crossing else 180
    if not (-most <= west < east <= min(most, west + 360) and -90 <= south < north <= 90):
        raise ValueError('bounds must be west, south, east, north in degrees, on the globe')
    lon, lat = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    if meters is None:
        meters = (
            (bounds[2] - bounds[0]) * METERS_A_DEGREE * math.cos(math.radians(lat)),
            (bounds[3] - bounds[1]) * METERS_A_DEGREE,
        )
    return dict(
        bounds=[_on_globe(west), south, _on_globe(east), north],
        lon=_on_globe(round(lon, 7)),
        lat=round(lat, 7),
        metres=[round(meters[0], 2), round(meters[1], 2)],  # spelled as in existing manifests
    )


def _on_globe(lon: float) -> float:
    """The same longitude from -180 to 180."""
    return lon if -180 <= lon <= 180 else round((lon + 180) % 360 - 180, 7)


def meters_of_a_degree(lat: float) -> tuple[float, float]:
    """Length in meters of a degree of longitude and of latitude, on the WGS 84 ellipsoid."""
    radius, flatness = 6378137.0, 0.00669437999014  # semi-major axis, squared eccentricity
    sine = math.sin(math.radians(lat))
    root = math.sqrt(1 - flatness * sine * sine)
    across = radius / root * math.cos(math.radians(lat))
    return math.radians(across), math.radians(radius * (1 - flatness) / root**3)


def describe_degrees(bounds: Sequence[float], crossing: bool = False) -> dict[str, object]:
    """As :func:`describe_bounds`, on the ellipsoid. Longitudes may run from 0 to 360."""
    west, south, east, north = bounds
    if 180 <= west < east <= 360:
        west, east = west - 360, east - 360
    across, up = meters_of_a_degree((south + north) / 2)
    return describe_bounds(
        [west, south, east, north], [(east - west) * across, (north - south) * up], crossing
    )


def describe_points(
    lons: Sequence[float], lats: Sequence[float], crossing: bool = False
) -> dict[str, object]:
    """Center and extent of a tile that may be rotated: its true size around its center.

    The five points are the center and the middles of the west, east, south and north side.
    """
    lon, lat = lons[0], lats[0]
    if not all(map(math.isfinite, (*lons, *lats))) or abs(lat) > 89.9 or not -180 <= lon <= 360:
        raise ValueError('the points are not on the globe')
    lon = lon if lon < 180 else lon - 360
    across, up = meters_of_a_degree(lat)

    def size(start: int, end: int) -> float:
        # By way of the center: neither half crosses more than half of the globe.
        east = _shorter_way(lons[end] - lons[0]) + _shorter_way(lons[0] - lons[start])
        return math.hypot(east * across, (lats[end] - lats[start]) * up)

    width, height = size(1, 2), size(3, 4)
    return describe_bounds(
        [
            lon - width / across / 2,
            lat - height / up / 2,
            lon + width / across / 2,
            lat + height / up / 2,
        ],
        [width, height],
        crossing,
    )


def _shorter_way(degrees: float) -> float:
    """The same rotation by at most 180 degrees."""
    return (degrees + 180) % 360 - 180


def world_file_of(image: Path) -> Path | None:
    """Find the world file of an image: ``x.jpg`` may have ``x.jgw``, ``x.jpgw`` or ``x.wld``."""
    suffix = image.suffix
    short = f'.{suffix[1:2]}{suffix[-1:]}w'  # .jpg -> .jgw, .tif -> .tfw
    for name in (short, f'{suffix}w', '.wld'):
        for spelling in (name, name.lower(), name.upper()):
            path = image.with_suffix(spelling)
            if path.is_file():
                return path
    return None


def bounds_of_world_file(text: str, width: int, height: int) -> Bounds:
    """Bounds of an image in the coordinates of its world file."""
    try:
        transform = loadsw(text.removeprefix('\ufeff'))
    except ValueError as error:
        raise ValueError('a world file holds six numbers') from error
    if not all(map(math.isfinite, transform)):
        raise ValueError('a world file holds six numbers, and these have no end or are none')
    if not has_north_up(transform):
        raise ValueError('only images with north up are understood')
    west, north = transform.c, transform.f
    return [west, north + transform.e * height, west + transform.a * width, north]


def has_north_up(transform: Affine, slack: float = 0.0) -> bool:
    """Whether columns run east and rows run south, apart from a skew of ``slack`` of a pixel."""
    skew = max(abs(transform.b), abs(transform.d))
    return transform.a > 0 > transform.e and skew <= slack * transform.a
