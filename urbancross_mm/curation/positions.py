"""Where a picture lies: pure geometry, and world files beside plain pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

METRES_A_DEGREE = 111320.0
Bounds = list[float]


def describe_bounds(bounds: Sequence[float]) -> dict[str, object]:
    """Centre and extent of a tile.

    Args:
        bounds (Sequence[float]): West, south, east, north in degrees.

    Returns:
        dict: ``bounds``, ``lon``, ``lat`` in degrees, rounded to about a centimetre, and
        ``metres``, width and height on the ground.

    Raises:
        ValueError: If they are no part of the globe.
    """
    west, south, east, north = bounds
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError(f'bounds are west, south, east, north in degrees, got {list(bounds)}')
    lon, lat = (west + east) / 2, (south + north) / 2
    width = (east - west) * METRES_A_DEGREE * math.cos(math.radians(lat))
    return dict(bounds=[round(side, 7) for side in bounds], lon=round(lon, 7), lat=round(lat, 7),
                metres=[round(width, 2), round((north - south) * METRES_A_DEGREE, 2)])


def world_file_of(picture: Path) -> Path | None:
    """Find the world file of a picture.

    Args:
        picture (Path): ``x.jpg`` may have ``x.jgw``, ``x.jpgw`` or ``x.wld`` beside it.

    Returns:
        Path | None: The first that is there.
    """
    suffix = picture.suffix
    short = f'.{suffix[1:2]}{suffix[-1:]}w'  # .jpg -> .jgw, .tif -> .tfw
    for name in (short, f'{suffix}w', '.wld'):
        path = picture.with_suffix(name)
        if path.is_file():
            return path
    return None


def bounds_of_world_file(text: str, width: int, height: int) -> Bounds:
    """Bounds of a picture in the coordinates of its world file.

    Six lines: x and y of a step along a row, of a step along a column (in the order x scale, y
    skew, x skew, y scale), and the centre of the first pixel.

    Args:
        text (str): Content of the file.
        width (int): Of the picture in pixels.
        height (int): Of the picture in pixels.

    Returns:
        list[float]: West, south, east, north.

    Raises:
        ValueError: If it is no world file, or the picture is turned.
    """
    try:
        across, skew_y, skew_x, down, x, y = (float(line) for line in text.split())
    except ValueError as error:
        raise ValueError(f'a world file holds six numbers, got {text[:60]!r}') from error
    if skew_x or skew_y or across <= 0 or down >= 0:
        raise ValueError(f'only pictures with north up are understood, got {text.split()}')
    west, north = x - across / 2, y - down / 2
    return [west, north + down * height, west + across * width, north]


def tile_windows(width: int, height: int, size: int, stride: int
                 ) -> list[tuple[int, int, int, int]]:
    """Cut a raster into squares.

    Args:
        width (int): Of the raster in pixels.
        height (int): Of the raster in pixels.
        size (int): Side of a tile in pixels.
        stride (int): Step in pixels; below ``size`` tiles overlap.

    Returns:
        list[tuple[int, int, int, int]]: Column, row, width and height of every whole tile, row by
        row; what is left at the right and the bottom is not covered. A raster that is smaller than
        a tile is one tile.

    Raises:
        ValueError: If size or stride are not positive.
    """
    if size < 1 or stride < 1:
        raise ValueError(f'size and stride must be at least 1 pixel, got {size} and {stride}')
    if width < size or height < size:
        return [(0, 0, width, height)]
    return [(column, row, size, size) for row in range(0, height - size + 1, stride)
            for column in range(0, width - size + 1, stride)]
