"""Map features from GeoPackage, OpenStreetMap extracts and what else GDAL reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.geo.georeference import WGS84, rasterio
from urbancross_mm.curation.geo.map_features import Box, Feature, import_shapely, in_degrees
from urbancross_mm.utils.optional import import_optional

_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
# Projections in which a box of degrees may be a ring.
# What a file of each kind begins with. GDAL would open any format under any name, also one that
# names other files or addresses to read.
BEGINNINGS = {
    '.gpkg': b'SQLite format 3\x00',
    '.fgb': b'fgb',
    '.shp': b'\x00\x00\x27\x0a',
    '.osm': b'<osm',
    '.pbf': b'OSMHeader',
}
AROUND_A_POINT = ('aeqd', 'gnom', 'laea', 'ortho', 'stere')


def table_features(path: Path, box: Box) -> Iterator[Feature]:
    """Read layer by layer.

    GDAL leaves out what is not in the box, so that memory does not grow with the country.

    Args:
        path (Path): The file.
        box (Sequence[float]): West, south, east, north in degrees.

    Returns:
        Iterator[Feature]: Of all layers.

    Raises:
        ValueError: If it cannot be read.
    """
    pyogrio, shapely = _pyogrio(), import_shapely()
    try:
        for layer in layers(path):
            crs = pyogrio.read_info(path, layer=layer)['crs'] or WGS84
            meta, _, geometries, columns = pyogrio.raw.read(
                path, layer=layer, bbox=_in_crs(box, crs)
            )
            for row, wkb in enumerate(geometries):
                values = {name: column[row] for name, column in zip(meta['fields'], columns)}
                yield (
                    (lambda one=wkb, crs=crs: in_degrees(shapely.from_wkb(one), crs)),
                    (lambda one=values: _plain_tags(one)),
                )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error


def layers(path: Path) -> list[str]:
    """Find the layers that have geometries; only the header is read.

    Args:
        path (Path): The file.

    Returns:
        list[str]: Their names.

    Raises:
        ValueError: If it cannot be read, or is of another format than its name says.
    """
    _check_beginning(path)
    pyogrio = _pyogrio()
    try:
        return [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error


def _check_beginning(path: Path) -> None:
    suffix = path.suffix.lower()
    with open(path, 'rb') as file:
        start = file.read(1024)
    # The two kinds of OpenStreetMap have a header before their name.
    inside = suffix in ('.osm', '.pbf')
    expected = BEGINNINGS[suffix]
    if not (expected in start if inside else start.startswith(expected)) or b'OGRVRT' in start:
        raise ValueError(f'map file {path} is no {suffix} file: it begins with {start[:20]!r}')


def _plain_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Columns that hold something, and the tags that OpenStreetMap's driver packs into one."""
    tags = {
        name: str(value)
        for name, value in values.items()
        if isinstance(value, str) and value and name not in ('other_tags', 'all_tags')
    }
    for name in ('other_tags', 'all_tags'):
        packed = values.get(name)
        if isinstance(packed, str):
            tags.update(_HSTORE.findall(packed))
    return tags


def _in_crs(box: Box, crs: str) -> tuple[float, ...] | None:
    """A box of degrees in the units of a layer; None, all of it, where they cannot hold the box."""
    if crs == WGS84:
        return tuple(box)
    if rasterio('rasterio.crs').CRS.from_user_input(crs).to_dict().get('proj') in AROUND_A_POINT:
        return None
    # Its sides are curves there, and what is too much is taken out afterwards.
    west, south, east, north = box
    wide, high = (east - west) / 100 + 1e-3, (north - south) / 100 + 1e-3
    box = (
        max(-180, west - wide),
        max(-90, south - high),
        min(180, east + wide),
        min(90, north + high),
    )
    try:
        moved = rasterio('rasterio.warp').transform_bounds(WGS84, crs, *box, densify_pts=101)
    except rasterio('rasterio.errors').RasterioError:
        return None
    return tuple(moved) if np.isfinite(moved).all() and moved[0] <= moved[2] else None


def _pyogrio() -> Any:
    import_optional('pyogrio.raw', 'Reading map files other than GeoJSON', 'urbancross-mm[geo]')
    return import_optional('pyogrio', 'Reading map files other than GeoJSON', 'urbancross-mm[geo]')
