"""From the coordinates of an image to degrees on the globe, through rasterio."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from urbancross_mm.geo.positions import (
    Bounds,
    bounds_of_world_file,
    describe_degrees,
    describe_points,
    world_file_of,
)
from urbancross_mm.utils.optional import import_optional

WGS84 = 'EPSG:4326'


def rasterio(module: str = 'rasterio') -> ModuleType:
    """Import rasterio, or one of its modules."""
    return import_optional(
        module, 'Cutting a GeoTIFF, or another CRS than degrees,', 'urbancross-mm[geo]'
    )


def check_crs(crs: str) -> None:
    """Check that a CRS is known and refers to the globe, not to heights or a building site."""
    if crs == WGS84:
        return
    with rasterio().Env():
        try:
            known = rasterio('rasterio.crs').CRS.from_user_input(crs)
        except rasterio('rasterio.errors').CRSError as error:
            raise ValueError(f'unknown CRS {crs!r}: {error}') from error
        if not (known.is_projected or known.is_geographic):
            raise ValueError(f'CRS {crs!r} does not refer to the globe')


def position_on_globe(bounds: Bounds, crs: str, crossing: bool = False) -> dict[str, object]:
    """Center and extent in degrees of bounds in any CRS.

    A projected grid is rotated against north away from its central meridian. The box around the
    rotated image would overlap its neighbors, so the extent is the true size on the ground around
    the true center. With ``crossing``, it may cross 180 degrees.
    """
    if crs == WGS84:
        return describe_degrees(bounds, crossing)
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    try:
        check_crs(crs)
        lons, lats = degrees_of([x, west, east, x, x], [y, y, y, south, north], crs)
        return describe_points(lons, lats, crossing)
    except ImportError:
        raise
    except Exception as error:  # GDAL raises many kinds for a position that does not exist
        raise ValueError('its CRS does not lead to a position on the globe') from error


def check_on_globe(points: Sequence[tuple[float, float]], crs: str) -> None:
    """Check that a CRS leads from all points to the globe, and from the first one back to it.

    The inverse of a projection may answer for points that are on no map.
    """
    xs, ys = (list(values) for values in zip(*points))
    try:
        check_crs(crs)
        lons, lats = degrees_of(xs, ys, crs)
        with rasterio().Env():
            back = rasterio('rasterio.warp').transform(WGS84, crs, lons[:1], lats[:1])[:2]
            projected = rasterio('rasterio.crs').CRS.from_user_input(crs).is_projected
    except ImportError:
        raise
    except Exception as error:  # GDAL raises many kinds for a position that does not exist
        raise ValueError('its CRS does not lead to a position on the globe') from error
    size = math.hypot(max(xs) - min(xs), max(ys) - min(ys))
    if projected:
        returns = math.hypot(back[0][0] - xs[0], back[1][0] - ys[0]) <= size / 100
    else:  # longitudes may run from 0 to 360, and a degree may be another unit
        returns = max(map(abs, xs)) <= 401 and max(map(abs, ys)) <= 101
    finite = all(map(math.isfinite, (*lons, *lats)))
    if not (finite and returns and max(map(abs, lats)) <= 91):
        raise ValueError('its CRS does not lead to a position on the globe')


def position_beside(path: Path, width: int, height: int, crs: str) -> tuple[dict[str, object], str]:
    """Position of an image by its world file, and what is wrong with that; empty without one."""
    world = world_file_of(path)
    if world is None:
        return {}, ''
    text = world.read_text(encoding='utf-8', errors='replace')
    try:
        return position_on_globe(bounds_of_world_file(text, width, height), crs), ''
    except ValueError as error:
        return {}, f'no position: {error}'


def degrees_of(
    xs: Sequence[float], ys: Sequence[float], crs: str
) -> tuple[list[float], list[float]]:
    """Longitudes and latitudes of positions in a CRS."""
    with rasterio().Env():
        lons, lats = rasterio('rasterio.warp').transform(crs, WGS84, xs, ys)[:2]
    return lons, lats
