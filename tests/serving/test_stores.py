"""The API over each kind of store: the same hits, filters, pages and images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.postgres import postgres_server, why_no_postgres
from tests.serving.conftest import client_of
from tests.serving.fakes import WORDS, FakeEmbedder, fake_items
from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import StoreItem, open_store
from urbancross_mm.serving import live_overview, served_model
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.service import Service

NUMBERS = count()


@pytest.fixture(scope='module')
def items(tmp_path_factory: pytest.TempPathFactory) -> list[StoreItem]:
    return fake_items(tmp_path_factory.mktemp('images'), 3)


@pytest.fixture(scope='module', params=['folder', 'lance', 'postgres'])
def new_location(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    """Gives a fresh location."""
    folder = tmp_path_factory.mktemp('stores')
    if request.param == 'folder':
        yield lambda: str(folder / f'{next(NUMBERS)}.index')
    elif request.param == 'lance':
        pytest.importorskip('lancedb', reason='LanceDB needs urbancross-mm[lance]')
        yield lambda: str(folder / f'{next(NUMBERS)}.lance')
    elif why := why_no_postgres():
        pytest.skip(why)
    else:
        with postgres_server() as url:
            yield lambda: f'{url}?table=served_{next(NUMBERS)}'


def served(location: str, items: list[StoreItem]) -> Service:
    with open_store(location, FakeEmbedder.fingerprint, create=True) as store:
        store.add(items)
        store.compact()
    search = StoreSearch(FakeEmbedder(), open_store(location, read_only=True))  # type: ignore[arg-type]
    return Service([ServedModel('model', search)])


@pytest.fixture(scope='module')
def client(new_location: Callable[[], str], items: list[StoreItem]) -> Iterator[TestClient]:
    service = served(new_location(), items)
    yield client_of(service)
    service.close()
    service.models[0].search.store.close()


def ids(client: TestClient, **query: object) -> list[str]:
    response = client.get('/api/search', params=dict(query))
    assert response.status_code == 200, response.text
    return [hit['id'] for hit in response.json()['hits']]


def test_search_is_exact(client: TestClient, items: list[StoreItem]) -> None:
    vector = FakeEmbedder().encode_texts(['a river'])[0].numpy()
    expected = sorted(items, key=lambda item: -float(item.embed @ vector))[:10]
    assert ids(client, texts='a river', topk=10) == [item.id for item in expected]


@pytest.mark.parametrize(
    ('where', 'country', 'word'),
    [
        ('country=germany', 'germany', ''),
        ('tags=river+tile', '', 'river'),
        ('bbox=13,52,14,53', 'germany', ''),
        ('bbox=20,59,-170,62', 'finland', ''),
        ('polygon=POLYGON((2 41, 3 41, 3 42, 2 42, 2 41))', 'spain', ''),
        ('near=24.92,60.21,30000', 'finland', ''),
        ('country!=spain|finland', 'germany', ''),
    ],
)
def test_filters_hold(
    client: TestClient, items: list[StoreItem], where: str, country: str, word: str
) -> None:
    passing = {item.id for item in items if f'{country}/' in item.id and word in item.id}
    assert set(ids(client, texts='a forest', where=where, topk=100)) == passing
    assert 0 < len(passing) < len(items)


def test_pages_neither_repeat_nor_miss(client: TestClient, items: list[StoreItem]) -> None:
    whole = ids(client, texts='houses', topk=100)
    pages = [ids(client, texts='houses', topk=7, offset=start) for start in range(0, 36, 7)]
    assert sum(pages, []) == whole and set(whole) == {item.id for item in items}
    hidden = ids(client, texts='houses', topk=100, hide_duplicates=True)
    assert len(hidden) == len(items) - len(WORDS) * 3  # one of each group of two


def test_marks_images_and_files(client: TestClient, items: list[StoreItem]) -> None:
    first = items[4]
    assert ids(client, likes=first.id, topk=1) == [first.id]
    image = client.get(f'/api/images/{quote(first.id, safe="")}')
    assert image.status_code == 200 and image.headers['content-type'] == 'image/jpeg'
    assert client.get('/api/images/no%2Fsuch').status_code == 404
    features = client.get('/api/results.geojson', params=dict(texts='river', topk=3)).json()
    assert features['features'][0]['geometry']['type'] == 'Polygon'


def test_what_is_served_is_described(client: TestClient, items: list[StoreItem]) -> None:
    (model,) = client.get('/api/info').json()['models']
    assert model['items'] == len(items) and model['fingerprint'] == FakeEmbedder.fingerprint
    assert model['bounds'] == pytest.approx([2.1, 41.4, 24.928, 60.238])
    attributes = {entry['name']: entry for entry in model['attributes']}
    assert set(attributes['country']['values']) == {'finland', 'germany', 'spain'}
    for condition in model['conditions']:
        assert ids(client, texts='a river', where=condition), condition
    assert client.get('/api/suggest?typed=riv').json()['phrases'][0] == 'river'


@pytest.mark.parametrize('where', ['nothing=1', 'nonsense', 'bbox=1,2,3', 'near=1,95,3'])
def test_a_wrong_filter_is_one_sentence(client: TestClient, where: str) -> None:
    response = client.get('/api/search', params=dict(texts='river', where=where))
    assert response.status_code == 400 and '\n' not in response.json()['detail']


def test_many_clients_at_once(client: TestClient) -> None:
    queries = [dict(texts=word, topk=5) for word in WORDS] * 5
    expected = [ids(client, **query) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda query: ids(client, **query), queries)) == expected


def test_a_change_is_seen(
    new_location: Callable[[], str], items: list[StoreItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, 'SECONDS_BETWEEN_REFRESHES', 0)
    monkeypatch.setattr(live_overview, 'LEAST_REST', 0.0)
    location = new_location()
    service = served(location, items[:-1])
    client = client_of(service)
    assert client.get('/api/info').json()['models'][0]['items'] == len(items) - 1
    with open_store(location) as writer:
        writer.add([StoreItem('new', items[0].embed, dict(scene='quarry'))])
    assert 'new' in ids(client, texts='harbor', topk=100)
    end = time.monotonic() + 60  # a database counts writes after a while
    while not (phrases := client.get('/api/suggest?typed=quar').json()['phrases']):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert phrases == ['quarry']
    service.close()
    service.models[0].search.store.close()
