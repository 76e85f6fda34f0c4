"""What stores with an approximate index must do besides: the index hides nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.inference.stores.contract import StoreContract
from tests.inference.stores.place_world import naive
from urbancross_mm.inference.stores import BaseStore, StoreItem, open_store
from urbancross_mm.inference.stores.sql_store import SqlStore
from urbancross_mm.structures.filters import Filter


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def read_batches(location: str, done: threading.Event) -> int:
    """Read until the writer is done; returns how often."""
    last = rounds = 0
    with open_store(location, read_only=True) as reader:
        while not done.is_set():
            count = len(reader)
            ids = [item.id for item in reader.items()]
            assert count % 50 == len(ids) % 50 == 0
            assert last <= count <= len(ids) == len(set(ids))
            assert len({hit.id for hit in reader.search(np.ones(8), 5)}) == 5
            last, rounds = count, rounds + 1
    return rounds


class ApproximateContract(StoreContract):
    """The contract, with an index from 100 rows on."""

    least_recall = 0.95

    @pytest.fixture(scope='class', autouse=True)
    def _small(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for kind in (SqlStore, *SqlStore.__subclasses__()):
                patch.setattr(kind, 'few_rows', 100)
            yield

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch, full: BaseStore) -> list[bool]:
        """Whether each question to the table was to compare all rows."""
        calls: list[bool] = []
        nearest = type(full)._nearest

        def spy(store: BaseStore, vector, condition, limit: int, passing: int | None) -> object:
            calls.append(passing is None)
            return nearest(store, vector, condition, limit, passing)

        monkeypatch.setattr(type(full), '_nearest', spy)
        return calls

    def test_the_index_answers_unless_few_rows_pass(
        self, full: BaseStore, asked: list[bool]
    ) -> None:
        query = full.get(['00000.jpg'])[0].embed
        full.search(query)
        full.search(query, where=Filter.parse('rank<500'))
        assert asked == [False, False]
        full.search(query, where=Filter.parse('rank<100'))
        assert asked == [False, False, True]

    def test_what_the_index_does_not_deliver_is_compared(
        self,
        full: BaseStore,
        world: list[StoreItem],
        asked: list[bool],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        spied = type(full)._nearest

        def few(store: BaseStore, vector, condition, limit: int, passing: int | None) -> object:
            rows = spied(store, vector, condition, limit, passing)
            return rows if passing is None else rows[:3]  # as an index does that gives up

        monkeypatch.setattr(type(full), '_nearest', few)
        where = Filter.parse('rank<500')
        hits = full.search(world[7].embed, 10, where)
        expected = naive(world, world[7].embed, lambda a: a['rank'] < 500)[:10]
        assert [hit.id for hit in hits] == [item_id for item_id, _ in expected]
        assert asked == [False, True]

    def test_a_filter_far_from_the_query_hides_nothing(self, store: BaseStore) -> None:
        draw = np.random.default_rng(0)
        near = unit(np.eye(32)[0] + 0.05 * draw.standard_normal((3000, 32)))
        far = unit(-np.eye(32)[0] + 0.05 * draw.standard_normal((300, 32)))
        items = [StoreItem(f'near{i}', row, dict(side=0)) for i, row in enumerate(near)]
        items += [StoreItem(f'far{i}', row, dict(side=1)) for i, row in enumerate(far)]
        store.add(items)
        store.compact()
        hits = store.search(near[0], 10, Filter.parse('side=1'))
        expected = naive(items, near[0], lambda a: a['side'] == 1)[:10]
        found = {hit.id for hit in hits} & {item_id for item_id, _ in expected}
        assert len(hits) == 10 and len(found) >= 9

    def test_rows_that_are_newer_than_the_index_are_found(self, store: BaseStore) -> None:
        draw = np.random.default_rng(0)
        rows = unit(draw.standard_normal((400, 16)))
        store.add(
            [StoreItem(f'{i:03}', row, dict(old=i < 300)) for i, row in enumerate(rows[:300])]
        )
        store.compact()
        store.add([StoreItem(f'{i + 300}', row, {}) for i, row in enumerate(rows[300:])])
        store.update([StoreItem('000', -rows[0], {})])
        store.delete(['001'])
        for _ in range(2):
            assert [store.search(rows[i], 1)[0].id for i in (5, 310, 399)] == ['005', '310', '399']
            assert store.search(-rows[0], 1)[0].id == '000'
            assert store.search(rows[1], 1)[0].id != '001'
            store.compact()

    def test_many_equal_vectors_come_by_id(self, store: BaseStore) -> None:
        blank, other = np.eye(16, dtype=np.float32)[:2]
        order = np.random.default_rng(0).permutation(300)
        store.add([StoreItem(f'{i:03}', blank) for i in order])
        store.add([StoreItem(f'x{i}', other) for i in range(20)])
        store.compact()
        assert [hit.id for hit in store.search(blank, 5)] == ['000', '001', '002', '003', '004']
        assert [hit.id for hit in store.search(blank, 3, offset=250)] == ['250', '251', '252']

    def test_two_readers_see_whole_batches_while_one_writes(
        self, store: BaseStore, location: str
    ) -> None:
        draw, done = np.random.default_rng(0), threading.Event()
        store.add([StoreItem(f'0-{i}', row) for i, row in enumerate(draw.normal(size=(50, 8)))])
        with ThreadPoolExecutor(2) as pool:
            readers = [pool.submit(read_batches, location, done) for _ in range(2)]
            try:
                for batch in range(1, 12):
                    rows = draw.normal(size=(50, 8))
                    store.add([StoreItem(f'{batch}-{i}', row) for i, row in enumerate(rows)])
                    if batch in (5, 9):
                        store.compact()
            finally:
                done.set()
            assert all(reader.result() for reader in readers)

    def test_threads_share_a_store(self, full: BaseStore, world: list[StoreItem]) -> None:
        expected = [[h.id for h in full.search(item.embed, 3)] for item in world[:16]]
        found: list[list[str]] = [[] for _ in expected]

        def ask(number: int) -> None:
            found[number] = [hit.id for hit in full.search(world[number].embed, 3)]

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == expected

    def test_another_process_must_open_its_own(
        self, store: BaseStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.add([StoreItem('a', np.ones(4))])
        monkeypatch.setattr('os.getpid', lambda: -1)
        with pytest.raises(RuntimeError, match='fork'):
            store.count()
        monkeypatch.undo()
        assert store.count() == 1
