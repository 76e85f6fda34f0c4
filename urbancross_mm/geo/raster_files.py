"""Files of rasters: telling them from plain images, and opening them safely."""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from urbancross_mm.geo.georeference import rasterio

TIFF_SUFFIXES = ('.tif', '.tiff')
# Pixel scale, transformation, key directory: a file with one of them says where it lies.
GEO_TAGS = frozenset((33550, 34264, 34735))


class LeadsElsewhereError(ValueError):
    """A raster refers to files in other folders."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a GeoTIFF. Errors do not name the file, so that equal errors of many files are equal."""
    try:
        # Only this driver: others follow references to other files.
        with rasterio().open(path, driver='GTiff') as file:
            yield file
    except (ImportError, MemoryError, LeadsElsewhereError):
        raise  # not a fault of the content
    except Exception as error:  # GDAL raises many kinds
        with open(path, 'rb') as plain:
            plain.read(1)  # raises for a file that cannot be read now, but may be another time
        raise ValueError('the raster cannot be read to its end') from error


def refuse_references(file: Any, path: Path) -> None:
    """Refuse a raster whose mask or overview beside it refers to files in other folders.

    GDAL reads masks and overviews of any format, also of one that names other files.
    """
    if any(os.path.dirname(other) != os.path.dirname(path) for other in file.files):
        raise LeadsElsewhereError('a file beside the raster leads to files in other folders')


def is_geotiff(path: Path) -> bool:
    """Whether a TIFF has a position, or is a BigTIFF that Pillow cannot open; no pixels are read.

    A damaged file counts as a plain image, whose decoder then says what is wrong with it.
    """
    if path.suffix.lower() not in TIFF_SUFFIXES:
        return False
    header, tags = _read_tags(path)
    big = header in (b'II+\0', b'MM\0+')
    return not GEO_TAGS.isdisjoint(tags) or (big and not _pillow_opens(path))


def _read_tags(path: Path) -> tuple[bytes, frozenset[int]]:
    """The first four bytes, and the tags of the first directory as far as they can be read."""
    header, tags = b'', frozenset[int]()
    # Damaged bytes lead to many kinds of errors, and to warnings that name no file.
    with (
        contextlib.suppress(Exception),
        warnings.catch_warnings(action='ignore'),
        open(path, 'rb') as file,
    ):
        header = file.read(16)
        # The reader behind Image.tag_v2. Image.open itself refuses rasters of many bands.
        directory = ImageFileDirectory_v2(header if header[:4] == b'II+\0' else header[:8])
        file.seek(directory.next)
        directory.load(file)
        tags = frozenset(directory)
    return header[:4], tags


def _pillow_opens(path: Path) -> bool:
    try:
        with Image.open(path, formats=('TIFF',)):
            return True
    except Exception:  # damaged bytes lead to many kinds
        return False
