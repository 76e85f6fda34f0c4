"""Work in threads: bounded, and stopped when the client has gone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from urbancross_mm.serving.limits import RefusedError

T = TypeVar('T')
LOOK_SECONDS = 0.1  # how often it is checked whether the client is still there


class StoppedError(Exception):
    """The client has gone, or the server ends; nobody reads the answer."""


class Stop:
    """Tells work in a thread that nobody waits for it any more, or that the server ends."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask the work to end."""
        self._event.set()

    def check(self) -> None:
        """End the work between two steps.

        Raises:
            StoppedError: If it was asked to end.
        """
        if self._event.is_set():
            raise StoppedError


class Client(Protocol):
    """As much of a request as the pool needs."""

    async def is_disconnected(self) -> bool:
        """Whether the client has gone."""


class WorkerPool:
    """Threads for work that would hold up the event loop.

    Args:
        threads (int): Pieces of work at once.
        waiting (int): Pieces that may wait; a further one is refused.
    """

    def __init__(self, threads: int, waiting: int) -> None:
        self._most = threads + waiting
        self._stops: set[Stop] = set()  # of what waits or is worked on
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(threads, 'serving')

    async def run(self, client: Client, work: Callable[[Stop], T]) -> T:
        """Do a piece of work in a thread, as long as the client waits for it.

        Args:
            client (Client): The request.
            work (Callable): Takes a :class:`Stop`, which it checks between its steps.

        Returns:
            T: What the work returns.

        Raises:
            RefusedError: If too much work waits already (503).
            StoppedError: If the client has gone, or the server ends.
        """
        stop = Stop()
        job = asyncio.wrap_future(self._submit(work, stop))
        try:
            while not (await asyncio.wait([job], timeout=LOOK_SECONDS))[0]:
                if await client.is_disconnected():
                    raise StoppedError
        except BaseException as error:
            stop.set()
            job.cancel()
            if isinstance(error, asyncio.CancelledError):  # the server ends: no fault for its log
                raise StoppedError from None
            raise
        return job.result()

    def close(self) -> None:
        """Ask running work to end at its next step, and drop what waits."""
        with self._lock:
            for stop in self._stops:
                stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _submit(self, work: Callable[[Stop], T], stop: Stop) -> Future[T]:
        with self._lock:
            if len(self._stops) >= self._most:
                raise RefusedError(503, f'{self._most} queries are waiting already: try again')
            self._stops.add(stop)
        try:
            job = self._threads.submit(work, stop)
        except RuntimeError:  # closed
            self._free(stop)
            raise RefusedError(503, 'the server ends') from None
        job.add_done_callback(lambda _: self._free(stop))
        return job

    def _free(self, stop: Stop) -> None:
        with self._lock:
            self._stops.discard(stop)
