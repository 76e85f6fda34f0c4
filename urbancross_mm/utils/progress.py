"""Progress bars, and work in threads under a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar('Item')
Result = TypeVar('Result')


def track(
    items: Iterable[Item], title: str, total: int | None = None, unit: str = 'image'
) -> Iterator[Item]:
    """Iterate under a progress bar on stderr; work of less than half a second draws none.

    Args:
        items (Iterable): What to go through.
        title (str): Stands before the bar.
        total (int | None): Number of items, where they have no length. Defaults to None.
        unit (str): What is counted. Defaults to 'image'.

    Returns:
        Iterator: The items.
    """
    from tqdm import tqdm

    # A log file gets a line every ten seconds, a terminal ten a second.
    pause = 0.1 if sys.stderr.isatty() else 10
    yield from tqdm(items, desc=title, total=total, unit=unit, delay=0.5, mininterval=pause)


def map_tracked(
    function: Callable[[Any], Result], items: Sequence[Any], title: str, workers: int = 1
) -> Iterator[Result]:
    """Apply a function to every item in threads, under a progress bar.

    Threads suffice for work that leaves Python: decoding images, hashing, OpenCV.

    Args:
        function (Callable): Of one item.
        items (Sequence): The items.
        title (str): Stands before the bar.
        workers (int): Number of threads; with 1, none is started. Defaults to 1.

    Returns:
        Iterator: The results in the order of the items. The first exception ends the work.

    Raises:
        ValueError: If ``workers`` is below 1.
    """
    if workers < 1:
        raise ValueError(f'workers must be at least 1, got {workers}')
    if workers == 1:
        yield from track(map(function, items), title, len(items))
        return
    with ThreadPoolExecutor(workers) as pool:
        try:
            yield from track(pool.map(function, items), title, len(items))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def map_threads(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> list[Result]:
    """Apply a function to every item of a batch in threads.

    Args:
        function (Callable): Of one item.
        items (Sequence): The items.
        workers (int): Number of threads; with 1, none is started.

    Returns:
        list: The results in the order of the items.
    """
    if workers <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))
