"""LanceStore: the contract with its index on, and what only files can suffer."""

import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.inference.stores.approximate_contract import ApproximateContract
from urbancross_mm.inference.stores import LanceStore, StoreItem, lance_schema, open_store

lancedb = pytest.importorskip('lancedb')


class TestLanceStore(ApproximateContract):
    @pytest.fixture(scope='class')
    def new_location(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
        folder, numbers = tmp_path_factory.mktemp('stores'), count()
        return lambda: str(folder / f'store{next(numbers)}.lance')


@pytest.fixture
def location(tmp_path: Path) -> str:
    """A store of three items."""
    place = str(tmp_path / 'three.lance')
    with open_store(place, 'model', create=True) as store:
        assert isinstance(store, LanceStore)
        store.add([StoreItem(i, np.ones(8), dict(lon=1.0)) for i in 'abc'])
    return place


def test_a_second_writer_is_told_to_wait(location: str) -> None:
    with open_store(location) as one, open_store(location) as two:
        one.delete(['a'])
        with pytest.raises(ValueError, match='another process.*three.lance'):
            two.delete(['b'])
        assert len(two) == 2
        one.close()
        assert two.delete(['b']) == 1


def test_a_relative_place(location: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(location).parent)
    for place in ('three.lance', './three.lance/'):
        with open_store(place, 'model', read_only=True) as store:
            assert len(store) == 3


@pytest.mark.parametrize('place', ['.lance', 's3://bucket/folder'])
def test_a_place_without_a_name(place: str) -> None:
    with pytest.raises(ValueError, match=r'NAME\.lance.*' + place):
        open_store(place)


def test_a_name_that_lancedb_refuses(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'a b\.lance'):
        open_store(str(tmp_path / 'a b.lance'), create=True)


def test_another_version_is_refused(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_schema, 'VERSION', 2)
    with pytest.raises(ValueError, match='three.lance.*version 1.*2'):
        open_store(location)


def test_another_table_is_refused(tmp_path: Path) -> None:
    lancedb.connect(tmp_path).create_table('other', [dict(id='a', vector=[1.0, 2.0])])
    with pytest.raises(ValueError, match='other.lance.*no store'):
        open_store(str(tmp_path / 'other.lance'), create=True)


def test_a_damaged_store_is_named(location: str) -> None:
    for path in Path(location, '_versions').iterdir():
        path.write_bytes(b'damaged')
    with pytest.raises(ValueError, match='three.lance.*damaged'):
        open_store(location)


def test_a_lost_file_is_named(location: str) -> None:
    with open_store(location) as store:
        shutil.rmtree(Path(location, 'data'))
        with pytest.raises(ValueError, match='three.lance'):
            store.search(np.ones(8))
        with pytest.raises(ValueError, match='three.lance'):
            list(store.items())


def questions(store: LanceStore) -> list[Callable[[], object]]:
    return [
        store.refresh,
        store.count,
        store.compact,
        lambda: store.search(np.ones(8)),
        lambda: store.get(['a']),
        lambda: list(store.items()),
        lambda: store.add([StoreItem('n', np.ones(8))]),
        lambda: store.update([StoreItem('a', None)]),
        lambda: store.delete(['a']),
    ]


def test_a_store_damaged_meanwhile(location: str) -> None:
    with open_store(location) as store:
        for path in Path(location, '_versions').iterdir():
            path.write_bytes(b'damaged')
        for ask in questions(store):
            with pytest.raises(ValueError, match='three.lance.*damaged'):
                ask()
        shutil.rmtree(location)
        with pytest.raises(ValueError, match='no store at.*three.lance'):
            store.count()


def test_another_model_made_the_store_anew(location: str) -> None:
    with open_store(location) as store:
        shutil.rmtree(location)
        with open_store(location, 'other', create=True) as other:
            other.add([StoreItem('z', np.ones(8))])
        for ask in questions(store):
            with pytest.raises(ValueError, match='stale store.*three.lance.*other'):
                ask()
        assert store.fingerprint == 'model'


def test_a_file_in_the_way(tmp_path: Path) -> None:
    place = tmp_path / 'file.lance'
    place.write_bytes(b'x')
    with pytest.raises(ValueError, match='file.lance.*is a file'):
        open_store(str(place), create=True)
    with pytest.raises(OSError, match=r'file.lance/below.lance'):
        open_store(str(place / 'below.lance'), create=True)


def test_opening_makes_nothing(tmp_path: Path) -> None:
    for options in (dict(), dict(create=True, read_only=True)):
        with pytest.raises(ValueError, match='no store'):
            open_store(str(tmp_path / 'no/such/x.lance'), **options)
    assert not list(tmp_path.iterdir())


def test_wide_vectors_are_indexed_by_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LanceStore, 'few_rows', 300)
    rows = np.random.default_rng(0).standard_normal((600, 256)).astype(np.float32)
    with open_store(str(tmp_path / 'wide.lance'), create=True) as store:
        store.add([StoreItem(f'{i:03}', row) for i, row in enumerate(rows)])
        store.compact()
        assert [store.search(rows[i], 1)[0].id for i in (0, 599)] == ['000', '599']
        kinds = {i.columns[0]: i.index_type for i in store._table.handle.list_indices()}
        assert kinds['embed'] == 'IvfRq'
