"""Conditions on where the center lies: box, circle, polygon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any

from urbancross_mm.utils.optional import import_optional

# Of WGS 84: equatorial radius, and the smallest radius of curvature, along the equator's meridians.
RADIUS, SMALLEST_RADIUS = 6378137.0, 6335439.0
ROUNDING = 1e-9  # degrees; bounds are larger by more than any rounding
FURTHEST = 360.0  # longitudes a client may send: maps count on beyond 180
Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Box:
    """The center lies in the box, edges included; west > east crosses the antimeridian.

    Longitudes from -360 to 360 are accepted and kept within -180..180.

    Args:
        west (float): Degrees.
        south (float): Degrees.
        east (float): Degrees.
        north (float): Degrees.

    Raises:
        ValueError: If south is above north, or a value is not on the globe.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        for lon, lat in ((self.west, self.south), (self.east, self.north)):
            _check_position(lon, lat)
        if self.south > self.north:
            raise ValueError(f'south {self.south:g} is above north {self.north:g}')
        width = self.east - self.west
        width = width if width >= 0 else width % 360
        west = wrap(self.west) if self.west != self.east else _within(self.west)
        east = _within(self.east)
        if width >= 360:
            west, east = -180.0, 180.0
        elif width and east == -180:
            east = 180.0
        for name, value in zip(
            ('west', 'south', 'east', 'north'), (west, self.south, east, self.north)
        ):
            object.__setattr__(self, name, float(value))

    @property
    def lon_ranges(self) -> list[tuple[float, float]]:
        """list: Longitudes within -180..180, one range of which must hold, ends included."""
        if self.west > self.east:
            return [(self.west, 180.0), (-180.0, self.east)]
        ranges = [(self.west, self.east)]
        if self.west == -180 and self.east < 180:  # 180 is the same meridian
            ranges.append((180.0, 180.0))
        if self.east == 180 and self.west > -180:
            ranges.append((-180.0, -180.0))
        return ranges

    def __str__(self) -> str:
        return f'bbox={self.west!r},{self.south!r},{self.east!r},{self.north!r}'


@dataclass(frozen=True)
class Near:
    """The center lies within meters of a point, along the WGS 84 ellipsoid.

    Args:
        lon (float): Degrees, from -360 to 360, kept within -180..180.
        lat (float): Degrees.
        meters (float): Radius.

    Raises:
        ValueError: If the point is not on the globe, or the radius is negative.
    """

    lon: float
    lat: float
    meters: float

    def __post_init__(self) -> None:
        _check_position(self.lon, self.lat)
        if not 0 <= self.meters < math.inf:
            raise ValueError(f'the radius must be 0 meters or more, got {self.meters:g}')
        for name, value in dict(lon=_within(self.lon), lat=self.lat, meters=self.meters).items():
            object.__setattr__(self, name, float(value))

    @property
    def bounds(self) -> Box:
        """Box: Holds the circle; never too small, near the poles larger than need be."""
        reach = math.degrees(self.meters / SMALLEST_RADIUS) + ROUNDING
        south, north = max(self.lat - reach, -90.0), min(self.lat + reach, 90.0)
        # No geodesic of this length leaves the band of latitudes, nor crosses meridians faster
        # than along its narrowest parallel, which at a pole is nearly a point.
        narrowest = RADIUS * math.cos(math.radians(max(abs(south), abs(north))))
        turn = math.degrees(self.meters / narrowest) + ROUNDING
        if turn >= 180:
            return Box(-180.0, south, 180.0, north)
        return Box(self.lon - turn, south, self.lon + turn, north)

    def __str__(self) -> str:
        return f'near={self.lon!r},{self.lat!r},{self.meters!r}'


@dataclass(frozen=True)
class Polygon:
    """The center lies in one of the polygons; each is an outer ring and its holes, lon and lat.

    Args:
        polygons (tuple): Of each polygon its rings, of each ring its points; a ring that is open
            is closed.

    Raises:
        ValueError: If there is none, a ring crosses itself, or a point is not on the globe.
        ImportError: If shapely is missing.
    """

    polygons: tuple[tuple[Ring, ...], ...]

    def __post_init__(self) -> None:
        polygons = tuple(tuple(map(_ring, rings)) for rings in self.polygons)
        if not polygons or not all(polygons):
            raise ValueError('a polygon needs at least one ring of points, got none')
        object.__setattr__(self, 'polygons', polygons)
        for shape in self.shapes:
            reason = shapely('shapely.validation').explain_validity(shape)
            if reason != 'Valid Geometry':
                raise ValueError(f'the polygon is not valid: {reason}')
            if shape.bounds[2] - shape.bounds[0] > 360:
                raise ValueError(f'the polygon is wider than the globe: {shape.bounds}')

    @cached_property
    def shapes(self) -> list[Any]:
        """list: One prepared shapely polygon each."""
        shapes = [shapely().Polygon(rings[0], rings[1:]) for rings in self.polygons]
        shapely().prepare(shapes)
        return shapes

    @property
    def bounds(self) -> Box:
        """Box: Holds all polygons, across the antimeridian if that makes it smaller."""
        boxes = [shape.bounds for shape in self.shapes]
        west, east = shortest_arc([(box[0] - ROUNDING, box[2] + ROUNDING) for box in boxes])
        return Box(west, min(box[1] for box in boxes), east, max(box[3] for box in boxes))

    def __str__(self) -> str:
        texts = [', '.join(f'({_wkt(ring)})' for ring in rings) for rings in self.polygons]
        if len(texts) == 1:
            return f'polygon=POLYGON({texts[0]})'
        return f'polygon=MULTIPOLYGON({", ".join(f"({text})" for text in texts)})'


def shapely(module: str = 'shapely') -> ModuleType:
    """Import shapely, or one of its modules."""
    return import_optional(module, 'A filter with a polygon', 'urbancross-mm[geo]')


def pyproj() -> ModuleType:
    """Import pyproj."""
    return import_optional('pyproj', 'A filter with near=', 'urbancross-mm[geo]')


def wrap(lon: float) -> float:
    """A longitude in -180 <= lon < 180; one that is there already stays as it is."""
    return lon if -180 <= lon < 180 else (lon + 180) % 360 - 180


def _within(lon: float) -> float:
    return lon if -180 <= lon <= 180 else wrap(lon)


def _check_position(lon: float, lat: float) -> None:
    if not abs(lat) <= 90:
        raise ValueError(f'a latitude lies from -90 to 90, got {lat:g}')
    if not abs(lon) <= FURTHEST:
        raise ValueError(f'a longitude lies from -360 to 360, got {lon:g}')


def _ring(points: Iterable[Iterable[float]]) -> Ring:
    """Points as floats, closed."""
    ring = tuple((float(lon), float(lat)) for lon, lat in points)
    for lon, lat in ring:
        _check_position(lon, lat)
    if len(set(ring)) < 3:
        raise ValueError(f'a ring needs three different points, got {len(set(ring))}')
    return ring if ring[0] == ring[-1] else (*ring, ring[0])


def shortest_arc(intervals: list[tuple[float, float]]) -> tuple[float, float]:
    """The shortest arc of longitudes that holds all of some.

    Args:
        intervals (list[tuple]): West and east of each, the east beyond 180 where it crosses that.

    Returns:
        tuple[float, float]: West and east, the west larger where the arc crosses 180 degrees.
    """
    starts = sorted((wrap(west), wrap(west) + east - west) for west, east in intervals)
    last = max(end for _, end in starts)
    west, east, gap = starts[0][0], last, starts[0][0] + 360 - last
    reach = max(starts[0][1], last - 360)
    for start, end in starts[1:]:
        if start - reach > gap:  # the arc leaves out the largest gap
            west, east, gap = start, reach, start - reach
        reach = max(reach, end)
    return (west, _within(east)) if gap > 0 else (-180.0, 180.0)


def _wkt(ring: Ring) -> str:
    return ', '.join(f'{lon!r} {lat!r}' for lon, lat in ring)
