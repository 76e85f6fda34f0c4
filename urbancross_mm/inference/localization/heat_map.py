"""The answer to a query: a map of scores over a raster."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from urbancross_mm.inference.localization.map_features import (
    MapPlace,
    middles,
    peak_features,
    region_features,
)
from urbancross_mm.inference.localization.map_file import write_map
from urbancross_mm.inference.localization.window_scan import Level, View
from urbancross_mm.utils.files import atomic_write, check_outputs

BLOCK = 512  # cells a side of what is computed, and of a tile of the file


class HeatMap:
    """Scores of the cells of a raster: the Hann-weighted mean of the windows that cover a cell.

    A window counts by the part of it that has data, so each scale counts the same where all have.
    The map is computed block by block, so that it may be larger than memory. Cells without data,
    and those that no window of data covers, are NaN.

    Args:
        view (View): The raster.
        cell (int): Side of a cell, in pixels of the raster.
        levels (Sequence[Level]): Scores of the windows, scale by scale.
        data (np.ndarray): Which cells have data, bool.

    Attributes:
        shape (tuple[int, int]): Rows and columns of cells.
        cell (int): Side of a cell, in pixels of the raster.
        transform (Affine): From column and row of a cell to map coordinates.
        crs (str | None): Of the raster; None where it leads to no position on the globe.
        place (MapPlace): Where the cells lie on the globe.

    Shape:
        - data: ``(ceil(height / cell), ceil(width / cell))``.
    """

    def __init__(self, view: View, cell: int, levels: Sequence[Level], data: np.ndarray) -> None:
        self.view, self.cell, self.levels, self.data = view, cell, list(levels), data
        self.shape = data.shape
        self.place = MapPlace.of(view.raster, cell)
        self.crs = self.place.crs
        self.transform = view.raster.transform * Affine.scale(cell)

    def block(self, rows: slice, columns: slice) -> np.ndarray:
        """Compute a part of the map.

        Args:
            rows (slice): Rows of cells.
            columns (slice): Columns of cells.

        Shape:
            - output: ``(rows, columns)``, float32.

        Returns:
            np.ndarray: The scores.
        """
        raster = self.view.raster
        down = middles(rows, self.shape[0], self.cell, raster.height)
        across = middles(columns, self.shape[1], self.cell, raster.width)
        total, shares = np.zeros((len(down), len(across))), np.zeros((len(down), len(across)))
        for level in self.levels:
            sums, weights = level.lattice.spread(level.scores, level.counts, down, across)
            total += sums
            shares += weights
        seen = (shares > 1e-12) & self.data[rows, columns]
        return np.where(seen, total / np.where(seen, shares, 1), np.nan).astype(np.float32)

    @cached_property
    def values(self) -> np.ndarray:
        """np.ndarray: The whole map, float32, of ``shape``."""
        values = np.empty(self.shape, dtype=np.float32)
        for rows, columns in self.blocks():
            values[rows, columns] = self.block(rows, columns)
        return values

    def write(self, path: str | Path) -> None:
        """Write the map as a cloud-optimized GeoTIFF, block by block; NaN means no data.

        Args:
            path (str | Path): The file, ``.tif``; replaced whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        write_map(path, self, BLOCK)

    def peaks(self, n: int = 10, min_distance: float | None = None) -> dict[str, Any]:
        """Find the best places.

        Args:
            n (int): At most so many. Defaults to 10.
            min_distance (float, optional): Pixels of the raster between two of them. Defaults to
                None: the side of the smallest window.

        Returns:
            dict: GeoJSON of points in WGS 84, best first, with ``rank``, ``score``, ``column`` and
            ``row`` (pixels of the raster), and ``x`` and ``y`` (coordinates of its map). Without a
            CRS the points are columns and rows.

        Raises:
            ValueError: If ``n`` or the distance is not positive, or a place is not on the globe.
        """
        distance = self.cell * 8 if min_distance is None else min_distance
        if n < 1 or not distance > 0:
            raise ValueError(f'n and min_distance must be positive, got {n} and {min_distance}')
        return peak_features(self.values, self.place, n, distance / self.cell)

    def regions(self, threshold: float = 0.8) -> dict[str, Any]:
        """Outline where the scores are high.

        Args:
            threshold (float): Share of the range of the map, 0 for its smallest score and 1 for
                its largest. Defaults to 0.8.

        Returns:
            dict: GeoJSON of polygons in WGS 84, the highest first, with ``rank``, ``score``
            (mean), ``peak``, ``threshold`` (as a score), ``pixels`` (area), and ``x`` and ``y``
            (map coordinates of the best cell). Without a CRS in columns and rows.

        Raises:
            ValueError: If the threshold is no share, or a place is not on the globe.
        """
        if not 0 <= threshold <= 1:
            raise ValueError(
                f'threshold must be from 0 to 1, a share of the range, got {threshold}'
            )
        return region_features(self.values, self.place, threshold)

    def overlay(self, path: str | Path) -> None:
        """Draw the map over the raster, of at most 1,024 pixels a side.

        Args:
            path (str | Path): An image file, ``.png``; replaced whole or not at all.

        Raises:
            OSError: If it cannot be written.
        """
        from PIL import Image

        from urbancross_mm.visualization import draw_heat_map

        path = Path(path)
        check_outputs([path])
        extent = (self.view.raster.height / self.cell, self.view.raster.width / self.cell)
        content = BytesIO()
        content.name = path.name  # which says the format
        Image.fromarray(draw_heat_map(self.view.overview, self.values, extent)).save(content)
        atomic_write(path, content.getvalue())

    def to_pixels(self) -> np.ndarray:
        """The map at the size of the raster, in 8 bits from its smallest score to its largest.

        Shape:
            - output: ``(height, width)``, uint8; 0 without data.

        Returns:
            np.ndarray: As :class:`SemanticLocalizationMetric` reads it.
        """
        import cv2

        from urbancross_mm.visualization.heat_map import scale_values

        raster = self.view.raster
        scaled = np.nan_to_num(255 * scale_values(self.values))
        size = (self.shape[1] * self.cell, self.shape[0] * self.cell)
        large = cv2.resize(scaled, size, interpolation=cv2.INTER_LINEAR)
        return large[: raster.height, : raster.width].round().astype(np.uint8)

    def blocks(self) -> list[tuple[slice, slice]]:
        """Divide the map into what is computed at once.

        Returns:
            list[tuple[slice, slice]]: Rows and columns of cells.
        """
        return [
            (
                slice(row, min(row + BLOCK, self.shape[0])),
                slice(col, min(col + BLOCK, self.shape[1])),
            )
            for row in range(0, self.shape[0], BLOCK)
            for col in range(0, self.shape[1], BLOCK)
        ]
