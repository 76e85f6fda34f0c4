"""Reading many windows of a raster, or all of it in little, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from urbancross_mm.geo.georeference import rasterio
from urbancross_mm.geo.raster_files import opened
from urbancross_mm.geo.rasters import Raster, Window

Bands = tuple[int, ...]
Range = tuple[float, float]
_CACHE = 256  # MB
_BLOCK = 1024  # pixels, about, of what is read at once to find the cells without data


def bounded_cache() -> AbstractContextManager[Any]:
    """Within, GDAL keeps few decoded blocks; by default it takes a twentieth of all memory."""
    return rasterio().Env(GDAL_CACHEMAX=_CACHE)  # type: ignore[no-any-return]


def read_windows(
    raster: Raster, windows: Iterable[Window], bands: Bands, value_range: Range
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read windows one by one, as 8-bit images and which of their pixels have data.

    The file stays open: what neighbors share, and strips as wide as the raster, are decoded once
    as long as they are in the cache of GDAL, which is bounded.

    Shape:
        - output: ``(H, W, 3)`` and ``(H, W)`` of each window.
    """
    raster.check_bands(bands)
    with opened(raster.path) as file:
        for window in windows:
            area = rasterio('rasterio.windows').Window(*window)
            values, masks = file.read(bands, window=area), file.read_masks(bands, window=area)
            yield raster.shown(values, masks, bands, value_range)


def read_overview(raster: Raster, bands: Bands, value_range: Range, side: int) -> np.ndarray:
    """The whole raster as an 8-bit image of at most ``side`` pixels a side.

    Shape:
        - output: ``(H, W, 3)``.
    """
    raster.check_bands(bands)
    shrink = max(1.0, max(raster.width, raster.height) / side)
    shape = (max(1, int(raster.height / shrink)), max(1, int(raster.width / shrink)))
    with opened(raster.path) as file:
        resampling = rasterio('rasterio.enums').Resampling
        how = resampling.nearest if raster.palette is not None else resampling.average
        values = file.read(bands, out_shape=(len(bands), *shape), resampling=how)
        masks = file.read_masks(bands, out_shape=(len(bands), *shape))
    return raster.shown(values, masks, bands, value_range)[0]


def cells_with_data(raster: Raster, bands: Bands, value_range: Range, cell: int) -> np.ndarray:
    """Which squares of ``cell`` pixels have a pixel with data.

    Shape:
        - output: ``(ceil(height / cell), ceil(width / cell))``, bool.
    """
    rows, columns = -(-raster.height // cell), -(-raster.width // cell)
    result = np.ones((rows, columns), dtype=bool)
    if _has_data_everywhere(raster, bands):
        return result
    step = max(1, _BLOCK // cell)
    blocks = [(row, column) for row in range(0, rows, step) for column in range(0, columns, step)]
    windows = [
        (
            column * cell,
            row * cell,
            min(step * cell, raster.width - column * cell),
            min(step * cell, raster.height - row * cell),
        )
        for row, column in blocks
    ]
    for (row, column), (_, known) in zip(blocks, read_windows(raster, windows, bands, value_range)):
        height, width = (-(-length // cell) for length in known.shape)
        padded = np.zeros((height * cell, width * cell), dtype=bool)
        padded[: known.shape[0], : known.shape[1]] = known
        some = padded.reshape(height, cell, width, cell).any(axis=(1, 3))
        result[row : row + height, column : column + width] = some
    return result


def _has_data_everywhere(raster: Raster, bands: Bands) -> bool:
    if raster.palette is not None or not raster.dtype.startswith(('uint', 'int')):
        return False
    with opened(raster.path) as file, warnings.catch_warnings(action='ignore'):
        all_valid = rasterio('rasterio.enums').MaskFlags.all_valid
        return all(file.mask_flag_enums[band - 1] == [all_valid] for band in bands)
