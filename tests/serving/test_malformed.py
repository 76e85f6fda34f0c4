"""A thousand requests that are wrong in some way: each is refused or answered, none breaks."""

from __future__ import annotations

import json
import random
from typing import Any

from fastapi.testclient import TestClient

REQUESTS = 1000
FIELDS = (
    'texts',
    'minus',
    'likes',
    'dislikes',
    'where',
    'topk',
    'offset',
    'hide_duplicates',
    'model',
    'upload',
)
VALUES: tuple[Any, ...] = (
    None,
    -1,
    0,
    1.5,
    10**30,
    True,
    '',
    ' ',
    'x' * 5000,
    '\x00',
    '\ud800',
    '../../etc/passwd',
    "'; DROP TABLE images; --",
    '<script>alert(1)</script>',
    [],
    [[]],
    {},
    ['a'] * 500,
    [None],
    [''],
    ['bbox=9,9,1,1'],
    ['polygon=POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))'],
    ['near=1,95,-3'],
    ['polygon=@/etc/passwd'],
    ['nothing=1'],
    ['country'],
    ['date>=yesterday'],
)
ADDRESSES = (
    '/api/images/{}',
    '/api/rasters/{}/tiles/1/1/1.png',
    '/api/rasters/city/tiles/{}/0/0.png',
    '/api/rasters/city/tiles/99/{}/-1.png',
    '/api/suggest?q={}',
    '/api/search?texts={}&where={}',
    '/api/results.csv?texts=red&topk={}',
    '/api/results.geojson?where={}',
)


def send(client: TestClient, draw: random.Random) -> tuple[str, int, bytes]:
    """One wrong request: what was sent, the status and the body of the reply."""
    if draw.random() < 0.3:
        text = draw.choice(['%00', '..%2f..%2fetc%2fpasswd', '%ff%fe', 'a' * 4000, '%F0%9F', '-1'])
        address = draw.choice(ADDRESSES).replace('{}', text)
        reply = client.get(address)
        return address, reply.status_code, reply.content
    address = draw.choice(['/api/search', '/api/search/image', '/api/rasters/city/locate'])
    body = {draw.choice((*FIELDS, 'text', 'other')): draw.choice(VALUES) for _ in range(3)}
    content = json.dumps(body).encode()
    if draw.random() < 0.3:
        content = content[: draw.randrange(len(content) + 1)] + draw.randbytes(5)
    kind = draw.choice(['application/json', 'text/plain', 'multipart/form-data; boundary=x', ''])
    reply = client.post(address, content=content, headers={'Content-Type': kind})
    return f'{address} {kind} {content!r:.200}', reply.status_code, reply.content


def test_no_malformed_request_breaks_the_service(client: TestClient) -> None:
    draw = random.Random(0)
    refused = 0
    for _ in range(REQUESTS):
        sent, status, body = send(client, draw)
        assert status < 500, f'{sent}: {status} {body[:300]!r}'
        assert b'Traceback' not in body and b'root:' not in body, sent
        refused += status >= 400
    # Some are merely odd, such as a field that nobody knows; most are wrong.
    assert refused > REQUESTS // 2
    assert client.get('/api/search', params={'texts': 'red'}).status_code == 200
