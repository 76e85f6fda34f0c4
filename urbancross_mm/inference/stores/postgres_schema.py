"""Tables, columns and SQL of a store in PostgreSQL."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.postgres_server import META, psycopg
from urbancross_mm.inference.stores.sql import (
    COLUMNS,
    Dialect,
    Kind,
    Test,
    Value,
    all_of,
    attributes_text,
    typed_values,
)

VERSION = 1
TYPES: dict[Kind, str] = dict(number='double precision', text='text COLLATE "C"', words='text[]')
SHORT = 400  # characters; numbers have up to 340
MOST_INDEXES = 16
# Of a row; larger values are stored elsewhere, which makes comparing them five times as slow.
MOST_INLINE = 8160
JSON_KINDS: dict[Kind, str] = dict(number='number', text='string', flag='boolean')


class PostgresDialect(Dialect):
    """SQL with named placeholders.

    Attributes:
        values (dict): What stands for the placeholders.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def column(self, name: str, kind: Kind) -> str:
        """A column, or else the value in the JSON, of whatever kind it is."""
        if COLUMNS.get(name) == kind:
            return name
        return f'(attributes->{self.literal(name)}::text)'

    def literal(self, value: Value) -> str:
        """A placeholder."""
        return self._placeholder(value)

    def test(self, name: str, kind: Kind, tests: Sequence[Test]) -> str:
        """Tests of a column or of the JSON."""
        if COLUMNS.get(name) == kind:
            return super().test(name, kind, tests)
        key = self.column(name, kind)
        sql = all_of(self._json_test(key, kind, *test) for test in tests)
        # Items whose value has its common kind need no look into the JSON.
        return f'({name} IS NULL AND {sql})' if name in COLUMNS else sql

    def _json_test(self, key: str, kind: Kind, operator: str, values: Sequence[Value]) -> str:
        """A test of a value in the JSON.

        JSON values are ordered by kind, then by value: text, numbers, booleans. Comparing them as
        they are is faster than as SQL values, and the indexes of :func:`index_attributes` help.
        """
        of_kind = f"jsonb_typeof{key} = '{JSON_KINDS[kind]}'"
        if not values:
            return of_kind
        right = ', '.join(map(self._json, values))
        if operator in ('=', 'IN') and all(map(is_short, values)):
            return f'({key} IN ({right}) AND {short(key)})'
        if operator in ('=', 'IN'):
            return f'{key} IN ({right})'
        if operator == '<>':
            return f'({of_kind} AND {key} <> {right})'
        if kind == 'number':
            return f'({key} {operator} {right} AND {of_kind} AND {short(key)})'
        # JSON compares text by the rules of a language.
        text = f'({key} #>> \'{{}}\') COLLATE "C"'
        return f'({of_kind} AND {text} {operator} {self.right(operator, values)})'

    def _json(self, value: Value) -> str:
        return self._placeholder(psycopg('psycopg.types.json').Jsonb(value))

    def _placeholder(self, value: Any) -> str:
        name = f'v{len(self.values)}'
        self.values[name] = value
        return f'%({name})s'

    def has(self, column: str, values: Sequence[str], every: bool) -> str:
        """Operators of arrays and JSON."""
        words = self._placeholder(list(values))
        if column in COLUMNS:
            return f'{column} {"@>" if every else "&&"} {words}::text[]'
        is_list = f"jsonb_typeof({column}) = 'array'"
        return f'({is_list} AND {column} {"?&" if every else "?|"} {words}::text[])'


def short(key: str) -> str:
    """Whether a value in the JSON is short enough for an index; all numbers are."""
    return f'length({key}::text) <= {SHORT}'


def is_short(value: Value) -> bool:
    """Whether :func:`short` holds for sure for what equals a value, in any encoding."""
    return not isinstance(value, str) or len(json.dumps(value)) <= SHORT


def make_tables(connection: Any, table: str, fingerprint: str) -> None:
    """Make the tables and indexes of a store.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        fingerprint (str): What the store will carry.
    """
    connection.execute(
        f'CREATE TABLE "{table}{META}" '
        '(version integer, fingerprint text, width integer, names text[])'
    )
    connection.execute(
        f'INSERT INTO "{table}{META}" VALUES (%s, %s, 0, ARRAY[]::text[])', [VERSION, fingerprint]
    )
    columns = ', '.join(f'{name} {TYPES[kind]}' for name, kind in COLUMNS.items())
    connection.execute(
        f'CREATE TABLE "{table}" (id text COLLATE "C" CONSTRAINT "{table}:id" PRIMARY KEY, '
        f'embed vector NOT NULL, {columns}, attributes jsonb NOT NULL)'
    )
    for name, kind in COLUMNS.items():
        method = 'gin' if kind == 'words' else 'btree'
        # No name of a store holds a colon.
        connection.execute(f'CREATE INDEX "{table}:{name}" ON "{table}" USING {method} ({name})')


class Meta(NamedTuple):
    """What describes a store: ``names`` are the attributes that an item has had."""

    fingerprint: str
    width: int
    names: frozenset[str]


def read_meta(connection: Any, table: str, name: str) -> Meta:
    """Read what describes a store.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        name (str): The store in messages.

    Returns:
        Meta: All of it.

    Raises:
        ValueError: If there is no such store, or it is of another version.
    """
    errors = psycopg('psycopg.errors')
    try:
        row = connection.execute(
            f'SELECT version, fingerprint, width, names FROM "{table}{META}"'
        ).fetchone()
    except errors.UndefinedTable:
        raise ValueError(f'there is no store in {name}') from None
    except errors.UndefinedColumn:
        row = None
    if row is None:
        raise ValueError(f'{name} is damaged, or is no store: see {table}{META}')
    if row[0] != VERSION:
        raise ValueError(
            f'{name} is of schema version {row[0]}, this version reads {VERSION}: build it again'
        )
    return Meta(row[1], row[2], frozenset(row[3]))


def has_meta(connection: Any, table: str) -> bool:
    """Whether something describes a store of this name.

    Args:
        connection (Any): To its database.
        table (str): Name of the store.

    Returns:
        bool: True if so.
    """
    found = connection.execute('SELECT to_regclass(%s)', [f'"{table}{META}"']).fetchone()
    return found[0] is not None


def add_names(connection: Any, table: str, names: Collection[str]) -> None:
    """Note attributes that are new.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        names (Collection[str]): The attributes.
    """
    connection.execute(
        f'UPDATE "{table}{META}" SET names = '
        'ARRAY(SELECT DISTINCT n FROM unnest(names || %s::text[]) AS n)',
        [sorted(names)],
    )


def set_width(connection: Any, table: str, width: int) -> int:
    """Fix the width of the vectors, unless another process just has.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        width (int): D.

    Returns:
        int: What it is from now on.
    """
    locked = connection.execute(f'SELECT width FROM "{table}{META}" FOR UPDATE').fetchone()
    if locked and locked[0]:
        return int(locked[0])
    connection.execute(f'ALTER TABLE "{table}" ALTER embed TYPE vector({width})')
    if 4 * width < MOST_INLINE - 1000:
        # A database that does not know these settings needs none of them.
        refused = psycopg('psycopg.errors')
        unknown = (refused.FeatureNotSupported, refused.InvalidParameterValue)
        with contextlib.suppress(*unknown), connection.transaction():
            connection.execute(f'ALTER TABLE "{table}" ALTER embed SET STORAGE PLAIN')
            connection.execute(f'ALTER TABLE "{table}" SET (toast_tuple_target = {MOST_INLINE})')
    connection.execute(f'UPDATE "{table}{META}" SET width = %s', [width])
    return width


def has_index(connection: Any, table: str) -> bool:
    """Whether there is an approximate index on the vectors of a store.

    Args:
        connection (Any): To its database.
        table (str): Name of the store.

    Returns:
        bool: True if it can be used.
    """
    found = connection.execute(
        'SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid '
        'JOIN pg_am ON pg_am.oid = relam '
        "WHERE indrelid = to_regclass(%s) AND indisvalid AND amname = 'hnsw'",
        [f'"{table}"'],
    ).fetchone()
    return found is not None


def index_attributes(connection: Any, table: str) -> None:
    """Index the attributes that many items have and that a filter may compare.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
    """
    names = connection.execute(
        "SELECT key, bool_or(jsonb_typeof(value) = 'number') "
        f'FROM (SELECT attributes FROM "{table}" LIMIT 1000) AS sample, jsonb_each(attributes) '
        "WHERE jsonb_typeof(value) IN ('number', 'string', 'boolean') AND key <> ALL(%s) "
        'GROUP BY key ORDER BY count(*) DESC, key LIMIT %s',
        [[*COLUMNS, 'img_path'], MOST_INDEXES],
    ).fetchall()
    for name, has_numbers in names:
        literal = psycopg('psycopg.sql').Literal(name).as_string(connection)
        key = f'(attributes->{literal}::text)'
        index = f'{table}:{hashlib.sha256(name.encode()).hexdigest()[:8]}'
        make = 'CREATE INDEX IF NOT EXISTS'
        connection.execute(f'{make} "{index}" ON "{table}" ({key}) WHERE {short(key)}')
        if has_numbers:
            # A range of numbers is one of texts, too: this finds fast that there are no texts.
            texts = f"jsonb_typeof{key} = 'string'"
            connection.execute(f'{make} "{index}t" ON "{table}" (lon) WHERE {texts}')


def row_of(item: StoreItem) -> list[Any]:
    """Values of the columns of an item, without its vector.

    Args:
        item (StoreItem): The item.

    Returns:
        list: The columns of :data:`COLUMNS`, and the attributes.

    Raises:
        ValueError: If JSON cannot hold the attributes.
    """
    json = psycopg('psycopg.types.json').Jsonb(attributes_text(item.id, item.attributes), dumps=str)
    values = typed_values(item.attributes)
    return [*(values.get((name, kind)) for name, kind in COLUMNS.items()), json]
