"""Connections to a PostgreSQL server, and its errors in a sentence."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from urbancross_mm.utils.optional import import_optional

SCHEMES = ('postgresql://', 'postgres://')
DEFAULT_TABLE = 'urbancross_images'
META = '_meta'  # ends the name of the table that describes a store
SECONDS_TO_CONNECT = 10
SETTINGS = (
    # A scan of the index goes on until enough rows pass the filter.
    'hnsw.iterative_scan = relaxed_order',
    'hnsw.ef_search = 400',
    # Compiling a query takes longer than running it.
    'jit = off',
)
# Names of other tables and indexes begin with it, and PostgreSQL cuts names at 63 bytes.
_TABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,47}')


def psycopg(module: str = 'psycopg') -> Any:
    """Import psycopg, or one of its modules."""
    return import_optional(module, 'A store in PostgreSQL', 'urbancross-mm[postgres]')


def split_location(location: str) -> tuple[dict[str, Any], str]:
    """What to connect to, and the name of the table.

    Args:
        location (str): ``postgresql://USER:PASSWORD@HOST:PORT/DATABASE?table=NAME``.

    Returns:
        tuple[dict, str]: Settings of a connection and the table.

    Raises:
        ValueError: If it is no such URL. The message holds no password.
    """
    try:
        parts = urlsplit(location)
        settings = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        tables = [value for name, value in settings if name == 'table'] or [DEFAULT_TABLE]
        others = [(name, value) for name, value in settings if name != 'table']
        url = urlunsplit(parts._replace(query=urlencode(others)))
        params = psycopg('psycopg.conninfo').conninfo_to_dict(url)
    except (ValueError, psycopg().Error):
        raise ValueError(_NO_URL) from None  # the cause may repeat the password
    ports = str(params.get('port', '')).replace(',', '')
    if '@' in str(params.get('host', '')) or not (ports.isdecimal() or not ports):
        raise ValueError(_NO_URL)
    if len(tables) > 1 or not _TABLE.fullmatch(tables[0]) or tables[0].endswith(META):
        raise ValueError(
            f'a table is named by up to 48 letters, digits and _, not {META} at the end, '
            f'got {", ".join(tables)!r}'
        )
    return params, tables[0]


def import_pgvector(module: str = 'pgvector') -> Any:
    """Import pgvector, or one of its modules."""
    return import_optional(module, 'A store in PostgreSQL', 'urbancross-mm[postgres]')


_NO_URL = (
    'a store in PostgreSQL is postgresql://USER:PASSWORD@HOST:PORT/DATABASE?table=NAME, with %40 '
    'for @ and so on in user and password; the location given is no such URL'
)


class PostgresServer:
    """Connections to one database, each used by one thread at a time.

    Args:
        params (dict): Settings of a connection.
        read_only (bool): Whether the server must refuse to write.

    Attributes:
        name (str): Host, port and database, for messages.
    """

    def __init__(self, params: dict[str, Any], read_only: bool) -> None:
        self._params = {'connect_timeout': SECONDS_TO_CONNECT, **params}
        self._read_only = read_only
        self._idle: list[Any] = []
        self._process = os.getpid()
        host, port = params.get('host') or 'localhost', params.get('port') or 5432
        self.name = f'{host}:{port}/{params.get("dbname", "")}'

    @contextmanager
    def connection(self) -> Iterator[Any]:
        """A connection that commits every statement.

        Raises:
            ConnectionError: If the server is not there, or fails.
            ValueError: If it cannot hold a value, or refuses a statement: a table is gone, or a
                right is missing.
        """
        if os.getpid() != self._process:
            raise RuntimeError('a store does not survive a fork: open it in the new process')
        connection = self._take()
        try:
            yield connection
        except psycopg().Error as error:
            raise self._explained(error) from error
        finally:
            if not connection.closed:
                self._idle.append(connection)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A connection in a transaction: committed at the end, rolled back by an exception."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            connection = self._idle.pop()
            if os.getpid() == self._process:
                connection.close()

    def _take(self) -> Any:
        while self._idle:
            connection = self._idle.pop()
            if _answers(connection):
                return connection
            connection.close()
        try:
            # A plan for any values would not know how many rows a filter leaves.
            connection = psycopg().connect(**self._params, autocommit=True, prepare_threshold=None)
        except psycopg().Error as error:
            reason = self._reason(error)
            raise ConnectionError(
                f'cannot connect to PostgreSQL at {self.name}: {reason}'
            ) from None
        try:
            self._prepare(connection)
        except psycopg().Error as error:
            connection.close()
            raise self._explained(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Any) -> None:
        if not connection.execute("SELECT 1 FROM pg_type WHERE typname = 'vector'").fetchone():
            self._add_vectors(connection)
        import_pgvector('pgvector.psycopg').register_vector(connection)
        for setting in SETTINGS:
            connection.execute(f'SET {setting}')
        connection.read_only = self._read_only

    def _add_vectors(self, connection: Any) -> None:
        reason, errors = 'opened for reading only', psycopg('psycopg.errors')
        if not self._read_only:
            try:
                # Another process may be doing the same.
                with suppress(errors.UniqueViolation, errors.DuplicateObject):
                    connection.execute('CREATE EXTENSION IF NOT EXISTS vector')
                return
            except psycopg().Error as error:
                reason = self._reason(error)
        raise ValueError(
            f'PostgreSQL at {self.name} lacks the extension pgvector '
            f'({reason}): install it and run CREATE EXTENSION vector'
        )

    def _explained(self, error: Any) -> Exception:
        reason, kinds = self._reason(error), psycopg()
        if isinstance(error, (kinds.OperationalError, kinds.InterfaceError)):
            return ConnectionError(f'PostgreSQL at {self.name}: {reason}')
        if isinstance(error, kinds.DataError):
            return ValueError(f'PostgreSQL cannot hold a value: {reason}')
        return ValueError(f'PostgreSQL at {self.name} refuses: {reason}')

    def _reason(self, error: Any) -> str:
        """What the server says, or the last line of a message that is no hint; no password."""
        lines = [line for line in str(error).splitlines() if line and not line[0].isspace()]
        password = self._params.get('password')
        text = error.diag.message_primary or (lines[-1] if lines else type(error).__name__)
        text = ' '.join(text.rpartition('failed: ')[2].split())
        return text.replace(password, '***') if password else text


def _answers(connection: Any) -> bool:
    """Whether a connection that was idle still works; the server may have been restarted."""
    try:
        connection.execute('SELECT 1')
    except psycopg().Error:
        return False
    return True
