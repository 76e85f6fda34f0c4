"""Writing a map of scores as a cloud-optimized GeoTIFF."""

from __future__ import annotations

import os
import warnings
import zlib
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from urbancross_mm.geo.georeference import rasterio
from urbancross_mm.utils.files import check_outputs


class Blocks(Protocol):
    """What is written: a map that is computed block by block."""

    shape: tuple[int, ...]
    crs: str | None
    transform: Any

    def blocks(self) -> list[tuple[slice, slice]]:
        """All of them, as rows and columns."""

    def block(self, rows: slice, columns: slice) -> np.ndarray:
        """The values of one, float32."""


def write_map(path: str | Path, heat: Blocks, side: int) -> None:
    """Write a map block by block; the file is replaced whole or not at all.

    Args:
        path (str | Path): The file, ``.tif``.
        heat (Blocks): The map.
        side (int): Of a tile, in cells.

    Raises:
        OSError: If it cannot be written.
    """
    path = Path(path)
    check_outputs([path])
    path.parent.mkdir(parents=True, exist_ok=True)
    plain, final = (
        path.with_name(f'.{path.name}.{os.getpid()}{end}') for end in ('.plain.tmp', '.tmp')
    )
    try:
        with warnings.catch_warnings(action='ignore'):  # a map without a position is fine
            sums = _write_tiles(plain, heat, side)
            rasterio('rasterio.shutil').copy(
                plain, final, driver='COG', COMPRESS='DEFLATE', PREDICTOR='YES', BLOCKSIZE=side,
                OVERVIEW_RESAMPLING='AVERAGE',
            )  # fmt: skip
            # GDAL does not report all that it could not write.
            if _checksums(final, heat.blocks()) != sums:
                raise OSError('values are missing')
        os.replace(final, path)
    except MemoryError:
        raise
    except Exception as error:  # GDAL raises many kinds, and SystemError too
        raise OSError(f'cannot write {path}, the disk may be full: {error}') from error
    finally:
        for temporary in (plain, final):
            temporary.unlink(missing_ok=True)


def _write_tiles(path: Path, heat: Blocks, side: int) -> list[int]:
    """Write the map in tiles; returns the checksum of each block."""
    side = min(side, -(-max(heat.shape) // 16) * 16)
    profile = dict(
        driver='GTiff', dtype='float32', count=1, height=heat.shape[0], width=heat.shape[1],
        crs=heat.crs, transform=heat.transform, nodata=np.nan, tiled=True, compress='DEFLATE',
        blockxsize=side, blockysize=side, BIGTIFF='IF_SAFER',
    )  # fmt: skip
    window, sums = rasterio('rasterio.windows').Window, []
    with rasterio().open(path, 'w', **profile) as file:
        file.set_band_description(1, 'score')
        for rows, columns in heat.blocks():
            values = heat.block(rows, columns)
            file.write(values, 1, window=window.from_slices(rows, columns))
            sums.append(zlib.crc32(values.tobytes()))
    return sums


def _checksums(path: Path, blocks: list[tuple[slice, slice]]) -> list[int]:
    """Of blocks of a file. Its overviews are read as well, so that one that is damaged raises."""
    window = rasterio('rasterio.windows').Window
    with rasterio().open(path) as file:
        levels = len(file.overviews(1))
        found = [
            zlib.crc32(file.read(1, window=window.from_slices(*block)).tobytes())
            for block in blocks
        ]
    for level in range(levels):
        with rasterio().open(path, overview_level=level) as file:
            for _, area in file.block_windows(1):
                file.read(1, window=area)
    return found
