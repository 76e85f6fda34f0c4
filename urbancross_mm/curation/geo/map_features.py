"""Map features near the tiles: geometries in degrees, and the phrases of their tags."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from urbancross_mm.geo.georeference import WGS84, rasterio
from urbancross_mm.utils.optional import import_optional

Box = Sequence[float]
GLOBE = np.array([180, 90, 180, 90]) + 1e-6
# A geometry and its tags, each made when asked for: either may be broken.
Feature = tuple[Callable[[], Any], Callable[[], Mapping[str, Any]]]


@dataclass
class MapFeatures:
    """The features of a map that lie in a box.

    Attributes:
        box (Box): West, south, east, north. Features outside are left out, so that the map may be
            of a whole country. Defaults to the world.
        geometries (list): shapely geometries.
        phrases (list[tuple[str, ...]]): Phrases of each geometry.
        untagged (int): Number of features that were left out because no tag gives a phrase.
        broken (list[str]): One message per feature that could not be read.
        repaired (int): Number of invalid polygons that were fixed.
    """

    box: Box = (-180.0, -90.0, 180.0, 90.0)
    geometries: list[Any] = field(default_factory=list)
    phrases: list[tuple[str, ...]] = field(default_factory=list)
    untagged: int = 0
    broken: list[str] = field(default_factory=list)
    repaired: int = 0

    def add(self, geometry: Any, phrases: tuple[str, ...]) -> None:
        """Add a feature. An invalid polygon is fixed; an empty or infinite geometry is an error."""
        shapely = import_shapely()
        if geometry is None or geometry.is_empty:
            raise ValueError('no geometry')
        bounds = np.array(geometry.bounds)
        # Bounds ignore a NaN point among others.
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise ValueError('coordinates are not finite')
        if (np.abs(bounds) > GLOBE).any():
            raise ValueError(
                f'coordinates off the globe, {bounds[0]:g} {bounds[1]:g}: the file does not '
                'name its CRS, or names a wrong one'
            )
        if not _overlap(geometry.bounds, self.box):
            return
        if not geometry.is_valid:
            geometry = shapely.make_valid(geometry)
            self.repaired += 1
        self.geometries.append(geometry)
        self.phrases.append(phrases)


def import_shapely(module: str = 'shapely') -> Any:
    """Import shapely, or one of its modules."""
    return import_optional(module, 'Joining map tags to tiles', 'urbancross-mm[geo]')


def in_degrees(geometry: Any, crs: str) -> Any:
    """Transform a geometry to longitude and latitude."""
    if crs == WGS84 or geometry is None:
        return geometry
    warp = rasterio('rasterio.warp')

    def move(points: np.ndarray) -> np.ndarray:
        return np.stack(warp.transform(crs, WGS84, points[:, 0], points[:, 1])[:2], axis=1)

    return import_shapely().transform(geometry, move)


def _overlap(a: Box, b: Box) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]
