"""Which samples of a stream of shards each rank and each of its workers reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np


class Piece(NamedTuple):
    """Samples of a shard that one worker reads: from ``start`` to before ``stop``."""

    shard: int
    start: int
    stop: int


def pieces_of_worker(
    sizes: Sequence[int],
    share: tuple[int, int],
    worker: tuple[int, int] = (0, 1),
    batch_size: int = 1,
    order: Sequence[int] | None = None,
) -> list[Piece]:
    """What one worker of one rank reads in an epoch.

    The samples of all shards, in this order, are cut into one range for each rank, of equal length:
    the last ones go on at the beginning, so that fewer samples than there are ranks come twice. A
    range is cut into one part for each worker, of whole batches, so that torch's loader, which
    asks the workers in turn, makes no more batches than one worker would.

    Args:
        sizes (Sequence[int]): Samples of each shard.
        share (tuple[int, int]): Rank, and number of ranks.
        worker (tuple[int, int]): Number of the worker, and of all of the rank. Defaults to (0, 1).
        batch_size (int): Of the loader. Defaults to 1.
        order (Sequence[int] | None): Of the shards. Defaults to None: as given.

    Returns:
        list[Piece]: In order.

    Raises:
        ValueError: If there are fewer samples than ranks.
    """
    (rank, ranks), (number, workers) = share, worker
    total = samples_per_rank(sizes, ranks)
    batches = -(-total // batch_size)
    counts = [
        sum(min(batch_size, total - batch * batch_size) for batch in range(own, batches, workers))
        for own in range(workers)
    ]
    first = rank * total + sum(counts[:number])
    order = range(len(sizes)) if order is None else order
    starts = np.cumsum([0, *(sizes[shard] for shard in order)]).tolist()
    pieces = []
    for low, high in _wrapped(first, first + counts[number], starts[-1]):
        for place, shard in enumerate(order):
            start, stop = max(low, starts[place]), min(high, starts[place + 1])
            if start < stop:
                pieces.append(Piece(shard, start - starts[place], stop - starts[place]))
    return pieces


def samples_per_rank(sizes: Sequence[int], ranks: int) -> int:
    """How many samples each rank reads in an epoch.

    Args:
        sizes (Sequence[int]): Samples of each shard.
        ranks (int): Number of ranks.

    Returns:
        int: The same for all.

    Raises:
        ValueError: If there are fewer samples than ranks.
    """
    if sum(sizes) < ranks:
        raise ValueError(
            f'{sum(sizes)} samples in {len(sizes)} shards cannot be shared by {ranks} ranks: '
            'start fewer processes'
        )
    return -(-sum(sizes) // ranks)


def _wrapped(start: int, stop: int, total: int) -> Iterator[tuple[int, int]]:
    """A range that may go on at the beginning, as one or two ranges."""
    if start < total:
        yield start, min(stop, total)
    if stop > total:
        yield max(start, total) - total, stop - total
