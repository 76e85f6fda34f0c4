"""Opening a raster, and nothing that it may lead to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geo.georeference import rasterio


class LeadsElsewhereError(ValueError):
    """A raster leads to other files."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a GeoTIFF; what is wrong with it is said without its name, which differs between files.

    Args:
        path (Path): The file.

    Yields:
        Any: The dataset of rasterio.

    Raises:
        OSError: If the file is closed or gone.
        ValueError: If what is in it cannot be read.
    """
    try:
        # No other driver: some follow references to other files.
        with rasterio().open(path, driver='GTiff') as file:
            yield file
    except (ImportError, MemoryError, LeadsElsewhereError):
        raise  # no fault of what is in the file
    except Exception as error:  # GDAL has many words, and some reach us as they are
        with open(path, 'rb') as plain:
            plain.read(1)  # a closed or lost file is no broken one: it may be read another time
        raise ValueError('the raster cannot be read to its end') from error


def refuse_references(file: Any, path: Path) -> None:
    """Refuse a raster with a file beside it that leads elsewhere.

    Its masks and overviews may be of any format, also of one that names other files.

    Args:
        file (Any): As :func:`opened` gives it.
        path (Path): Where it lies.

    Raises:
        LeadsElsewhereError: If it leads to a file in another folder.
    """
    if any(os.path.dirname(other) != os.path.dirname(path) for other in file.files):
        raise LeadsElsewhereError('a file beside the raster leads to files in other folders')
