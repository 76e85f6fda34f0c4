"""Images are those of items, by id alone; info and suggestions are those of the index."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
import rasterio
from fastapi.testclient import TestClient
from PIL import Image

from tests.serving.fakes import COLORS, fake_raster
from urbancross_mm.serving.gallery_images import GalleryImages
from urbancross_mm.serving.limits import RefusedError


def test_an_image_by_id(client: TestClient) -> None:
    hit = client.get('/api/search', params=dict(texts='a harbor', topk=1)).json()['hits'][0]
    for address in (hit['image'], f'api/images/{hit["id"]}?size=full'):
        response = client.get(address)
        assert response.status_code == 200
        assert response.headers['content-type'] == 'image/jpeg'
        assert 'private, no-cache' in response.headers['cache-control']
        known = {'If-None-Match': response.headers['etag']}
        assert client.get(address, headers=known).status_code == 304
        assert Image.open(io.BytesIO(response.content)).size == (32, 32)


@pytest.mark.parametrize(
    'item',
    [
        '',
        'no/such/item',
        '../../etc/passwd',
        '..%2F..%2Fetc%2Fpasswd',
        '/etc/passwd',
        '%2Fetc%2Fpasswd',
        'file:///etc/passwd',
        'http://127.0.0.1/x.png',
        'a%00b',
        '%ff%fe',
        'x' * 5000,
    ],
)
def test_nothing_but_ids_of_the_index(client: TestClient, item: str) -> None:
    response = client.get(f'/api/images/{item}')
    assert response.status_code == 404
    assert 'detail' in response.json()


def test_a_path_of_an_item_is_no_id(client: TestClient) -> None:
    hit = client.get('/api/search', params=dict(texts='a harbor', topk=1)).json()['hits'][0]
    assert client.get(f'/api/images/{hit["attributes"]["img_path"]}').status_code == 404


def test_thumbnails_are_small_and_windows_are_cut(tmp_path: Path) -> None:
    images = GalleryImages()
    raster = fake_raster(tmp_path / 'city.tif')
    attributes = dict(img_path=str(raster), window=[256, 256, 100, 50])
    cut = Image.open(io.BytesIO(images.get(attributes)))
    assert cut.size == (100, 50)
    assert max(abs(a - b) for a, b in zip(cut.getpixel((50, 25)), COLORS['river'])) < 8
    whole = Image.open(io.BytesIO(images.get(dict(img_path=str(raster)))))
    assert whole.size == (256, 256)
    assert Image.open(io.BytesIO(images.get(dict(img_path=str(raster)), full=True))).size == (
        512,
        512,
    )


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    images, path = GalleryImages(), tmp_path / 'a.png'
    for side in (20, 40):
        Image.new('RGB', (side, side)).save(path)
        assert Image.open(io.BytesIO(images.get(dict(img_path=str(path))))).size == (side, side)


def test_the_range_of_a_replaced_raster_is_its_own(tmp_path: Path) -> None:
    images, path, shown = GalleryImages(), tmp_path / 'deep.tif', []
    for scale in (1, 100):
        with rasterio.open(fake_raster(tmp_path / 'a.tif')) as file:
            pixels, profile = file.read().astype('u2') * scale, dict(file.profile, dtype='uint16')
        with rasterio.open(path, 'w', **profile) as file:
            file.write(pixels)
        os.utime(path, (scale, scale))
        shown.append(images.get(dict(img_path=str(path), window=[0, 0, 512, 512])))
    assert shown[0] == shown[1]  # both are stretched


def test_a_lost_or_damaged_image_is_one_sentence(tmp_path: Path) -> None:
    images = GalleryImages()
    (tmp_path / 'bad.png').write_bytes(b'no image')
    for attributes, named in (
        (dict(img_path=str(tmp_path / 'gone.png')), 'gone.png'),
        (dict(img_path=str(tmp_path / 'bad.png')), 'bad.png'),
        (dict(), 'no file'),
        (dict(img_path=str(tmp_path / 'gone.tif'), window=[0, 0, 9, 9]), 'gone.tif'),
    ):
        with pytest.raises(RefusedError, match=named) as refusal:
            images.get(attributes)
        assert refusal.value.status == 404


def test_info_says_what_can_be_filtered(client: TestClient) -> None:
    info = client.get('/api/info').json()
    assert [model['name'] for model in info['models']] == ['adapted', 'source']
    model = info['models'][0]
    assert model['items'] == 96
    kinds = {entry['name']: (entry['kind'], set(entry['values'])) for entry in model['attributes']}
    assert kinds['country'] == ('text', {'finland', 'germany', 'spain'})
    assert kinds['lon'][0] == 'number' and 'river' in kinds['tags'][1]
    assert 'img_path' not in kinds
    assert model['bounds'] == pytest.approx([2.1, 41.4, 24.978, 60.238])
    assert info['rasters'][0]['bounds'] == pytest.approx([32.50, 0.30, 32.52, 0.32])


def test_suggestions_begin_with_what_was_typed(client: TestClient) -> None:
    def suggested(typed: str) -> list[str]:
        return client.get('/api/suggest', params=dict(typed=typed)).json()['phrases']

    assert suggested('RIV') == ['river', 'some river near the road']
    assert suggested('near') == [f'some {word} near the road' for word in
                                 ('forest', 'harbor', 'houses', 'river')]  # fmt: skip
    assert suggested('') == [] and suggested('zebra') == []
    assert client.get('/api/suggest').status_code == 422
