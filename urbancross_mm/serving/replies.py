"""Hits as replies: JSON, CSV and GeoJSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from urbancross_mm.serving.schemas import Hit

PLACE = ('lon', 'lat', 'bounds')
FIRST = ('rank', 'score', 'id')
FORMULA = ('=', '+', '-', '@', '\t', '\r')


def hit_of(record: Mapping[str, Any], model: str) -> Hit:
    """A hit as the API shows it.

    Args:
        record (Mapping): Of :class:`StoreSearch`.
        model (str): Name of the model whose index holds it.

    Returns:
        Hit: The hit.
    """
    rest = {key: value for key, value in record.items() if key not in (*FIRST, *PLACE)}
    return Hit(
        rank=record['rank'],
        score=round(float(record['score']), 6),
        id=record['id'],
        image=image_address(record['id'], model),
        **{name: record.get(name) for name in PLACE},
        attributes=finite(rest),
    )


def image_address(item_id: str, model: str) -> str:
    """Where the picture of an item is.

    Args:
        item_id (str): The id.
        model (str): Name of the model whose index holds it.

    Returns:
        str: Below the server.
    """
    return f'api/images/{quote(item_id, safe="")}?{urlencode(dict(model=model))}'


def finite(value: Any) -> Any:
    """A JSON value without infinities and NaN, which JSON has no words for.

    Args:
        value (Any): JSON value.

    Returns:
        Any: The same with None in their places.
    """
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Hits as a table, one column per attribute.

    A text that a spreadsheet would run as a formula begins with an apostrophe.

    Args:
        records (Sequence[Mapping]): Of :class:`StoreSearch`.

    Returns:
        str: CSV with a head line.
    """
    names = [*FIRST, *sorted({name for record in records for name in record} - {*FIRST})]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(names)
    for record in records:
        writer.writerow([_cell(record.get(name)) for name in names])
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list | tuple | Mapping):
        return json.dumps(finite(value), ensure_ascii=False)
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def as_geojson(records: Sequence[Mapping[str, Any]]) -> str:
    """Hits as features: the footprint where it is known, else the center, else no place.

    Args:
        records (Sequence[Mapping]): Of :class:`StoreSearch`.

    Returns:
        str: A feature collection.
    """
    features = [
        dict(
            type='Feature',
            id=record['id'],
            geometry=_geometry(record),
            properties=finite({k: v for k, v in record.items() if k not in PLACE}),
        )
        for record in records
    ]
    return json.dumps(dict(type='FeatureCollection', features=features), ensure_ascii=False)


def _geometry(record: Mapping[str, Any]) -> dict[str, Any] | None:
    if record.get('bounds'):
        west, south, east, north = record['bounds']
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return dict(type='Polygon', coordinates=[ring])
    if record.get('lon') is None or record.get('lat') is None:
        return None
    return dict(type='Point', coordinates=[record['lon'], record['lat']])
