"""Tables, columns and SQL of a store in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from urbancross_mm.inference.stores.base_store import StoreItem
from urbancross_mm.inference.stores.postgres_server import psycopg
from urbancross_mm.inference.stores.sql import COLUMNS, Dialect, Kind, attributes_text, typed_values

VERSION = 1
TYPES: dict[Kind, str] = dict(
    number='double precision', text='text COLLATE "C"', words='text[]', flag='boolean'
)


class PostgresDialect(Dialect):
    """SQL with named placeholders.

    Attributes:
        values (dict): What stands for the placeholders.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def column(self, name: str, kind: Kind) -> str:
        """A column, or the value in the JSON if it is of that kind."""
        if COLUMNS.get(name) == kind:
            return name
        key = f'attributes->{self.literal(name)}::text'
        if kind == 'words':
            return key
        is_kind = {'text': 'string', 'number': 'number', 'flag': 'boolean'}[kind]
        text = f'attributes->>{self.literal(name)}::text'
        return f"(CASE jsonb_typeof({key}) WHEN '{is_kind}' THEN ({text})::{TYPES[kind]} END)"

    def literal(self, value: str | float | bool) -> str:
        """A placeholder."""
        name = f'v{len(self.values)}'
        self.values[name] = value
        return f'%({name})s'

    def has(self, column: str, values: Sequence[str], every: bool) -> str:
        """Operators of arrays and JSON."""
        words = self.literal(list(values))  # type: ignore[arg-type]
        if column in COLUMNS:
            return f'{column} {"@>" if every else "&&"} {words}::text[]'
        is_list = f"jsonb_typeof({column}) = 'array'"
        return f'({is_list} AND {column} {"?&" if every else "?|"} {words}::text[])'

    def guard(self, name: str, kind: Kind, sql: str) -> str:
        """Items whose value has its common kind need no look into the JSON."""
        if COLUMNS.get(name, kind) == kind:
            return sql
        return f'({name} IS NULL AND {sql})'


def make_tables(connection: Any, table: str, fingerprint: str) -> None:
    """Make the table that describes a store; that of the items follows with the first of them.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        fingerprint (str): What the store will carry.
    """
    connection.execute(
        f'CREATE TABLE "{table}_meta" '
        '(version integer, fingerprint text, width integer, names text[])'
    )
    connection.execute(
        f'INSERT INTO "{table}_meta" VALUES (%s, %s, 0, ARRAY[]::text[])', [VERSION, fingerprint]
    )


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
    if not exists(connection, f'{table}_meta'):
        raise ValueError(f'there is no store in {name}')
    try:
        row = connection.execute(
            f'SELECT version, fingerprint, width, names FROM "{table}_meta"'
        ).fetchone()
    except psycopg().ProgrammingError:
        row = None
    if row is None:
        raise ValueError(f'{name} is damaged, or is no store: see {table}_meta')
    if row[0] != VERSION:
        raise ValueError(
            f'{name} is of schema version {row[0]}, this version reads {VERSION}: build it again'
        )
    return Meta(row[1], row[2], frozenset(row[3]))


def add_names(connection: Any, table: str, names: Collection[str]) -> None:
    """Note attributes that are new.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        names (Collection[str]): The attributes.
    """
    connection.execute(
        f'UPDATE "{table}_meta" SET names = '
        'ARRAY(SELECT DISTINCT n FROM unnest(names || %s::text[]) AS n)',
        [sorted(names)],
    )


def exists(connection: Any, table: str) -> bool:
    """Whether a table is there."""
    found = connection.execute('SELECT to_regclass(%s)', [f'"{table}"']).fetchone()
    return found[0] is not None


def make_items(connection: Any, table: str, width: int) -> None:
    """Make the table of the items.

    Args:
        connection (Any): In a transaction.
        table (str): Name of the store.
        width (int): D.
    """
    columns = ', '.join(f'{name} {TYPES[kind]}' for name, kind in COLUMNS.items())
    connection.execute(
        f'CREATE TABLE "{table}" (id text COLLATE "C" PRIMARY KEY, embed vector({width}) '
        f'NOT NULL, {columns}, attributes jsonb NOT NULL)'
    )
    for name, kind in COLUMNS.items():
        method = 'gin' if kind == 'words' else 'btree'
        connection.execute(f'CREATE INDEX "{table}_{name}" ON "{table}" USING {method} ({name})')
    connection.execute(f'UPDATE "{table}_meta" SET width = %s', [width])


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
