"""GeoTIFFs through rasterio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.georeference import place_on_globe, rasterio

OVERVIEW_SIDE = 1024
Window = tuple[int, int, int, int]


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF, opened anew for each reading: threads must not share a handle.

    Attributes:
        path (Path): The file.
        width (int): In pixels.
        height (int): In pixels.
        count (int): Bands.
        crs (str | None): For example ``EPSG:25833``; None if the file names none.
        transform (tuple[float, ...]): x from column and row (scale, skew, origin), then y (skew,
            scale, origin).
    """

    path: Path
    width: int
    height: int
    count: int
    crs: str | None
    transform: tuple[float, ...]

    @classmethod
    def open(cls, path: Path) -> Raster:
        """Read the header.

        Args:
            path (Path): The file.

        Returns:
            Raster: It.

        Raises:
            OSError: If the file is closed or gone.
            ValueError: If what is in it cannot be read.
        """
        with _opened(path) as file:
            return cls(path, file.width, file.height, file.count,
                       file.crs.to_string() if file.crs else None, tuple(file.transform)[:6])

    def position(self, window: Window) -> dict[str, object]:
        """Where a window lies.

        Args:
            window (tuple): Column, row, width and height in pixels.

        Returns:
            dict: See :func:`urbancross_mm.curation.georeference.place_on_globe`.

        Raises:
            ValueError: If the raster does not say it, or is turned.
        """
        if self.crs is None:
            raise ValueError('the raster names no CRS')
        across, skew_x, x, skew_y, down, y = self.transform
        if self.transform == (1, 0, 0, 0, 1, 0):
            raise ValueError('the raster names a CRS and no coordinates')
        # A skew that moves no corner of a large raster by a pixel comes from rounding.
        if across <= 0 or down >= 0 or max(abs(skew_x), abs(skew_y)) > 1e-6 * across:
            raise ValueError('only rasters with north up are understood')
        column, row, width, height = window
        west, north = x + column * across, y + row * down
        return place_on_globe([west, north + height * down, west + width * across, north],
                              self.crs)

    def _check_bands(self, bands: tuple[int, ...]) -> None:
        if max(bands) > self.count:
            raise ValueError(f'the raster has no band {max(bands)}, the last one is {self.count}')

    def value_range(self, bands: tuple[int, ...]) -> tuple[float, float]:
        """What shall be black and white: 0 and 255 of 8 bits, else the 2 % and 98 % quantiles.

        Args:
            bands (tuple[int, ...]): From 1.

        Returns:
            tuple[float, float]: From a reduced reading of the whole raster.

        Raises:
            ValueError: If it cannot be read, or has no such band or no data.
        """
        self._check_bands(bands)
        with _opened(self.path) as file:
            if file.dtypes[bands[0] - 1] == 'uint8':
                return 0.0, 255.0
            shrink = max(1, -(-max(file.width, file.height) // OVERVIEW_SIDE))
            shape = (-(-file.height // shrink), -(-file.width // shrink))
            pixels = file.read(bands, out_shape=(len(bands), *shape), masked=True)
        seen = pixels.compressed()
        seen = seen[np.isfinite(seen)]
        if not seen.size:
            raise ValueError('the raster has no data')
        low, high = np.quantile(seen, [0.02, 0.98]).tolist()
        return low, max(high, low + 1e-6)

    def read(self, window: Window, bands: tuple[int, ...],
             value_range: tuple[float, float]) -> tuple[np.ndarray, float, bool]:
        """Read a window as an 8-bit picture.

        Args:
            window (tuple): Column, row, width and height in pixels.
            bands (tuple[int, ...]): Three, or one for grey.
            value_range (tuple[float, float]): Values that become 0 and 255.

        Shape:
            - output: ``(H, W, 3)``.

        Returns:
            tuple[np.ndarray, float, bool]: uint8 RGB, black where there is no data; the share of
            pixels that have data; and whether all that have are of one value, before they became
            8 bits.

        Raises:
            ValueError: If it cannot be read, or has no such band.
        """
        self._check_bands(bands)
        with _opened(self.path) as file:
            area = rasterio('rasterio.windows').Window(*window)
            pixels = file.read(bands, window=area).astype(np.float64)
            known = file.dataset_mask(window=area) > 0
        known &= np.isfinite(pixels).all(axis=0)
        low, high = value_range
        with np.errstate(invalid='ignore'):
            scaled = np.clip((pixels - low) / (high - low) * 255, 0, 255)
        picture = np.where(known, scaled, 0).round().astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(np.broadcast_to(picture, (*picture.shape[:2], 3))), \
            float(known.mean()), bool((pixels[:, known] == pixels[:, known][:, :1]).all())


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file; what is wrong with it is said without its name, which differs between rasters."""
    try:
        with rasterio().open(path) as file:
            yield file
    except rasterio('rasterio.errors').RasterioIOError as error:
        with open(path, 'rb') as plain:
            plain.read(1)  # a closed or lost file is no broken one: it may be read another time
        raise ValueError('the raster cannot be read to its end') from error
