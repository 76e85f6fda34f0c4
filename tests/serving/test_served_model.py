"""A model over an index that others write to, replace, or that cannot be reached."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.serving.conftest import client_of
from tests.serving.fakes import FakeEmbedder, fake_items
from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import StoreItem, TorchStore
from urbancross_mm.serving import served_model
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.service import Service


@pytest.fixture(scope='module')
def items(tmp_path_factory: pytest.TempPathFactory) -> list[StoreItem]:
    return fake_items(tmp_path_factory.mktemp('images'), 1)


@pytest.fixture
def folder(tmp_path: Path, items: list[StoreItem]) -> Path:
    """An index of all items but one."""
    with TorchStore(tmp_path / 'index', FakeEmbedder.fingerprint, create=True) as store:
        store.add(items[1:])
    return tmp_path / 'index'


@pytest.fixture
def service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(served_model, 'SECONDS_BETWEEN_REFRESHES', 0)
    search = StoreSearch(FakeEmbedder(), TorchStore(folder, read_only=True))  # type: ignore[arg-type]
    service = Service([ServedModel('model', search)], [])
    yield service
    service.close()


def ask(service: Service, status: int, path: str = '/api/search?texts=harbor&topk=50') -> Any:
    response = client_of(service).get(path)
    assert response.status_code == status, response.text
    return response.json()


def hit_ids(service: Service) -> set[str]:
    return {hit['id'] for hit in ask(service, 200)['hits']}


def test_an_update_is_seen_without_a_restart(
    service: Service, folder: Path, items: list[StoreItem]
) -> None:
    assert items[0].id not in hit_ids(service)
    with TorchStore(folder) as writer:
        writer.add(items[:1])
        writer.delete([items[1].id])
    assert hit_ids(service) == {item.id for item in items} - {items[1].id}
    assert ask(service, 200, '/api/info')['models'][0]['items'] == len(items) - 1


def test_an_index_of_another_model_is_not_searched(
    service: Service, folder: Path, items: list[StoreItem]
) -> None:
    assert hit_ids(service)
    shutil.rmtree(folder)
    with TorchStore(folder, 'other', create=True) as other:
        other.add(items)
    for path in ('/api/search?texts=harbor', '/api/info'):
        for _ in range(2):
            assert 'another model' in ask(service, 503, path)['detail']


def test_the_index_is_looked_at_once_a_second(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served_model, 'SECONDS_BETWEEN_REFRESHES', 1000)
    (model,) = service.models
    refreshed = []
    monkeypatch.setattr(model.search.store, 'refresh', lambda: refreshed.append(1))
    model._refreshed = -1e9
    for _ in range(3):
        hit_ids(service)
    assert refreshed == [1]


def test_an_index_that_cannot_be_reached(
    service: Service, monkeypatch: pytest.MonkeyPatch, items: list[StoreItem]
) -> None:
    def unreachable(*args: object, **options: object) -> None:
        raise ConnectionError('PostgreSQL at host:5432/db: gone')

    store = service.models[0].search.store
    for method in ('search', 'get', 'count', 'items'):
        monkeypatch.setattr(store, method, unreachable)
    for path in (
        '/api/search?texts=harbor',
        f'/api/search?likes={items[1].id}',
        f'/api/images/{quote(items[1].id)}',
        '/api/info',
        '/api/suggest?typed=har',
    ):
        assert 'PostgreSQL at host' in ask(service, 503, path)['detail']
