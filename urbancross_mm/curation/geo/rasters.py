"""GeoTIFFs through rasterio."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.geo.georeference import place_on_globe, rasterio
from urbancross_mm.curation.geo.raster_files import opened, refuse_references

OVERVIEW_SIDE = 1024
Window = tuple[int, int, int, int]
RGB = ('red', 'green', 'blue')
# Of one file. Names and records of a million tiles are a gigabyte.
MOST_TILES = 1_000_000
# Values that fit into memory anyhow, and how far they are ever compressed: a block, which may be
# the whole raster, is allocated by what the header says.
LARGE, MOST_SHRUNK = 1 << 28, 5000
# Parts of colors in another space than red, green and blue.
OTHER_SPACES = frozenset(
    ('cyan', 'magenta', 'yellow', 'black', 'hue', 'saturation', 'lightness', 'y', 'cb', 'cr')
)


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF, opened anew for each reading: threads must not share a handle.

    Attributes:
        path (Path): The file.
        width (int): In pixels.
        height (int): In pixels.
        crs (str | None): For example ``EPSG:25833``; None if the file names none.
        transform (tuple[float, ...]): x from column and row (scale, skew, origin), then y (skew,
            scale, origin).
        dtype (str): Of its values, such as 'uint8'.
        colors (tuple[str, ...]): What each band shows, such as 'red', 'alpha' or 'undefined'.
        bits (int | None): Bits of a value if they are fewer than the type has.
        white_is_zero (bool): Small values are light.
        palette (np.ndarray | None): uint8, ``(N, 4)``: red, green, blue and alpha by value.
    """

    path: Path
    width: int
    height: int
    crs: str | None
    transform: tuple[float, ...]
    dtype: str
    colors: tuple[str, ...]
    bits: int | None = None
    white_is_zero: bool = False
    palette: np.ndarray | None = field(default=None, compare=False)

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
        with opened(path) as file:
            # First: here GDAL keeps to itself what it finds wrong with the coordinates.
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
                tuple(file.transform)[:6],
                str(file.dtypes[0]),
                colors,
                bits and int(bits),
                layout.get('MINISWHITE') == 'YES',
                _palette_of(file) if 'palette' in colors else None,
            )

    @property
    def color_bands(self) -> tuple[int, ...]:
        """Red, green and blue wherever they are named, else the first bands that may be colors."""
        if set(RGB) <= set(self.colors):
            return tuple(self.colors.index(color) + 1 for color in RGB)
        bands = [band for band, color in enumerate(self.colors, 1) if color != 'alpha']
        return tuple(bands[:3] if len(bands) > 2 and 'palette' not in self.colors else bands[:1])

    def why_absurd(self, size: int, stride: int) -> str:
        """What its header asks for that its file cannot hold, or nobody can use.

        Args:
            size (int): Side of a tile in pixels.
            stride (int): Step between tiles.

        Returns:
            str: A reason, or nothing.
        """
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

    def position(self, window: Window) -> dict[str, object]:
        """Where a window lies.

        Args:
            window (tuple): Column, row, width and height in pixels.

        Returns:
            dict: See :func:`urbancross_mm.curation.geo.georeference.place_on_globe`.

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
        return place_on_globe([west, north + height * down, west + width * across, north], self.crs)

    def _check_bands(self, bands: tuple[int, ...]) -> None:
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

    def _is_palette(self, bands: tuple[int, ...]) -> bool:
        return self.palette is not None and all(
            self.colors[band - 1] == 'palette' for band in bands
        )

    def value_range(self, bands: tuple[int, ...]) -> tuple[float, float]:
        """What shall be black and white: all of 8 bits or less, else the 2 % and 98 % quantiles.

        Args:
            bands (tuple[int, ...]): From 1.

        Returns:
            tuple[float, float]: From a reduced reading of the whole raster. Black is the larger
            one if the file says that small values are light.

        Raises:
            ValueError: If it cannot be read, or has no such band or no data.
        """
        self._check_bands(bands)
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

        A palette is looked up; its colors need no range.

        Args:
            window (tuple): Column, row, width and height in pixels.
            bands (tuple[int, ...]): Three, or one for gray or a palette.
            value_range (tuple[float, float]): Values that become 0 and 255.

        Shape:
            - output: ``(H, W, 3)``.

        Returns:
            tuple[np.ndarray, float, bool]: uint8 RGB, black where there is no data; the share of
            pixels that have data; and whether all that have are of one value, before they became
            8 bits.

        Raises:
            ValueError: If it cannot be read, or has no such band, or its values are no colors.
        """
        self._check_bands(bands)
        with opened(self.path) as file:
            area = rasterio('rasterio.windows').Window(*window)
            values = file.read(bands, window=area)
            # Of the bands that are shown: another one may have data where these have none.
            known = (file.read_masks(bands, window=area) > 0).any(axis=0)
        known &= np.isfinite(values).all(axis=0)
        if self._is_palette(bands):
            colors = self.palette[np.minimum(values[0].astype(np.int64), len(self.palette) - 1)]
            known &= colors[..., 3] > 0
            scaled = colors[..., :3].transpose(2, 0, 1)
        else:
            low, high = value_range
            with np.errstate(invalid='ignore', over='ignore'):
                scaled = np.clip((values.astype(np.float64) - low) / (high - low) * 255, 0, 255)
        image = np.where(known, scaled, 0).round().astype(np.uint8).transpose(1, 2, 0)
        return (
            np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3))),
            float(known.mean()),
            bool((values[:, known] == values[:, known][:, :1]).all()),
        )


def _palette_of(file: Any) -> np.ndarray:
    """Colors by value; a value that the table leaves out has no data."""
    band = [color.name for color in file.colorinterp].index('palette') + 1
    entries = file.colormap(band)
    table = np.zeros((max(entries) + 2, 4), dtype=np.uint8)
    table[list(entries)] = list(entries.values())
    return table
