"""A request that cannot be read gets JSON with a sentence, as every other error."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from urbancross_mm.serving.app import create_app
from urbancross_mm.serving.http_errors import MOST_HEADER_BYTES, HttpProtocol
from urbancross_mm.serving.service import Service


@pytest.fixture
def port(served: Service) -> Iterator[int]:
    """Of a server as tools/serve.py starts it."""
    with socket.socket() as listening:
        listening.bind(('127.0.0.1', 0))
        config = uvicorn.Config(
            create_app(served),
            log_level='critical',
            lifespan='off',
            http=HttpProtocol,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs=dict(sockets=[listening]), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(60)


@pytest.mark.parametrize(
    ('request_line', 'status'),
    [
        (b'GET /api/rasters HTTP/1.1', 200),
        (b'GET /api/search?texts=x&where=' + b'a' * (MOST_HEADER_BYTES // 2) + b' HTTP/1.1', 422),
        (b'GET /api/search?where=' + b'a' * (10 * MOST_HEADER_BYTES) + b' HTTP/1.1', 400),
        (b'what is this', 400),
        (b'\x16\x03\x01\x02\x00', 400),  # as TLS begins
    ],
)
def test_every_reply_is_json(port: int, request_line: bytes, status: int) -> None:
    with socket.create_connection(('127.0.0.1', port), timeout=60) as connection:
        end = b'\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n'
        connection.sendall(request_line + end)
        received = b''
        while chunk := connection.recv(1 << 16):
            received += chunk
    head, _, body = received.partition(b'\r\n\r\n')
    assert head.startswith(b'HTTP/1.1 %d ' % status), head
    assert b'content-type: application/json' in head and b'nosniff' in head
    if b'transfer-encoding: chunked' in head.lower():
        body = body.partition(b'\r\n')[2].partition(b'\r\n')[0]
    content = json.loads(body)
    if status == 400:
        assert str(MOST_HEADER_BYTES) in content['detail'] and len(content) == 1
