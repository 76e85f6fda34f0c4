"""Tiles of rasters and heat maps: what they show, where they are, what is refused."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.serving.fakes import COLORS, fake_raster
from urbancross_mm.serving.heat_maps import HeatMaps
from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import Stop, StoppedError

SQUARE = (32.5125, 0.3075)  # the middle of what differs in the raster


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    across = (lon + 180) / 360
    down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int(across * 2**zoom), int(down * 2**zoom)


def picture(response: object) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers['content-type'] == 'image/png'
    return np.array(Image.open(io.BytesIO(response.content)).convert('RGBA'))


def test_a_tile_shows_the_place(client: TestClient) -> None:
    x, y = tile_at(*SQUARE, 18)
    pixels = picture(client.get(f'/api/rasters/city/tiles/18/{x}/{y}.png'))
    assert pixels.shape == (256, 256, 4)
    assert (pixels[..., 3] == 255).all()
    # The tile lies in the square, whose color is that of a river.
    assert np.abs(pixels[128, 128, :3].astype(int) - COLORS['river']).max() < 3


def test_beside_the_raster_a_tile_is_transparent(client: TestClient) -> None:
    assert not picture(client.get('/api/rasters/city/tiles/5/0/0.png')).any()


@pytest.mark.parametrize(
    ('address', 'status'),
    [
        ('/api/rasters/other/tiles/1/0/0.png', 404),
        ('/api/rasters/city/tiles/1/2/0.png', 404),
        ('/api/rasters/city/tiles/-1/0/0.png', 404),
        ('/api/rasters/city/tiles/31/0/0.png', 404),
        ('/api/rasters/city/tiles/9999999999999999999/0/0.png', 404),
        ('/api/rasters/city/tiles/a/0/0.png', 422),
        ('/api/rasters/..%2f..%2fcity/tiles/1/0/0.png', 404),
        ('/api/heatmaps/none/tiles/1/0/0.png', 404),
    ],
)
def test_what_is_no_tile_is_refused(client: TestClient, address: str, status: int) -> None:
    response = client.get(address)
    assert response.status_code == status and response.json()['detail']


@pytest.mark.parametrize('by', ['text', 'upload'])
def test_a_heat_map_is_hot_where_it_is(client: TestClient, by: str) -> None:
    body: dict = dict(text='a river')
    if by == 'upload':
        out = io.BytesIO()
        Image.new('RGB', (64, 64), COLORS['river']).save(out, 'PNG')
        sent = client.post('/api/search/image', files=dict(file=('r.png', out.getvalue())))
        body = dict(upload=sent.json()['upload'])
    response = client.post('/api/rasters/city/locate', json=body)
    assert response.status_code == 200, response.text
    heat = response.json()
    best = heat['peaks'][0]
    assert math.dist((best['lon'], best['lat']), SQUARE) < 0.004
    assert heat['bounds'] == pytest.approx([32.50, 0.30, 32.52, 0.32], abs=2e-3)
    x, y = tile_at(best['lon'], best['lat'], 17)
    address = heat['tiles'].format(z=17, x=x, y=y)
    hot = picture(client.get(f'/{address}'))
    far = picture(client.get('/' + heat['tiles'].format(z=17, x=x - 10, y=y)))
    assert hot[..., 3].max() > 200 and not far.any()
    assert client.post('/api/rasters/city/locate', json=body).json()['id'] == heat['id']


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        (dict(), 400),
        (dict(text='a', upload='b'), 400),
        (dict(upload='none'), 404),
        (dict(text=''), 422),
        (dict(text='a', model='other'), 404),
    ],
)
def test_what_cannot_be_located_is_refused(client: TestClient, body: dict, status: int) -> None:
    assert client.post('/api/rasters/city/locate', json=body).status_code == status
    assert client.post('/api/rasters/other/locate', json=dict(text='a')).status_code == 404


def test_encoding_a_raster_stops_when_the_client_has_gone(served: Service, tmp_path: Path) -> None:
    raster = RasterTiles(fake_raster(tmp_path / 'other.tif'), 'other')
    stop, maps = Stop(), HeatMaps()
    stop.set()
    vector = np.eye(4, dtype=np.float32)[0]
    with pytest.raises(StoppedError):
        maps.make(served.models[0], raster, vector, stop)
    name, shown = maps.make(served.models[0], raster, vector, Stop())
    assert shown.peaks and maps.get(name) is shown
    maps.close()
    raster.file.close()


def test_a_raster_of_16_bits_is_stretched(tmp_path: Path) -> None:
    import rasterio

    with rasterio.open(fake_raster(tmp_path / 'a.tif')) as file:
        pixels, profile = file.read().astype(np.uint16) * 40, dict(file.profile, dtype='uint16')
    with rasterio.open(tmp_path / 'deep.tif', 'w', **profile) as file:
        file.write(pixels)
    tiles = RasterTiles(tmp_path / 'deep.tif', 'deep')
    x, y = tile_at(*SQUARE, 15)
    shown = np.array(Image.open(io.BytesIO(tiles.tile(15, x, y))).convert('RGB'))
    assert shown.max() == 255
    tiles.file.close()


def test_a_raster_without_a_place_is_refused(tmp_path: Path) -> None:
    path = fake_raster(tmp_path / 'nowhere.tif', crs=None)
    with pytest.raises(ValueError, match=r'nowhere\.tif.*CRS'):
        RasterTiles(path, 'nowhere')
    (tmp_path / 'bad.tif').write_bytes(b'II*\0 no raster')
    with pytest.raises(ValueError, match=r'bad\.tif'):
        RasterTiles(tmp_path / 'bad.tif', 'bad')
    with pytest.raises(FileNotFoundError, match=r'gone\.tif'):
        RasterTiles(tmp_path / 'gone.tif', 'gone')
