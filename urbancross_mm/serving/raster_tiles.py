"""Rasters as map tiles, cut by rio-tiler in this process from files that stay open."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from urbancross_mm.geo.raster_files import refuse_references
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.serving.limits import RefusedError

TILE_SIDE = 256
LARGE = 100_000_000  # pixels; such a file without overviews is slow from afar
SHOWN_ZOOMS = 3  # further out than the file's own coarsest zoom


class RasterTiles:
    """A georeferenced raster that is shown on the map.

    Args:
        path (Path): A GeoTIFF.
        name (str): What clients call it.
        scale (bool): Stretch values to 8 bits. False for a file that has colors already.

    Attributes:
        bounds (tuple): West, south, east and north in degrees.
        min_zoom (int): Zoom from which it is worth showing.
        max_zoom (int): Zoom of its own resolution.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GeoTIFF or names no CRS.
    """

    def __init__(self, path: Path, name: str) -> None:
        import rasterio
        from rio_tiler.io import Reader

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
        # Only this driver: others follow references to other files.
        self._file = rasterio.open(path, driver='GTiff')
        refuse_references(self._file, path)
        self._reader = Reader(None, dataset=self._file)
        west, south, east, north = self._reader.get_geographic_bounds(WGS84())
        self.bounds = (west, south, east, north)
        self.max_zoom = int(self._reader.maxzoom)
        self.min_zoom = max(0, int(self._reader.minzoom) - SHOWN_ZOOMS)
        self._lock = threading.Lock()  # a file is read by one thread at a time

    @property
    def is_slow(self) -> bool:
        """bool: Whether it is large and has no overviews, which a view from afar would use."""
        return self._file.width * self._file.height > LARGE and not self._file.overviews(1)

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
        from rio_tiler.errors import TileOutsideBounds

        check_tile(z, x, y)
        with self._lock:
            try:
                image = self._reader.tile(x, y, z, tilesize=TILE_SIDE, indexes=self._bands)
            except TileOutsideBounds:
                return empty_tile()
            except Exception as error:  # GDAL raises many kinds
                raise RefusedError(
                    404, f'tile {z}/{x}/{y} of {self.name} cannot be read'
                ) from error
            colors = self._reader.colormap if self._palette else None
        if self._range is not None:
            image.rescale(in_range=[self._range] * len(self._bands))
        return image.render(img_format='PNG', colormap=colors)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def WGS84() -> Any:  # noqa: N802
    """The CRS of degrees."""
    from rasterio.crs import CRS

    return CRS.from_epsg(4326)


def check_tile(z: int, x: int, y: int) -> None:
    """Refuse a tile that no zoom has.

    Args:
        z (int): Zoom.
        x (int): Column.
        y (int): Row.

    Raises:
        RefusedError: With status 404.
    """
    if not (0 <= z <= 30 and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise RefusedError(404, f'there is no tile {z}/{x}/{y}')


def empty_tile() -> bytes:
    """A transparent tile.

    Returns:
        bytes: A PNG.
    """
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new('RGBA', (TILE_SIDE, TILE_SIDE)).save(out, 'PNG')
    return out.getvalue()
