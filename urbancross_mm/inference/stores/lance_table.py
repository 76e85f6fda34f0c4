"""One table of LanceDB: opening and locking it, and its errors in a sentence."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pyarrow as pa

from urbancross_mm.utils.files import file_lock
from urbancross_mm.utils.optional import import_optional

SUFFIX = '.lance'
_NAME = re.compile(r'[\w.-]+\.lance', re.ASCII)
_NOW = timedelta(0)


def lancedb(module: str = 'lancedb') -> Any:
    """Import LanceDB, or one of its modules."""
    return import_optional(module, 'A store in LanceDB', 'urbancross-mm[lance]')


class LanceTable:
    """A table by the place where it lies.

    Args:
        location (str): A folder ``NAME.lance``, or the URI of one.

    Raises:
        ValueError: If it is named otherwise.

    Attributes:
        name (str): The store, for messages.
    """

    def __init__(self, location: str) -> None:
        self.name = f'the store {location!r}'
        parent, _, self._file_name = location.rstrip('/').rpartition('/')
        if not _NAME.fullmatch(self._file_name):
            raise ValueError(
                'a store in LanceDB is named NAME.lance, the name of letters, digits, -, _ and ., '
                f'got {location!r}'
            )
        self._table_name = self._file_name.removesuffix(SUFFIX)
        self._remote = '://' in parent
        self._folder = parent or ('/' if location.startswith('/') else '.')
        self._process, self._mutex = os.getpid(), threading.RLock()
        self._lock: contextlib.ExitStack | None = None
        self._handle: Any = None

    @property
    def path(self) -> str:
        """str: The folder or URI."""
        return os.path.join(self._folder, self._file_name)

    @functools.cached_property
    def _database(self) -> Any:
        """The folder of the table, which connecting makes."""
        # Zero: every call sees what was written before it.
        return lancedb().connect(self._folder, read_consistency_interval=_NOW)

    @property
    def handle(self) -> Any:
        """The table of LanceDB, always at its newest version.

        Raises:
            RuntimeError: In a process that was forked from the one that opened it.
        """
        if os.getpid() != self._process:
            raise RuntimeError(
                'a store in LanceDB does not survive a fork: open it in the new process, '
                'or start workers by spawn'
            )
        if self._handle is None:
            self._handle = self.open()
        return self._handle

    def open(self) -> Any:
        """Another handle.

        Raises:
            ValueError: If there is no table, or it is damaged.
            ConnectionError: If the object store cannot be reached.
        """
        if not self._remote and not os.path.isdir(os.path.join(self.path, '_versions')):
            raise ValueError(f'there is no store at {self.path!r}')
        try:
            return self._database.open_table(self._table_name)
        except Exception as error:  # of many kinds, by object store and by what is damaged
            raise self._explained(error) from error

    def exists(self) -> bool:
        """Whether there is such a table, damaged or not."""
        if not self._remote:
            return os.path.isdir(os.path.join(self.path, '_versions'))
        try:
            self.open()
        except ValueError:
            return False
        return True

    def create(self, schema: pa.Schema) -> None:
        """Make an empty table, unless another process just has.

        Raises:
            ValueError: If a file is in the way.
            ConnectionError: If the object store cannot be reached.
            OSError: If it cannot be written.
        """
        if os.path.isfile(self.path):
            raise ValueError(f'cannot make a store at {self.path!r}: it is a file')
        try:
            self._database.create_table(self._table_name, schema=schema, exist_ok=True)
        except (RuntimeError, OSError) as error:
            if self._remote:
                raise self._explained(error) from error
            raise OSError(f'cannot make a store at {self.path!r}: {_first(error)}') from error

    def replace(self, rows: pa.Table) -> None:
        """Replace schema and content in one commit."""
        self._database.create_table(self._table_name, rows, mode='overwrite')

    @contextlib.contextmanager
    def writing(self) -> Iterator[Any]:
        """The handle, with nobody else writing until :meth:`close`.

        Raises:
            ValueError: If another process writes.
            OSError: If a write fails.
        """
        with self._mutex:
            handle = self.handle
            if self._lock is None:
                self._lock = self._locked()
            try:
                yield handle
            except ConnectionError:
                raise
            except (RuntimeError, OSError) as error:
                raise OSError(
                    f'cannot write to {self.name}, nothing of this call was kept: {_first(error)}'
                ) from error

    def read(self, sql: str, columns: list[str], handle: Any = None) -> pa.Table:
        """Columns of the rows that pass."""
        with self.reading() as newest:
            query = (handle or newest).search().where(sql).select(columns)
            return query.with_row_id('_rowid' in columns).to_arrow()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Any]:
        """The handle, for questions to it.

        Raises:
            ValueError: If the table is damaged or gone.
            ConnectionError: If the object store cannot be reached.
        """
        handle = self.handle
        try:
            yield handle
        except (RuntimeError, OSError) as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Let others write."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _locked(self) -> contextlib.ExitStack:
        lock = contextlib.ExitStack()
        if not self._remote:
            try:
                lock.enter_context(file_lock(self.path))
            except ValueError as error:
                raise ValueError(
                    f'another process is writing to {self.name}: wait for it'
                ) from error
        return lock

    def _explained(self, error: Exception) -> Exception:
        reason = _first(error)
        if not self._remote and not self.exists():
            return ValueError(f'there is no store at {self.path!r} any more')
        if not self._remote:
            return ValueError(f'{self.name} is damaged, or is no table of LanceDB: {reason}')
        if 'not found' in reason:
            return ValueError(f'there is no store at {self.path!r}: {reason}')
        return ConnectionError(f'cannot reach {self.name}: {reason}')


def _first(error: Exception) -> str:
    """The first line of a message that goes on about the code of LanceDB."""
    return str(error).partition('\n')[0][:300]
