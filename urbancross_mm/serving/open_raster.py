"""Rasters that stay open, cut into tiles of the web map by rio-tiler in this process."""

from __future__ import annotations

import io
import math
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from urbancross_mm.geo.raster_files import refuse_references
from urbancross_mm.serving.limits import RefusedError

TILE_SIDE = 256
LARGE = 100_000_000  # pixels; such a file without overviews is slow from afar


class OpenRaster:
    """A georeferenced file that stays open.

    Args:
        path (Path): A GeoTIFF.

    Attributes:
        path (Path): The file.
        bounds (tuple): West, south, east and north in degrees.
        min_zoom (int): Zoom of its coarsest level.
        max_zoom (int): Zoom of its own resolution.
    """

    def __init__(self, path: Path) -> None:
        import rasterio
        from rio_tiler.io import Reader

        self.path = path
        # Only this driver: others follow references to other files.
        self._file = rasterio.open(path, driver='GTiff')
        refuse_references(self._file, path)
        with warnings.catch_warnings(action='ignore'):  # of a file without overviews
            self._reader = Reader(None, dataset=self._file)
        west, south, east, north = self._reader.get_geographic_bounds(
            rasterio.crs.CRS.from_epsg(4326)
        )
        if not all(map(math.isfinite, (west, south, east, north))):
            raise ValueError('its CRS does not lead to a position on the globe')
        self.bounds = (west, south, east, north)
        self.min_zoom, self.max_zoom = int(self._reader.minzoom), int(self._reader.maxzoom)
        self._lock = threading.Lock()  # a file is read by one thread at a time

    @property
    def is_slow(self) -> bool:
        """bool: Whether it is large and has no overviews, which a view from afar would use."""
        return self._file.width * self._file.height > LARGE and not self._file.overviews(1)

    def read(self, z: int, x: int, y: int, bands: Sequence[int], method: str) -> Any:
        """Read a tile of the web map.

        Args:
            z (int): Zoom.
            x (int): Column.
            y (int): Row.
            bands (Sequence[int]): From 1.
            method (str): How values between pixels are found, as rasterio names it.

        Returns:
            ImageData | None: None where the file is not.

        Raises:
            RefusedError: If the zoom has no such tile, or the file cannot be read (404).
        """
        from rio_tiler.errors import TileOutsideBounds

        check_tile(z, x, y)
        options: dict[str, Any] = dict(resampling_method=method, reproject_method=method)
        with self._lock:
            try:
                return self._reader.tile(
                    x, y, z, tilesize=TILE_SIDE, indexes=tuple(bands), **options
                )
            except TileOutsideBounds:
                return None
            except Exception as error:  # GDAL raises many kinds
                raise RefusedError(404, f'the tile {z}/{x}/{y} cannot be read') from error

    @property
    def colors(self) -> dict[int, Any] | None:
        """dict | None: The palette of the file."""
        return self._reader.colormap

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def check_tile(z: int, x: int, y: int) -> None:
    """Refuse a tile that the web map does not have.

    Args:
        z (int): Zoom.
        x (int): Column.
        y (int): Row.

    Raises:
        RefusedError: If there is no such tile (404).
    """
    if not (0 <= z <= 30 and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise RefusedError(404, f'there is no tile {z}/{x}/{y}'[:200])


@cache
def empty_tile() -> bytes:
    """A transparent tile.

    Returns:
        bytes: A PNG.
    """
    from PIL import Image

    out = io.BytesIO()
    Image.new('RGBA', (TILE_SIDE, TILE_SIDE)).save(out, 'PNG')
    return out.getvalue()
