"""Things on a map in degrees, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from urbancross_mm.curation.geo.georeference import WGS84, rasterio
from urbancross_mm.utils.optional import import_optional

Box = Sequence[float]
GLOBE = np.array([180, 90, 180, 90]) + 1e-6
# A geometry and its tags, each made when asked for: either may be broken.
Feature = tuple[Callable[[], Any], Callable[[], Mapping[str, Any]]]


@dataclass
class MapThings:
    """Geometries in degrees, and what is said of them.

    Attributes:
        box (tuple[float, ...]): West, south, east, north; what lies outside is passed over, so that
            the map may be of a whole country. Defaults to the world.
        geometries (list): shapely geometries.
        phrases (list[tuple[str, ...]]): What is said of each.
        silent (int): Features without a tag that is said; they are not kept.
        broken (list[str]): What was wrong with those that could not be used.
        repaired (int): Invalid polygons that were mended.
    """

    box: Box = (-180.0, -90.0, 180.0, 90.0)
    geometries: list[Any] = field(default_factory=list)
    phrases: list[tuple[str, ...]] = field(default_factory=list)
    silent: int = 0
    broken: list[str] = field(default_factory=list)
    repaired: int = 0

    def add(self, geometry: Any, phrases: tuple[str, ...]) -> None:
        """Take a thing; an invalid polygon is mended, an empty or endless one refused.

        Args:
            geometry (Any): shapely's.
            phrases (tuple[str, ...]): What is said of it.

        Raises:
            ValueError: If it cannot be used.
        """
        shapely = import_shapely()
        if geometry is None or geometry.is_empty:
            raise ValueError('no geometry')
        bounds = np.array(geometry.bounds)
        # Bounds pass over a point that is no number, as long as others are.
        if not np.isfinite(shapely.get_coordinates(geometry)).all():
            raise ValueError('coordinates that are no numbers')
        if (np.abs(bounds) > GLOBE).any():
            raise ValueError(
                f'coordinates off the globe, {bounds[0]:g} {bounds[1]:g}: the file '
                'does not name its CRS, or another one'
            )
        if not _overlap(geometry.bounds, self.box):
            return
        if not geometry.is_valid:
            geometry = shapely.make_valid(geometry)
            self.repaired += 1
        self.geometries.append(geometry)
        self.phrases.append(phrases)


def import_shapely(module: str = 'shapely') -> Any:
    """Import shapely, or one of its modules.

    Args:
        module (str): Dotted name. Defaults to 'shapely'.

    Returns:
        Any: The module.

    Raises:
        ImportError: If it is not installed.
    """
    return import_optional(module, 'Joining map tags to tiles', 'urbancross-mm[geo]')


def in_degrees(geometry: Any, crs: str) -> Any:
    """Move a geometry to longitude and latitude.

    Args:
        geometry (Any): shapely's, or None.
        crs (str): Its CRS.

    Returns:
        Any: The geometry in degrees.
    """
    if crs == WGS84 or geometry is None:
        return geometry
    warp = rasterio('rasterio.warp')

    def move(points: np.ndarray) -> np.ndarray:
        return np.stack(warp.transform(crs, WGS84, points[:, 0], points[:, 1])[:2], axis=1)

    return import_shapely().transform(geometry, move)


def _overlap(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
