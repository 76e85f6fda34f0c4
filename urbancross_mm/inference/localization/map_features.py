"""Peaks and regions of a map as GeoJSON."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine

from urbancross_mm.geo.antimeridian import point_on_globe, polygon_on_globe
from urbancross_mm.geo.georeference import check_on_globe, rasterio
from urbancross_mm.geo.rasters import Raster

_MOST_CANDIDATES = 100_000


@dataclass(frozen=True)
class MapPlace:
    """Where cells lie.

    Attributes:
        crs (str | None): None where positions are columns and rows.
        transform (Affine): From pixels of the raster to coordinates of ``crs``; the identity
            without.
        cell (int): Side of a cell, in pixels.
        width (int): Of the raster, in pixels; it may cut the last cells.
        height (int): Of the raster.
    """

    crs: str | None
    transform: Affine
    cell: int
    width: int
    height: int

    @classmethod
    def of(cls, raster: Raster, cell: int) -> MapPlace:
        """Take it from a raster.

        One with a CRS and no coordinates has no position, nor has one of which a
        corner is nowhere on the globe.
        """
        crs, transform = raster.crs, raster.transform
        if crs is None or transform == Affine.identity() or not _is_on_globe(raster, crs):
            crs, transform = None, Affine.identity()
        return cls(crs, transform, cell, raster.width, raster.height)

    def middle(self, row: int, column: int) -> tuple[float, float]:
        """Column and row of the middle of a cell, in pixels."""
        across = middles(slice(column, column + 1), column + 1, self.cell, self.width)
        down = middles(slice(row, row + 1), row + 1, self.cell, self.height)
        return float(across[0]), float(down[0])

    def pixels(self, cells: np.ndarray) -> int:
        """Area of cells, ``(N, 2)``: row and column."""
        sides = np.minimum(self.cell, (self.height, self.width) - cells * self.cell)
        return int(sides.prod(axis=1).sum())

    def outline(self, shape: dict[str, Any]) -> dict[str, Any]:
        """A polygon of cells in degrees; without a CRS in pixels."""
        rings = [
            [
                self.transform * (min(x * self.cell, self.width), min(y * self.cell, self.height))
                for x, y in ring
            ]
            for ring in shape['coordinates']
        ]
        if self.crs is None:
            return dict(type='Polygon', coordinates=rings)
        with self._named():
            return polygon_on_globe(rings, self.crs)

    def point(self, x: float, y: float) -> dict[str, Any]:
        """A point of coordinates in degrees; without a CRS as it is."""
        if self.crs is None:
            return dict(type='Point', coordinates=(x, y))
        with self._named():
            return point_on_globe(x, y, self.crs)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ImportError:
            raise
        except Exception as error:  # GDAL raises many kinds for a position that does not exist
            raise ValueError(
                f'the CRS {self.crs} of the raster does not lead to a position on the globe'
            ) from error


def middles(cells: slice, count: int, cell: int, length: int) -> np.ndarray:
    """Middles of cells in pixels; the last cell may be cut by the border."""
    starts = np.arange(*cells.indices(count)) * cell
    return np.asarray((starts + np.minimum(starts + cell, length)) / 2)


def peak_features(values: np.ndarray, place: MapPlace, n: int, distance: float) -> dict[str, Any]:
    """The best cells that lie a distance apart.

    Args:
        values (np.ndarray): The map; NaN is no data.
        place (MapPlace): Where its cells lie.
        n (int): At most so many.
        distance (float): In cells.

    Returns:
        dict: GeoJSON, best first.
    """
    features = []
    for rank, (row, column) in enumerate(find_peaks(values, n, distance), 1):
        left, top = place.middle(row, column)
        x, y = place.transform * (left, top)
        features.append(
            _feature(
                place.point(x, y),
                dict(rank=rank, score=_number(values[row, column]), column=left, row=top, x=x, y=y),
            )
        )
    return _collection(features)


def region_features(values: np.ndarray, place: MapPlace, threshold: float) -> dict[str, Any]:
    """Outlines of the cells above a share of the range of the map.

    Args:
        values (np.ndarray): The map; NaN is no data.
        place (MapPlace): Where its cells lie.
        threshold (float): From 0 to 1.

    Returns:
        dict: GeoJSON, the highest first.
    """
    if np.isnan(values).all():
        return _collection([])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    limit = low + threshold * (high - low)
    above = values >= min(limit, high)  # NaN is not; rounding leaves the best cell in
    labels, shapes = _connected(above)
    order = np.argsort(labels[above], kind='stable')
    cells, groups = np.argwhere(above)[order], labels[above][order]
    found = []
    for number, outline in shapes:
        inside = cells[slice(*np.searchsorted(groups, [number, number + 1]))]
        scores = values[tuple(inside.T)]
        best = inside[int(scores.argmax())]
        x, y = place.transform * place.middle(*best)
        properties = dict(
            score=_number(scores.mean()),
            peak=_number(scores.max()),
            threshold=_number(limit),
            pixels=place.pixels(inside),
            x=x,
            y=y,
        )
        found.append(_feature(place.outline(outline), properties))
    found.sort(key=lambda feature: -feature['properties']['peak'])
    for rank, feature in enumerate(found, 1):
        feature['properties'] = dict(rank=rank, **feature['properties'])
    return _collection(found)


def find_peaks(values: np.ndarray, n: int, distance: float) -> list[tuple[int, int]]:
    """Local maxima, best first, each at least ``distance`` cells from the better ones.

    Args:
        values (np.ndarray): The map; NaN is no data.
        n (int): At most so many.
        distance (float): In cells.

    Returns:
        list[tuple[int, int]]: Row and column.
    """
    filled = np.pad(np.where(np.isnan(values), -np.inf, values), 1, constant_values=-np.inf)
    height, width = values.shape
    around = np.max(
        [filled[i : i + height, j : j + width] for i in range(3) for j in range(3)], axis=0
    )
    spots = np.argwhere(np.isfinite(values) & (values >= around))
    order = np.argsort(-values[tuple(spots.T)], kind='stable')[:_MOST_CANDIDATES]
    spots = spots[order]
    peaks: list[tuple[int, int]] = []
    while len(spots) and len(peaks) < n:
        best = spots[0]
        peaks.append((int(best[0]), int(best[1])))
        spots = spots[np.hypot(*(spots - best).T) >= distance]
    return peaks


def _connected(above: np.ndarray) -> tuple[np.ndarray, list[tuple[int, dict[str, Any]]]]:
    """Number of the region of each cell, and the outline of each region in cells."""
    import cv2

    labels = cv2.connectedComponents(above.astype(np.uint8), connectivity=4)[1]
    shapes = rasterio('rasterio.features').shapes(labels, mask=above, connectivity=4)
    return labels, [(int(number), outline) for outline, number in shapes]


def _is_on_globe(raster: Raster, crs: str) -> bool:
    width, height = raster.width, raster.height
    places = [(width / 2, height / 2), (0, 0), (width, 0), (0, height), (width, height)]
    try:
        check_on_globe([raster.transform * place for place in places], crs)
    except ValueError:
        return False
    return True


def _number(value: Any) -> float:
    return round(float(value), 6)


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return dict(type='Feature', geometry=geometry, properties=properties)


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(type='FeatureCollection', features=features)
