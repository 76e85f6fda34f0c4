"""Results of a search as a table, JSON, CSV and GeoJSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from typing import Any, TypeGuard

import numpy as np

Hit = Mapping[str, Any]

# Columns that come first in a CSV file, where a hit has them.
FIRST = ('query', 'rank', 'score', 'id', 'img_path', 'window', 'lon', 'lat', 'bounds')
# A cell that begins so is a formula to a spreadsheet.
FORMULA = ('=', '+', '-', '@', '\t', '\r')
SCORE_DIGITS = 6


def format_table(hits: Sequence[Hit]) -> str:
    """One line for each hit: rank, score, and the path with window and position.

    Args:
        hits (Sequence[Mapping]): Of a search.

    Returns:
        str: Lines, without a line feed at the end.
    """
    return '\n'.join(_line(hit) for hit in hits)


def to_text(answers: Sequence[tuple[object, Sequence[Hit]]], kind: str) -> str:
    """All hits in one text.

    Args:
        answers (Sequence): Queries with their hits; of several, each hit names its ``query``.
        kind (str): 'json', 'csv' or 'geojson'.

    Returns:
        str: The text.
    """
    several = len(answers) > 1
    hits = [
        dict(hit, query=str(query)) if several else hit for query, hits in answers for hit in hits
    ]
    return dict(json=to_json, csv=to_csv, geojson=to_geojson)[kind](hits)


def to_json(hits: Sequence[Hit]) -> str:
    """A list of objects.

    Args:
        hits (Sequence[Mapping]): Of a search.

    Returns:
        str: JSON.
    """
    return json.dumps([_plain(hit) for hit in hits], ensure_ascii=False, indent=1) + '\n'


def to_csv(hits: Sequence[Hit]) -> str:
    """A table with a column for each attribute that a hit has.

    Lists of texts are joined by ``|``, other lists and objects are JSON. A text that a spreadsheet
    would take for a formula gets an apostrophe before it.

    Args:
        hits (Sequence[Mapping]): Of a search.

    Returns:
        str: CSV as RFC 4180 has it, with a header.
    """
    rows = [_plain(hit) for hit in hits]
    names = {name for row in rows for name in row} or {'rank', 'score', 'id'}
    columns = [name for name in FIRST if name in names]
    columns += sorted(names - set(columns))
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return file.getvalue()


def to_geojson(hits: Sequence[Hit]) -> str:
    """A feature for each hit: its bounds, else its center, else no geometry.

    Args:
        hits (Sequence[Mapping]): Of a search.

    Returns:
        str: A FeatureCollection as RFC 7946 has it.
    """
    features = [
        dict(
            type='Feature',
            id=hit['id'] if 'id' in hit else hit.get('img_path'),
            geometry=geometry_of(hit),
            properties=_plain(hit),
        )
        for hit in hits
    ]
    return json.dumps(dict(type='FeatureCollection', features=features), ensure_ascii=False) + '\n'


def geometry_of(hit: Hit) -> dict[str, Any] | None:
    """Where a hit lies.

    Args:
        hit (Mapping): With ``bounds`` (west, south, east, north), or ``lon`` and ``lat``, or none.

    Returns:
        dict | None: A GeoJSON polygon, counterclockwise, or point; bounds that cross 180 degrees
        are cut there. What is no number is ignored.
    """
    bounds = hit.get('bounds')
    if _are_numbers(bounds, 4):
        west, south, east, north = map(float, bounds)
        if west <= east:
            return dict(type='Polygon', coordinates=[_ring(west, south, east, north)])
        parts = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
        return dict(type='MultiPolygon', coordinates=parts)
    if _are_numbers([hit.get('lon'), hit.get('lat')], 2):
        return dict(type='Point', coordinates=[float(hit['lon']), float(hit['lat'])])
    return None


def _are_numbers(values: Any, count: int) -> TypeGuard[Sequence[float]]:
    return (
        isinstance(values, Sequence)
        and len(values) == count
        and all(isinstance(v, Real) and not isinstance(v, bool) and isfinite(v) for v in values)
    )


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def _line(hit: Hit) -> str:
    path = str(hit.get('img_path') or hit.get('id', ''))
    if _are_numbers(hit.get('window'), 4):
        path += f'  [{",".join(map(str, hit["window"]))}]'
    if _are_numbers([hit.get('lon'), hit.get('lat')], 2):
        # In the order of the filters, near=lon,lat,meters.
        path += f'  lon, lat {hit["lon"]:.5f},{hit["lat"]:.5f}'
    if hit.get('id'):
        path += f'  id {hit["id"]}'
    return f'{hit["rank"]:4d}  {hit["score"]:.4f}  {path}'


def _plain(hit: Hit) -> dict[str, Any]:
    """What JSON can hold: class maps and the like are left out."""
    values = {key: value for key, value in hit.items() if not isinstance(value, np.ndarray)}
    if 'score' in values:
        values['score'] = round(float(values['score']), SCORE_DIGITS)
    return values


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, list | tuple) and value and all(isinstance(v, str) for v in value):
        return _cell('|'.join(value))
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(value, ensure_ascii=False)
    return '' if value is None else value
