"""Columns and SQL of a store in LanceDB."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable, Sequence
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.sql import (
    COLUMNS,
    Dialect,
    Kind,
    Value,
    attributes_text,
    typed_values,
)

VERSION = 1
METADATA = b'urbancross_mm'
TYPES: dict[Kind, pa.DataType] = dict(
    number=pa.float64(), text=pa.string(), words=pa.list_(pa.string()), flag=pa.bool_()
)


class LanceDialect(Dialect):
    """SQL with values written out, for DataFusion.

    Args:
        columns (Collection[str]): Columns of the table.
    """

    def __init__(self, columns: Collection[str]) -> None:
        self._columns = columns

    def column(self, name: str, kind: Kind) -> str | None:
        """The column, if an item has had such a value."""
        column = column_of(name, kind)
        return f'`{column}`' if column in self._columns else None

    def literal(self, value: Value) -> str:
        """A literal; a backslash is a character like others there."""
        if isinstance(value, bool):
            return str(value).upper()
        if isinstance(value, str):
            return "'" + value.replace("'", "''") + "'"
        return repr(float(value))

    def has(self, column: str, values: Sequence[str], every: bool) -> str:
        """Functions of arrays."""
        words = ', '.join(map(self.literal, values))
        return f'array_has_{"all" if every else "any"}({column}, [{words}])'


@functools.lru_cache(4096)
def column_of(name: str, kind: Kind) -> str:
    """Column of the values of an attribute that are of one kind: ``gsd`` is in ``number:gsd``."""
    if COLUMNS.get(name) == kind:
        return name
    return f'{kind}:{quote(name, safe="").replace(".", "%2E")}'


def name_of(column: str) -> str:
    """The attribute whose values a column holds."""
    return unquote(column.partition(':')[2]) or column


def make_schema(fingerprint: str, width: int = 0) -> pa.Schema:
    """Schema of a store.

    Args:
        fingerprint (str): What it carries.
        width (int): D; 0 while no vector is known. Defaults to 0.

    Returns:
        pa.Schema: Without columns of attributes; those are added as they come.
    """
    fields = [pa.field('id', pa.string(), nullable=False), pa.field('attributes', pa.string())]
    fields += [pa.field('embed', pa.list_(pa.float32(), width))] if width else []
    meta = json.dumps(dict(version=VERSION, fingerprint=fingerprint))
    return pa.schema(fields, metadata={METADATA: meta.encode()})


def read_schema(schema: pa.Schema, name: str) -> tuple[str, int]:
    """Fingerprint and width of a store.

    Args:
        schema (pa.Schema): Of its table.
        name (str): The store in messages.

    Returns:
        tuple[str, int]: Both.

    Raises:
        ValueError: If it is another table, or of another version.
    """
    try:
        meta = json.loads((schema.metadata or {})[METADATA])
        version, fingerprint = meta['version'], str(meta['fingerprint'])
    except (KeyError, ValueError, TypeError):
        raise ValueError(f'{name} is a table of LanceDB, but no store of this program') from None
    if version != VERSION:
        raise ValueError(
            f'{name} is of schema version {version}, this version reads {VERSION}: build it again'
        )
    embed = schema.get_field_index('embed')
    return fingerprint, schema.field(embed).type.list_size if embed >= 0 else 0


def new_fields(items: Iterable[StoreItem], columns: Collection[str]) -> list[pa.Field]:
    """Columns that a table lacks for the attributes of some items.

    Args:
        items (Iterable[StoreItem]): The items.
        columns (Collection[str]): Those that it has.

    Returns:
        list[pa.Field]: The others. Every attribute has one, even if no filter can look at it, for
        columns tell which attributes there are.
    """
    keys: dict[tuple[str, Kind], None] = {}
    for item in items:
        values = typed_values(item.attributes)
        keys.update(dict.fromkeys(values))
        plain = {name for name, _ in values}
        keys.update({(name, 'text'): None for name in item.attributes if name not in plain})
    fields = {column_of(*key): TYPES[key[1]] for key in keys}
    return [pa.field(name, kind) for name, kind in fields.items() if name not in columns]


def table_of(items: Sequence[StoreItem], embeds: np.ndarray, schema: pa.Schema) -> pa.Table:
    """Rows of some items.

    Args:
        items (Sequence[StoreItem]): The items.
        embeds (np.ndarray): Their vectors.
        schema (pa.Schema): With a column for every value.

    Shape:
        - embeds: ``(N, D)``.

    Returns:
        pa.Table: The rows.

    Raises:
        ValueError: If JSON cannot hold the attributes.
    """
    columns: dict[str, Any] = {
        'id': [item.id for item in items],
        'embed': pa.FixedSizeListArray.from_arrays(pa.array(embeds.ravel()), embeds.shape[1]),
        'attributes': [attributes_text(item.id, item.attributes) for item in items],
    }
    for row, item in enumerate(items):
        for key, value in typed_values(item.attributes).items():
            name = column_of(*key)
            if name not in columns:
                columns[name] = [None] * len(items)
            columns[name][row] = value
    empty = [None] * len(items)
    arrays = [pa.array(columns.get(field.name, empty), field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def item_of(row: dict[str, Any]) -> StoreItem:
    """An item of a row; without its vector if that was not read."""
    embed = row.get('embed')
    embed = None if embed is None else np.array(embed, np.float32)
    return StoreItem(row['id'], embed, json.loads(row['attributes']))
