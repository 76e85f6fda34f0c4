"""Filters in SQL keep what they keep in numpy, and nobody gets SQL of their own in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.inference.stores.conftest import NUMBERS
from tests.inference.stores.oracle import FILTERS, make_items, mask_of
from urbancross_mm.inference.stores import BaseStore, StoreItem, open_store
from urbancross_mm.structures.filters import AnyOf, Compare, Filter, Tags

ITEMS = make_items(1200)
EVIL = [
    "'; DROP TABLE images; --",
    "' OR '1'='1",
    '" OR 1=1 --',
    '`) OR TRUE --',
    "x' UNION SELECT 1 --",
    '%(v0)s',
    '%s %d %',
    '\\',
    "\\' OR TRUE --",
    "it''s",
    '$1',
    '{} {0} {q}',
    'a\nb\tc',
    '/* */ --',
    'Ünï🛰',
]


@pytest.fixture(scope='module', params=['lance', 'postgres'])
def new_location(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    if request.param == 'lance':
        folder = tmp_path_factory.mktemp('stores')
        return lambda: str(folder / f'{next(NUMBERS)}.lance')
    url = request.getfixturevalue('postgres')
    return lambda: f'{url}?table=sql_{next(NUMBERS)}'


@pytest.fixture(scope='module')
def full(new_location: Callable[[], str]) -> Iterator[BaseStore]:
    with open_store(new_location(), create=True) as store:
        store.add(ITEMS[:500])
        store.add(ITEMS[500:])
        yield store


@pytest.fixture
def store(new_location: Callable[[], str]) -> Iterator[BaseStore]:
    with open_store(new_location(), create=True) as store:
        yield store


@pytest.mark.parametrize('where', FILTERS, ids=lambda where: ' '.join(where)[:40])
def test_sql_keeps_what_numpy_keeps(full: BaseStore, where: list[str]) -> None:
    parsed = Filter.parse(where)
    expected = {item.id for item, passes in zip(ITEMS, mask_of(ITEMS, parsed)) if passes}
    assert {item.id for item in full.items(parsed)} == expected
    assert full.count(parsed) == len(expected)
    assert {hit.id for hit in full.search(ITEMS[0].embed, len(ITEMS), parsed)} == expected


@pytest.mark.parametrize('evil', EVIL)
def test_values_names_and_ids_are_never_sql(store: BaseStore, evil: str) -> None:
    embed = np.ones(4, np.float32)
    attributes = {evil: evil, 'plain': evil, 'tags': [evil], 'country': evil, 'number': 1}
    store.add([StoreItem(evil, embed, attributes), StoreItem('other', embed, {evil: 'other'})])
    assert store.get([evil])[0].attributes == attributes
    for condition in (
        Compare(evil, '=', evil),
        Compare('plain', '<=', evil),
        Compare('country', '=', evil),
        AnyOf(evil, (evil, 'nothing')),
        Tags('tags', (evil, 'x'), all=False),
    ):
        assert [item.id for item in store.items(Filter((condition,)))] == [evil]
    assert store.count(Filter((Compare(evil, '!=', evil),))) == 1
    with pytest.raises(ValueError, match='no item has the attribute'):
        store.count(Filter((Compare(f'{evil}2', '=', 'x'),)))
    store.update([StoreItem(evil, None, {evil: 'new'})])
    assert store.delete([evil, f'{evil}2']) == 1
    assert [item.id for item in store.items()] == ['other']


def test_names_differ_by_case_and_dots(store: BaseStore) -> None:
    embed = np.ones(4, np.float32)
    store.add([StoreItem('a', embed, {'Zone': 1, 'a.b': 'x', 'LON': 3})])
    store.add([StoreItem('b', embed, {'zone': 1, 'a': {'b': 'x'}, 'lon': 3.0})])
    for where, found in (('Zone=1', 'a'), ('zone=1', 'b'), ('a.b=x', 'a'), ('lon=3', 'b')):
        assert [item.id for item in store.items(Filter.parse(where))] == [found]


def test_a_new_attribute_and_another_type_come_later(store: BaseStore) -> None:
    embed = np.ones(4, np.float32)
    values = [5, '5', True, ['5'], None, {'x': 5}, 5.5]
    for number, value in enumerate(values):
        store.add([StoreItem(str(number), embed, dict(value=value, **{f'only{number}': number}))])
    assert [item.attributes['value'] for item in store.items()] == values
    assert [item.id for item in store.items(Filter.parse('value=5'))] == ['0', '1']
    assert [item.id for item in store.items(Filter.parse('value!=5'))] == ['2', '6']
    assert [item.id for item in store.items(Filter.parse('value[]=5'))] == ['3']
    assert [item.id for item in store.items(Filter.parse('only6=6'))] == ['6']


def test_many_ids_at_once(store: BaseStore) -> None:
    embeds = np.random.default_rng(0).standard_normal((3000, 4)).astype(np.float32)
    store.add([StoreItem(f'{row:05}', embed) for row, embed in enumerate(embeds)])
    ids = [f'{row:05}' for row in range(0, 3000, 2)]
    assert [item.id for item in store.get(ids[::-1])] == ids[::-1]
    assert store.delete(ids) == 1500
    store.compact()
    assert [item.id for item in store.items()] == [f'{row:05}' for row in range(1, 3000, 2)]


def test_a_place_filter_where_nothing_has_a_place(store: BaseStore, tmp_path: Path) -> None:
    store.add([StoreItem('a', np.ones(4), dict(country='spain'))])
    with pytest.raises(ValueError, match='no item has a place'):
        store.search(np.ones(4), where=Filter.parse('near=0,0,100'))
