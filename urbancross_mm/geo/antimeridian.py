"""Points and polygons of any CRS in degrees as GeoJSON wants them: from -180 to 180."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from urbancross_mm.geo.georeference import WGS84, degrees_of, rasterio
from urbancross_mm.utils.optional import import_optional

Ring = Sequence[tuple[float, float]]
_PARTS = 8  # of an edge; each turns by less than half of the globe


def point_on_globe(x: float, y: float, crs: str) -> dict[str, Any]:
    """A position in a CRS as a GeoJSON point."""
    (lon,), (lat,) = degrees_of([x], [y], crs)
    if not -180 <= lon <= 180:
        lon = (lon + 180) % 360 - 180
    return dict(type='Point', coordinates=(lon, lat))


def polygon_on_globe(rings: Sequence[Ring], crs: str) -> dict[str, Any]:
    """A polygon in a CRS, with holes, as a GeoJSON polygon, or several cut at 180 degrees."""
    moved = [_unwrapped(ring, crs) for ring in rings]
    if not all(abs(ring[0, 0] - ring[-1, 0]) < 180 for ring in moved):
        # Around a pole. GDAL knows what to do.
        geometry = dict(type='Polygon', coordinates=rings)
        with rasterio().Env():
            return dict(rasterio('rasterio.warp').transform_geom(crs, WGS84, geometry))
    west, east = moved[0][:, 0].min(), moved[0][:, 0].max()
    for hole in moved[1:]:  # into the same turn as the outline
        hole[:, 0] += 360 * np.round(((west + east) / 2 - hole[:, 0].mean()) / 360)
    if west >= -180 and east <= 180:
        return dict(type='Polygon', coordinates=[[*map(tuple, ring.tolist())] for ring in moved])
    return _cut(moved)


def _unwrapped(ring: Ring, crs: str) -> np.ndarray:
    """Corners in degrees, ``(N, 2)``, whose longitudes go on beyond 180."""
    corners = np.asarray(ring, dtype=float)
    shares = np.arange(_PARTS)[:, None] / _PARTS
    between = corners[:-1, None] + shares * np.diff(corners, axis=0)[:, None]
    points = np.concatenate([between.reshape(-1, 2), corners[-1:]])
    lons, lats = map(np.asarray, degrees_of(points[:, 0].tolist(), points[:, 1].tolist(), crs))
    # Only the turns are added, so that what does not wrap stays as it is.
    turns = np.concatenate([[0], np.cumsum(-np.round(np.diff(lons) / 360))])
    return np.stack([lons + 360 * turns, lats], axis=1)[::_PARTS]


def _cut(rings: list[np.ndarray]) -> dict[str, Any]:
    shapely: Any = import_optional(
        'shapely', 'Cutting a polygon at 180 degrees', 'urbancross-mm[geo]'
    )
    whole = shapely.make_valid(shapely.Polygon(rings[0], rings[1:]))
    west, _, east, _ = whole.bounds
    parts: list[Any] = []
    for turn in range(int((west + 180) // 360), int((east + 180) // 360) + 1):
        cut = shapely.intersection(whole, shapely.box(360 * turn - 180, -91, 360 * turn + 180, 91))
        moved = shapely.transform(cut, lambda points, turn=turn: points - (360 * turn, 0))
        parts += [part for part in shapely.get_parts(moved) if part.geom_type == 'Polygon']
    shape = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return dict(shapely.geometry.mapping(shape))
