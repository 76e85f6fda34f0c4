"""Who may ask: tokens, hosts, origins; how much; and the headers of every reply."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import LIMITS, client_of
from urbancross_mm.serving.app import create_app, is_loopback
from urbancross_mm.serving.security import Guard
from urbancross_mm.serving.service import Service

TOKEN = 'correct-horse-battery'


@pytest.fixture
def guarded(served: Service) -> TestClient:
    return client_of(served, token=TOKEN)


@pytest.mark.parametrize(
    'path', ['/', '/api/info', '/static/app.js', '/api/openapi.json', '/nowhere']
)
def test_nothing_without_the_token(guarded: TestClient, path: str) -> None:
    for headers in (
        {},
        {'Authorization': 'Bearer wrong'},
        {'Authorization': f'Basic {TOKEN}'},
        {'Cookie': 'urbancross_token=wrong'},
        {'Cookie': b'=;;\xff'},
    ):
        response = guarded.get(path, headers=headers)
        assert response.status_code == 401
        assert response.headers['www-authenticate'] == 'Bearer'
        assert 'token' in response.json()['detail'] and TOKEN not in response.text


def test_the_token_as_a_bearer(guarded: TestClient) -> None:
    headers = {'Authorization': f'Bearer {TOKEN}'}
    assert guarded.get('/api/info', headers=headers).status_code == 200


def test_the_token_moves_from_the_address_to_a_cookie(guarded: TestClient) -> None:
    entered = guarded.get(f'/?q=a+harbor&token={TOKEN}', follow_redirects=False)
    assert entered.status_code == 303 and entered.headers['location'] == '/?q=a+harbor'
    cookie = entered.headers['set-cookie']
    assert 'HttpOnly' in cookie and 'SameSite=Strict' in cookie
    assert guarded.get('/api/info').status_code == 200
    assert guarded.get('/?token=wrong').status_code == 200  # by the cookie
    away = guarded.get(f'//evil.example/?token={TOKEN}', follow_redirects=False)
    assert away.headers.get('location', '/').startswith('/') and not away.headers.get(
        'location', ''
    ).startswith('//')


@pytest.mark.parametrize('token', ['', 'short', 'with space in it', 'semi;colon;long'])
def test_a_token_that_cannot_be_one(served: Service, token: str) -> None:
    with pytest.raises(ValueError, match='8 to 200'):
        create_app(served, token)


def test_only_names_of_this_machine(served: Service) -> None:
    client = client_of(served)
    for host in ('127.0.0.1', 'localhost:8000', '[::1]:8000', 'LOCALHOST'):
        assert client.get('/api/rasters', headers={'Host': host}).status_code == 200, host
    for host in ('evil.example', 'evil.example:8000', '127.0.0.1.evil.example', ''):
        assert client.get('/api/rasters', headers={'Host': host}).status_code == 400, host
    everywhere = client_of(served, any_host=True)
    assert everywhere.get('/api/rasters', headers={'Host': 'maps.example'}).status_code == 200


def test_pages_of_other_sites_may_not_ask(client: TestClient) -> None:
    assert client.get('/api/info', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 403
    assert client.get('/', headers={'Sec-Fetch-Site': 'cross-site'}).status_code == 200
    assert client.get('/api/info', headers={'Sec-Fetch-Site': 'same-origin'}).status_code == 200


def test_every_reply_has_the_headers(client: TestClient) -> None:
    for path in ('/', '/api/info', '/static/app.js', '/nowhere', '/api/search'):
        headers = client.get(path).headers
        policy = headers['content-security-policy']
        assert "default-src 'none'" in policy and 'unsafe' not in policy
        assert headers['x-content-type-options'] == 'nosniff'
        assert headers['referrer-policy'] == 'no-referrer'
    assert client.get('/docs').status_code == 404


def test_a_long_body_is_refused_with_and_without_a_length(client: TestClient) -> None:
    long = b'{"texts": ["' + b'x' * LIMITS.body_bytes + b'"]}'
    headers = {'Content-Type': 'application/json'}
    assert client.post('/api/search', content=long, headers=headers).status_code == 413
    parts = (long[start : start + 65536] for start in range(0, len(long), 65536))
    response = client.post('/api/search', content=parts, headers=headers)
    assert response.status_code == 413 and str(LIMITS.body_bytes) in response.text


UPLOAD = dict(
    type='http', method='POST', path='/api/search/image', query_string=b'',
    headers=[(b'content-length', b'9')],
)  # fmt: skip


def test_an_upload_too_many_is_refused_before_it_is_read() -> None:
    """Two are being worked on, the third is refused unread, the fourth comes after them."""
    limits, sent, read = replace(LIMITS, uploads=2), [], []
    free = asyncio.Event()

    async def receive() -> dict:
        read.append(1)
        return dict(type='http.request', body=b'x' * 9)

    async def send(message: dict) -> None:
        sent.append(message.get('status'))

    async def app(*_: object) -> None:
        await free.wait()

    async def main() -> None:
        guard = Guard(app, limits)
        first = [asyncio.ensure_future(guard(UPLOAD, receive, send)) for _ in range(2)]
        await asyncio.sleep(0)
        await guard(UPLOAD, receive, send)
        assert sent[0] == 503 and len(read) == 2
        free.set()
        await asyncio.gather(*first)
        await guard(UPLOAD, receive, send)
        assert len(read) == 3

    asyncio.run(main())


def test_a_body_that_does_not_come_frees_its_place() -> None:
    limits, sent = replace(LIMITS, uploads=1, body_seconds=0.01), []

    async def receive() -> dict:
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message.get('status'))

    async def main() -> None:
        guard = Guard(receive, limits)  # type: ignore[arg-type]
        for _ in range(2):
            await guard(UPLOAD, receive, send)

    asyncio.run(main())
    assert [status for status in sent if status] == [408, 408]


def test_reading_ends_at_the_limit() -> None:
    taken = []

    async def endless() -> dict:
        taken.append(1)
        return dict(type='http.request', body=b'x' * 100_000, more_body=True)

    sent: list[dict] = []

    async def send(message: dict) -> None:
        sent.append(message)

    async def app(*_: object) -> None:
        raise AssertionError('the app must not see it')

    scope = dict(
        type='http', method='POST', path='/api/search', query_string=b'',
        headers=[(b'transfer-encoding', b'chunked')],
    )  # fmt: skip
    asyncio.run(Guard(app, LIMITS)(scope, endless, send))
    assert sent[0]['status'] == 413 and len(taken) == LIMITS.body_bytes // 100_000 + 1


@pytest.mark.parametrize('host', ['127.0.0.1', '127.8.8.8', '::1', 'localhost'])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize('host', ['0.0.0.0', '::', '192.168.1.4', 'example.org', '10.0.0.1'])
def test_not_loopback(host: str) -> None:
    assert not is_loopback(host)
