"""TorchStore: the contract, and what only a folder can suffer."""

import contextlib
import json
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.inference.stores.contract import FINGERPRINT, StoreContract, items_of
from tests.inference.stores.place_world import make_items
from urbancross_mm.inference.stores import StoreItem, TorchStore, open_store
from urbancross_mm.inference.stores.part_files import FolderParts
from urbancross_mm.structures.filters import Filter


class TestTorchStore(StoreContract):
    kills = 3

    @pytest.fixture(scope='class')
    def new_location(self, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
        folder, numbers = tmp_path_factory.mktemp('stores'), count()
        return lambda: str(folder / f'store{next(numbers)}')


class TestTorchStoreInMemory(StoreContract):
    test_opens_again = test_another_model_is_refused = test_no_store_is_no_store = None
    test_readers_see_what_is_written = test_the_version_follows_writes = None
    test_nothing_acknowledged_is_lost_by_a_kill = None

    @pytest.fixture
    def store(self) -> TorchStore:
        return TorchStore(fingerprint=FINGERPRINT)

    @pytest.fixture(scope='class')
    def full(self, world: list[StoreItem]) -> TorchStore:
        store = TorchStore()
        for start in range(7):  # several parts, each with holes
            batch = world[start::7]
            gone = [replace(item, id=f'{item.id}-gone') for item in batch[::3]]
            store.add([*gone, *batch])
            store.delete([item.id for item in gone])
        return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'store'


@pytest.fixture
def store(folder: Path) -> TorchStore:
    with TorchStore(folder, FINGERPRINT, create=True) as store:
        yield store


def ids_of(store: TorchStore) -> list[str]:
    return [item.id for item in store.items()]


def files_of(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.name[0] != '.'}


def test_half_precision_takes_half_the_space_and_orders_what_it_keeps(folder: Path) -> None:
    items = make_items(500)
    with TorchStore(folder, create=True, dtype='float16') as store:
        store.add(items)
    store = open_store(str(folder))
    (vectors,) = folder.glob('*.npy')
    assert vectors.stat().st_size < 500 * 32 * 2 + 200
    kept = np.stack([item.embed for item in store.items(embeds=True)])
    assert (kept == np.stack([item.embed for item in items]).astype(np.float16)).all()
    query = items[0].embed
    scores = (kept.astype(np.float64) * query.astype(np.float64)).sum(axis=1)
    hits = store.search(query, 500)
    assert [hit.id for hit in hits] == [items[i].id for i in np.argsort(-scores, kind='stable')]
    with (
        pytest.raises(ValueError, match='huge.*finite'),
        TorchStore(dtype='float16') as memory,
    ):
        memory.add([StoreItem('huge', np.full(3, 1e5))])
    with pytest.raises(ValueError, match='int8'):
        TorchStore(dtype='int8')


def test_many_small_writes_become_few_parts(store: TorchStore, folder: Path) -> None:
    items = make_items(150)
    for item in items:
        store.add([item])
    store.delete([item.id for item in items[::3]])
    assert len(list(folder.glob('*.arrow'))) <= 16
    assert ids_of(store) == [item.id for i, item in enumerate(items) if i % 3]
    assert store.search(items[1].embed, 1)[0].id == items[1].id
    store.compact()
    assert len(files_of(folder)) == 3
    assert store.count(Filter.parse('rank>=0')) == 100
    store.delete(ids_of(store))
    assert (len(store), store.width, files_of(folder)) == (0, 0, {'manifest.json'})
    store.add(items_of('a'))  # of another width


def test_one_process_writes(store: TorchStore, folder: Path) -> None:
    other = TorchStore(folder)
    store.add(items_of('a'))
    for write in (
        lambda: other.add(items_of('b')),
        lambda: other.update([StoreItem('a', None)]),
        lambda: other.delete(['a']),
        other.compact,
    ):
        with pytest.raises(ValueError, match=f'another process.*{folder}'):
            write()
    store.close()
    with pytest.raises(ValueError, match="'a'"):
        other.add(items_of('a'))  # what was written meanwhile counts
    other.add(items_of('b'))
    assert ids_of(other) == ['a', 'b']
    other.close()
    store.delete(['b'])
    assert ids_of(store) == ['a']


def test_a_reader_keeps_its_view_until_it_refreshes(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a', 'b'))
    store.add(items_of('c'))
    before = files_of(folder)
    reader = TorchStore(folder, read_only=True)
    store.delete(['a'])
    store.compact()
    assert not (before - {'manifest.json'}) & files_of(folder)
    assert ids_of(reader) == ['a', 'b', 'c']
    assert {hit.id for hit in reader.search(np.ones(4))} == {'a', 'b', 'c'}
    reader.refresh()
    assert ids_of(reader) == ['b', 'c']
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match=str(folder)):
        reader.refresh()


def test_a_reader_opens_while_files_are_replaced(
    store: TorchStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(items_of('a', 'b'))
    store.add(items_of('c'))
    read, compactions = FolderParts._read_manifest, [store.compact]

    def slow(self: FolderParts) -> str:
        text = read(self)
        if compactions:
            compactions.pop()()
        return text

    monkeypatch.setattr(FolderParts, '_read_manifest', slow)
    assert ids_of(TorchStore(folder)) == ['a', 'b', 'c']
    assert not compactions


def test_a_reader_leaves_no_trace(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a'))
    store.close()
    (folder / '.lock').unlink()
    reader = open_store(str(folder))
    reader.search(np.ones(4))
    assert not (folder / '.lock').exists()


def test_searches_go_on_while_another_thread_writes(store: TorchStore) -> None:
    items = make_items(600)
    store.add(items[:200])
    failures: list[object] = []
    done = threading.Event()

    def search() -> None:
        while not done.is_set():
            try:
                hits = store.search(items[0].embed, 5, Filter.parse('rank>=0'))
                assert hits[0].id == items[0].id
                assert len(list(store.items())) % 20 == 0
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    for start in range(200, 600, 20):
        store.add(items[start : start + 20])
        store.delete([item.id for item in items[start - 100 : start - 80]])
    store.compact()
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_full_disk_loses_nothing(
    store: TorchStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(items_of('a', 'b'))
    writes = [
        (lambda: store.add(items_of('c', 'd')), ['a', 'b', 'c', 'd']),
        (lambda: store.update([StoreItem('a', -np.ones(4))]), ['a', 'b', 'c', 'd']),
        (lambda: store.delete(['a']), ['b', 'c', 'd']),
        (store.compact, ['b', 'c', 'd']),
    ]
    sync = os.fsync
    failed = 0
    for write, after in writes:
        for works in count():
            before, left = ids_of(store), iter(range(works))

            def full(number: int, left: Iterator[int] = left) -> None:
                if next(left, None) is None:
                    raise OSError(28, 'No space left on device', str(folder))
                sync(number)

            with monkeypatch.context() as patch:
                patch.setattr(os, 'fsync', full)
                try:
                    write()
                except OSError as error:
                    assert str(folder) in str(error) and 'No space' in str(error)
                else:
                    break
            failed += 1
            assert ids_of(store) == ids_of(TorchStore(folder))
            if ids_of(store) != before:  # all is written but the name of the manifest
                break
            assert ids_of(store) == before
        assert ids_of(store) == after == ids_of(TorchStore(folder))
    assert failed > 8
    store.close()
    store.add(items_of('z'))
    assert len(files_of(folder)) == 5  # what was half written is gone


def test_what_a_killed_write_left_is_removed(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a'))
    store.close()
    for name in ('0' * 32 + '.npy', '1' * 32 + '.arrow', '2' * 32 + '.left.npy'):
        (folder / name).write_bytes(b'half')
    (folder / '.manifest.json.123.tmp').write_bytes(b'{')
    (folder / 'notes.txt').write_text('mine')
    assert ids_of(TorchStore(folder)) == ['a']
    with TorchStore(folder) as writer:
        writer.delete(['b'])
    assert len(files_of(folder)) == 4
    assert not list(folder.glob('.*.tmp'))


def damage_manifest(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / 'manifest.json'
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return damage


def damage_part(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / 'manifest.json'
        content = json.loads(path.read_text())
        content['parts'][0] |= changes
        path.write_text(json.dumps(content))

    return damage


def cut(pattern: str, left: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = sorted(folder.glob(pattern))[0]
        path.write_bytes(path.read_bytes()[:left])

    return damage


def longer(pattern: str) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.glob(pattern))[0].open('ab').write(b'x')


def put(pattern: str, place: int, data: bytes) -> Callable[[Path], None]:
    """Write over some bytes, of a file that is not mapped from here on."""

    def damage(folder: Path) -> None:
        path = sorted(folder.glob(pattern))[0]
        content = bytearray(path.read_bytes())
        place_from_start = place % len(content)
        content[place_from_start : place_from_start + len(data)] = data
        path.unlink()
        path.write_bytes(content)

    return damage


def missing(pattern: str) -> Callable[[Path], None]:
    return lambda folder: sorted(folder.glob(pattern))[0].unlink()


@pytest.mark.parametrize(
    'damage, named',
    [
        (lambda folder: (folder / 'manifest.json').write_bytes(b'\xff\xfe'), 'manifest'),
        (lambda folder: (folder / 'manifest.json').write_text(''), 'damaged'),
        (lambda folder: (folder / 'manifest.json').write_text('[]'), 'format'),
        (lambda folder: (folder / 'manifest.json').write_text('{}'), 'format.*None'),
        (damage_manifest(format='urbancross_mm.store/2'), 'store/2'),
        (damage_manifest(dtype='int8'), 'int8'),
        (damage_manifest(fingerprint=5), 'fingerprint'),
        (damage_manifest(width=5), 'shape'),
        (damage_manifest(parts=[dict()]), 'name'),
        (damage_manifest(parts=7), 'int'),
        (damage_part(name='../../etc/passwd'), 'passwd'),
        (damage_part(left='../x.npy'), 'x.npy'),
        (damage_part(rows=3), 'shape'),
        (missing('manifest.json'), 'manifest'),
        (missing('*.arrow'), 'missing.*arrow'),
        (missing('*.left.npy'), 'missing.*left'),
        (cut('*.left.npy', 0), 'damaged'),
        (cut('*.left.npy', 129), 'damaged'),
        (cut('*.arrow', 0), 'damaged'),
        (cut('*.arrow', 300), 'damaged'),
        (cut('????????????????????????????????.npy', 0), 'damaged'),
        (cut('????????????????????????????????.npy', 140), 'damaged'),
        (longer('????????????????????????????????.npy'), 'bytes'),
        (longer('*.arrow'), 'arrow is'),
        (longer('*.left.npy'), 'bytes'),
        (put('*.left.npy', -1, b'\7'), 'truth'),
        (put('*.left.npy', 0, b'PK\3\4'), 'damaged'),
        (damage_part(arrow='12:00000000'), 'arrow is'),
        (lambda folder: (folder / 'manifest.json').write_text('[' * 100_000), 'damaged'),
    ],
)
def test_a_damaged_store_is_refused(
    store: TorchStore, folder: Path, damage: Callable[[Path], None], named: str
) -> None:
    store.add(items_of('a', 'b'))
    store.delete(['a'])
    store.close()
    damage(folder)
    with pytest.raises(ValueError, match=named) as caught:
        open_store(str(folder))
    assert repr(str(folder)) in str(caught.value)
    assert '\n' not in str(caught.value)


def test_every_changed_byte_of_a_table_is_noticed(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a', 'b', country='spain'))
    store.close()
    (path,) = folder.glob('*.arrow')
    for place in range(0, path.stat().st_size, 11):
        old = path.read_bytes()[place]
        put('*.arrow', place, bytes([old ^ 0xFF]))(folder)
        with pytest.raises(ValueError, match='damaged.*arrow'):
            open_store(str(folder))
        put('*.arrow', place, bytes([old]))(folder)
    assert ids_of(TorchStore(folder)) == ['a', 'b']


def test_no_changed_byte_of_a_header_breaks_out(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a', 'b'))
    store.close()
    vectors = '????????????????????????????????.npy'
    (path,) = folder.glob(vectors)
    for place in range(128):
        old = path.read_bytes()[place]
        for new in {b'(', b'\xff', b'9', b'"'} - {bytes([old])}:
            put(vectors, place, new)(folder)
            with contextlib.suppress(ValueError), TorchStore(folder) as opened:
                assert ids_of(opened) == ['a', 'b']  # of what fills the header
            put(vectors, place, bytes([old]))(folder)


def test_a_reader_refuses_what_another_model_made_anew(store: TorchStore, folder: Path) -> None:
    store.add(items_of('a'))
    store.close()
    shutil.rmtree(folder)
    with TorchStore(folder, 'other', create=True) as other:
        other.add(items_of('b', 'c'))
    writes = (
        lambda: store.add(items_of('d')),
        lambda: store.update([StoreItem('a', None)]),
        lambda: store.delete(['a']),
        store.compact,
    )
    for ask in (store.refresh, *writes, store.refresh):
        with pytest.raises(ValueError, match=f'stale store.*{folder}.*other'):
            ask()
    assert (store.fingerprint, ids_of(store)) == (FINGERPRINT, ['a'])
    assert ids_of(TorchStore(folder, 'other')) == ['b', 'c']


def test_other_folders_and_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / 'photo.jpg').write_bytes(b'x')
    for location in (tmp_path, tmp_path / 'photo.jpg'):
        for create in (False, True):
            with pytest.raises(ValueError, match=str(location)):
                open_store(str(location), create=create)
    assert files_of(tmp_path) == {'photo.jpg'}
    with pytest.raises(ValueError, match='new'):
        open_store(str(tmp_path / 'new'), create=True, read_only=True)
    assert files_of(tmp_path) == {'photo.jpg'}


def test_unknown_locations() -> None:
    with pytest.raises(ValueError, match='empty'):
        open_store('')
    with pytest.raises(ValueError, match='ftp'):
        open_store('ftp://host/store')
    for location in ('postgresql:/host/db', 's3:/bucket/x.lance', 'postgresql+x:/host'):
        with pytest.raises(
            ValueError, match=f'{re.escape(location.partition(":")[0])}.*two slashes'
        ):
            open_store(location, create=True)
    with pytest.raises(ValueError, match='C:/city.index.*manifest'):
        open_store('C:/city.index')
