"""Map features from the JSON of Overpass, the query service of OpenStreetMap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from urbancross_mm.curation.geo.map_features import Feature, import_shapely

# Keys by which a closed way is an area; by the others it is a line.
AREAS = (
    'aeroway',
    'amenity',
    'boundary',
    'building',
    'craft',
    'geological',
    'historic',
    'landuse',
    'leisure',
    'military',
    'natural',
    'office',
    'place',
    'shop',
    'sport',
    'tourism',
)
LINES = ('aerialway', 'barrier', 'highway', 'junction', 'railway', 'waterway')
# Exceptions: values that differ from their key.
LINE_TAGS = dict(
    natural=('arete', 'cliff', 'coastline', 'ridge', 'tree_row'),
    man_made=('cutline', 'embankment', 'pipeline'),
    leisure=('track',),
    power=('cable', 'line', 'minor_line'),
    aeroway=('taxiway',),
)
AREA_TAGS = dict(
    waterway=('boatyard', 'dam', 'dock', 'riverbank'),
    railway=('platform', 'station'),
    highway=('platform', 'rest_area', 'services'),
)
AREA_RELATIONS = ('multipolygon', 'boundary')


def overpass_features(content: Mapping[str, Any], path: Path) -> Iterator[Feature]:
    """Read the answer to a query that ends in ``out geom``."""
    if 'remark' in content:
        raise ValueError(f'{path} is not complete, Overpass says: {content["remark"]!r:.200}')
    elements = content['elements']
    for number, element in enumerate(elements):
        if _lacks_geometry(element):
            raise ValueError(
                f'{path}, element {number}: {element["type"]} {element.get("id")} has '
                'no geometry: query Overpass with `out geom`'
            )
    for element in elements:
        yield partial(_geometry, element), partial(_tags, element)


def _lacks_geometry(element: Any) -> bool:
    if not isinstance(element, dict) or not element.get('tags'):
        return False
    if element.get('type') == 'relation':
        members = element.get('members')
        ways = (
            [part for part in members if isinstance(part, dict) and part.get('type') == 'way']
            if isinstance(members, list)
            else []
        )
        return members is None or (bool(ways) and not any('geometry' in way for way in ways))
    return element.get('type') == 'way' and 'geometry' not in element


def _tags(element: Any) -> Mapping[str, Any]:
    tags = element.get('tags') or {} if isinstance(element, dict) else element
    if not isinstance(tags, dict):
        raise ValueError(f'tags must be an object, got {tags!r:.60}')
    return tags


def _geometry(element: Any) -> Any:
    kinds = dict(node=_point, way=_way, relation=_relation)
    if element.get('type') not in kinds:
        raise ValueError(f'unknown element type {element.get("type")!r}')
    return kinds[element['type']](element)


def _point(node: Mapping[str, Any]) -> Any:
    return import_shapely().Point(node['lon'], node['lat'])


def _way(way: Mapping[str, Any]) -> Any:
    shapely, line = import_shapely(), _line(way)
    closed = line.is_closed and len(line.coords) > 3
    return shapely.Polygon(line) if closed and _is_area(_tags(way)) else line


def _is_area(tags: Mapping[str, Any]) -> bool:
    if tags.get('area') in ('yes', 'no'):
        return tags['area'] == 'yes'
    regular = {key: value for key, value in tags.items() if value not in LINE_TAGS.get(key, ())}
    return (
        any(key in AREAS or value in AREA_TAGS.get(key, ()) for key, value in regular.items())
        or len(regular) == len(tags)
        and not any(key in LINES for key in tags)
    )


def _relation(relation: Mapping[str, Any]) -> Any:
    """The area that the members enclose, in any order; without an area, all members together."""
    shapely = import_shapely()
    members = relation['members']
    lines = [_line(part) for part in members if part['type'] == 'way' and 'geometry' in part]
    if _tags(relation).get('type') not in AREA_RELATIONS:
        points = [_point(part) for part in members if part['type'] == 'node']
        return shapely.GeometryCollection([*points, *lines])
    area = shapely.symmetric_difference_all(_rings(lines))
    if area.is_empty:
        raise ValueError('its members do not form a ring')
    return area


def _rings(lines: Sequence[Any]) -> list[Any]:
    """The polygon of each ring.

    Closed ways are separate rings, because inner rings may share a side.
    """
    shapely = import_shapely()
    lines = list(dict.fromkeys(lines))
    rings = [shapely.build_area(shapely.union_all([line])) for line in lines if line.is_closed]
    pieces = shapely.union_all([line for line in lines if not line.is_closed])
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(pieces)))
    return rings + [shapely.Polygon(face.exterior) for face in faces]


def _line(way: Mapping[str, Any]) -> Any:
    points: Sequence[Any] = way['geometry']
    if None in points:
        raise ValueError('a part of its geometry is outside of the box of the query')
    if len(points) == 1:
        return import_shapely().Point(points[0]['lon'], points[0]['lat'])
    return import_shapely().LineString([(point['lon'], point['lat']) for point in points])
