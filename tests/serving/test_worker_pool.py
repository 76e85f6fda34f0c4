"""A slow query neither blocks others nor goes on for nobody; too many are refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from tests.serving.conftest import client_of
from tests.serving.fakes import fake_model
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import Stop, StoppedError, WorkerPool


class Visitor:
    """A client that leaves when told to."""

    def __init__(self) -> None:
        self.gone = False

    async def is_disconnected(self) -> bool:
        return self.gone


@pytest.fixture
def pool() -> WorkerPool:
    return WorkerPool(threads=1, waiting=1)


def test_work_and_errors_come_back(pool: WorkerPool) -> None:
    assert asyncio.run(pool.run(Visitor(), lambda stop: 7)) == 7
    with pytest.raises(ZeroDivisionError):
        asyncio.run(pool.run(Visitor(), lambda stop: 1 // 0))


def test_too_much_work_is_refused_until_some_is_done(pool: WorkerPool) -> None:
    free = threading.Event()

    async def main() -> None:
        jobs = [asyncio.ensure_future(pool.run(Visitor(), lambda _: free.wait())) for _ in 'ab']
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match='2 queries') as refusal:
            await pool.run(Visitor(), lambda _: 1)
        assert refusal.value.status == 503
        free.set()
        assert await asyncio.gather(*jobs) == [True, True]
        assert await pool.run(Visitor(), lambda _: 1) == 1

    asyncio.run(main())


def leave_during(leave: Callable[[Visitor, asyncio.Future], None]) -> list[str]:
    """What work did before and after its client left; another waits behind it."""
    pool = WorkerPool(threads=1, waiting=2)
    started, went_on, seen = threading.Event(), threading.Event(), []

    def work(stop: Stop) -> None:
        seen.append('first step')
        started.set()
        went_on.wait()
        stop.check()
        seen.append('second step')

    async def main() -> None:
        visitor, other = Visitor(), Visitor()
        running = asyncio.ensure_future(pool.run(visitor, work))
        queued = asyncio.ensure_future(pool.run(other, lambda _: seen.append('of the other')))
        await asyncio.to_thread(started.wait)
        leave(visitor, running)
        leave(other, queued)
        for job in (running, queued):
            with pytest.raises(StoppedError):
                await job
        went_on.set()
        # What ran must have ended before this may begin.
        await pool.run(Visitor(), lambda _: seen.append('next'))

    asyncio.run(main())
    return seen


def test_work_for_a_client_that_left_stops_between_steps() -> None:
    def leave(visitor: Visitor, job: asyncio.Future) -> None:
        visitor.gone = True

    assert leave_during(leave) == ['first step', 'next']


def test_work_of_a_cancelled_task_stops_between_steps() -> None:
    assert leave_during(lambda _, job: job.cancel() and None) == ['first step', 'next']


def test_closing_ends_work_between_steps(pool: WorkerPool) -> None:
    started = threading.Event()

    def work(stop: Stop) -> None:
        started.set()
        while True:  # a raster of many windows
            stop.check()

    async def main() -> None:
        job = asyncio.ensure_future(pool.run(Visitor(), work))
        await asyncio.to_thread(started.wait)
        pool.close()
        with pytest.raises(StoppedError):
            await job
        with pytest.raises(RefusedError, match='ends'):
            await pool.run(Visitor(), lambda _: 1)

    asyncio.run(main())


def test_a_slow_query_does_not_block_others(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, entered, free = fake_model(tmp_path), threading.Event(), threading.Event()
    search = model.search.store.search

    def slow(vector, topk, *rest):
        if topk == 78:
            entered.set()
            free.wait()
        return search(vector, topk, *rest)

    monkeypatch.setattr(model.search.store, 'search', slow)
    service = Service([model])
    client = client_of(service)
    codes = []

    def ask_slowly() -> None:
        codes.append(client.get('/api/search?texts=x&topk=77').status_code)

    with client:
        waiting = threading.Thread(target=ask_slowly)
        waiting.start()
        entered.wait()
        # Each of these would never come back if it waited for the slow one.
        assert client.get('/api/search?texts=x&topk=3').status_code == 200
        assert client.get('/api/images/spain/river/0').status_code == 200
        assert not codes
        free.set()
        waiting.join()
    assert codes == [200]


def test_a_request_that_is_given_up_ends_its_work(tmp_path, monkeypatch) -> None:
    """Through the whole app: the model is encoding, and the index is never searched."""
    model, entered, free = fake_model(tmp_path), threading.Event(), threading.Event()

    def encode(query):
        entered.set()
        free.wait()
        return [1.0, 0, 0, 0]

    searched = []
    monkeypatch.setattr(model.search, 'vector', encode)
    monkeypatch.setattr(model.search, 'search_vector', lambda *a: searched.append(a))
    service = Service([model])
    app = client_of(service).app
    scope = dict(
        type='http', method='GET', path='/api/search', raw_path=b'/api/search', root_path='',
        query_string=b'texts=x', headers=[(b'host', b'127.0.0.1')], http_version='1.1',
        scheme='http', server=('127.0.0.1', 80), client=('127.0.0.1', 1),
    )  # fmt: skip
    sent: list[dict] = []

    async def receive() -> dict:
        if not sent_request:
            sent_request.append(1)
            return dict(type='http.request', body=b'')
        if not entered.is_set():
            await asyncio.sleep(3600)  # cancelled: it is only looked whether there is something
        return dict(type='http.disconnect')

    sent_request: list[int] = []

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    free.set()
    service.queries._threads.shutdown(wait=True)
    assert not searched and sent[0]['status'] == 499
