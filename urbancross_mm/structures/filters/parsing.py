"""Condition strings to conditions."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

from urbancross_mm.structures.filters.conditions import (
    OPERATORS,
    TAGS_NAME,
    AnyOf,
    Compare,
    Tags,
)
from urbancross_mm.structures.filters.places import Box, Near, Polygon, shapely
from urbancross_mm.structures.filters.values import (
    QUOTED,
    number_of,
    split_range,
    split_values,
    unquote,
)

_CONDITION = re.compile(rf'(?:({QUOTED})\s*|([^"=!<>~\[\]]+))(\[\]\s*)?([=!<>~]+)(.*)', re.DOTALL)
LARGEST_FILE = 2**26
DEEPEST = 32  # brackets in brackets; both parsers of shapely crash the process on many thousands


def parse_condition(text: str, files: bool) -> list[Any]:
    """Read one condition string; a range, or none of several values, is several conditions."""
    if not isinstance(text, str):
        raise ValueError(f'a condition must be a string, got {type(text).__name__}')
    match = _CONDITION.fullmatch(text.strip())
    if match is None or not (match[1] or match[2].strip()):
        raise ValueError('a condition is written NAME=VALUE, as in country=spain')
    quoted, bare, brackets, op, value = match.groups()
    if op not in OPERATORS:
        raise ValueError(f'unknown operator {op!r}, use one of {" ".join(OPERATORS)}')
    bare = (bare or '').strip()
    name = unquote(quoted) if quoted else bare
    if brackets or bare == TAGS_NAME:
        return [_parse_tags(name, op, value)]
    if bare in ('bbox', 'near', 'polygon'):
        if op != '=':
            raise ValueError(f'{bare} takes =, got {op}')
        return [_parse_place(bare, value, files)]
    return _parse_comparison(name, op, value)


def _parse_comparison(name: str, op: str, text: str) -> list[Any]:
    ends = split_range(text.strip()) if op == '=' else None
    if ends is not None:
        return [Compare(name, op, end) for op, end in zip(('>=', '<='), ends) if end]
    values, _ = split_values(text, '|')
    if op == '!=':
        return [Compare(name, op, value) for value in values]
    if len(values) == 1:
        return [Compare(name, op, values[0])]
    if op != '=':
        raise ValueError(f'{op} takes one value, got {len(values)}')
    return [AnyOf(name, tuple(values))]


def _parse_tags(name: str, op: str, text: str) -> Tags:
    if op != '=':
        raise ValueError(f'{name} takes =, got {op}')
    values, used = split_values(text, '|+')
    if len(used) == 2:
        raise ValueError('| (any) and + (all) cannot be mixed: write two conditions')
    return Tags(name, tuple(values), all='+' in used)


def _parse_place(kind: str, text: str, files: bool) -> Box | Near | Polygon:
    if kind == 'polygon':
        return _parse_polygon(text.strip(), files)
    names = ('west', 'south', 'east', 'north') if kind == 'bbox' else ('lon', 'lat', 'meters')
    numbers = [number_of(part.strip()) for part in text.split(',')]
    if len(numbers) != len(names) or None in numbers:
        raise ValueError(f'{kind} takes the numbers {",".join(names)}, got {text!r}')
    return Box(*numbers) if kind == 'bbox' else Near(*numbers)  # type: ignore[arg-type]


def _parse_polygon(text: str, files: bool) -> Polygon:
    if text.startswith('@'):
        text = _read(text[1:], files).strip()
    turns = (1 if char in '([{' else -1 for char in text if char in '([{}])')
    if max(accumulate(turns), default=0) > DEEPEST:
        raise ValueError('the polygon has too many brackets within brackets')
    read = shapely().from_geojson if text.startswith('{') else shapely().from_wkt
    try:
        geometry = read(text)
    except shapely('shapely.errors').ShapelyError as error:
        raise ValueError(f'the polygon is neither WKT nor GeoJSON: {error}') from error
    return Polygon(tuple(_rings(polygon) for polygon in _polygons(shapely().force_2d(geometry))))


def _read(path: str, files: bool) -> str:
    if not files:
        raise ValueError('a polygon cannot be read from a file here, give WKT or GeoJSON')
    try:
        with open(path, encoding='utf-8-sig') as file:
            text = file.read(LARGEST_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f'cannot read the polygon {path!r}: {error}') from error
    return text


def _polygons(geometry: Any) -> list[Any]:
    """The polygons of a geometry or of a collection."""
    if geometry.geom_type == 'Polygon' and not geometry.is_empty:
        return [geometry]
    parts = list(getattr(geometry, 'geoms', []))
    if not parts:
        kind = f'an empty {geometry.geom_type}' if geometry.is_empty else geometry.geom_type
        raise ValueError(f'a filter takes a POLYGON or MULTIPOLYGON, got {kind}')
    return [polygon for part in parts for polygon in _polygons(part)]


def _rings(polygon: Any) -> tuple[Any, ...]:
    return tuple(tuple(ring.coords) for ring in (polygon.exterior, *polygon.interiors))
