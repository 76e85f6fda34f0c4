"""GeoTIFFs, read by rasterio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from urbancross_mm.geo.georeference import position_on_globe, rasterio
from urbancross_mm.geo.positions import has_north_up
from urbancross_mm.geo.raster_files import opened, refuse_references

OVERVIEW_SIDE = 1024
Window = tuple[int, int, int, int]
RGB = ('red', 'green', 'blue')
# Tiles of one file. Names and records of a million tiles take a gigabyte.
MOST_TILES = 1_000_000
# GDAL allocates a block, which may be the whole raster, by what the header says. So the header may
# name at most as many values as fit into memory, or as the strongest compression could hold.
LARGE, MOST_SHRUNK = 1 << 28, 5000
# Bands of color spaces other than red, green and blue.
OTHER_SPACES = frozenset(
    ('cyan', 'magenta', 'yellow', 'black', 'hue', 'saturation', 'lightness', 'y', 'cb', 'cr')
)


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF. It is opened again for each reading, because threads must not share a handle.

    Attributes:
        path (Path): The file.
        width (int): Width in pixels.
        height (int): Height in pixels.
        crs (str | None): For example ``EPSG:25833``; None if the file names none.
        transform (Affine): From column and row to the coordinates of ``crs``.
        dtype (str): Type of the values, such as 'uint8'.
        colors (tuple[str, ...]): What each band shows, such as 'red', 'alpha' or 'undefined'.
        bits (int | None): Bits of a value, if fewer than those of the type.
        white_is_zero (bool): Whether small values are light.
        palette (np.ndarray | None): uint8, ``(N, 4)``: red, green, blue and alpha by value.
    """

    path: Path
    width: int
    height: int
    crs: str | None
    transform: Affine
    dtype: str
    colors: tuple[str, ...]
    bits: int | None = None
    white_is_zero: bool = False
    palette: np.ndarray | None = field(default=None, compare=False)

    @classmethod
    def open(cls, path: Path) -> Raster:
        """Read the header."""
        with opened(path) as file:
            # First, because here GDAL does not report what is wrong with the coordinates.
            crs = file.crs.to_string() if file.crs else None
            refuse_references(file, path)
            colors = tuple(color.name.lower() for color in file.colorinterp)
            bits = file.tags(1, ns='IMAGE_STRUCTURE').get('NBITS')
            layout = file.tags(ns='IMAGE_STRUCTURE')
            return cls(
                path,
                file.width,
                file.height,
                crs,
                file.transform,
                str(file.dtypes[0]),
                colors,
                bits and int(bits),
                layout.get('MINISWHITE') == 'YES',
                _palette_of(file) if 'palette' in colors else None,
            )

    @property
    def color_bands(self) -> tuple[int, ...]:
        """The bands named red, green and blue, else the first bands that may be colors."""
        if set(RGB) <= set(self.colors):
            return tuple(self.colors.index(color) + 1 for color in RGB)
        bands = [band for band, color in enumerate(self.colors, 1) if color != 'alpha']
        return tuple(bands[:3] if len(bands) > 2 and 'palette' not in self.colors else bands[:1])

    def why_absurd(self, size: int, stride: int) -> str:
        """Why the header cannot be true, or gives more tiles than anybody can use; else empty."""
        across, down = (max(side - size, 0) // stride + 1 for side in (self.width, self.height))
        tiles = across * down
        if tiles > MOST_TILES:
            return (
                f'{tiles} tiles would be cut from it, more than {MOST_TILES}: split the file, '
                'or take a larger size and stride'
            )
        values, length = self.width * self.height * len(self.colors), self.path.stat().st_size
        if values > max(LARGE, MOST_SHRUNK * length):
            return f'its header names {values} values, which cannot be in {length} bytes'
        return ''

    def position(self, window: Window, crossing: bool = False) -> dict[str, object]:
        """Center and extent of a window in degrees; ``crossing`` 180 degrees if it may do so."""
        if self.crs is None:
            raise ValueError('the raster names no CRS')
        if self.transform == Affine.identity():
            raise ValueError('the raster names a CRS and no coordinates')
        # A skew that moves no corner of a large raster by a pixel comes from rounding.
        if not has_north_up(self.transform, slack=1e-6):
            raise ValueError('only rasters with north up are understood')
        column, row, width, height = window
        across, down = self.transform.a, self.transform.e
        west, north = self.transform.c + column * across, self.transform.f + row * down
        return position_on_globe(
            [west, north + height * down, west + width * across, north], self.crs, crossing
        )

    def check_bands(self, bands: tuple[int, ...]) -> None:
        """Refuse bands that are not there, or do not show colors."""
        if not bands or max(bands) > len(self.colors):
            raise ValueError(
                f'the raster has no band {max(bands, default=1)}, the last one is '
                f'{len(self.colors)}'
            )
        if self.dtype.startswith('complex'):
            raise ValueError(
                f'the raster has complex values ({self.dtype}): write their '
                'amplitudes as a raster first'
            )
        foreign = sorted({self.colors[band - 1] for band in bands} & OTHER_SPACES)
        if foreign:
            raise ValueError(
                f'the raster has bands of {", ".join(foreign)}: convert it to red, '
                'green and blue first'
            )

    def value_range(self, bands: tuple[int, ...]) -> tuple[float, float]:
        """Values of black and white: the full range up to 8 bits, else the 2 and 98 % quantiles."""
        self.check_bands(bands)
        low, high = 0.0, float(2 ** (self.bits or 8) - 1)
        if self.dtype != 'uint8':
            low, high = self._quantiles(bands)
        return (high, low) if self.white_is_zero else (low, high)

    def _quantiles(self, bands: tuple[int, ...]) -> tuple[float, float]:
        with opened(self.path) as file:
            shrink = max(1, -(-max(file.width, file.height) // OVERVIEW_SIDE))
            shape = (-(-file.height // shrink), -(-file.width // shrink))
            pixels = file.read(bands, out_shape=(len(bands), *shape), masked=True)
        seen = pixels.compressed()
        seen = seen[np.isfinite(seen)]
        if not seen.size:
            raise ValueError('the raster has no data')
        low, high = np.quantile(seen, [0.02, 0.98]).tolist()
        if high - low > float(np.finfo(np.float32).max):
            raise ValueError(
                f'the raster has values that are no measurements, such as {max(high, -low):g}'
            )
        return low, max(high, low + 1e-6)

    def read(
        self, window: Window, bands: tuple[int, ...], value_range: tuple[float, float]
    ) -> tuple[np.ndarray, float, bool]:
        """Read a window as an 8-bit image.

        A palette is looked up and needs no range. The second result is the share of pixels that
        have data, the third whether all of these have the same value.

        Shape:
            - output: ``(H, W, 3)``.
        """
        self.check_bands(bands)
        with opened(self.path) as file:
            area = rasterio('rasterio.windows').Window(*window)
            values, masks = file.read(bands, window=area), file.read_masks(bands, window=area)
        image, known = self.shown(values, masks, bands, value_range)
        constant = bool((values[:, known] == values[:, known][:, :1]).all())
        return image, float(known.mean()), constant

    def shown(
        self,
        values: np.ndarray,
        masks: np.ndarray,
        bands: tuple[int, ...],
        value_range: tuple[float, float],
    ) -> tuple[np.ndarray, np.ndarray]:
        """An 8-bit image of what was read, and which pixels have data.

        Shape:
            - values, masks: ``(bands, H, W)``; output: ``(H, W, 3)`` and ``(H, W)``.
        """
        # Only the bands that are shown: another one may have data where these have none.
        known = (masks > 0).any(axis=0)
        known &= np.isfinite(values).all(axis=0)
        if self.palette is not None and all(self.colors[i - 1] == 'palette' for i in bands):
            colors = self.palette[np.minimum(values[0].astype(np.int64), len(self.palette) - 1)]
            known &= colors[..., 3] > 0
            scaled = colors[..., :3].transpose(2, 0, 1)
        elif values.dtype == np.uint8 and value_range == (0, 255):
            scaled = values
        else:
            low, high = value_range
            with np.errstate(invalid='ignore', over='ignore'):
                scaled = np.clip((values.astype(np.float64) - low) / (high - low) * 255, 0, 255)
        image = np.where(known, scaled, 0).round().astype(np.uint8).transpose(1, 2, 0)
        return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))), known


def _palette_of(file: Any) -> np.ndarray:
    """Colors by value. A value that the table leaves out has no data."""
    band = [color.name for color in file.colorinterp].index('palette') + 1
    entries = file.colormap(band)
    table = np.zeros((max(entries) + 2, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    return table


def tile_windows(width: int, height: int, size: int, stride: int) -> list[Window]:
    """Column, row, width and height of every whole tile, row by row.

    The rest at the right and at the bottom is not covered. Where a raster is narrower than a tile,
    so are its tiles.
    """
    if size < 1 or stride < 1:
        raise ValueError(f'size and stride must be at least 1 pixel, got {size} and {stride}')
    across, down = min(size, width), min(size, height)
    return [
        (column, row, across, down)
        for row in range(0, height - down + 1, stride)
        for column in range(0, width - across + 1, stride)
    ]


def covered_pixels(width: int, height: int, size: int, stride: int) -> int:
    """Number of pixels that lie in a window of :func:`tile_windows`."""

    def covered(length: int) -> int:
        side = min(size, length)
        return side + (length - side) // stride * min(stride, side)

    return covered(width) * covered(height)


def share_not_covered(rasters: Sequence[Raster], size: int, stride: int) -> float:
    """The part of all pixels that lies in no tile."""
    total = sum(raster.width * raster.height for raster in rasters)
    covered = sum(covered_pixels(raster.width, raster.height, size, stride) for raster in rasters)
    return 1 - covered / total if covered < total else 0.0
