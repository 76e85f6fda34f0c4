"""Map features from GeoJSON, whole or one feature per line, and from Overpass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geo.map_features import Feature, import_shapely, in_degrees
from urbancross_mm.curation.geo.map_overpass import overpass_features
from urbancross_mm.geo.georeference import WGS84, check_crs
from urbancross_mm.utils.text_files import parse_json, read_text

# Begins each feature of a GeoJSON text sequence (RFC 8142).
RECORD = '\x1e'
TYPES = (
    'FeatureCollection',
    'Feature',
    'Point',
    'MultiPoint',
    'LineString',
    'MultiLineString',
    'Polygon',
    'MultiPolygon',
    'GeometryCollection',
)


def check_geojson(path: Path) -> None:
    """Check that a file begins like GeoJSON. A large file is not read."""
    try:
        with open(path, 'rb') as file:
            start = file.read(4096)
    except OSError as error:
        raise ValueError(f'map file {path} cannot be read: {error}') from error
    if not start.removeprefix(b'\xef\xbb\xbf').lstrip(b' \t\r\n\x1e').startswith(b'{'):
        raise ValueError(f'{path} is not GeoJSON: it begins with {start[:20]!r}')


def json_features(path: Path) -> Iterator[Feature]:
    """Read GeoJSON or a JSON answer of Overpass.

    GeoJSON is in degrees (RFC 7946); older files may name another CRS.
    """
    content = _parse(read_text(path), path)
    if isinstance(content.get('elements'), list) and 'features' not in content:
        yield from overpass_features(content, path)
        return
    yield from _features_of(content, path)


def sequence_features(path: Path) -> Iterator[Feature]:
    """Read GeoJSON with one feature per line, or a text sequence (RFC 8142)."""
    text = read_text(path)
    end, line = RECORD if text.lstrip(' \t\r\n').startswith(RECORD) else '\n', 1
    for record in text.split(end):
        if record.strip():
            content = _parse(record, path, f', line {line}')
            yield from _features_of(content, path, f', line {line}')
        line += record.count('\n') + (end == '\n')


def _parse(text: str, path: Path, line: str = '') -> dict[str, Any]:
    try:
        content = parse_json(text, 'it', nan=True)
    except ValueError as error:
        raise ValueError(f'{path}{line} is not GeoJSON: {error}') from error
    if not isinstance(content, dict):
        raise ValueError(f'{path}{line} is not GeoJSON: expected an object, got {content!r:.60}')
    return content


def _features_of(content: Mapping[str, Any], path: Path, line: str = '') -> Iterator[Feature]:
    """The features of a collection, or the single feature."""
    where = f'{path}{line} is not GeoJSON:'
    if 'type' not in content:
        raise ValueError(f"{where} it has no 'type'")
    if content['type'] not in TYPES:
        raise ValueError(f"{where} its 'type' is {content['type']!r:.60}")
    features = content.get('features') if content['type'] == 'FeatureCollection' else [content]
    if not isinstance(features, list):
        raise ValueError(f"{where} 'features' must be a list, got {features!r:.60}")
    crs = _json_crs(content, path)
    for feature in features:
        yield partial(_json_geometry, feature, crs), partial(_json_tags, feature)


def _json_crs(content: Mapping[str, Any], path: Path) -> str:
    """The CRS that the file names, as GeoJSON before 2016 could."""
    member = content.get('crs')
    if not member:
        return WGS84
    named = member.get('properties') if isinstance(member, dict) else None
    named = named if isinstance(named, dict) else {}
    name = named.get('name') or (f'EPSG:{named["code"]}' if 'code' in named else None)
    if not isinstance(name, str):
        raise ValueError(f'{path} names its CRS in an unknown way: {member!r:.80}')
    if 'CRS84' in name:
        return WGS84
    try:
        check_crs(name)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error
    return name


def _json_geometry(feature: Any, crs: str) -> Any:
    if feature.get('geometry') is None:
        return None
    try:
        geometry = import_shapely('shapely.geometry').shape(feature['geometry'])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError('its coordinates make no geometry') from error
    return in_degrees(geometry, crs)


def _json_tags(feature: Any) -> Mapping[str, Any]:
    """Tags as text. Properties may be null; a value may be a list, and true stands for yes."""
    tags = feature.get('properties') if isinstance(feature, dict) else feature
    if not isinstance(tags, dict | None):
        raise ValueError(f'properties must be an object, got {tags!r:.60}')
    return {
        key: _value(value) for key, value in (tags or {}).items() if not isinstance(value, dict)
    }


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return ';'.join(map(str, value)) if isinstance(value, list) else value
