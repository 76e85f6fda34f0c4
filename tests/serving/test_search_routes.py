"""Searching through the API: what comes back, and what is refused with one sentence."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.serving.fakes import COLORS
from urbancross_mm.serving.service import Service


def ids(reply: dict) -> list[str]:
    return [hit['id'] for hit in reply['hits']]


def results(client: TestClient, **query: object) -> dict:
    response = client.get('/api/search', params=query)
    assert response.status_code == 200, response.text
    return response.json()


def refused(client: TestClient, status: int, **query: object) -> str:
    response = client.get('/api/search', params=query)
    assert response.status_code == status, response.text
    return response.json()['detail']


def png(color: tuple[int, int, int], side: int = 16) -> bytes:
    out = io.BytesIO()
    Image.new('RGB', (side, side), color).save(out, 'PNG')
    return out.getvalue()


def test_a_text_finds_its_images_best_first(client: TestClient) -> None:
    reply = results(client, texts='a harbor', topk=24)
    assert all('/harbor/' in name for name in ids(reply)) and reply['more']
    scores = [hit['score'] for hit in reply['hits']]
    assert scores == sorted(scores, reverse=True)
    first = reply['hits'][0]
    assert first['rank'] == 1 and first['attributes']['tags'] == ['harbor', 'tile']
    assert first['bounds'][0] < first['lon'] < first['bounds'][2]
    assert Path(first['attributes']['img_path']).is_file()


def test_get_and_post_answer_the_same(client: TestClient) -> None:
    query = dict(texts=['a river'], minus=['a forest'], where=['country=spain'], topk=5, offset=2)
    by_body = client.post('/api/search', json=query)
    assert by_body.status_code == 200
    assert by_body.json() == results(client, **query)


def test_pages_neither_repeat_nor_miss(client: TestClient) -> None:
    whole = ids(results(client, texts='houses', topk=96))
    pages = [
        ids(results(client, texts='houses', topk=20, offset=start)) for start in range(0, 96, 20)
    ]
    assert sum(pages, []) == whole and len(set(whole)) == 96
    last = results(client, texts='houses', topk=20, offset=80)
    assert not last['more'] and last['hits'][0]['rank'] == 81


@pytest.mark.parametrize(
    ('where', 'country'),
    [
        ('country=germany', 'germany'),
        ('bbox=13,52,14,53', 'germany'),
        ('bbox=13,52,-179,53', 'germany'),  # on to the other side of 180 degrees
        ('polygon=POLYGON((2 41, 3 41, 3 42, 2 42, 2 41))', 'spain'),
        ('near=24.92,60.21,30000', 'finland'),
    ],
)
def test_filters_hold(client: TestClient, where: str, country: str) -> None:
    reply = results(client, texts='a forest', where=where, topk=96)
    assert len(reply['hits']) == 32 and not reply['more']
    assert {hit['attributes']['country'] for hit in reply['hits']} == {country}


def test_several_conditions_must_all_hold(client: TestClient) -> None:
    reply = results(client, texts='a', where=['country=spain', 'tags=river'], topk=96)
    assert {name.rpartition('/')[0] for name in ids(reply)} == {'spain/river'}


def test_words_that_the_model_does_not_know_are_named(client: TestClient) -> None:
    (warning,) = results(client, texts=['zebra river', 'river'], minus='a zebra')['warnings']
    assert "'zebra'" in warning and 'river' not in warning
    assert results(client, texts='a river')['warnings'] == []
    upload = dict(file=('a.png', png(COLORS['forest']), 'image/png'))
    reply = client.post('/api/search/image', data=dict(texts='zebra'), files=upload).json()
    assert reply['warnings'] == [warning]


def test_near_duplicates_are_hidden(client: TestClient) -> None:
    query = dict(texts='a harbor', where='country=spain', topk=96)
    both = {'spain/harbor/0', 'spain/harbor/1'}
    assert both <= set(ids(results(client, **query)))
    assert len(both & set(ids(results(client, **query, hide_duplicates=True)))) == 1


def test_marks_move_the_next_page(client: TestClient) -> None:
    liked = results(client, texts='a road', likes=['spain/river/2', 'germany/river/3'], topk=10)
    assert all('/river/' in name for name in ids(liked))
    away = results(client, texts='harbor river', dislikes=['spain/river/2'], topk=5)
    assert all('/harbor/' in name for name in ids(away))
    assert ids(results(client, likes='finland/houses/4', topk=1)) == ['finland/houses/4']


def test_an_upload_finds_its_like_and_is_kept(client: TestClient) -> None:
    response = client.post(
        '/api/search/image',
        data=dict(topk='6', where=['country=spain'], model='source'),
        files=dict(file=('a.png', png(COLORS['forest']), 'image/png')),
    )
    assert response.status_code == 200, response.text
    reply = response.json()
    assert reply['model'] == 'source'
    assert all(name.startswith('spain/forest/') for name in ids(reply))
    again = results(client, uploads=reply['upload'], topk=6, where='country=spain')
    assert ids(again) == ids(reply)


def test_results_come_as_csv_and_geojson(client: TestClient) -> None:
    query = dict(texts='a harbor', topk=3)
    expected = ids(results(client, **query))
    table = client.get('/api/results.csv', params=query)
    assert table.headers['content-type'].startswith('text/csv')
    assert 'results.csv' in table.headers['content-disposition']
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row['id'] for row in rows] == expected and rows[0]['country']
    features = client.get('/api/results.geojson', params=query)
    assert features.headers['content-type'].startswith('application/geo+json')
    collection = json.loads(features.text)
    assert [feature['id'] for feature in collection['features']] == expected
    assert collection['features'][0]['geometry']['type'] == 'Polygon'


def test_values_that_json_lacks_become_null(client: TestClient, served: Service) -> None:
    from urbancross_mm.serving.replies import finite

    assert finite(dict(a=[1.0, float('nan')], b=float('inf'))) == dict(a=[1.0, None], b=None)


@pytest.mark.parametrize(
    ('query', 'status', 'named'),
    [
        (dict(), 400, 'empty'),
        (dict(texts='   '), 422, 'texts'),
        (dict(texts='x' * 1001), 422, '1000'),
        (dict(texts=['x'] * 33), 422, '32'),
        (dict(texts='a\0b'), 422, 'NUL'),
        (dict(texts='x', topk=0), 422, 'topk'),
        (dict(texts='x', topk=1001), 422, '1001'),
        (dict(texts='x', offset=-1), 422, 'offset'),
        (dict(texts='x', offset=10**9), 422, 'offset'),
        (dict(texts='x', topk='many'), 422, "'many'"),
        (dict(texts='x', tokp=3), 422, 'tokp'),
        (dict(texts='x', model='other'), 404, 'adapted, source'),
        (dict(texts='x', likes='no/such'), 400, 'no/such'),
        (dict(uploads='no such'), 410, 'no such'),
        (dict(texts='x', where='bbox=1,2,3'), 400, '1,2,3'),
        (dict(texts='x', where='near=1,91,5'), 400, '91'),
        (dict(texts='x', where='nonsense'), 400, 'nonsense'),
        (dict(texts='x', where='polygon=POLYGON((0 0, 1 1, 1 0, 0 1, 0 0))'), 400, 'polygon'),
        (dict(texts='x', where='polygon=@/etc/passwd'), 422, 'file'),
        (dict(texts='x', where='polygon= @secret.wkt'), 422, 'file'),
    ],
)
def test_what_cannot_be_answered_is_refused(
    client: TestClient, query: dict, status: int, named: str
) -> None:
    sentence = refused(client, status, **query)
    assert named in sentence and '\n' not in sentence and 'Traceback' not in sentence


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        (b'', 422),
        (b'{', 422),
        (b'[]', 422),
        (b'null', 422),
        (b'{"texts": "x"}', 422),
        (b'{"texts": [1]}', 422),
        (b'{"texts": ["\\ud800"]}', 422),
        (b'{"texts": ["x"], "topk": 1e400}', 422),
        (b'{"texts": ["x"], "topk": ' + b'9' * 5000 + b'}', 400),
        (b'{"texts": ' + b'[' * 100_000, 400),
        (b'\xff\xfe', 400),
    ],
)
def test_a_broken_body_is_refused(client: TestClient, body: bytes, status: int) -> None:
    response = client.post(
        '/api/search', content=body, headers={'Content-Type': 'application/json'}
    )
    assert 400 <= response.status_code < 500, response.text
    assert isinstance(response.json()['detail'], str)


def test_a_failure_says_nothing_of_the_inside(client: TestClient) -> None:
    response = client.get('/api/search', params=dict(texts='broken'))
    assert response.status_code == 500
    assert response.json() == dict(detail='the server failed; its log says how')
    assert response.headers['x-content-type-options'] == 'nosniff'


def test_an_index_out_of_reach_is_unavailable(
    client: TestClient, served: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise ConnectionError('postgresql://db is not reachable')

    store = served.models[0].search.store
    for name in ('search', 'get', 'count', 'items', 'version'):
        monkeypatch.setattr(store, name, gone)
    assert 'postgresql://db' in refused(client, 503, texts='x')
    for path in ('info', 'images/spain/river/0', 'suggest?typed=riv'):
        response = client.get(f'/api/{path}')
        assert response.status_code == 503 and 'postgresql://db' in response.json()['detail']


def test_the_description_names_every_route_and_error(client: TestClient) -> None:
    description = client.get('/api/openapi.json').json()
    assert set(description['paths']) == {
        '/api/info', '/api/search', '/api/search/image', '/api/results.csv',
        '/api/results.geojson', '/api/suggest', '/api/images/{item_id}', '/api/rasters',
        '/api/rasters/{name}/locate', '/api/rasters/{name}/tiles/{z}/{x}/{y}.png',
        '/api/heatmaps/{name}/tiles/{z}/{x}/{y}.png',
    }  # fmt: skip
    for path, methods in description['paths'].items():
        for method, route in methods.items():
            errors = {code for code in route['responses'] if code != '200'}
            assert errors == {'400', '401', '403', '404', '408', '410', '413', '422', '503'}, (
                path,
                method,
            )
            assert route['responses']['200']['content'], (path, method)


def test_vectors_are_of_the_model_that_was_named(client: TestClient, served: Service) -> None:
    other = np.roll(np.eye(4, dtype=np.float32), 1, axis=0)[0]
    served.models[1].search.vector, before = lambda _: other, served.models[1].search.vector
    try:
        assert all(
            'houses' in n for n in ids(results(client, texts='river', model='source', topk=5))
        )
        assert all('river' in n for n in ids(results(client, texts='river', topk=5)))
    finally:
        served.models[1].search.vector = before
