"""Parts of a store: rows that were written together and never change."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from urbancross_mm.structures.filters import Column, Filter

DTYPES = ('float32', 'float16')
CHUNK_ROWS = 65536
_ENCODE = json.JSONEncoder(allow_nan=False).encode


class Rows:
    """The content of a part, by ascending id.

    Args:
        name (str): Unique name.
        embeds (np.ndarray): Vectors, float32 or float16; may be mapped from a file.
        table (pa.Table): Columns ``id``, and ``attributes`` with one JSON text per attribute.
        digest (str): Of the file of the table. Defaults to '': it is in memory.

    Shape:
        - embeds: ``(N, D)``.
    """

    def __init__(self, name: str, embeds: np.ndarray, table: pa.Table, digest: str = '') -> None:
        self.name, self.embeds, self.table, self.digest = name, embeds, table, digest
        self._columns: dict[str, Column] = {}

    def __len__(self) -> int:
        return len(self.embeds)

    @cached_property
    def ids(self) -> list[str]:
        """list[str]: Ids, ascending."""
        return self.table['id'].to_pylist()

    @cached_property
    def row_of(self) -> dict[str, int]:
        """dict[str, int]: Row of each id."""
        return {item_id: row for row, item_id in enumerate(self.ids)}

    @cached_property
    def attributes(self) -> dict[str, pa.Array]:
        """dict[str, pa.Array]: JSON text of each attribute, null where a row lacks it."""
        merged = self.table['attributes'].combine_chunks()
        return {field.name: merged.field(number) for number, field in enumerate(merged.type)}

    def column(self, name: str) -> Column:
        """An attribute for filters, coded when it is first asked for."""
        if name not in self._columns:
            texts = self.attributes.get(name, pa.nulls(len(self), pa.large_string()))
            coded = texts.dictionary_encode()
            values = [*json.loads(f'[{",".join(coded.dictionary.to_pylist())}]'), None]
            codes = coded.indices.fill_null(len(values) - 1).to_numpy()
            self._columns[name] = Column(values, codes)
        return self._columns[name]

    def records(self, rows: Sequence[int] | np.ndarray) -> list[dict[str, Any]]:
        """Attributes of some rows."""
        records: list[dict[str, Any]] = [{} for _ in rows]
        for name, texts in self.attributes.items():
            for record, text in zip(records, texts.take(pa.array(rows, pa.int64())).to_pylist()):
                if text is not None:
                    record[name] = json.loads(text)
        return records


@dataclass(frozen=True)
class Part:
    """A part and which of its rows are left.

    Attributes:
        rows (Rows): The content.
        longest (float): Largest norm of a vector.
        alive (np.ndarray): False for deleted rows, ``(N,)``.
        left (str): Name of the file that says so; '' if all are left.
    """

    rows: Rows
    longest: float
    alive: np.ndarray
    left: str = ''

    @cached_property
    def count(self) -> int:
        """int: Rows that are left."""
        return int(np.count_nonzero(self.alive))

    def find(self, ids: Iterable[str]) -> dict[str, int]:
        """Rows of those ids that are here."""
        row_of, alive = self.rows.row_of, self.alive
        return {i: row_of[i] for i in ids if i in row_of and alive[row_of[i]]}

    def passing(self, where: Filter | None) -> np.ndarray:
        """Which rows are left and pass a filter."""
        if where is None:
            return self.alive
        columns = {name: self.rows.column(name) for name in where.names}
        return self.alive & where.matches(columns, len(self.rows))


def table_of(ids: Sequence[str], attributes: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Ids and attributes as a table.

    Raises:
        ValueError: If an attribute is no plain JSON value.
    """
    names = list(dict.fromkeys(name for record in attributes for name in record))
    columns = []
    for name in names:
        try:
            texts = [_ENCODE(record[name]) if name in record else None for record in attributes]
            columns.append(pa.array(texts, pa.large_string()))
            name.encode()
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f'the attribute {name!r} must have a text as name and plain JSON values: {error}'
            ) from error
    return _table(pa.array(ids, pa.large_string()), names, columns)


def merged_order(parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """Number of the part, and row in it, of all rows that are left, by ascending id."""
    numbers = np.concatenate([np.full(p.count, n, dtype=np.int32) for n, p in enumerate(parts)])
    rows = np.concatenate([np.flatnonzero(part.alive) for part in parts])
    ids = [parts[n].rows.ids[row] for n, row in zip(numbers.tolist(), rows.tolist())]
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    return numbers[order], rows[order]


def merged_table(parts: Sequence[Part], numbers: np.ndarray, rows: np.ndarray) -> pa.Table:
    """Ids and attributes of several parts in an order of :func:`merged_order`."""
    starts = np.cumsum([0] + [len(part.rows) for part in parts])[:-1]
    names = list(dict.fromkeys(name for part in parts for name in part.rows.attributes))
    take = pa.array(starts[numbers] + rows, pa.int64())
    columns = [
        pa.chunked_array(
            [
                part.rows.attributes.get(name, pa.nulls(len(part.rows), pa.large_string()))
                for part in parts
            ]
        ).take(take)
        for name in names
    ]
    ids = pa.chunked_array([chunk for part in parts for chunk in part.rows.table['id'].chunks])
    return _table(ids.take(take), names, [column.combine_chunks() for column in columns])


def merged_embeds(
    parts: Sequence[Part], numbers: np.ndarray, rows: np.ndarray
) -> Iterator[np.ndarray]:
    """Vectors of several parts in an order of :func:`merged_order`, a chunk at a time."""
    for start in range(0, len(rows), CHUNK_ROWS):
        part_of, row = numbers[start : start + CHUNK_ROWS], rows[start : start + CHUNK_ROWS]
        chunk = np.empty((len(row), parts[0].rows.embeds.shape[1]), parts[0].rows.embeds.dtype)
        for number in np.unique(part_of):
            chunk[part_of == number] = parts[number].rows.embeds[row[part_of == number]]
        yield chunk


def _table(ids: pa.Array, names: list[str], columns: list[pa.Array]) -> pa.Table:
    if columns:
        merged = pa.StructArray.from_arrays(columns, names=names)
    else:  # from no arrays it would have no rows
        merged = pa.array([{}] * len(ids), pa.struct([]))
    return pa.table({'id': ids, 'attributes': merged})
