"""Processes that are killed, and several that share the work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.inference.indexing.test_builder import build, content, numbers
from tests.inference.small_embedder import SmallEmbedder, write_image, write_tiles
from tests.ranks import processes, run_on_ranks


class Suicidal(SmallEmbedder):
    """Kills its process once it has encoded so many images."""

    limit = 0

    def _encode_batch(self, batch: dict, tower: object = None):
        if self.encoded >= self.limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return super()._encode_batch(batch, tower)


def build_and_die(tiles: str, index: str, limit: int) -> None:
    embedder = Suicidal(2)
    embedder.limit = limit
    build(Path(index), tiles, embedder=embedder, batch=2)


def build_on_rank(rank: int, tiles: str, index: str, limits: list[int]) -> tuple:
    embedder = Suicidal(2)
    embedder.limit = limits[rank]
    summary = build(index, tiles, embedder=embedder, batch=2, duplicates_above=0.9999)
    return numbers(summary), embedder.encoded


def test_kill_9_loses_nothing_that_was_written(tmp_path: Path) -> None:
    tiles, index = write_tiles(tmp_path / 'city'), tmp_path / 'index'
    context = processes()
    for round_number, limit in enumerate((4, 2, 4)):
        child = context.Process(target=build_and_die, args=(str(tiles), str(index), limit))
        child.start()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, 0)
        assert len(content(index)) == (4, 6, 10)[round_number]
    build(index, tiles)
    build(tmp_path / 'fresh', tiles)
    assert content(index) == content(tmp_path / 'fresh')


@pytest.mark.parametrize('number', [10, 1])
def test_two_ranks_make_the_index_of_one(tmp_path: Path, number: int) -> None:
    tiles, index = write_tiles(tmp_path / 'city', number), tmp_path / 'index'
    write_image(tiles / 'z.png', 'red', seed=0)  # as 00.png
    (tmp_path / 'meet').mkdir()
    results = run_on_ranks(build_on_rank, tmp_path / 'meet', str(tiles), str(index), [99, 99])
    assert [result[0][0] for result in results] == [number + 1, number + 1]
    assert sum(result[1] for result in results) == number + 1
    assert abs(results[0][1] - results[1][1]) <= 1
    build(tmp_path / 'fresh', tiles, duplicates_above=0.9999)
    assert content(index) == content(tmp_path / 'fresh')
    assert [path.name for path in tmp_path.glob('index*')] == ['index']


def test_what_a_killed_rank_has_written_is_taken_in(tmp_path: Path) -> None:
    """One rank dies after the other one is done; one process finishes the work."""
    tiles, index = write_tiles(tmp_path / 'city'), tmp_path / 'index'
    (tmp_path / 'meet').mkdir()
    with pytest.raises(Exception, match='SIGKILL|closed'):
        run_on_ranks(build_on_rank, tmp_path / 'meet', str(tiles), str(index), [99, 2])
    left = [path.name for path in tmp_path.glob('index.shard-*')]
    assert 'index.shard-1' in left
    embedder = SmallEmbedder()
    summary = build(index, tiles, embedder=embedder)
    assert embedder.encoded <= 8 and summary.total == 10
    build(tmp_path / 'fresh', tiles)
    assert content(index) == content(tmp_path / 'fresh')
    assert not list(tmp_path.glob('index.shard-*'))


def test_two_ranks_update_and_remove(tmp_path: Path) -> None:
    tiles, index = write_tiles(tmp_path / 'city'), tmp_path / 'index'
    build(index, tiles)
    write_image(tiles / 'sub_0/02.png', 'gray', seed=50)
    write_image(tiles / 'sub_1/03.png', 'red', seed=51)
    (tiles / 'sub_0/00.png').unlink()
    (tmp_path / 'meet').mkdir()
    results = run_on_ranks(build_on_rank, tmp_path / 'meet', str(tiles), str(index), [99, 99])
    assert results[0][0] == results[1][0] == (0, 2, 1, 7, 0)
    build(tmp_path / 'fresh', tiles, duplicates_above=0.9999)
    assert content(index) == content(tmp_path / 'fresh')
