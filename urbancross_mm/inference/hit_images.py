"""The pixels that a hit shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.geo.raster_files import is_geotiff
from urbancross_mm.geo.rasters import Raster
from urbancross_mm.utils.images import read_image


def read_hit_image(hit: Mapping[str, Any]) -> np.ndarray:
    """Read an image, or the window of a raster that a hit names.

    Args:
        hit (Mapping): With ``img_path``, and ``window`` if it is a part of a raster.

    Shape:
        - output: ``(H, W, 3)``.

    Returns:
        np.ndarray: uint8 RGB.

    Raises:
        FileNotFoundError: If the file is gone.
        ValueError: If it cannot be read, or the hit has no file.
    """
    path = hit.get('img_path')
    if not path:
        raise ValueError(f'the item {hit.get("id")!r} has no image file')
    if not hit.get('window') and not is_geotiff(Path(path)):
        return read_image(path)[0]
    if not Path(path).is_file():
        raise FileNotFoundError(f'image not found: {path}')
    raster = Raster.open(Path(path))
    window = tuple(hit.get('window') or (0, 0, raster.width, raster.height))
    bands = raster.color_bands
    return raster.read(window, bands, raster.value_range(bands))[0]


def hit_image(hit: Mapping[str, Any]) -> str | np.ndarray:
    """What a model takes of a hit: the path of an image, or the pixels of a window.

    Args:
        hit (Mapping): See :func:`read_hit_image`.

    Returns:
        str | np.ndarray: The path, or uint8 RGB ``(H, W, 3)``.

    Raises:
        FileNotFoundError: If a raster is gone.
        ValueError: If a window cannot be read.
    """
    return read_hit_image(hit) if hit.get('window') else str(hit['img_path'])
