"""Rasters as map tiles, in the colors of their files."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affine import Affine

from urbancross_mm.geo.georeference import check_on_globe
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.open_raster import OpenRaster, check_tile, empty_tile
from urbancross_mm.utils.error_sentence import sentence_of
from urbancross_mm.utils.hashing import quick_stamp

SHOWN_ZOOMS = 3  # further out than the file's own coarsest zoom


@dataclass(frozen=True)
class RasterView:
    """A raster as its file was when it was opened.

    Attributes:
        stamp (str): Of the file, see :func:`quick_stamp`.
        file (OpenRaster): The open file.
        bands (tuple[int, ...]): What is shown as red, green and blue, or as gray or a palette.
        palette (bool): Whether the values are numbers of colors.
        value_range (tuple[float, float]): Values of black and white.
    """

    stamp: str
    file: OpenRaster
    bands: tuple[int, ...]
    palette: bool
    value_range: tuple[float, float]

    @classmethod
    def open(cls, path: Path, bands: tuple[int, ...] | None) -> RasterView:
        """Open a file.

        Args:
            path (Path): A GeoTIFF.
            bands (tuple[int, ...] | None): What to show, from 1; None: what the file says.

        Returns:
            RasterView: What is shown of it.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no GeoTIFF, its position is not known, or it has no such bands.
        """
        if not path.is_file():
            raise FileNotFoundError(f'no raster {path}')
        stamp = quick_stamp(path)
        try:
            raster = Raster.open(path)
            _check_place(raster)
            shown = bands or raster.color_bands
            values = raster.value_range(shown)
            palette = raster.palette is not None and raster.colors[shown[0] - 1] == 'palette'
            return cls(stamp, OpenRaster(path), shown[:1] if palette else shown, palette, values)
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # GDAL raises many kinds
            raise ValueError(f'raster {path} cannot be shown: {sentence_of(error)}') from error

    @property
    def key(self) -> tuple[object, ...]:
        """tuple: What its tiles depend on."""
        return (self.stamp, self.bands)

    @property
    def min_zoom(self) -> int:
        """int: Zoom from which it is worth showing; a tile from farther out reads too much."""
        return max(0, self.file.min_zoom - SHOWN_ZOOMS)

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
        method = 'nearest' if self.palette else 'bilinear'
        check_tile(z, x, y)
        image = None if z < self.min_zoom else self.file.read(z, x, y, self.bands, method)
        if image is None:
            return empty_tile()
        if not self.palette:
            low, high = self.value_range
            # Where small values are light, the range is given from black to white.
            image.rescale(
                [(min(low, high), max(low, high))], [(0, 255) if low < high else (255, 0)]
            )
        colors = self.file.colors if self.palette else None
        return image.render(img_format='PNG', colormap=colors)


class RasterTiles:
    """A raster that is shown on the map, as its file is now.

    Args:
        path (Path): A GeoTIFF.
        name (str): What clients call it.
        bands (Sequence[int], optional): Bands to show as red, green and blue, from 1. Defaults to
            None: what the file says.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no GeoTIFF, its position is not known, or it has no such bands.
    """

    def __init__(self, path: Path, name: str, bands: Sequence[int] | None = None) -> None:
        self.path, self.name = path, name
        self.bands = None if bands is None else tuple(bands)
        self._lock = threading.Lock()
        self._view = RasterView.open(path, self.bands)

    def view(self) -> RasterView:
        """The raster, opened again if its file was replaced.

        Returns:
            RasterView: What is shown of it.

        Raises:
            RefusedError: If the file is gone, or cannot be shown any more (404).
        """
        with self._lock:
            if quick_stamp(self.path) != self._view.stamp:
                try:
                    # The old one may be in use; it is closed when nobody refers to it.
                    self._view = RasterView.open(self.path, self.bands)
                except (ValueError, OSError) as error:
                    raise RefusedError(404, sentence_of(error)) from error
            return self._view

    def close(self) -> None:
        """Close the file."""
        self._view.file.close()


def _check_place(raster: Raster) -> None:
    if raster.crs is None:
        raise ValueError('it names no CRS, so its place on the map is not known')
    if raster.transform == Affine.identity():
        raise ValueError('it names a CRS and no coordinates, so its place on the map is not known')
    a, b, west, d, e, north = raster.transform[:6]
    steps = [(0.5, 0.5), (0, 0), (1, 0), (0, 1), (1, 1)]  # the middle, and the corners
    corners = [(column * raster.width, row * raster.height) for column, row in steps]
    check_on_globe([(west + a * x + b * y, north + d * x + e * y) for x, y in corners], raster.crs)
