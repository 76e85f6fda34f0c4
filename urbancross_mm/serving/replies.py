"""Hits as the API shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from urbancross_mm.serving.schemas import Hit

POSITION = ('lon', 'lat', 'bounds')
FIRST = ('rank', 'score', 'id')


def hit_of(record: Mapping[str, Any], model: str) -> Hit:
    """A hit as the API shows it.

    Args:
        record (Mapping): Of :class:`StoreSearch`.
        model (str): Name of the model whose index holds it.

    Returns:
        Hit: The hit.
    """
    rest = {key: value for key, value in record.items() if key not in (*FIRST, *POSITION)}
    return Hit(
        rank=record['rank'],
        score=round(float(record['score']), 6),
        id=record['id'],
        image=image_address(record['id'], model),
        **{name: record.get(name) for name in POSITION},
        attributes=finite(rest),
    )


def image_address(item_id: str, model: str) -> str:
    """Where the image of an item is.

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
        Any: The same with None instead.
    """
    if isinstance(value, Mapping):
        return {str(key): finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
