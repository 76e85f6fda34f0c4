"""A store in LanceDB: a folder, or a place in an object store."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.item_checks import (
    check_attributes,
    check_embeds,
    check_fingerprint,
    check_ids,
)
from urbancross_mm.inference.stores.lance_schema import (
    LanceDialect,
    item_of,
    make_schema,
    name_of,
    new_fields,
    read_schema,
    table_of,
)
from urbancross_mm.inference.stores.lance_table import LanceTable, lancedb
from urbancross_mm.inference.stores.sql import compile_filter
from urbancross_mm.inference.stores.sql_store import Condition, Positions, Row, SqlStore, in_order
from urbancross_mm.structures.filters import Filter

PAGE = 1000
# Rows that pass whose codes are compared at least, so that a filter costs no recall; and rows
# compared exactly for each one asked for.
CODES, REFINE = 100_000, 10
BITS_SUFFICE = 256  # of a vector, for the index to tell it from others by one bit a value
ITERATIONS, SAMPLES = 10, 64  # of its training; more give no better recall and take minutes
# A reader may still use the files of versions that are younger.
KEPT = timedelta(hours=1)
ITEM = ('id', 'embed', 'attributes')


class LanceStore(SqlStore):
    """A table of LanceDB. One process may write, others see each write at their next call.

    LanceDB works in threads, which a fork does not copy: a process opens the store itself, so
    start workers by ``spawn``. In an object store nothing keeps a second writer out.

    Args:
        location (str): A folder ``NAME.lance``, or a URI such as ``s3://BUCKET/NAME.lance``.
        fingerprint (str | None): What the store must carry, or will carry if it is new. Defaults
            to None: anything.
        create (bool): Whether to make the store if it is missing. Defaults to False.
        read_only (bool): Whether writing is refused. Defaults to False.

    Raises:
        ConnectionError: If the object store cannot be reached.
        ValueError: If there is no such store, it is damaged, or of another version or fingerprint.
    """

    def __init__(
        self,
        location: str,
        fingerprint: str | None = None,
        create: bool = False,
        read_only: bool = False,
    ) -> None:
        self._read_only, self._table = read_only, LanceTable(str(location))
        if create and not read_only and not self._table.exists():
            self._table.create(make_schema(fingerprint or ''))
        self.fingerprint, self.width = read_schema(self._schema, self._table.name)
        if fingerprint is not None:
            check_fingerprint(self.fingerprint, fingerprint, location)

    def add(self, items: Sequence[StoreItem]) -> None:
        """Add items in one commit; see :meth:`BaseStore.add`."""
        if not items:
            return
        with self._writing() as table:
            ids = [item.id for item in items]
            check_ids(ids)
            check_attributes(items)
            width = self._refreshed_width()
            embeds = check_embeds(items, width)
            if width:
                check_ids(ids, self._table.read(self._among(ids).sql, ['id'])['id'].to_pylist())
            new = new_fields(items, table.schema.names)
            if not width:
                schema = make_schema(self.fingerprint, embeds.shape[1])
                rows = table_of(items, embeds, _with_fields(schema, new))
                self._table.replace(rows)
                self._refreshed_width()
                return
            schema = _with_fields(table.schema, new)
            rows = table_of(items, embeds, schema)
            if new:
                table.add_columns(pa.schema(new))
            table.add(rows)

    def update(self, items: Sequence[StoreItem]) -> None:
        """Replace items in one commit; see :meth:`BaseStore.update`."""
        if not items:
            return
        with self._writing() as table:
            ids = [item.id for item in items]
            check_ids(ids)
            check_attributes(items)
            known = self.get(ids)
            items = [
                StoreItem(new.id, old.embed if new.embed is None else new.embed, new.attributes)
                for new, old in zip(items, known)
            ]
            embeds = check_embeds(items, self.width)
            new = new_fields(items, table.schema.names)
            rows = table_of(items, embeds, _with_fields(table.schema, new))
            if new:
                table.add_columns(pa.schema(new))
            table.merge_insert('id').when_matched_update_all().execute(rows)

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items in one commit; see :meth:`BaseStore.delete`."""
        with self._writing() as table:
            if not ids or not self._refreshed_width():
                return 0
            among = self._among(list(dict.fromkeys(ids))).sql
            count = int(table.count_rows(among))
            if count:
                table.delete(among)
            return count

    def get(self, ids: Sequence[str]) -> list[StoreItem]:
        """Items by id; see :meth:`BaseStore.get`."""
        found: dict[str, StoreItem] = {}
        if ids and self._refreshed_width():
            rows = self._table.read(self._among(list(dict.fromkeys(ids))).sql, list(ITEM))
            found = {row['id']: item_of(row) for row in rows.to_pylist()}
        return in_order(ids, found)

    def items(self, where: Filter | None = None, embeds: bool = False) -> Iterator[StoreItem]:
        """All items by ascending id; see :meth:`BaseStore.items`.

        Only ids and positions are in memory at once. What is written meanwhile is not seen.
        """
        if not self._refreshed_width():
            return
        condition = self._condition(where)
        table = self._table.open()
        table.checkout(table.version)
        rows = self._positions_of(table, condition)
        columns = [name for name in ITEM if embeds or name != 'embed']
        for start in range(0, len(rows), PAGE):
            numbers = rows[start : start + PAGE].tolist()
            with self._table.reading():
                page = table.take_row_ids(numbers).select(columns).to_arrow().to_pylist()
            yield from sorted(map(item_of, page), key=lambda item: item.id)

    def compact(self) -> None:
        """Merge files, and build or refresh the indexes."""
        with self._writing() as table:
            if not self._refreshed_width():
                return
            table.optimize(cleanup_older_than=KEPT)
            if table.count_rows() > self.few_rows:
                self._build_indexes(table)

    def version(self) -> int:
        """Version of the table; see :meth:`BaseStore.version`."""
        with self._table.reading() as table:
            return int(table.version)

    def close(self) -> None:
        """Let another process write."""
        self._table.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Any]:
        if self._read_only:
            raise ValueError('the store was opened for reading only')
        with self._table.writing() as table:
            yield table

    @property
    def _schema(self) -> pa.Schema:
        with self._table.reading() as table:
            return table.schema

    def _positions_of(self, table: Any, condition: Condition) -> np.ndarray:
        """Row numbers of what passes, by ascending id."""
        rows = self._table.read(condition.sql, ['id', *self._places(), '_rowid'], table)
        if condition.places.conditions:
            rows = rows.filter(pa.array(condition.within(*_centers(rows))))
        return rows['_rowid'].take(pc.sort_indices(rows['id'])).to_numpy()

    def _places(self) -> list[str]:
        """Columns of the centers, as far as there are any."""
        return [name for name in ('lon', 'lat') if name in self._schema.names]

    def _build_indexes(self, table: Any) -> None:
        """Those of all columns, and of the vectors again if there are twice as many."""
        index = lancedb('lancedb.index')
        indexed = {config.columns[0]: config for config in table.list_indices()}
        for field in table.schema:
            if field.name not in indexed and field.name not in ('embed', 'attributes'):
                lists = pa.types.is_list(field.type)
                kind = index.LabelList if lists else index.BTree
                table.create_index(field.name, config=kind())
        config = indexed.get('embed')
        if config is None or config.num_unindexed_rows > config.num_indexed_rows:
            settings = dict(
                distance_type='dot',
                num_partitions=_partitions(table.count_rows()),
                max_iterations=ITERATIONS,
                sample_rate=SAMPLES,
            )
            kind = index.IvfSq if self.width < BITS_SUFFICE or self.width % 8 else index.IvfRq
            table.create_index('embed', config=kind(**settings), replace=True)

    def _refreshed_width(self) -> int:
        fingerprint, self.width = read_schema(self._schema, self._table.name)
        check_fingerprint(fingerprint, self.fingerprint, self._table.path)
        return self.width

    def _condition(self, where: Filter | None) -> Condition:
        columns = self._schema.names
        if where is not None:
            where.check_names({name_of(name) for name in columns if name not in ITEM})
        return Condition(*compile_filter(where, LanceDialect(columns)))

    def _among(self, ids: list[str]) -> Condition:
        literal = LanceDialect(()).literal
        return Condition(f'id IN ({", ".join(map(literal, ids))})' if ids else 'FALSE')

    def _has_index(self) -> bool:
        with self._table.reading() as table:
            return any(config.columns == ['embed'] for config in table.list_indices())

    def _count(self, condition: Condition, most: int | None) -> int:
        with self._table.reading() as table:
            return int(table.count_rows(condition.sql))

    def _positions(self, condition: Condition) -> Positions:
        rows = self._table.read(condition.sql, ['id', *self._places()])
        return Positions(np.array(rows['id'].to_pylist(), object), *_centers(rows))

    def _nearest(
        self, vector: np.ndarray, condition: Condition, limit: int, passing: int | None
    ) -> list[Row]:
        columns = ['id', *self._places(), 'attributes', '_distance']
        with self._table.reading() as table:
            query = table.search(vector, vector_column_name='embed').distance_type('dot')
            if passing is None:
                query = query.bypass_vector_index()
            else:
                partitions = _partitions(table.count_rows())
                probes = math.ceil(partitions * min(1.0, CODES / passing))
                query = query.nprobes(probes).refine_factor(REFINE)
            query = query.where(condition.sql, prefilter=True).limit(limit)
            rows = query.select(columns).to_arrow()
        scores = (1 - rows['_distance'].to_numpy()).tolist()
        lons, lats = _centers(rows)
        return [
            Row(*row)
            for row in zip(
                rows['id'].to_pylist(),
                scores,
                lons.tolist(),
                lats.tolist(),
                rows['attributes'].to_pylist(),
            )
        ]


def _partitions(rows: int) -> int:
    """Of an index of so many rows; an index of fewer has fewer."""
    return max(1, math.isqrt(rows))


def _with_fields(schema: pa.Schema, fields: Sequence[pa.Field]) -> pa.Schema:
    return pa.schema([*schema, *fields], metadata=schema.metadata)


def _centers(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes, NaN where there is none."""
    lon, lat = (
        rows[name].to_numpy().astype(np.float64)
        if name in rows.column_names
        else np.full(len(rows), np.nan)
        for name in ('lon', 'lat')
    )
    return lon, lat
