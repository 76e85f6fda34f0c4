"""A summary of an index that follows the index."""

from __future__ import annotations

import contextlib
import threading
import time

from urbancross_mm.inference.stores import BaseStore
from urbancross_mm.serving.overview import Overview

REST = 20  # times as long as reading takes: nothing is read meanwhile
LEAST_REST = 2.0  # seconds


class LiveOverview:
    """The overview of a store. Where the store changes, it is made again beside the requests.

    Reading an index takes seconds. So at most a twentieth of the time goes into it, however often
    the index changes, and nobody waits for it but the first.

    Args:
        store (BaseStore): The store.
    """

    def __init__(self, store: BaseStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._version = -1  # of the store when the last reading began
        self._next = 0.0  # when it may be read again
        self._overview: Overview | None = None
        self._reader: threading.Thread | None = None

    def get(self) -> Overview:
        """The newest overview there is; also starts the next one if the store has changed.

        Returns:
            Overview: Of now, or of a little while ago.

        Raises:
            ValueError: If the store is damaged.
            ConnectionError: If it cannot be reached.
        """
        version = self._store.version()
        with self._lock:
            if self._overview is None:
                self._read(version)
            elif version != self._version and self._may_read():
                self._reader = threading.Thread(target=self._read_again, args=[version])
                self._reader.daemon = True  # a server that ends does not wait for it
                self._reader.start()
            assert self._overview is not None
            return self._overview

    def _may_read(self) -> bool:
        reads = self._reader is not None and self._reader.is_alive()
        return not reads and time.monotonic() >= self._next

    def _read_again(self, version: int) -> None:
        # What fails is said by the request that meets it, too; the next one tries again.
        with contextlib.suppress(ValueError, ConnectionError):
            self._read(version)

    def _read(self, version: int) -> None:
        start = time.monotonic()
        try:
            self._overview = Overview.of(self._store)
            self._version = version
        finally:
            end = time.monotonic()
            self._next = end + max(LEAST_REST, REST * (end - start))
