"""Things on a map from GeoJSON, GeoPackage and OpenStreetMap extracts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from urbancross_mm.curation.georeference import WGS84, check_crs, rasterio
from urbancross_mm.curation.geotags import phrases
from urbancross_mm.utils.optional import import_optional

JSON_SUFFIXES, TABLE_SUFFIXES = ('.geojson', '.json'), ('.gpkg', '.pbf', '.osm', '.shp', '.fgb')
_HSTORE = re.compile(r'"((?:[^"\\]|\\.)*)"=>"((?:[^"\\]|\\.)*)"')
Box = Sequence[float]
# Projections in which a box of degrees may be a ring.
AROUND_A_POINT = ('aeqd', 'gnom', 'laea', 'ortho', 'stere')
GLOBE = np.array([180, 90, 180, 90]) + 1e-6
# A geometry and its tags, each made when asked for: either may be broken.
Feature = tuple[Callable[[], Any], Callable[[], Mapping[str, Any]]]


@dataclass
class MapThings:
    """Geometries in degrees, and what is said of them.

    Attributes:
        box (tuple[float, ...]): West, south, east, north; what lies outside is passed over, so that
            the map may be of a whole country. Defaults to the world.
        geometries (list): shapely geometries.
        phrases (list[tuple[str, ...]]): What is said of each.
        silent (int): Features without a tag that is said; they are not kept.
        broken (list[str]): What was wrong with those that could not be used.
        repaired (int): Invalid polygons that were mended.
    """

    box: Box = (-180.0, -90.0, 180.0, 90.0)
    geometries: list[Any] = field(default_factory=list)
    phrases: list[tuple[str, ...]] = field(default_factory=list)
    silent: int = 0
    broken: list[str] = field(default_factory=list)
    repaired: int = 0

    def add(self, geometry: Any, phrases: tuple[str, ...]) -> None:
        """Take a thing; an invalid polygon is mended, an empty or endless one refused.

        Args:
            geometry (Any): shapely's.
            phrases (tuple[str, ...]): What is said of it.

        Raises:
            ValueError: If it cannot be used.
        """
        shapely = import_shapely()
        if geometry is None or geometry.is_empty:
            raise ValueError('no geometry')
        bounds = np.array(geometry.bounds)
        if not np.isfinite(bounds).all():
            raise ValueError('coordinates that are no numbers')
        if (np.abs(bounds) > GLOBE).any():
            raise ValueError(f'coordinates off the globe, {bounds[0]:g} {bounds[1]:g}: the file '
                             'does not name its CRS, or another one')
        if not _overlap(geometry.bounds, self.box):
            return
        if not geometry.is_valid:
            geometry = shapely.make_valid(geometry)
            self.repaired += 1
        self.geometries.append(geometry)
        self.phrases.append(phrases)


def import_shapely(module: str = 'shapely') -> Any:
    """Import shapely, or one of its modules.

    Args:
        module (str): Dotted name. Defaults to 'shapely'.

    Returns:
        Any: The module.

    Raises:
        ImportError: If it is not installed.
    """
    return import_optional(module, 'Joining map tags to tiles', 'urbancross-mm[geo]')


def check_map_file(path: Path) -> None:
    """See whether a map file can be read at all.

    Args:
        path (Path): The file.

    Raises:
        FileNotFoundError: If it is not there.
        ImportError: If an extra is not installed.
        ValueError: If its format is unknown or it cannot be opened. A large file is not read.
    """
    if not path.is_file():
        raise FileNotFoundError(f'no map file {path} (paths are relative to --in)')
    import_shapely()
    if path.suffix in TABLE_SUFFIXES:
        _layers(path)
    elif path.suffix not in JSON_SUFFIXES:
        raise ValueError(f'map files end in {", ".join(JSON_SUFFIXES + TABLE_SUFFIXES)}, '
                         f'got {path.name}')
    else:
        _check_json(path)


def read_map_file(path: Path, things: MapThings,
                  say: Callable[[Mapping[str, Any]], tuple[str, ...]] = phrases) -> None:
    """Read every feature near the tiles; a broken one is noted and the others go on.

    Args:
        path (Path): The file.
        things (MapThings): Grows by what lies in its box.
        say (Callable): From tags to phrases. Defaults to
            :func:`urbancross_mm.curation.geotags.phrases`.

    Raises:
        ValueError: If the file as a whole cannot be read.
    """
    features = _json_features(path) if path.suffix in JSON_SUFFIXES \
        else _table_features(path, things.box)
    for number, (make, tags) in enumerate(features):
        try:
            said = say(tags())
            if said:
                things.add(make(), said)
            else:
                things.silent += 1
        except Exception as error:  # whatever shapely makes of broken geometry
            text = ' '.join(str(error).split())
            things.broken.append(f'{path.name}, feature {number}: {text}'[:200])


def _check_json(path: Path) -> None:
    try:
        with open(path, 'rb') as file:
            start = file.read(4096)
    except OSError as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error
    if not start.removeprefix(b'\xef\xbb\xbf').lstrip().startswith(b'{'):
        raise ValueError(f'{path} is no GeoJSON: it begins with {start[:20]!r}')


def _json_features(path: Path) -> Iterator[Feature]:
    """GeoJSON is in degrees, by its standard (RFC 7946); older files may name another CRS."""
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
        features = content['features'] if content['type'] == 'FeatureCollection' else [content]
        if not isinstance(features, list):
            raise TypeError(f"'features' must be a list, got {features!r:.60}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f'{path} is no GeoJSON: {error}') from error
    crs = _json_crs(content, path)
    for feature in features:
        yield (lambda one=feature: _in_degrees(_json_geometry(one), crs)), \
            (lambda one=feature: _json_tags(one))


def _json_crs(content: Mapping[str, Any], path: Path) -> str:
    """The CRS that a file names, as GeoJSON could before 2016.

    Raises:
        ValueError: If there is no such CRS.
    """
    member = content.get('crs')
    if not member:
        return WGS84
    named = member.get('properties') if isinstance(member, dict) else None
    named = named if isinstance(named, dict) else {}
    name = named.get('name') or (f'EPSG:{named["code"]}' if 'code' in named else None)
    if not isinstance(name, str):
        raise ValueError(f'{path} names its CRS in a way that is not read: {member!r:.80}')
    if 'CRS84' in name:
        return WGS84
    try:
        check_crs(name)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return name


def _json_geometry(feature: Any) -> Any:
    if feature['geometry'] is None:
        return None
    try:
        return import_shapely('shapely.geometry').shape(feature['geometry'])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError('its coordinates make no geometry') from error


def _json_tags(feature: Any) -> Mapping[str, Any]:
    """Properties may be null, and several values of a key a list."""
    tags = feature.get('properties') if isinstance(feature, dict) else feature
    if not isinstance(tags, dict | None):
        raise TypeError(f'no properties, but {tags!r:.60}')
    return {key: ';'.join(map(str, value)) if isinstance(value, list) else value
            for key, value in (tags or {}).items() if not isinstance(value, dict)}


def _table_features(path: Path, box: Box) -> Iterator[Feature]:
    """GeoPackage, OpenStreetMap extracts and what else GDAL reads, layer by layer.

    GDAL leaves out what is not in the box, so that memory does not grow with the country.
    """
    pyogrio, shapely = _pyogrio(), import_shapely()
    try:
        for layer in _layers(path):
            crs = pyogrio.read_info(path, layer=layer)['crs'] or WGS84
            meta, _, geometries, columns = pyogrio.raw.read(path, layer=layer,
                                                            bbox=_in_crs(box, crs))
            for row, wkb in enumerate(geometries):
                values = {name: column[row] for name, column in zip(meta['fields'], columns)}
                yield (lambda one=wkb, crs=crs: _in_degrees(shapely.from_wkb(one), crs)), \
                    (lambda one=values: _plain_tags(one))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error


def _layers(path: Path) -> list[str]:
    """Those that have geometries; only the header is read."""
    pyogrio = _pyogrio()
    try:
        return [name for name, kind in pyogrio.list_layers(path) if kind is not None]
    except pyogrio.errors.DataSourceError as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error


def _plain_tags(values: Mapping[str, Any]) -> dict[str, str]:
    """Columns that hold something, and the tags that OpenStreetMap's driver packs into one."""
    tags = {name: str(value) for name, value in values.items()
            if isinstance(value, str) and value and name not in ('other_tags', 'all_tags')}
    for name in ('other_tags', 'all_tags'):
        packed = values.get(name)
        if isinstance(packed, str):
            tags.update(_HSTORE.findall(packed))
    return tags


def _overlap(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _in_crs(box: Box, crs: str) -> tuple[float, ...] | None:
    """A box of degrees in the units of a layer; None, all of it, where they cannot hold the box."""
    if crs == WGS84:
        return tuple(box)
    if rasterio('rasterio.crs').CRS.from_user_input(crs).to_dict().get('proj') in AROUND_A_POINT:
        return None
    # Its sides are curves there, and what is too much is taken out afterwards.
    west, south, east, north = box
    wide, high = (east - west) / 100 + 1e-3, (north - south) / 100 + 1e-3
    box = max(-180, west - wide), max(-90, south - high), min(180, east + wide), \
        min(90, north + high)
    try:
        moved = rasterio('rasterio.warp').transform_bounds(WGS84, crs, *box, densify_pts=101)
    except rasterio('rasterio.errors').RasterioError:
        return None
    return tuple(moved) if np.isfinite(moved).all() and moved[0] <= moved[2] else None


def _in_degrees(geometry: Any, crs: str) -> Any:
    if crs == WGS84 or geometry is None:
        return geometry
    warp = rasterio('rasterio.warp')

    def move(points: np.ndarray) -> np.ndarray:
        return np.stack(warp.transform(crs, WGS84, points[:, 0], points[:, 1])[:2], axis=1)

    return import_shapely().transform(geometry, move)


def _pyogrio() -> Any:
    import_optional('pyogrio.raw', 'Reading map files other than GeoJSON', 'urbancross-mm[geo]')
    return import_optional('pyogrio', 'Reading map files other than GeoJSON', 'urbancross-mm[geo]')
