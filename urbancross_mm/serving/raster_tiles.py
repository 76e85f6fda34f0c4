"""Rasters as map tiles, cut by rio-tiler in this process from files that stay open."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from urbancross_mm.geo.raster_files import refuse_references
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.serving.limits import RefusedError

TILE_SIDE = 256
LARGE = 100_000_000  # pixels; such a file without overviews is slow from afar
SHOWN_ZOOMS = 3  # further out than the file's own coarsest zoom


class OpenRaster:
    """A georeferenced file that stays open.

    Args:
        path (Path): A GeoTIFF.

    Attributes:
        bounds (tuple): West, south, east and north in degrees.
        min_zoom (int): Zoom of its coarsest level.
        max_zoom (int): Zoom of its own resolution.
    """

    def __init__(self, path: Path) -> None:
        import rasterio
        from rio_tiler.io import Reader

        # Only this driver: others follow references to other files.
        self._file = rasterio.open(path, driver='GTiff')
        refuse_references(self._file, path)
        with warnings.catch_warnings(action='ignore'):  # of a file without overviews
            self._reader = Reader(None, dataset=self._file)
        west, south, east, north = self._reader.get_geographic_bounds(
            rasterio.crs.CRS.from_epsg(4326)
        )
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

        if not (0 <= z <= 30 and 0 <= x < 1 << z and 0 <= y < 1 << z):
            raise RefusedError(404, f'there is no tile {z}/{x}/{y}'[:200])
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


class RasterTiles:
    """A raster that is shown on the map.

    Args:
        path (Path): A GeoTIFF.
        name (str): What clients call it.

    Attributes:
        file (OpenRaster): The open file.
        min_zoom (int): Zoom from which it is worth showing.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GeoTIFF or names no CRS.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name
        if not path.is_file():
            raise FileNotFoundError(f'no raster {path}')
        try:
            raster = Raster.open(path)
            if raster.crs is None:
                raise ValueError('it names no CRS, so its place on the map is not known')
            self._bands = raster.color_bands
            self._palette = raster.palette is not None
            self._range = None if self._palette else raster.value_range(self._bands)
        except ValueError as error:
            raise ValueError(f'raster {path} cannot be shown: {error}') from error
        self.file = OpenRaster(path)
        self.min_zoom = max(0, self.file.min_zoom - SHOWN_ZOOMS)

    def tile(self, z: int, x: int, y: int) -> bytes:
        """A tile of the web map as a PNG; what the raster does not cover is transparent.

        Args:
            z (int): Zoom.
            x (int): Column.
            y (int): Row.

        Returns:
            bytes: The PNG.

        Raises:
            RefusedError: If the zoom has no such tile, or the raster cannot be read (404).
        """
        # A palette has no values between its numbers.
        method = 'nearest' if self._palette else 'bilinear'
        image = self.file.read(z, x, y, self._bands, method)
        if image is None:
            return empty_tile()
        if self._range is not None:
            image.rescale(in_range=[self._range] * len(self._bands))
        colors = self.file.colors if self._palette else None
        return image.render(img_format='PNG', colormap=colors)


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
