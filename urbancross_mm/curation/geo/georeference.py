"""From the coordinates of an image to degrees on the globe, through rasterio."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from urbancross_mm.curation.geo.positions import Bounds, describe_degrees, describe_points
from urbancross_mm.utils.optional import import_optional

WGS84 = 'EPSG:4326'


def rasterio(module: str = 'rasterio') -> ModuleType:
    """Import rasterio, or one of its modules.

    Args:
        module (str): Dotted name. Defaults to 'rasterio'.

    Returns:
        ModuleType: The module.

    Raises:
        ImportError: If it is not installed.
    """
    return import_optional(
        module, 'Cutting a GeoTIFF, or another CRS than degrees,', 'urbancross-mm[geo]'
    )


def check_crs(crs: str) -> None:
    """See whether a CRS is known and says where on the globe something lies.

    Args:
        crs (str): For example ``EPSG:25833``.

    Raises:
        ImportError: If it is not degrees and rasterio is not installed.
        ValueError: If it is unknown, or for example one of heights or of a building site.
    """
    if crs == WGS84:
        return
    with rasterio().Env():
        try:
            found = rasterio('rasterio.crs').CRS.from_user_input(crs)
        except rasterio('rasterio.errors').CRSError as error:
            raise ValueError(f'unknown CRS {crs!r}: {error}') from error
        if not (found.is_projected or found.is_geographic):
            raise ValueError(f'CRS {crs!r} has no place on the globe')


def place_on_globe(bounds: Bounds, crs: str) -> dict[str, object]:
    """Center and extent of an image.

    A projected grid is turned against north where it is off its central meridian. The box around
    the turned image would overlap those of its neighbors, so the extent is the true size on the
    ground around the true center.

    Args:
        bounds (list[float]): West, south, east, north in the units of ``crs``.
        crs (str): For example ``EPSG:25833``.

    Returns:
        dict: See :func:`urbancross_mm.curation.geo.positions.describe_bounds`.

    Raises:
        ValueError: If it cannot be said where on the globe that is; names no file and no number.
    """
    if crs == WGS84:
        return describe_degrees(bounds)
    west, south, east, north = bounds
    x, y = (west + east) / 2, (south + north) / 2
    try:
        check_crs(crs)
        return describe_points(*_degrees([x, west, east, x, x], [y, y, y, south, north], crs))
    except ImportError:
        raise
    except Exception as error:  # GDAL has many words for a place that does not exist
        raise ValueError('its CRS does not lead to a place on the globe') from error


def _degrees(xs: Sequence[float], ys: Sequence[float], crs: str) -> tuple[list[float], list[float]]:
    with rasterio().Env():
        lons, lats = rasterio('rasterio.warp').transform(crs, WGS84, xs, ys)[:2]
    return lons, lats
