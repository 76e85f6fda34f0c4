"""A spatial index of map features: which of them touch a tile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from urbancross_mm.curation.geo.geotags import TileFeature
from urbancross_mm.curation.geo.map_features import Box, import_shapely

# Vertices of a piece. The cost of a tile grows with the vertices of the pieces that it touches.
PIECE = 256
UNEVEN = 0.5 - 0.01 / np.pi  # near the middle, but hardly ever through a vertex


class MapIndex:
    """Looks up tiles.

    A long feature, such as the border of a country, is cut into pieces once. Otherwise every tile
    that touches it would cost its whole length.
    """

    def __init__(self, geometries: Sequence[Any], phrases: Sequence[tuple[str, ...]]) -> None:
        self.phrases = phrases
        pieces = [
            (piece, owner)
            for owner, geometry in enumerate(geometries)
            for piece in in_pieces(geometry)
        ]
        self._pieces = [piece for piece, _ in pieces]
        self._owners = np.array([owner for _, owner in pieces], dtype=int)
        self._tree = import_shapely().STRtree(self._pieces)

    def touched(self, boxes: Iterable[Box]) -> int:
        """Number of features that touch any of the boxes."""
        shapes = [import_shapely().box(*box) for box in boxes]
        if not shapes:
            return 0
        numbers = self._tree.query(shapes, predicate='intersects')[1]
        return len(np.unique(self._owners[numbers]))

    def look_up(self, bounds: Box) -> list[TileFeature]:
        """The features that touch a tile, in the order of the map."""
        box = import_shapely().box(*bounds)
        parts: dict[int, list[Any]] = {}
        for number in sorted(self._tree.query(box, predicate='intersects').tolist()):
            parts.setdefault(int(self._owners[number]), []).append(self._pieces[number])
        return [self._seen_from(owner, pieces, bounds) for owner, pieces in parts.items()]

    def _seen_from(self, owner: int, pieces: Sequence[Any], bounds: Box) -> TileFeature:
        """Share, length and distance of a feature, in tile widths."""
        shapely = import_shapely()
        west, south, east, north = bounds
        center, side = np.array([west + east, south + north]) / 2, [east - west, north - south]
        inside = [
            shapely.transform(clip(piece, bounds), lambda points: (points - center) / side)
            for piece in pieces
        ]
        share = sum(part.area for part in inside)
        length = 0.0 if share else sum(part.length for part in inside)
        middle = shapely.Point(0, 0)
        return TileFeature(
            self.phrases[owner],
            round(share, 6),
            round(length, 6),
            round(min(part.distance(middle) for part in inside), 6),
        )


def in_pieces(geometry: Any, most: int = PIECE) -> list[Any]:
    """Halve a geometry until no piece has more than ``most`` vertices, unless cutting adds more."""
    shapely = import_shapely()
    count = shapely.get_num_coordinates(geometry)
    if count <= most:
        return [geometry]
    if shapely.get_dimensions(geometry) == 0:
        return list(shapely.get_parts(geometry))
    west, south, east, north = geometry.bounds
    width, height = east - west, north - south
    across, up = west + UNEVEN * width, south + UNEVEN * height
    # A clip loses what lies along a side of its box, so the outer sides lie farther out.
    west, south, east, north = west - width, south - height, east + width, north + height
    cuts = [
        [(west, south, across, north), (across, south, east, north)],
        [(west, south, east, up), (west, up, east, north)],
    ]
    for boxes in cuts if width >= height else reversed(cuts):
        halves = _parts(geometry, boxes)
        # A comb is better cut along its teeth.
        if halves and sum(map(shapely.get_num_coordinates, halves)) < 1.5 * count:
            return [piece for half in halves for piece in in_pieces(half, most)]
    return [geometry]


def _parts(geometry: Any, boxes: Iterable[Box]) -> list[Any]:
    """The part in each box, without the points and lines where an area only touches it."""
    dimensions = import_shapely().get_dimensions
    parts = [clip(geometry, box) for box in boxes]
    return [
        part for part in parts if not part.is_empty and dimensions(part) == dimensions(geometry)
    ]


def clip(geometry: Any, box: Box) -> Any:
    """The part of a valid geometry inside a box."""
    shapely = import_shapely()
    # The fast clip loses what only touches the box, and may give a polygon that crosses itself.
    try:
        inside = shapely.clip_by_rect(geometry, *box)
        if not inside.is_empty and inside.is_valid:
            return inside
    except shapely.errors.GEOSException:
        pass
    return geometry.intersection(shapely.box(*box))
