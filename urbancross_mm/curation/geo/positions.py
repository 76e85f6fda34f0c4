"""Where an image lies: pure geometry, and world files beside plain images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

METERS_A_DEGREE = 111320.0
Bounds = list[float]


def describe_bounds(
    bounds: Sequence[float], meters: Sequence[float] | None = None
) -> dict[str, object]:
    """Center and extent of a tile.

    Args:
        bounds (Sequence[float]): West, south, east, north in degrees.
        meters (Sequence[float], optional): Width and height on the ground. Defaults to None: from
            the bounds, on a sphere.

    Returns:
        dict: ``bounds``, ``lon``, ``lat`` in degrees, rounded to about a centimeter, and
        ``meters``, width and height on the ground.

    Raises:
        ValueError: If they are no part of the globe.
    """
    west, south, east, north = (round(side, 7) for side in bounds)
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ValueError('bounds must be west, south, east, north in degrees, on the globe')
    lon, lat = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
    if meters is None:
        meters = (
            (bounds[2] - bounds[0]) * METERS_A_DEGREE * math.cos(math.radians(lat)),
            (bounds[3] - bounds[1]) * METERS_A_DEGREE,
        )
    return dict(
        bounds=[west, south, east, north],
        lon=round(lon, 7),
        lat=round(lat, 7),
        meters=[round(meters[0], 2), round(meters[1], 2)],
    )


def meters_of_a_degree(lat: float) -> tuple[float, float]:
    """Length of a degree on the WGS 84 ellipsoid.

    Args:
        lat (float): Latitude in degrees.

    Returns:
        tuple[float, float]: Of longitude and of latitude, in meters.
    """
    radius, flatness = 6378137.0, 0.00669437999014  # half the equator's axis, first eccentricity^2
    sine = math.sin(math.radians(lat))
    root = math.sqrt(1 - flatness * sine * sine)
    across = radius / root * math.cos(math.radians(lat))
    return math.radians(across), math.radians(radius * (1 - flatness) / root**3)


def describe_degrees(bounds: Sequence[float]) -> dict[str, object]:
    """As :func:`describe_bounds`, on the ellipsoid; longitudes may run from 0 to 360.

    Args:
        bounds (Sequence[float]): West, south, east, north in degrees.

    Returns:
        dict: See :func:`describe_bounds`.

    Raises:
        ValueError: If they are no part of the globe.
    """
    west, south, east, north = bounds
    if 180 <= west < east <= 360:
        west, east = west - 360, east - 360
    across, up = meters_of_a_degree((south + north) / 2)
    return describe_bounds(
        [west, south, east, north], [(east - west) * across, (north - south) * up]
    )


def describe_points(lons: Sequence[float], lats: Sequence[float]) -> dict[str, object]:
    """Center and extent of a tile that may be turned: its true size around its center.

    Args:
        lons (Sequence[float]): Of the center and the middles of the west, east, south and north
            side, in degrees.
        lats (Sequence[float]): The same.

    Returns:
        dict: See :func:`describe_bounds`.

    Raises:
        ValueError: If they are no part of the globe, or touch the date line or a pole.
    """
    lon, lat = lons[0], lats[0]
    if not all(map(math.isfinite, (*lons, *lats))) or abs(lat) > 89.9 or not -180 <= lon <= 360:
        raise ValueError('the points are not on the globe')
    lon = lon if lon < 180 else lon - 360
    across, up = meters_of_a_degree(lat)

    def size(one: int, other: int) -> float:
        # From the center to either side: neither crosses more than half of the globe.
        east = _turn(lons[other] - lons[0]) + _turn(lons[0] - lons[one])
        return math.hypot(east * across, (lats[other] - lats[one]) * up)

    width, height = size(1, 2), size(3, 4)
    return describe_bounds(
        [
            lon - width / across / 2,
            lat - height / up / 2,
            lon + width / across / 2,
            lat + height / up / 2,
        ],
        [width, height],
    )


def _turn(degrees: float) -> float:
    """The shorter way round."""
    return (degrees + 180) % 360 - 180


def world_file_of(image: Path) -> Path | None:
    """Find the world file of an image.

    Args:
        image (Path): ``x.jpg`` may have ``x.jgw``, ``x.jpgw`` or ``x.wld`` beside it,
            in small or capital letters.

    Returns:
        Path | None: The first that is there, in this order; what others say does not count.
    """
    suffix = image.suffix
    short = f'.{suffix[1:2]}{suffix[-1:]}w'  # .jpg -> .jgw, .tif -> .tfw
    for name in (short, f'{suffix}w', '.wld'):
        for spelling in (name, name.lower(), name.upper()):
            path = image.with_suffix(spelling)
            if path.is_file():
                return path
    return None


def bounds_of_world_file(text: str, width: int, height: int) -> Bounds:
    """Bounds of an image in the coordinates of its world file.

    Six lines: x and y of a step along a row, of a step along a column (in the order x scale, y
    skew, x skew, y scale), and the center of the first pixel.

    Args:
        text (str): Content of the file.
        width (int): Of the image in pixels.
        height (int): Of the image in pixels.

    Returns:
        list[float]: West, south, east, north.

    Raises:
        ValueError: If it is no world file, or the image is turned.
    """
    try:
        numbers = [float(line) for line in text.removeprefix('\ufeff').split()]
        across, skew_y, skew_x, down, x, y = numbers
    except ValueError as error:
        raise ValueError('a world file holds six numbers') from error
    if not all(map(math.isfinite, numbers)):
        raise ValueError('a world file holds six numbers, and these have no end or are none')
    if skew_x or skew_y or across <= 0 or down >= 0:
        raise ValueError('only images with north up are understood')
    west, north = x - across / 2, y - down / 2
    return [west, north + down * height, west + across * width, north]


def tile_windows(
    width: int, height: int, size: int, stride: int
) -> list[tuple[int, int, int, int]]:
    """Cut a raster into squares.

    Args:
        width (int): Of the raster in pixels.
        height (int): Of the raster in pixels.
        size (int): Side of a tile in pixels.
        stride (int): Step in pixels; below ``size`` tiles overlap.

    Returns:
        list[tuple[int, int, int, int]]: Column, row, width and height of every whole tile, row by
        row; what is left at the right and the bottom is not covered. Where a raster is narrower
        than a tile, so are its tiles.

    Raises:
        ValueError: If size or stride are not positive.
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
    """Count the pixels that are in a tile of :func:`tile_windows`.

    Args:
        width (int): Of the raster in pixels.
        height (int): Of the raster in pixels.
        size (int): Side of a tile in pixels.
        stride (int): Step in pixels.

    Returns:
        int: Each counts once.
    """

    def covered(length: int) -> int:
        side = min(size, length)
        return side + (length - side) // stride * min(stride, side)

    return covered(width) * covered(height)
