"""Peaks and regions of a map as GeoJSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine

from urbancross_mm.geo.georeference import WGS84, check_crs, rasterio
from urbancross_mm.geo.rasters import Raster

_MOST_CANDIDATES = 100_000


@dataclass(frozen=True)
class MapPlace:
    """Where cells lie.

    Attributes:
        crs (str | None): None where positions are columns and rows.
        pixels (Affine): From cells to pixels of the raster.
        coordinates (Affine): From cells to coordinates of ``crs``; the same as ``pixels`` without.
    """

    crs: str | None
    pixels: Affine
    coordinates: Affine

    @classmethod
    def of(cls, raster: Raster, cell: int) -> MapPlace:
        """Take it from a raster; one with a CRS and no coordinates has no position."""
        pixels = Affine.scale(cell)
        if raster.crs is None or raster.transform == Affine.identity():
            return cls(None, pixels, pixels)
        check_crs(raster.crs)
        return cls(raster.crs, pixels, raster.transform * pixels)

    def on_globe(self, geometry: dict[str, Any]) -> dict[str, Any]:
        """A geometry of coordinates in degrees."""
        if self.crs is None:
            return geometry
        try:
            with rasterio().Env():
                moved = rasterio('rasterio.warp').transform_geom(self.crs, WGS84, geometry)
        except Exception as error:  # GDAL raises many kinds for a position that does not exist
            raise ValueError(
                f'the CRS {self.crs} of the raster does not lead to a position on the globe'
            ) from error
        return dict(moved)


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
        middle = (column + 0.5, row + 0.5)
        x, y = place.coordinates * middle
        left, top = place.pixels * middle
        features.append(
            _feature(
                place.on_globe(dict(type='Point', coordinates=(x, y))),
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
        x, y = place.coordinates * (best[1] + 0.5, best[0] + 0.5)
        moved = _moved(outline, place.coordinates)
        properties = dict(
            score=_number(scores.mean()),
            peak=_number(scores.max()),
            threshold=_number(limit),
            pixels=int(len(inside) * abs(place.pixels.determinant)),
            x=x,
            y=y,
        )
        found.append(_feature(place.on_globe(moved), properties))
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


def _moved(outline: dict[str, Any], transform: Affine) -> dict[str, Any]:
    rings = [[tuple(transform * point) for point in ring] for ring in outline['coordinates']]
    return dict(type='Polygon', coordinates=rings)


def _number(value: Any) -> float:
    return round(float(value), 6)


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return dict(type='Feature', geometry=geometry, properties=properties)


def _collection(features: list[dict[str, Any]]) -> dict[str, Any]:
    return dict(type='FeatureCollection', features=features)
