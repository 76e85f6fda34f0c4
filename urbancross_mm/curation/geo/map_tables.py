"""Map features from GeoPackages, OpenStreetMap extracts, shapefiles and FlatGeobuf, by GDAL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.geo.map_features import Box, Feature, import_shapely, in_degrees
from urbancross_mm.geo.georeference import WGS84, rasterio
from urbancross_mm.utils.optional import import_optional

_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
# GDAL would open any format under any name, also one that refers to other files or addresses.
BEGINNINGS = {
    '.gpkg': b'SQLite format 3\x00',
    '.fgb': b'fgb',
    '.shp': b'\x00\x00\x27\x0a',
    '.osm': b'<osm',
    '.pbf': b'OSMHeader',
}
# Projections in which a box of degrees may be a ring.
AROUND_A_POINT = ('aeqd', 'gnom', 'laea', 'ortho', 'stere')


def table_features(path: Path, box: Box) -> Iterator[Feature]:
    """Read layer by layer. GDAL leaves out what is not in the box, so memory stays small."""
    pyogrio = _pyogrio()
    try:
        for layer in layers(path):
            crs = pyogrio.read_info(path, layer=layer)['crs'] or WGS84
            meta, _, geometries, columns = pyogrio.raw.read(
                path, layer=layer, bbox=_in_crs(box, crs)
            )
            for row, wkb in enumerate(geometries):
                values = {name: column[row] for name, column in zip(meta['fields'], columns)}
                yield partial(_geometry, wkb, crs), partial(_plain_tags, values)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error


def layers(path: Path) -> list[str]:
    """List the layers that have geometries. Only the header is read."""
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
    # Both OpenStreetMap formats have other bytes before their mark.
    inside = suffix in ('.osm', '.pbf')
    expected = BEGINNINGS[suffix]
    if not (expected in start if inside else start.startswith(expected)) or b'OGRVRT' in start:
        raise ValueError(f'map file {path} is not a {suffix} file: it begins with {start[:20]!r}')


def _geometry(wkb: bytes, crs: str) -> Any:
    return in_degrees(import_shapely().from_wkb(wkb), crs)


def _plain_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Columns with text, and the tags that GDAL's OpenStreetMap driver packs into one column."""
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
    """The box in the CRS of a layer; None (read everything) if the CRS cannot express it."""
    if crs == WGS84:
        return tuple(box)
    if rasterio('rasterio.crs').CRS.from_user_input(crs).to_dict().get('proj') in AROUND_A_POINT:
        return None
    # The sides of the box become curves there. It is made larger, and MapFeatures leaves out the
    # rest.
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
