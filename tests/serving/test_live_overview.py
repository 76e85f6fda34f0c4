"""Suggestions, values and counts follow the index while the page is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving.conftest import client_of
from tests.serving.fakes import FakeEmbedder
from urbancross_mm.inference.store_search import StoreSearch
from urbancross_mm.inference.stores import StoreItem, TorchStore
from urbancross_mm.serving import live_overview, served_model
from urbancross_mm.serving.live_overview import LiveOverview
from urbancross_mm.serving.overview import Overview
from urbancross_mm.serving.served_model import ServedModel
from urbancross_mm.serving.service import Service


def item(name: str, **attributes: object) -> StoreItem:
    return StoreItem(name, np.ones(4, np.float32), dict(dict(tags=[name]), **attributes))


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the index is read; with no rest between two readings."""
    times: list[float] = []
    read = Overview.of

    def counted(store: TorchStore) -> Overview:
        times.append(time.monotonic())
        return read(store)

    monkeypatch.setattr(Overview, 'of', counted)
    monkeypatch.setattr(live_overview, 'LEAST_REST', 0.0)
    monkeypatch.setattr(live_overview, 'REST', 0)
    return times


def after_reading(live: LiveOverview) -> Overview:
    """The overview once the reading is over that this starts."""
    live.get()
    if live._reader is not None:
        live._reader.join(60)
    return live.get()


def test_a_change_is_read_once(readings: list[float]) -> None:
    store = TorchStore()
    store.add([item('a')])
    live = LiveOverview(store)
    assert live.get().phrases == after_reading(live).phrases == ['a']
    assert len(readings) == 1
    store.add([item('b', gsd=0.5)])
    overview = after_reading(live)
    assert set(overview.phrases) == {'a', 'b'} and 'gsd<=0.5' in overview.conditions
    store.delete(['a'])
    assert after_reading(live).phrases == ['b']
    assert len(readings) == 3


def test_nobody_waits_for_a_change(readings: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    store = TorchStore()
    store.add([item('a')])
    live, go_on = LiveOverview(store), threading.Event()
    live.get()
    read = Overview.of
    monkeypatch.setattr(Overview, 'of', lambda store: go_on.wait(60) and read(store))
    store.add([item('b')])
    for _ in range(3):
        assert live.get().phrases == ['a']  # and only one reading begins
    go_on.set()
    assert set(after_reading(live).phrases) == {'a', 'b'}
    assert len(readings) == 2


def test_between_two_readings_is_a_rest(
    readings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_overview, 'LEAST_REST', 1000.0)
    store = TorchStore()
    store.add([item('a')])
    live = LiveOverview(store)
    live.get()
    store.add([item('b')])
    assert after_reading(live).phrases == ['a'] and len(readings) == 1


def test_a_reading_that_fails_is_tried_again(
    readings: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TorchStore()
    store.add([item('a')])
    live = LiveOverview(store)
    live.get()
    store.add([item('b')])
    with monkeypatch.context() as broken:
        broken.setattr(store, 'items', lambda: (_ for _ in ()).throw(ConnectionError('gone')))
        assert after_reading(live).phrases == ['a']
        live._reader.join(60)
    assert set(after_reading(live).phrases) == {'a', 'b'}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with TorchStore(tmp_path / 'index', FakeEmbedder.fingerprint, create=True) as store:
        store.add([item('river', country='spain')])
    return tmp_path / 'index'


@pytest.fixture
def service(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(served_model, 'SECONDS_BETWEEN_REFRESHES', 0)
    search = StoreSearch(FakeEmbedder(), TorchStore(folder, read_only=True))  # type: ignore[arg-type]
    service = Service([ServedModel('model', search)])
    yield service
    service.close()


def test_the_api_follows_another_process(
    service: Service, folder: Path, readings: list[float]
) -> None:
    client = client_of(service)

    def model() -> dict[str, Any]:
        after_reading(service.models[0]._overview)
        return client.get('/api/info').json()['models'][0]

    before = model()
    assert before['conditions'] == ['country=spain', 'tags=river']
    assert before['bounds'] is None and before['examples'] == ['river']
    with TorchStore(folder) as writer:
        writer.add([item(str(number), tags=['harbor', 'river']) for number in range(2)])
        writer.add([item('harbor', lon=2.0, lat=41.0, gsd=0.25)])
    client.get('/api/info')  # sees the change
    after = model()
    assert after['items'] == 4 and after['bounds'] == [2.0, 41.0, 2.0, 41.0]
    assert set(after['conditions']) == {
        'country=spain', 'tags=harbor|river', 'gsd<=0.25', 'near=2.00000,41.00000,500',
    }  # fmt: skip
    values = {entry['name']: entry for entry in after['attributes']}['tags']
    assert values['values'] == ['harbor', 'river']
    assert values['conditions'] == ['tags=harbor', 'tags=river']
    suggested = client.get('/api/suggest', params=dict(typed='har')).json()
    assert suggested == dict(phrases=['harbor'])
