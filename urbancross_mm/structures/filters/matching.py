"""Which values, and of places which rows, a condition holds for, in numpy."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import reduce

import numpy as np

from urbancross_mm.structures.filters.columns import Column
from urbancross_mm.structures.filters.conditions import AnyOf, Compare, Tags
from urbancross_mm.structures.filters.places import Box, Near, Polygon, pyproj, shapely

COMPARE = {
    '=': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '<=': operator.le,
    '>': operator.gt,
    '>=': operator.ge,
}
MEAN_RADIUS = 6371008.8  # of the sphere that is closest to the ellipsoid
# Lengths on that sphere are within 0.6 % of those on the ellipsoid, in every place and direction.
SPHERE = 0.01


def match_compare(condition: Compare, column: Column) -> np.ndarray:
    """Values that compare so; of another type only ``!=`` holds."""
    unequal = condition.op == '!='
    mask = column.text_in(condition.text_ranges)
    known = ~np.isnan(column.numbers)
    if condition.number is not None:
        mask |= COMPARE[condition.op](column.numbers, condition.number) & known
    elif unequal:
        mask |= known
    if condition.op in ('=', '!='):
        flag = {'true': 1, 'false': 0}.get(condition.value, 2)
        mask |= ((column.flags == flag) != unequal) & (column.flags >= 0)
    return mask


def match_any_of(condition: AnyOf, column: Column) -> np.ndarray:
    """Values that equal one of several."""
    return reduce(
        np.logical_or,
        (match_compare(Compare(condition.name, '=', value), column) for value in condition.values),
    )


def match_tags(condition: Tags, column: Column) -> np.ndarray:
    """Lists that hold any, or all, of the tags."""
    combine = np.logical_and if condition.all else np.logical_or
    return reduce(combine, map(column.tagged, condition.values))


def match_box(box: Box, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    """Positions within a box."""
    within = [(lons >= west) & (lons <= east) for west, east in box.lon_ranges]
    return reduce(np.logical_or, within) & (lats >= box.south) & (lats <= box.north)


def match_near(near: Near, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    """Positions within a distance; the ellipsoid is asked only where a sphere leaves it open."""
    rough = _sphere_distance(near, lons, lats)
    mask = rough < near.meters * (1 - SPHERE)
    rows = np.flatnonzero(~mask & (rough <= near.meters * (1 + SPHERE) + 1))
    if len(rows):
        geod = pyproj().Geod(ellps='WGS84')
        start = np.full(len(rows), near.lon), np.full(len(rows), near.lat)
        meters = geod.inv(*start, lons[rows], lats[rows])[2]
        mask[rows] = meters <= near.meters
    return mask


def match_polygon(polygon: Polygon, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    """Positions within one of the polygons, whose longitudes may go beyond 180."""
    mask = np.zeros(len(lons), dtype=bool)
    rows = np.flatnonzero(match_box(polygon.bounds, lons, lats))
    for shape in polygon.shapes:
        west, _, east, _ = shape.bounds
        for turn in (-360, 0, 360):
            if west <= 180 + turn and east >= -180 + turn:
                inside = shapely().intersects_xy(shape, lons[rows] + turn, lats[rows])
                mask[rows[inside]] = True
    return mask


def match_place(condition: Box | Near | Polygon, columns: Mapping[str, Column]) -> np.ndarray:
    """Rows whose center lies there; a center that is not on the globe lies nowhere."""
    lons, lats = (columns[name].by_row(columns[name].numbers) for name in ('lon', 'lat'))
    mask = (np.abs(lons) <= 180) & (np.abs(lats) <= 90)
    match = {Box: match_box, Near: match_near, Polygon: match_polygon}[type(condition)]
    mask[mask] = match(condition, lons[mask], lats[mask])  # type: ignore[operator]
    return mask


def _sphere_distance(near: Near, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    """Meters along a great circle."""
    lon, lat, lons, lats = (np.radians(x) for x in (near.lon, near.lat, lons, lats))
    half = np.sin((lats - lat) / 2) ** 2
    half += np.cos(lat) * np.cos(lats) * np.sin((lons - lon) / 2) ** 2
    return 2 * MEAN_RADIUS * np.arcsin(np.sqrt(np.clip(half, 0, 1)))
