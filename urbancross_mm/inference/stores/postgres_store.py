"""A store in PostgreSQL, with pgvector."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.item_checks import (
    check_attributes,
    check_embeds,
    check_fingerprint,
    check_ids,
)
from urbancross_mm.inference.stores.postgres_schema import (
    PostgresDialect,
    add_names,
    has_index,
    has_meta,
    index_attributes,
    make_tables,
    read_meta,
    row_of,
    set_width,
)
from urbancross_mm.inference.stores.postgres_server import (
    PostgresServer,
    import_pgvector,
    psycopg,
    split_location,
)
from urbancross_mm.inference.stores.sql import COLUMNS, compile_filter
from urbancross_mm.inference.stores.sql_store import Condition, Positions, Row, SqlStore, in_order
from urbancross_mm.structures.filters import Filter

PAGE = 1000
# Widest vectors that pgvector indexes in half precision, and builds of the index in memory.
WIDEST, MOST_BUILD_MEMORY = 4000, 2 << 30
# With pgvector's own 16 and 64, recall at a million rows was 0.85 instead of 1.00.
GRAPH = 'WITH (m = 24, ef_construction = 128)'
COPIED = ('text', 'vector', 'float8', 'float8', 'text', 'text', 'text[]', 'jsonb')


class PostgresStore(SqlStore):
    """A table of a PostgreSQL server with the extension pgvector.

    The SQL is plain: columns with B-trees for place, country and date, JSONB for the rest. Vectors
    are stored in single precision and indexed in half precision; scores are those of the former.
    Several processes may write at once.

    Args:
        location (str): ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?table=NAME``; the table is
            ``urbancross_images`` unless named.
        fingerprint (str | None): What the store must carry, or will carry if it is new. Defaults
            to None: anything.
        create (bool): Whether to make the table if it is missing. Defaults to False.
        read_only (bool): Whether writing is refused. Defaults to False.

    Raises:
        ConnectionError: If the server cannot be reached, or refuses the password.
        ValueError: If the location is no such URL, there is no such store, it is of another
            version or fingerprint, its name is in use, a right is missing, or the server lacks
            pgvector.
    """

    orders_ties = True
    # Walking the graph for the few that pass takes longer than comparing them, and loses hits.
    few_rows = 30_000

    def __init__(
        self,
        location: str,
        fingerprint: str | None = None,
        create: bool = False,
        read_only: bool = False,
    ) -> None:
        params, table = split_location(location)
        self._server, self._read_only = PostgresServer(params, read_only), read_only
        self._store, self._table = table, f'"{table}"'
        self.name = f'the table {table} of PostgreSQL at {self._server.name}'
        self._indexed = False
        if create and not read_only:
            self._create(fingerprint or '')
        with self._server.connection() as connection:
            self._meta = read_meta(connection, table, self.name)
        if fingerprint is not None:
            check_fingerprint(self.fingerprint, fingerprint, self.name)

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """str: Names the weights and the pipeline that made the vectors."""
        return self._meta.fingerprint

    @property
    def width(self) -> int:  # type: ignore[override]
        """int: D of the vectors; 0 before the first item."""
        return self._meta.width

    def add(self, items: Sequence[StoreItem]) -> None:
        """Add items in one transaction; see :meth:`BaseStore.add`."""
        if not items:
            return
        ids = [item.id for item in items]
        check_ids(ids)
        check_attributes(items)
        embeds = check_embeds(items, self._refreshed_width())
        rows = [row_of(item) for item in items]
        with self._writing(items) as connection:
            if not self.width:
                width = set_width(connection, self._store, embeds.shape[1])
                check_embeds(items, width)
            try:
                self._copy(connection, ids, embeds, rows)
            except psycopg('psycopg.errors').UniqueViolation:
                check_ids(ids, self._known(ids))
                raise
        self._meta = self._meta._replace(width=embeds.shape[1])

    def update(self, items: Sequence[StoreItem]) -> None:
        """Replace items in one transaction; see :meth:`BaseStore.update`."""
        if not items:
            return
        ids = [item.id for item in items]
        check_ids(ids)
        check_attributes(items)
        if not self._refreshed_width():
            raise KeyError(f'the store has no item {ids[0]!r}')
        moved = [item for item in items if item.embed is not None]
        embeds = iter(check_embeds(moved, self.width) if moved else ())
        vector = import_pgvector().Vector
        names = ', '.join(f'{name} = %s' for name in (*COLUMNS, 'attributes'))
        with self._writing(items) as connection:
            for item in items:
                sets, values = names, list(row_of(item))
                if item.embed is not None:
                    sets, values = f'{names}, embed = %s', [*values, vector(next(embeds))]
                done = connection.execute(
                    f'UPDATE {self._table} SET {sets} WHERE id = %s', [*values, item.id]
                )
                if not done.rowcount:
                    raise KeyError(f'the store has no item {item.id!r}')

    def delete(self, ids: Sequence[str]) -> int:
        """Delete items; see :meth:`BaseStore.delete`."""
        if not self._refreshed_width():
            return 0
        with self._writing() as connection:
            statement = f'DELETE FROM {self._table} WHERE id = ANY(%s)'
            return int(connection.execute(statement, [list(ids)]).rowcount)

    def get(self, ids: Sequence[str]) -> list[StoreItem]:
        """Items by id; see :meth:`BaseStore.get`."""
        found = {}
        if self._refreshed_width():
            among = self._among(list(dict.fromkeys(ids)))
            found = {item.id: item for item in self._read_items(among, len(ids), embeds=True)}
        return in_order(ids, found)

    def items(self, where: Filter | None = None, embeds: bool = False) -> Iterator[StoreItem]:
        """All items by ascending id; see :meth:`BaseStore.items`."""
        if not self._refreshed_width():
            return
        condition, last = self._condition(where), ''
        while True:
            values = {**condition.values, 'last': last}
            after = Condition(f'{condition.sql} AND id > %(last)s', condition.places, values)
            page = self._read_items(after, PAGE, embeds)
            places = [[item.attributes.get(name) for item in page] for name in ('lon', 'lat')]
            within = condition.within(*places)
            yield from (item for item, passes in zip(page, within) if passes)
            if len(page) < PAGE:
                return
            last = page[-1].id

    def compact(self) -> None:
        """Reclaim space, and build the approximate index if there are many rows."""
        if self._read_only:
            raise ValueError('the store was opened for reading only')
        if not self._refreshed_width():
            return
        rows = self._count(Condition('TRUE'), None)
        if rows > self.few_rows:
            memory = min(rows * (2 * self.width + 1000), MOST_BUILD_MEMORY) >> 10
            with self._writing() as connection:
                connection.execute(f"SET LOCAL maintenance_work_mem = '{max(memory, 65536)}kB'")
                index_attributes(connection, self._store)
                if self.width <= WIDEST and not has_index(connection, self._store):
                    connection.execute(
                        f'CREATE INDEX "{self._store}:embed" ON {self._table} '
                        f'USING hnsw ((embed::halfvec({self.width})) halfvec_ip_ops) {GRAPH}'
                    )
        with self._server.connection() as connection:
            connection.execute(f'VACUUM (ANALYZE) {self._table}')

    def version(self) -> int:
        """Rows written so far, as the server counts them; see :meth:`BaseStore.version`."""
        counted = 'n_tup_ins + n_tup_upd + n_tup_del'
        rows = self._fetch(
            f'SELECT {counted} FROM pg_stat_all_tables WHERE relid = %(table)s::regclass',
            {'table': self._table},
        )
        return int(rows[0][0]) if rows else 0

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    @contextlib.contextmanager
    def _writing(self, items: Sequence[StoreItem] = ()) -> Iterator[Any]:
        """A transaction that also notes the attributes of some items."""
        if self._read_only:
            raise ValueError('the store was opened for reading only')
        with self._server.transaction() as connection:
            # Nobody can drop what a transaction has read.
            self._refresh(connection)
            names = {name for item in items for name in item.attributes}
            if not names <= self._meta.names:
                add_names(connection, self._store, names)
            yield connection
        self._meta = self._meta._replace(names=self._meta.names | names)

    def _create(self, fingerprint: str) -> None:
        """Make the store, unless it is there or somebody else just makes it."""
        errors = psycopg('psycopg.errors')
        in_use = (errors.DuplicateTable, errors.DuplicateObject, errors.UniqueViolation)
        with self._server.connection() as connection:
            if has_meta(connection, self._store):
                return
            try:
                with connection.transaction():
                    make_tables(connection, self._store, fingerprint)
            except in_use as error:
                if not has_meta(connection, self._store):
                    raise ValueError(
                        f'cannot make {self.name}: {error.diag.message_primary}, and is no store; '
                        'name another by ?table=NAME'
                    ) from error

    def _copy(
        self, connection: Any, ids: list[str], embeds: np.ndarray, rows: list[list[Any]]
    ) -> None:
        vector = import_pgvector().Vector
        names = ', '.join(('id', 'embed', *COLUMNS, 'attributes'))
        statement = f'COPY {self._table} ({names}) FROM STDIN (FORMAT BINARY)'
        with connection.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(COPIED)
            for item_id, embed, row in zip(ids, embeds, rows):
                copy.write_row((item_id, vector(embed), *row))

    def _known(self, ids: list[str]) -> list[str]:
        """Those of some ids that are in the store."""
        found = self._fetch(f'SELECT id FROM {self._table} WHERE id = ANY(%(ids)s)', {'ids': ids})
        return [row[0] for row in found]

    def _read_items(self, condition: Condition, limit: int, embeds: bool) -> list[StoreItem]:
        vector = 'embed' if embeds else 'NULL'
        rows = self._fetch(
            f'SELECT id, {vector}, attributes FROM {self._table} WHERE {condition.sql} '
            f'ORDER BY id LIMIT {limit}',
            condition.values,
        )
        return [
            StoreItem(item_id, embed and embed.to_numpy(), attributes)
            for item_id, embed, attributes in rows
        ]

    def _fetch(self, statement: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._server.connection() as connection:
            return list(connection.execute(statement, values).fetchall())

    def _refresh(self, connection: Any) -> None:
        meta = read_meta(connection, self._store, self.name)
        check_fingerprint(meta.fingerprint, self.fingerprint, self.name)
        self._meta = meta

    def _refreshed_width(self) -> int:
        with self._server.connection() as connection:
            self._refresh(connection)
        return self.width

    def _condition(self, where: Filter | None) -> Condition:
        if where is not None:
            where.check_names(self._meta.names)
        dialect = PostgresDialect()
        sql, places = compile_filter(where, dialect)
        return Condition(sql, places, dialect.values)

    def _among(self, ids: list[str]) -> Condition:
        return Condition('id = ANY(%(ids)s)', values={'ids': ids})

    def _has_index(self) -> bool:
        if not self._indexed:
            with self._server.connection() as connection:
                self._indexed = has_index(connection, self._store)
        return self._indexed

    def _count(self, condition: Condition, most: int | None) -> int:
        rows = f'SELECT 1 FROM {self._table} WHERE {condition.sql}'
        if most is not None:
            rows += f' LIMIT {most}'
        return int(self._fetch(f'SELECT count(*) FROM ({rows}) AS r', condition.values)[0][0])

    def _positions(self, condition: Condition) -> Positions:
        rows = self._fetch(
            f'SELECT id, lon, lat FROM {self._table} WHERE {condition.sql}', condition.values
        )
        ids, lons, lats = zip(*rows) if rows else ((), (), ())
        return Positions(np.array(ids, object), np.array(lons, float), np.array(lats, float))

    def _nearest(
        self, vector: np.ndarray, condition: Condition, limit: int, passing: int | None
    ) -> list[Row]:
        # The index is on another type, so only the first of these can use it.
        half = f'halfvec({self.width})'
        order = 'distance, id' if passing is None else f'embed::{half} <#> %(q)s::vector::{half}'
        rows = self._fetch(
            f'SELECT id, -distance, lon, lat, attributes::text FROM ('
            f'SELECT id, embed <#> %(q)s AS distance, lon, lat, attributes FROM {self._table} '
            f'WHERE {condition.sql} ORDER BY {order} LIMIT {limit}) AS best',
            {**condition.values, 'q': import_pgvector().Vector(vector)},
        )
        return [Row(*row) for row in rows]
