"""Every sample once, every rank as many batches: at any number of ranks and workers."""

from __future__ import annotations

from collections import Counter

import pytest

from urbancross_mm.datasets.shard_shares import Piece, pieces_of_worker, samples_per_rank


def read(pieces: list[Piece]) -> list[tuple[int, int]]:
    return [(shard, row) for shard, start, stop in pieces for row in range(start, stop)]


@pytest.mark.parametrize('sizes', [[7, 3, 0, 11], [1], [5, 5, 5], [2] * 9])
@pytest.mark.parametrize('ranks', [1, 2, 3, 5])
@pytest.mark.parametrize('workers', [1, 2, 4])
@pytest.mark.parametrize('batch', [1, 2, 4, 100])
def test_shares(sizes: list[int], ranks: int, workers: int, batch: int) -> None:
    total = sum(sizes)
    if total < ranks:
        with pytest.raises(ValueError, match=f'{total} samples .* {ranks} ranks'):
            samples_per_rank(sizes, ranks)
        return
    order = list(range(len(sizes)))[::-1]
    seen: Counter = Counter()
    for rank in range(ranks):
        parts = [
            read(pieces_of_worker(sizes, (rank, ranks), (worker, workers), batch, order))
            for worker in range(workers)
        ]
        own = samples_per_rank(sizes, ranks)
        assert sum(map(len, parts)) == own
        # As torch's loader: a batch of each worker in turn, until all are through.
        batches = [-(-len(part) // batch) for part in parts]
        assert sum(batches) == -(-own // batch) and batches == sorted(batches, reverse=True)
        for part in parts:
            seen.update(part)
    assert set(seen) == {(shard, row) for shard, size in enumerate(sizes) for row in range(size)}
    assert sum(seen.values()) - total < ranks
    assert max(seen.values()) <= 2


def test_a_worker_reads_on_from_shard_to_shard() -> None:
    assert pieces_of_worker([4, 4, 4], (0, 2), batch_size=2) == [Piece(0, 0, 4), Piece(1, 0, 2)]
    assert pieces_of_worker([4, 4, 4], (1, 2), (1, 2), 2, [2, 0, 1]) == [Piece(1, 2, 4)]
    assert pieces_of_worker([3, 2], (1, 2)) == [Piece(1, 0, 2), Piece(0, 0, 1)]
