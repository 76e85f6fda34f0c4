"""GeoTIFFs through rasterio, the only module that knows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from urbancross_mm.curation.positions import Bounds
from urbancross_mm.utils.optional import import_optional

# Tags that place a raster on the globe: pixel scale, transformation, key directory.
GEO_TAGS = (33550, 34264, 34735)
OVERVIEW_SIDE = 1024
WGS84 = 'EPSG:4326'


def rasterio(module: str = 'rasterio') -> ModuleType:
    """Import rasterio, or one of its modules.

    Args:
        module (str): Dotted name. Defaults to 'rasterio'.

    Returns:
        ModuleType: The module.

    Raises:
        ImportError: If it is not installed.
    """
    return import_optional(module, 'Cutting a GeoTIFF, or another CRS than degrees,',
                           'urbancross-mm[geo]')


def is_geotiff(path: Path) -> bool:
    """Whether a TIFF says where it lies; its pixels are not read.

    Args:
        path (Path): The file.

    Returns:
        bool: False for a file that is no TIFF, or a broken one.
    """
    if path.suffix.lower() not in ('.tif', '.tiff'):
        return False
    try:
        with Image.open(path) as image:
            return any(tag in getattr(image, 'tag_v2', {}) for tag in GEO_TAGS)
    except (OSError, SyntaxError, Image.DecompressionBombError):
        return True  # more than Pillow opens; rasterio will say what is wrong with it


def to_degrees(bounds: Bounds, crs: str) -> Bounds:
    """Bounds in degrees of longitude and latitude.

    Args:
        bounds (list[float]): West, south, east, north in the units of ``crs``.
        crs (str): For example ``EPSG:25833``.

    Returns:
        list[float]: The box around the turned tile.

    Raises:
        ValueError: If there is no such CRS.
    """
    if crs == WGS84:
        return bounds
    try:
        return list(rasterio('rasterio.warp').transform_bounds(crs, WGS84, *bounds))
    except rasterio('rasterio.errors').CRSError as error:
        raise ValueError(f'unknown CRS {crs!r}: {error}') from error


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF, opened anew for each reading: threads must not share a handle.

    Attributes:
        path (Path): The file.
        width (int): In pixels.
        height (int): In pixels.
        crs (str | None): For example ``EPSG:25833``; None if the file names none.
    """

    path: Path
    width: int
    height: int
    crs: str | None

    @classmethod
    def open(cls, path: Path) -> Raster:
        """Read the header.

        Args:
            path (Path): The file.

        Returns:
            Raster: It.

        Raises:
            ValueError: If it cannot be read.
        """
        try:
            with rasterio().open(path) as file:
                return cls(path, file.width, file.height, file.crs and file.crs.to_string())
        except rasterio('rasterio.errors').RasterioIOError as error:
            raise ValueError(f'raster {path.name} cannot be read: {error}') from error

    def bounds(self, window: tuple[int, int, int, int]) -> Bounds:
        """Bounds of a window in the raster's own CRS.

        Args:
            window (tuple): Column, row, width and height in pixels.

        Returns:
            list[float]: West, south, east, north.
        """
        with rasterio().open(self.path) as file:
            return list(file.window_bounds(rasterio('rasterio.windows').Window(*window)))

    def value_range(self, bands: tuple[int, ...]) -> tuple[float, float]:
        """What shall be black and white: 0 and 255 of 8 bits, else the 2 % and 98 % quantiles.

        Args:
            bands (tuple[int, ...]): From 1.

        Returns:
            tuple[float, float]: From a reduced reading of the whole raster.
        """
        with rasterio().open(self.path) as file:
            if file.dtypes[bands[0] - 1] == 'uint8':
                return 0.0, 255.0
            shrink = max(1, -(-max(file.width, file.height) // OVERVIEW_SIDE))
            shape = (-(-file.height // shrink), -(-file.width // shrink))
            pixels = file.read(bands, out_shape=(len(bands), *shape), masked=True)
        seen = pixels.compressed()
        seen = seen[np.isfinite(seen)]
        if not seen.size:
            raise ValueError(f'raster {self.path.name} has no data')
        low, high = np.quantile(seen, [0.02, 0.98]).tolist()
        return low, max(high, low + 1e-6)

    def read(self, window: tuple[int, int, int, int], bands: tuple[int, ...],
             value_range: tuple[float, float]) -> tuple[np.ndarray, float]:
        """Read a window as an 8-bit picture.

        Args:
            window (tuple): Column, row, width and height in pixels.
            bands (tuple[int, ...]): Three, or one for grey.
            value_range (tuple[float, float]): Values that become 0 and 255.

        Shape:
            - output: ``(H, W, 3)``.

        Returns:
            tuple[np.ndarray, float]: uint8 RGB, black where there is no data, and the share of
            pixels that have data.

        Raises:
            ValueError: If it cannot be read, or has no such band.
        """
        try:
            with rasterio().open(self.path) as file:
                if max(bands) > file.count:
                    raise ValueError(f'bands {bands} of a raster with {file.count}')
                area = rasterio('rasterio.windows').Window(*window)
                pixels = file.read(bands, window=area).astype(np.float64)
                known = file.dataset_mask(window=area) > 0
        except rasterio('rasterio.errors').RasterioIOError as error:
            raise ValueError(f'raster {self.path.name} cannot be read: {error}') from error
        known &= np.isfinite(pixels).all(axis=0)
        low, high = value_range
        with np.errstate(invalid='ignore'):
            scaled = np.clip((pixels - low) / (high - low) * 255, 0, 255)
        picture = np.where(known, scaled, 0).round().astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))), \
            float(known.mean())
