"""Tiles of rasters and heat maps: what they show, where they are, what is refused."""

from __future__ import annotations

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from fastapi.testclient import TestClient
from PIL import Image
from rasterio.transform import from_bounds, from_origin

from tests.serving.conftest import client_of
from tests.serving.fakes import COLORS, fake_raster
from urbancross_mm.serving import heat_maps
from urbancross_mm.serving.heat_maps import HeatMaps
from urbancross_mm.serving.limits import RefusedError
from urbancross_mm.serving.open_raster import OpenRaster
from urbancross_mm.serving.raster_tiles import RasterTiles
from urbancross_mm.serving.service import Service
from urbancross_mm.serving.worker_pool import Stop, StoppedError

SQUARE = (32.5125, 0.3075)  # the middle of what differs in the raster


def tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    across = (lon + 180) / 360
    down = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int(across * 2**zoom), int(down * 2**zoom)


def pixels_of(response: object) -> np.ndarray:
    assert response.status_code == 200, response.text
    assert response.headers['content-type'] == 'image/png'
    return np.array(Image.open(io.BytesIO(response.content)).convert('RGBA'))


def test_a_tile_shows_the_place(client: TestClient) -> None:
    x, y = tile_at(*SQUARE, 18)
    pixels = pixels_of(client.get(f'/api/rasters/city/tiles/18/{x}/{y}.png'))
    assert pixels.shape == (256, 256, 4)
    assert (pixels[..., 3] == 255).all()
    # The tile lies in the square, whose color is that of a river.
    assert np.abs(pixels[128, 128, :3].astype(int) - COLORS['river']).max() < 3


def test_beside_the_raster_a_tile_is_transparent(client: TestClient) -> None:
    assert not pixels_of(client.get('/api/rasters/city/tiles/5/0/0.png')).any()


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
    hot = pixels_of(client.get(f'/{address}'))
    far = pixels_of(client.get('/' + heat['tiles'].format(z=17, x=x - 10, y=y)))
    assert hot[..., 3].max() > 200 and not far.any()
    assert client.post('/api/rasters/city/locate', json=body).json()['id'] == heat['id']


def test_a_heat_map_says_what_the_model_does_not_know(client: TestClient) -> None:
    reply = client.post('/api/rasters/city/locate', json=dict(text='zebra river')).json()
    assert len(reply['warnings']) == 1 and "'zebra'" in reply['warnings'][0]


@pytest.mark.parametrize(
    ('body', 'status'),
    [
        (dict(), 400),
        (dict(text='a', upload='b'), 400),
        (dict(upload='none'), 410),
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
    raster.close()


def test_a_raster_of_16_bits_is_stretched(tmp_path: Path) -> None:
    with rasterio.open(fake_raster(tmp_path / 'a.tif')) as file:
        pixels, profile = file.read().astype(np.uint16) * 40, dict(file.profile, dtype='uint16')
    with rasterio.open(tmp_path / 'deep.tif', 'w', **profile) as file:
        file.write(pixels)
    tiles = RasterTiles(tmp_path / 'deep.tif', 'deep')
    x, y = tile_at(*SQUARE, 15)
    shown = np.array(Image.open(io.BytesIO(tiles.view().tile(15, x, y))).convert('RGB'))
    assert shown.max() == 255
    tiles.close()


def color_at(tiles: RasterTiles, zoom: int = 18) -> np.ndarray:
    """In the middle of the square."""
    tile = tiles.view().tile(zoom, *tile_at(*SQUARE, zoom))
    return np.array(Image.open(io.BytesIO(tile)).convert('RGB'))[128, 128].astype(int)


def replace_raster(path: Path, word: str) -> None:
    """Another file takes its place, as a download does."""
    fake_raster(path.with_name('new.tif'), word).replace(path)
    os.utime(path, (1, 1))


def test_a_replaced_raster_is_opened_again(served: Service, tmp_path: Path) -> None:
    path, model, maps = fake_raster(tmp_path / 'city.tif'), served.models[0], HeatMaps()
    tiles, river = RasterTiles(path, 'a city'), np.array([0, 1, 0, 0], np.float32)
    before = maps.make(model, tiles, river, Stop())
    replace_raster(path, 'houses')
    assert np.abs(color_at(tiles) - COLORS['houses']).max() < 3
    after = maps.make(model, tiles, river, Stop())
    assert after[0] != before[0]
    assert after[1].peaks[0][2] < before[1].peaks[0][2]  # there is no river any more
    path.unlink()
    with pytest.raises(RefusedError, match=r'city\.tif') as refusal:
        tiles.view()
    assert refusal.value.status == 404
    maps.close()


def test_a_lost_raster_leaves_the_page_alone(served: Service, tmp_path: Path) -> None:
    path = fake_raster(tmp_path / 'lost.tif')
    service = Service(served.models, [*served.rasters, RasterTiles(path, 'lost')])
    client = client_of(service)
    assert len(client.get('/api/rasters').json()) == 2
    path.unlink()
    for address, infos in (('/api/rasters', list), ('/api/info', lambda info: info['rasters'])):
        assert [info['name'] for info in infos(client.get(address).json())] == ['city']
    assert client.get('/api/rasters/lost/tiles/1/1/0.png').status_code == 404


def test_a_browser_asks_whether_what_it_has_still_holds(served: Service, tmp_path: Path) -> None:
    path = fake_raster(tmp_path / 'city.tif')
    client = client_of(Service(served.models, [RasterTiles(path, 'city')]))
    x, y = tile_at(*SQUARE, 18)
    address = f'/api/rasters/city/tiles/18/{x}/{y}.png'
    first = client.get(address)
    assert 'no-cache' in first.headers['cache-control']
    known = {'If-None-Match': f'"other", W/{first.headers["etag"]}'}
    again = client.get(address, headers=known)
    assert again.status_code == 304 and not again.content
    replace_raster(path, 'houses')
    changed = client.get(address, headers=known)
    assert changed.status_code == 200 and changed.content != first.content


def test_heat_maps_that_are_not_kept_leave_no_files(
    served: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_maps, 'MOST_MAPS', 2)
    tiles, maps = RasterTiles(fake_raster(tmp_path / 'city.tif'), 'city'), HeatMaps()
    folder = Path(maps._folder.name)
    names = [maps.make(served.models[0], tiles, row, Stop())[0] for row in np.eye(4, dtype='f4')]
    assert sorted(path.stem for path in folder.iterdir()) == sorted(names[2:])
    with pytest.raises(RefusedError, match='ask for it again'):
        maps.get(names[0])
    maps.close()
    assert not folder.exists()


def test_a_tile_from_far_out_is_empty_and_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiles = RasterTiles(fake_raster(tmp_path / 'city.tif'), 'city')
    view = tiles.view()
    near = view.min_zoom
    assert near > 2
    assert np.array(Image.open(io.BytesIO(view.tile(near, *tile_at(*SQUARE, near))))).any()
    monkeypatch.setattr(OpenRaster, 'read', None)
    far = view.tile(near - 1, *tile_at(*SQUARE, near - 1))
    assert not np.array(Image.open(io.BytesIO(far))).any()
    with pytest.raises(RefusedError, match='0/1/0'):
        view.tile(0, 1, 0)


def test_where_small_values_are_light(tmp_path: Path) -> None:
    georeference = dict(crs='EPSG:4326', transform=from_bounds(32.50, 0.30, 32.52, 0.32, 64, 64))
    for options in (dict(dtype='uint8'), dict(dtype='uint8', nbits=1), dict(dtype='uint16')):
        path = tmp_path / f'{len(options)}{options["dtype"]}.tif'
        profile = dict(driver='GTiff', width=64, height=64, count=1, photometric='MINISWHITE')
        values = np.zeros((1, 64, 64), options['dtype'])
        values[:, :, 32:] = 1 if 'nbits' in options else 255
        with rasterio.open(path, 'w', **profile, **georeference, **options) as file:
            file.write(values)
        view = RasterTiles(path, 'lights').view()
        shades = [
            np.array(Image.open(io.BytesIO(view.tile(17, *tile_at(lon, 0.31, 17)))).convert('L'))
            for lon in (32.503, 32.517)
        ]
        assert shades[0][128, 128] == 255 and shades[1][128, 128] == 0, options


def test_bands_can_be_chosen(tmp_path: Path) -> None:
    path = fake_raster(tmp_path / 'city.tif')
    tiles = RasterTiles(path, 'city', (3, 2, 1))
    assert np.abs(color_at(tiles) - COLORS['river'][::-1]).max() < 3
    with pytest.raises(ValueError, match=r'city\.tif.*no band 4'):
        RasterTiles(path, 'city', (4, 3, 2))


@pytest.mark.parametrize(
    'georeference',
    [
        dict(transform=Affine.identity()),
        dict(crs='LOCAL_CS["site",UNIT["metre",1]]'),
        dict(crs='EPSG:32635', transform=from_origin(4e9, 4e9, 10, 10)),
        dict(crs='EPSG:3857', transform=from_origin(4e9, 0, 10, 10)),
        dict(crs='EPSG:4326', transform=from_origin(4e9, 0, 0.01, 0.01)),
        dict(crs='EPSG:4258', transform=from_origin(0, 99, 0.01, 0.01)),
    ],
)
def test_a_place_that_is_not_on_the_globe_is_refused(tmp_path: Path, georeference: dict) -> None:
    path = fake_raster(tmp_path / 'nowhere.tif', **georeference)
    with pytest.raises(ValueError, match=r'nowhere\.tif cannot be shown: it.* (CRS|coordinates)'):
        RasterTiles(path, 'nowhere')


@pytest.mark.parametrize(
    ('crs', 'bounds'),
    [
        ('EPSG:4326', (-180, -90, 180, 90)),
        ('EPSG:4326', (0, -90, 360, 90)),
        ('EPSG:4326', (-180.125, -90, 179.875, 90)),
        ('EPSG:3857', (-20037508.342789, -20037508.342789, 20037508.342789, 20037508.342789)),
        ('EPSG:3413', (-3e6, -3e6, 3e6, 3e6)),
        ('EPSG:32701', (8e5, 8e6, 9e5, 8.1e6)),
        ('EPSG:27700', (4e5, 1e5, 5e5, 2e5)),
        ('EPSG:31467', (3.4e6, 5.4e6, 3.5e6, 5.5e6)),
    ],
)
def test_places_that_are_shown(tmp_path: Path, crs: str, bounds: tuple) -> None:
    path = fake_raster(tmp_path / 'a.tif', crs=crs, transform=from_bounds(*bounds, 512, 512))
    RasterTiles(path, 'a').close()


def test_a_raster_without_a_place_is_refused(tmp_path: Path) -> None:
    path = fake_raster(tmp_path / 'nowhere.tif', crs=None)
    with pytest.raises(ValueError, match=r'nowhere\.tif.*CRS'):
        RasterTiles(path, 'nowhere')
    (tmp_path / 'bad.tif').write_bytes(b'II*\0 no raster')
    with pytest.raises(ValueError, match=r'bad\.tif'):
        RasterTiles(tmp_path / 'bad.tif', 'bad')
    with pytest.raises(FileNotFoundError, match=r'gone\.tif'):
        RasterTiles(tmp_path / 'gone.tif', 'gone')
