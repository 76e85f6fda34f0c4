"""PostgresStore against a real server: the contract with its index on, and what servers refuse."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from tests.inference.stores.approximate_contract import ApproximateContract
from tests.inference.stores.conftest import NUMBERS
from tests.postgres import PASSWORD
from urbancross_mm.inference.stores import (
    PostgresStore,
    StoreItem,
    open_store,
    postgres_schema,
    postgres_server,
)
from urbancross_mm.structures.filters import Filter

psycopg = pytest.importorskip('psycopg')


@pytest.fixture(scope='module', autouse=True)
def _indexes_for_small_tables() -> Iterator[None]:
    """The planner would rather read a small table than its index."""
    with pytest.MonkeyPatch.context() as patch:
        settings = (*postgres_server.SETTINGS, 'enable_seqscan = off')
        patch.setattr(postgres_server, 'SETTINGS', settings)
        yield


class TestPostgresStore(ApproximateContract):
    @pytest.fixture(scope='class')
    def new_location(self, postgres: str) -> Callable[[], str]:
        return lambda: f'{postgres}?table=contract_{next(NUMBERS)}'


@pytest.fixture
def store(postgres_table: str) -> Iterator[PostgresStore]:
    """Three items."""
    with open_store(postgres_table, 'model', create=True) as store:
        assert isinstance(store, PostgresStore)
        store.add([StoreItem(i, np.ones(8), dict(lon=1.0)) for i in 'abc'])
        yield store


@pytest.fixture
def admin(postgres: str) -> Iterator[Any]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        yield connection


def refusal(location: str, kind: type[Exception], **options: bool) -> str:
    """The message, which never holds the password."""
    with pytest.raises(kind) as caught:
        open_store(location, **options)
    text = str(caught.value)
    assert '\n' not in text
    for secret in (PASSWORD, PASSWORD.replace(' ', '%20'), 'topsecret', 'top%40secret', 'secret'):
        assert secret not in text
    return text


def test_a_server_that_is_not_there() -> None:
    text = refusal('postgresql://me:topsecret@127.0.0.1:1/data', ConnectionError)
    assert '127.0.0.1:1/data' in text and 'refused' in text


def test_a_host_that_does_not_exist() -> None:
    text = refusal('postgresql://me:topsecret@no.such.host.invalid/data', ConnectionError)
    assert 'no.such.host.invalid' in text


def test_a_wrong_password(postgres: str) -> None:
    wrong = postgres.replace(PASSWORD.replace(' ', '%20'), 'topsecret')
    assert 'password' in refusal(wrong, ConnectionError)


def test_a_database_that_does_not_exist(postgres: str) -> None:
    assert 'nowhere' in refusal(f'{postgres[: -len("postgres")]}nowhere', ConnectionError)


@pytest.mark.parametrize(
    'url',
    [
        'postgresql://me:top@secret@localhost/data',
        'postgresql://me:topsecret@localhost/data?nonsense=topsecret',
        'postgresql://me:topsecret@localhost:port/data',
        'postgresql://me:top%secret@localhost/data',
        'postgresql://me:topsecret@[localhost/data',
        'postgresql://me:topsecret@localhost/data?table',
    ],
)
def test_no_url(url: str) -> None:
    assert '%40' in refusal(url, ValueError)


@pytest.mark.parametrize('table', ['x; DROP TABLE y', 'a"b', '1a', 'ü', 'x' * 49, '', 'y_meta'])
def test_names_of_tables(postgres: str, table: str) -> None:
    assert 'letters' in refusal(f'{postgres}?table={table}', ValueError, create=True)


@pytest.mark.parametrize('table', ['select', 'User', 'x' * 48])
def test_names_of_tables_are_quoted(postgres: str, table: str) -> None:
    with open_store(f'{postgres}?table={table}', create=True) as store:
        store.add([StoreItem('a', np.ones(4), dict(country='spain'))])
        store.compact()
        assert store.count(Filter.parse('country=spain')) == 1


def test_no_pgvector(postgres: str, admin: Any) -> None:
    admin.execute('CREATE DATABASE bare')
    admin.execute("CREATE ROLE guest LOGIN PASSWORD 'topsecret'")
    start, _, end = postgres.rpartition('@')
    url = f'postgresql://guest:topsecret@{end[: -len("postgres")]}bare'
    assert 'pgvector' in refusal(url, ValueError) and start


def test_another_version(
    store: PostgresStore, postgres_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_schema, 'VERSION', 2)
    text = refusal(postgres_table, ValueError)
    assert 'version 1' in text and postgres_table.rpartition('=')[2] in text


def test_another_table_of_that_name(postgres_table: str, admin: Any) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(f'CREATE TABLE {table}_meta (other integer)')
    assert f'{table}_meta' in refusal(postgres_table, ValueError)


@pytest.mark.parametrize(
    'statement', ['TABLE {} (id integer)', 'VIEW {} AS SELECT 1', "TYPE {} AS ENUM ('a')"]
)
def test_a_name_in_use_is_refused(postgres_table: str, admin: Any, statement: str) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(f'CREATE {statement.format(table)}')
    assert f'{table}" already exists' in refusal(postgres_table, ValueError, create=True)
    assert 'no store' in refusal(postgres_table, ValueError)  # nothing is half made


def test_stores_named_like_the_indexes_of_another(
    postgres_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresStore, 'few_rows', 5)
    draw = np.random.default_rng(0)
    suffixes = ('_embed', '_lon', '_pkey', '_lon_idx', '', '_embed_idx')
    for suffix in suffixes:
        with open_store(f'{postgres_table}{suffix}', create=True) as store:
            rows = draw.standard_normal((9, 4))
            store.add([StoreItem(f'{i}', row, dict(lon=0.5, q=i)) for i, row in enumerate(rows)])
            assert not store._has_index()
            store.compact()
            assert store._has_index()
            assert len(store.search(rows[3], 9)) == 9


def test_another_model_made_the_store_anew(
    store: PostgresStore, postgres_table: str, admin: Any
) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(f'DROP TABLE {table}, {table}_meta')
    with pytest.raises(ValueError, match='no store'):
        store.search(np.ones(8))
    with open_store(postgres_table, 'other', create=True) as other:
        other.add([StoreItem('z', np.ones(8))])
    for ask in questions(store):
        with pytest.raises(ValueError, match='stale store.*other'):
            ask()
    assert store.fingerprint == 'model'


def questions(store: PostgresStore) -> list[Callable[[], object]]:
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


def test_a_table_dropped_meanwhile(store: PostgresStore, postgres_table: str, admin: Any) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(f'DROP TABLE {table}')
    for ask in questions(store)[1:]:
        with pytest.raises(ValueError, match=f'PostgreSQL.*"{table}" does not exist') as caught:
            ask()
        assert '\n' not in str(caught.value)


def test_a_role_without_rights(store: PostgresStore, postgres_table: str, admin: Any) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(f"CREATE ROLE {table} LOGIN PASSWORD 'topsecret'")
    end = postgres_table.rpartition('@')[2]
    url = f'postgresql://{table}:topsecret@{end}'
    assert 'permission denied' in refusal(url, ValueError)
    assert 'permission denied' in refusal(f'{url}_new', ValueError, create=True)
    admin.execute(f'GRANT SELECT ON {table}, {table}_meta TO {table}')
    with open_store(url) as reader:
        assert len(reader) == 3
        for write in (
            lambda: reader.delete(['a']),
            lambda: reader.add([StoreItem('d', np.ones(8))]),
            lambda: reader.update([StoreItem('a', None)]),
        ):
            with pytest.raises(ValueError, match='permission denied'):
                write()
    admin.execute(f'REVOKE ALL ON {table}, {table}_meta FROM {table}')
    admin.execute(f'DROP ROLE {table}')


def test_a_full_disk_is_told_by_the_server_not_by_the_place_in_a_copy(
    store: PostgresStore, admin: Any, postgres_table: str
) -> None:
    table = postgres_table.rpartition('=')[2]
    admin.execute(
        f'CREATE FUNCTION {table}_full() RETURNS trigger LANGUAGE plpgsql AS '
        "$$ BEGIN RAISE disk_full USING MESSAGE = 'No space left on device'; END $$"
    )
    admin.execute(
        f'CREATE TRIGGER full_disk BEFORE INSERT ON {table} '
        f'FOR EACH ROW EXECUTE FUNCTION {table}_full()'
    )
    with pytest.raises(ConnectionError, match='No space left on device$'):
        store.add([StoreItem('d', np.ones(8))])
    assert len(store) == 3


def test_several_first_writers_at_once(postgres_table: str) -> None:
    start = threading.Barrier(6)

    def write(number: int) -> None:
        start.wait()
        with open_store(postgres_table, 'model', create=True) as store:
            store.add([StoreItem(f'{number}', np.ones(8), {f'n{number}': 1})])
            assert store.width == 8

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    with open_store(postgres_table, 'model') as store:
        assert [item.id for item in store.items()] == list('012345')
        assert store.count(Filter.parse('n3=1')) == 1


def test_readers_do_not_add_the_extension(postgres: str, admin: Any) -> None:
    admin.execute('CREATE DATABASE unprepared')
    url = f'{postgres[: -len("postgres")]}unprepared'
    assert 'CREATE EXTENSION' in refusal(url, ValueError, read_only=True)
    with psycopg.connect(url) as connection:
        assert not connection.execute("SELECT 1 FROM pg_type WHERE typname = 'vector'").fetchall()
    with open_store(url, create=True) as store:
        assert 'urbancross_images' in store.name


def test_a_store_is_not_made_by_readers(postgres_table: str) -> None:
    text = refusal(postgres_table, ValueError, create=True, read_only=True)
    assert postgres_table.rpartition('=')[2] in text


def test_what_postgresql_cannot_hold(store: PostgresStore) -> None:
    for item in (
        StoreItem('d', np.ones(8), dict(country='a\0b')),
        StoreItem('d', np.ones(8), dict(other='a\0b')),
    ):
        with pytest.raises(ValueError, match='PostgreSQL cannot hold'):
            store.add([StoreItem('e', np.ones(8)), item])
    with pytest.raises(ValueError, match='PostgreSQL cannot hold'):
        store.count(Filter.parse('lon="a\\u0000b"'))
    assert [item.id for item in store.items()] == ['a', 'b', 'c']


def test_connections_that_the_server_ended_are_made_again(store: PostgresStore, admin: Any) -> None:
    assert len(store) == 3
    admin.execute(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity '
        "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert len(store) == 3
    store.add([StoreItem('d', np.ones(8))])
    assert len(store) == 4


def test_two_processes_write_at_once(store: PostgresStore, postgres_table: str) -> None:
    with open_store(postgres_table, create=True) as other:
        other.add([StoreItem('d', np.ones(8), dict(new=1))])
        store.add([StoreItem('e', np.ones(8), dict(newer=1))])
        with pytest.raises(ValueError, match="'d'"):
            store.add([StoreItem('f', np.ones(8)), StoreItem('d', np.ones(8))])
        assert len(store) == len(other) == 5
        assert store.count(Filter.parse('new=1')) == other.count(Filter.parse('newer=1')) == 1


def test_plans_use_the_indexes(
    postgres_table: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresStore, 'few_rows', 100)
    draw, table = np.random.default_rng(0), postgres_table.rpartition('=')[2]
    rows = draw.standard_normal((4000, 64)).astype(np.float32)
    with open_store(postgres_table, create=True) as store:
        store.add(
            [
                StoreItem(f'{i}', row, dict(lon=i / 100, lat=0.0, date=f'{2000 + i}', q=i))
                for i, row in enumerate(rows)
            ]
        )
        store.compact()
        statements: list[tuple[str, Any]] = []
        fetch = PostgresStore._fetch
        monkeypatch.setattr(
            PostgresStore,
            '_fetch',
            lambda self, *args: statements.append(args) or fetch(self, *args),
        )
        for where, index in (
            (None, f'{table}:embed'),
            ('bbox=1,-1,1.5,1', f'{table}:lon'),
            ('date=2077', f'{table}:date'),
            ('q=7..9', f'{table}:8e35c2cd'),
        ):
            statements.clear()
            store.search(rows[0], 5, where and Filter.parse(where))
            plan = fetch(store, 'EXPLAIN ' + statements[-1][0], statements[-1][1])
            assert index in str(plan)


def test_vectors_too_wide_for_an_index(
    postgres_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresStore, 'few_rows', 5)
    rows = np.random.default_rng(0).standard_normal((8, 4001)).astype(np.float32)
    with open_store(postgres_table, create=True) as store:
        store.add([StoreItem(f'{i}', row) for i, row in enumerate(rows)])
        store.compact()
        assert store.search(rows[6], 1)[0].id == '6'


def test_the_index_is_kept_by_extra_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, purpose: str, install: str) -> None:
        raise ImportError(f'{purpose} needs {module}: pip install {install}')

    monkeypatch.setattr(postgres_server, 'import_optional', missing)
    with pytest.raises(ImportError, match=r'urbancross-mm\[postgres\]'):
        open_store('postgresql://me@localhost/data')
