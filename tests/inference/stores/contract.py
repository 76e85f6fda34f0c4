"""What every store must do; a test file derives a class and says where its stores lie.

    class TestMyStore(StoreContract):
        @pytest.fixture(scope='class')
        def new_location(self, tmp_path_factory): ...  # returns a function: a fresh location

Approximate stores set ``least_recall``; whatever they leave out must be out of order only: the
number of hits and the filter are exact for them too.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.inference.stores.place_world import KINDS, SHARES, cases, make_items, naive
from urbancross_mm.inference.stores import BaseStore, StoreItem, open_store
from urbancross_mm.structures.filters import AnyOf, Compare, Filter

FINGERPRINT = 'weights-one'
WRITER = """
import sys
import numpy as np
from urbancross_mm.inference.stores import StoreItem, open_store

location, first = sys.argv[1], int(sys.argv[2])
store = open_store(location)
print('open', flush=True)
for batch in range(first, first + 100000):
    rng = np.random.default_rng(batch)
    rows, about = rng.standard_normal((20, 8)), dict(batch=batch)
    store.add([StoreItem(f'{batch:06}-{i}', row, about) for i, row in enumerate(rows)])
    if batch % 3 == 2:
        store.delete([f'{batch - 1:06}-{i}' for i in range(20)])
    print(batch, flush=True)
"""


def items_of(*ids: str, **attributes: object) -> list[StoreItem]:
    rng = np.random.default_rng(len(ids))
    return [StoreItem(i, rng.standard_normal(4).astype(np.float32), attributes) for i in ids]


def new_version(store: BaseStore, before: int, seconds: float = 60) -> int:
    """The next version; a server counts a write at the end of its connection, or later."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        store.refresh()
        if store.version() != before:
            return store.version()
        time.sleep(0.05)
    raise AssertionError(f'the version is still {before}')


class StoreContract:
    """Tests that hold for every store."""

    rows = 2000
    least_recall = 1.0
    kills = 2

    @pytest.fixture(scope='class')
    def new_location(self) -> Callable[[], str]:
        raise NotImplementedError

    @pytest.fixture
    def location(self, new_location: Callable[[], str]) -> str:
        return new_location()

    @pytest.fixture
    def store(self, location: str) -> BaseStore:
        with open_store(location, fingerprint=FINGERPRINT, create=True) as store:
            yield store

    @pytest.fixture(scope='class')
    def world(self) -> list[StoreItem]:
        return make_items(self.rows)

    @pytest.fixture(scope='class')
    def full(self, new_location: Callable[[], str], world: list[StoreItem]) -> BaseStore:
        with open_store(new_location(), fingerprint=FINGERPRINT, create=True) as store:
            mixed = random.Random(0).sample(world, len(world))
            for start in range(0, len(world), 700):
                store.add(mixed[start : start + 700])
            store.compact()
            yield store

    @pytest.mark.parametrize('share', SHARES)
    @pytest.mark.parametrize('kind', KINDS)
    def test_filtered_search_equals_numpy(
        self, full: BaseStore, world: list[StoreItem], kind: str, share: float
    ) -> None:
        case = dict(cases(world, share))[kind]
        where = Filter.parse(case.where)
        passing = {item.id for item in world if case.passes(item.attributes)}
        assert passing
        if kind in ('compare', 'box', 'near', 'polygon', 'all'):
            assert len(passing) <= round(share * self.rows)
        recalls = []
        for item in world[:: self.rows // 8]:
            hits = full.search(item.embed, 10, where)
            expected = naive(world, item.embed, case.passes)[:10]
            assert {hit.id for hit in hits} <= passing
            assert len(hits) == len(expected)
            recalls.append(len({h.id for h in hits} & {i for i, _ in expected}) / len(expected))
            if self.least_recall == 1:
                assert [hit.id for hit in hits] == [item_id for item_id, _ in expected]
                np.testing.assert_allclose([h.score for h in hits], [s for _, s in expected], 1e-5)
        assert np.mean(recalls) >= self.least_recall
        assert full.count(where) == len(passing)

    @pytest.mark.parametrize('kind', ['compare', 'polygon'])
    def test_pages_are_exact(self, full: BaseStore, world: list[StoreItem], kind: str) -> None:
        case = dict(cases(world, 0.1))[kind]
        where, query = Filter.parse(case.where), world[5].embed
        expected = naive(world, query, case.passes)
        pages, offset = [], 0
        while page := full.search(query, 37, where, offset):
            pages += page
            offset += len(page)
        ids = [hit.id for hit in pages]
        assert len(set(ids)) == len(ids)
        assert set(ids) == {item_id for item_id, _ in expected}
        if self.least_recall == 1:
            assert ids == [item_id for item_id, _ in expected]
        assert [hit.score for hit in pages] == sorted((h.score for h in pages), reverse=True)

    def test_unfiltered_search_equals_numpy(self, full: BaseStore, world: list[StoreItem]) -> None:
        query = world[3].embed
        hits = full.search(query, 10)
        expected = [item_id for item_id, _ in naive(world, query)[:10]]
        assert len({hit.id for hit in hits} & set(expected)) >= 10 * self.least_recall
        assert hits[0].id == world[3].id
        assert hits[0].attributes == world[3].attributes
        assert hits[0].score == pytest.approx(1, abs=1e-3)

    @pytest.mark.parametrize(
        'where, passes',
        [
            ('mixed=8', lambda v: type(v) is int and v == 8 or v == '8'),
            ('mixed!=8', lambda v: v is not None and v not in (8, '8')),
            ('mixed=true', lambda v: v is True),
            ('mixed!=true', lambda v: v is not None and v is not True),
            ('mixed<=12', lambda v: type(v) is int and v <= 12 or type(v) is str and v <= '12'),
            ('mixed=5|8|false', lambda v: v is not None and str(v).lower() in ('5', '8', 'false')),
        ],
    )
    def test_values_of_mixed_types_compare_by_type(
        self, full: BaseStore, world: list[StoreItem], where: str, passes: Callable
    ) -> None:
        expected = {item.id for item in world if passes(item.attributes['mixed'])}
        assert expected
        assert {item.id for item in full.items(Filter.parse(where))} == expected

    def test_items_come_by_id(self, full: BaseStore, world: list[StoreItem]) -> None:
        found = list(full.items(embeds=True))
        assert [item.id for item in found] == sorted(item.id for item in world)
        for item, origin in zip(found[::97], sorted(world, key=lambda item: item.id)[::97]):
            assert item.attributes == origin.attributes
            np.testing.assert_allclose(item.embed, origin.embed, atol=1e-3)
        some = list(full.items(Filter.parse('rank<5')))
        assert sorted(item.attributes['rank'] for item in some) == [0, 1, 2, 3, 4]
        assert some[0].embed is None

    def test_equal_scores_come_by_id(self, store: BaseStore) -> None:
        embed = np.array([1, 0, 0, 0], np.float32)
        store.add([StoreItem(i, embed) for i in 'fbd'])
        store.add([StoreItem(i, embed) for i in 'eac'])
        assert [hit.id for hit in store.search(embed, 4)] == ['a', 'b', 'c', 'd']
        assert [hit.id for hit in store.search(embed, 4, offset=4)] == ['e', 'f']

    def test_starts_empty(self, store: BaseStore) -> None:
        assert (len(store), store.width, store.fingerprint) == (0, 0, FINGERPRINT)
        assert store.search(np.ones(4)) == []
        assert store.count(Filter.parse('country=spain')) == 0
        assert list(store.items()) == []
        assert store.delete(['a']) == 0
        store.add([])
        store.compact()
        assert len(store) == 0

    def test_add_get_update_delete(self, store: BaseStore) -> None:
        a, b, c = items_of('a', 'b', 'c', country='spain', tags=['x'])
        store.add([c, a, b])
        assert (len(store), store.width) == (3, 4)
        got = store.get(['b', 'a'])
        assert [item.id for item in got] == ['b', 'a']
        np.testing.assert_allclose(got[0].embed, b.embed, atol=1e-3)
        assert got[0].attributes == dict(country='spain', tags=['x'])
        store.update([StoreItem('a', None, dict(country='italy')), StoreItem('b', -b.embed, {})])
        got = store.get(['a', 'b'])
        assert [item.attributes for item in got] == [dict(country='italy'), {}]
        np.testing.assert_allclose(got[0].embed, a.embed, atol=1e-3)
        np.testing.assert_allclose(got[1].embed, -b.embed, atol=1e-3)
        assert [i.id for i in store.items(Filter.parse('country=spain'))] == ['c']
        assert store.delete(['b', 'nobody', 'c']) == 2
        assert (len(store), [hit.id for hit in store.search(c.embed)]) == (1, ['a'])
        store.add([b])  # the id is free again
        store.compact()
        assert [item.id for item in store.items()] == ['a', 'b']
        assert store.search(b.embed, 1)[0].id == 'b'

    def test_wrong_batches_change_nothing(self, store: BaseStore) -> None:
        store.add(items_of('a', 'b'))
        good = np.ones(4, np.float32)
        for items, named in [
            ([*items_of('c'), StoreItem('a', good)], "'a'"),
            ([StoreItem('c', good), StoreItem('c', good)], "'c'"),
            ([StoreItem('c', good), StoreItem('d', np.ones(5))], "'d'"),
            ([StoreItem('c', good), StoreItem('d', np.full(4, np.nan))], "'d'"),
            ([StoreItem('c', good), StoreItem('d', None)], "'d'"),
            ([StoreItem('', good)], "''"),
            ([StoreItem('c', good, dict(what=object()))], "'what'"),
            ([StoreItem('c', good, dict(what=float('nan')))], "'what'"),
            ([StoreItem('c', good, dict(what=10**400))], "'what'"),
            ([StoreItem('c', good, {5: 'x'})], '5'),
        ]:
            with pytest.raises(ValueError, match=named):
                store.add(items)
        with pytest.raises(ValueError, match="'what'"):
            store.update([StoreItem('a', None, dict(what=-(10**400)))])
        with pytest.raises(KeyError, match="'z'"):
            store.update([StoreItem('a', None, dict(new=1)), StoreItem('z', None)])
        with pytest.raises(ValueError, match="'b'"):
            store.update([StoreItem('a', None, dict(new=1)), StoreItem('b', np.ones(3))])
        with pytest.raises(KeyError, match="'z'"):
            store.get(['a', 'z'])
        assert [(item.id, item.attributes) for item in store.items()] == [('a', {}), ('b', {})]

    def test_attributes_come_back_as_they_were(self, store: BaseStore) -> None:
        attributes = dict(
            date='2021-06-30',
            none=None,
            yes=True,
            number=0.1,
            whole=2**40,
            nested=dict(a=[1, 'x', None]),
            empty=[],
            quote='a"b\'c\\d;--%s{}',
            **{'a name, "quoted"': 'Grüße 東京', "it's": 1, 'id': 'own', 'embed': 'e', 'score': 2},
        )
        store.add([StoreItem('weird \'"%s東/../a.jpg', np.ones(4), attributes)])
        (item,) = store.items()
        assert (item.id, item.attributes) == ('weird \'"%s東/../a.jpg', attributes)
        for where in (
            'quote="a\\"b\'c\\\\d;--%s{}"',
            '"a name, \\"quoted\\""="Grüße 東京"',
            "it's=1",
        ):
            assert store.count(Filter.parse([where])) == 1
        assert store.count(Filter.parse('id=own')) == 1
        for where in ('none!=x', 'nested!=x', 'empty!=x', 'whole=2', 'empty[]=x', 'yes[]=true'):
            assert store.count(Filter.parse(where)) == 0
        assert store.count(Filter.parse('whole=1099511627776')) == 1

    def test_values_that_json_writes_long_are_found(self, store: BaseStore) -> None:
        values = ['\x01' * 100, '"' * 150, '\\' * 199, '東' * 199, '🛰' * 150, '\n' * 199, 'x' * 500]
        store.add(
            [StoreItem(f'{i}', np.ones(4), dict(value=value)) for i, value in enumerate(values)]
        )
        store.add([StoreItem('number', np.ones(4), dict(value=1e300))])
        for i, value in enumerate(values):
            for condition in (Compare('value', '=', value), AnyOf('value', (value, 'no'))):
                assert [item.id for item in store.items(Filter((condition,)))] == [f'{i}']
        assert store.count(Filter.parse('value=1e300')) == 1

    def test_wrong_questions(self, store: BaseStore) -> None:
        store.add(items_of('a', country='spain'))
        for arguments, named in [
            (dict(vector=np.ones(3)), '3'),
            (dict(vector=np.ones((1, 4))), '1, 4'),
            (dict(vector=np.full(4, np.inf)), 'finite'),
            (dict(vector=np.ones(4), topk=0), 'topk.*0'),
            (dict(vector=np.ones(4), offset=-1), 'offset.*-1'),
            (dict(vector=np.ones(4), topk=10**12), 'topk.*1000000000000'),
            (dict(vector=np.ones(4), offset=10**12), 'offset.*1000000000000'),
            (dict(vector=np.ones(4), where=Filter.parse('contry=spain')), "contry.*'country'"),
        ]:
            with pytest.raises(ValueError, match=named):
                store.search(**arguments)
        for ask in (store.count, lambda where: list(store.items(where))):
            with pytest.raises(ValueError, match="'cloud'"):
                ask(Filter.parse('cloud<5'))

    def test_opens_again(self, store: BaseStore, location: str) -> None:
        store.add(items_of('a', 'b', country='spain'))
        store.delete(['a'])
        store.close()
        with open_store(location, fingerprint=FINGERPRINT, create=True) as again:
            assert (len(again), again.width, again.fingerprint) == (1, 4, FINGERPRINT)
            assert again.get(['b'])[0].attributes == dict(country='spain')
            again.add(items_of('a'))
        with open_store(location, read_only=True) as reader:
            assert len(reader) == 2
            with pytest.raises(ValueError, match='read'):
                reader.add(items_of('c'))

    def test_another_model_is_refused(self, store: BaseStore, location: str) -> None:
        store.add(items_of('a'))
        store.close()
        with pytest.raises(ValueError, match='stale.*weights-.*another'):
            open_store(location, fingerprint='another-model')
        with pytest.raises(ValueError, match='stale.*weights-.*another'):
            open_store(location, fingerprint='another-model', create=True)

    def test_no_store_is_no_store(self, location: str) -> None:
        with pytest.raises(ValueError, match='store'):
            open_store(location)

    def test_readers_see_what_is_written(self, store: BaseStore, location: str) -> None:
        store.add(items_of('a', 'b'))
        with open_store(location, read_only=True) as one, open_store(location) as two:
            store.add(items_of('c'))
            store.delete(['a'])
            store.compact()
            for reader in (one, two):
                reader.refresh()
                assert [item.id for item in reader.items()] == ['b', 'c']
                assert reader.search(np.ones(4))[0].id in 'bc'

    def test_the_version_follows_writes(self, store: BaseStore, location: str) -> None:
        store.close()
        with open_store(location, read_only=True) as reader:
            seen = [reader.version()]
            for write in (
                lambda writer: writer.add(items_of('a', 'b')),
                lambda writer: writer.update([StoreItem('a', None, dict(note='x'))]),
                lambda writer: writer.delete(['b']),
            ):
                with open_store(location) as writer:
                    write(writer)
                seen.append(new_version(reader, seen[-1]))
            reader.refresh()
            assert reader.version() == seen[-1] and len(set(seen)) == 4

    def test_nothing_acknowledged_is_lost_by_a_kill(self, store: BaseStore, location: str) -> None:
        store.close()
        acknowledged: list[int] = []
        open_calls: set[int] = set()
        for kill in range(self.kills):
            first = 1000 * kill
            writer = subprocess.Popen(
                [sys.executable, '-c', WRITER, location, str(first)],
                stdout=subprocess.PIPE,
                text=True,
            )
            lines = [writer.stdout.readline() for _ in range(7 + 5 * kill)]
            writer.send_signal(signal.SIGKILL)
            lines += writer.communicate()[0].splitlines(keepends=True)
            assert lines[0] == 'open\n' and len(lines) > 5
            acknowledged += [
                int(line) for line in lines[1:] if line.endswith('\n') and line.strip()
            ]
            open_calls.add(acknowledged[-1])
            with open_store(location, fingerprint=FINGERPRINT) as again:
                check_batches(again, acknowledged, open_calls)


def check_batches(store: BaseStore, acknowledged: list[int], open_calls: set[int]) -> None:
    """Every batch is there whole or not at all, and those acknowledged are as they should be."""
    batches: dict[int, int] = {}
    for item in store.items(embeds=True):
        batch, number = item.id.split('-')
        assert item.attributes == dict(batch=int(batch))
        expected = np.random.default_rng(int(batch)).standard_normal((20, 8))[int(number)]
        np.testing.assert_allclose(item.embed, expected, rtol=2e-3)
        batches[int(batch)] = batches.get(int(batch), 0) + 1
    assert set(batches.values()) == {20}
    kept = {n for n in acknowledged if not (n % 3 == 1 and n + 1 in acknowledged)}
    # The call that was killed may have deleted the batch before it.
    assert kept - set(batches) <= open_calls
    assert {n for n in acknowledged if n not in kept}.isdisjoint(batches)
