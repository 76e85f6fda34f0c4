"""A map lies where its raster lies, in every file that it is written to."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from tests.inference.localization.fakes import ColorEmbedder, raster, spots
from urbancross_mm.inference.localization import HeatMap, SemanticLocalizer
from urbancross_mm.inference.localization.map_features import find_peaks

rasterio = pytest.importorskip('rasterio')
SPOTS = ((40, 200, 'red'), (180, 60, 'red'))


def heat_of(path: Path, **options: object) -> HeatMap:
    tif = raster(path, spots(250, 300, *SPOTS), **options)
    city = SemanticLocalizer(ColorEmbedder(), progress=False)
    city.set_image(tif, scales=(32, 64))
    return city.locate(text='red')


@pytest.fixture
def heat(tmp_path: Path) -> HeatMap:
    return heat_of(tmp_path / 'city.tif')


def test_the_file_is_a_tiled_compressed_geotiff_of_the_same_place(
    heat: HeatMap, tmp_path: Path
) -> None:
    heat.write(tmp_path / 'new' / 'map.tif')
    with (
        rasterio.open(tmp_path / 'city.tif') as city,
        rasterio.open(tmp_path / 'new' / 'map.tif') as file,
    ):
        assert file.crs == city.crs and file.dtypes == ('float32',) and file.count == 1
        assert file.compression.name == 'deflate' and file.profile['tiled']
        assert file.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
        assert file.transform.almost_equals(city.transform * Affine.scale(heat.cell))
        assert (file.height, file.width) == heat.shape == (63, 75) and heat.cell == 4
        assert np.isnan(file.nodata)
        assert np.allclose(file.read(1), heat.values, equal_nan=True)
    assert [path.name for path in (tmp_path / 'new').iterdir()] == ['map.tif']


def test_a_map_larger_than_a_block_has_overviews(
    heat: HeatMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('urbancross_mm.inference.localization.heat_map.BLOCK', 32)
    heat.write(tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as file:
        assert file.overviews(1) and np.allclose(file.read(1), heat.values)


def test_a_file_that_cannot_be_written_leaves_nothing(heat: HeatMap, tmp_path: Path) -> None:
    (tmp_path / 'folder.tif').mkdir()
    for method in (heat.write, heat.overlay):
        with pytest.raises(OSError, match=r'folder\.tif'):
            method(tmp_path / 'folder.tif')
    with pytest.raises(OSError, match='city'):
        heat.write(tmp_path / 'city.tif' / 'map.tif')
    assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize('blocks', [16, 512])
@pytest.mark.parametrize('method', ['write', 'overlay'])
def test_a_full_disk_leaves_the_old_file(
    heat: HeatMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, method: str
) -> None:
    monkeypatch.setattr('urbancross_mm.inference.localization.heat_map.BLOCK', blocks)
    values = np.random.default_rng(0).normal(size=heat.shape).astype(np.float32)
    monkeypatch.setattr(heat, 'block', lambda *block: values[block])
    path = tmp_path / ('map.tif' if method == 'write' else 'map.png')
    getattr(heat, method)(path)
    old, size = path.read_bytes(), path.stat().st_size
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # What is written first and last is refused, and all between.
    for most in (*range(100, size, size // 5), size - 1):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
        try:
            with pytest.raises(OSError, match=path.name if method == 'write' else 'large'):
                getattr(heat, method)(path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == old
        assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize(
    'transform',
    [None, Affine.translation(5e5, 58e5) * Affine.rotation(30) * Affine.scale(0.5, -0.5)],
    ids=['north up', 'rotated'],
)
def test_positions_are_those_of_the_raster(tmp_path: Path, transform: Affine | None) -> None:
    heat = heat_of(tmp_path / 'city.tif', transform=transform)
    with rasterio.open(tmp_path / 'city.tif') as file:
        forward, crs = file.transform, file.crs
    peaks, regions = heat.peaks(2), heat.regions(0.7)
    assert len(peaks['features']) == len(regions['features']) == 2
    for rank, feature in enumerate(peaks['features'], 1):
        known = feature['properties']
        assert known['rank'] == rank and feature['geometry']['type'] == 'Point'
        assert (known['x'], known['y']) == pytest.approx(forward * (known['column'], known['row']))
        back = rasterio.warp.transform(
            'EPSG:4326', crs, *[[value] for value in feature['geometry']['coordinates']]
        )
        assert [back[0][0], back[1][0]] == pytest.approx([known['x'], known['y']], abs=1e-3)
        spot = min(SPOTS, key=lambda spot: abs(spot[0] + 16 - known['row']))
        assert abs(spot[0] + 16 - known['row']) < 8 and abs(spot[1] + 16 - known['column']) < 8
    for feature in regions['features']:
        known = feature['properties']
        (ring,) = feature['geometry']['coordinates']
        xs, ys = rasterio.warp.transform('EPSG:4326', crs, *zip(*ring))
        pixels = np.array([~forward * point for point in zip(xs, ys)])
        # Corners of cells, also where the raster is rotated.
        assert np.allclose(pixels / heat.cell, (pixels / heat.cell).round(), atol=0.02)
        column, row = ~forward * (known['x'], known['y'])
        assert (pixels.min(axis=0) < (column, row)).all()
        assert (pixels.max(axis=0) > (column, row)).all()
        assert known['peak'] >= known['score'] >= known['threshold']
        assert known['pixels'] % heat.cell**2 == 0
    heat.write(tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as file:
        assert file.transform.almost_equals(forward * Affine.scale(heat.cell), 1e-6)
    json.dumps([peaks, regions], allow_nan=False)


@pytest.mark.parametrize(
    'options',
    [
        dict(crs=None),
        dict(transform=Affine.identity()),
        dict(crs='LOCAL_CS["site",UNIT["metre",1]]'),
        dict(transform=Affine.translation(4e9, 4e9) * Affine.scale(1, -1)),
        dict(crs='EPSG:3857', transform=Affine.translation(4e9, 4e9) * Affine.scale(1, -1)),
        dict(crs='EPSG:4326', transform=Affine.translation(4e9, 4e9) * Affine.scale(1, -1)),
    ],
)
@pytest.mark.filterwarnings('ignore:Dataset has no geotransform')
def test_without_a_position_columns_and_rows_are_given(tmp_path: Path, options: dict) -> None:
    heat = heat_of(tmp_path / 'city.tif', **options)
    assert heat.place.crs is None
    for feature in heat.peaks(2)['features']:
        known = feature['properties']
        assert feature['geometry']['coordinates'] == (known['column'], known['row'])
    assert heat.regions(0.7)['features']
    heat.write(tmp_path / 'map.tif')
    with rasterio.open(tmp_path / 'map.tif') as file:
        assert file.crs is None
    city = SemanticLocalizer(ColorEmbedder(), progress=False)
    city.set_image(tmp_path / 'city.tif', scales=(32,))
    assert 'columns and rows' in city.summary()


@pytest.mark.parametrize(('west', 'north'), [(179.9, 10), (170, 0.01), (180, 10), (-180, 90)])
def test_a_raster_at_the_end_of_the_globe_has_a_place(
    tmp_path: Path, west: float, north: float
) -> None:
    transform = Affine.translation(west, north) * Affine.scale(0.001, -0.001)
    heat = heat_of(tmp_path / 'city.tif', crs='EPSG:4326', transform=transform)
    assert heat.place.crs == 'EPSG:4326'
    for feature in heat.peaks()['features']:
        lon = feature['geometry']['coordinates'][0]
        assert -180 <= lon <= 180
        assert (lon - feature['properties']['x']) % 360 == pytest.approx(0, abs=1e-6)
    for feature in heat.regions(0)['features']:
        west, _, east, _ = rasterio.features.bounds(feature['geometry'])
        assert west >= -180 and east <= 180


def test_cells_that_the_border_cuts_end_there(tmp_path: Path) -> None:
    """67 x 66 pixels in cells of 8: the last ones have 3 and 2."""
    tif = raster(tmp_path / 'city.tif', spots(66, 67, (60, 60, 'red')), crs=None)
    city = SemanticLocalizer(ColorEmbedder(), progress=False)
    city.set_image(tif, scales=(64,))
    heat = city.locate(text='red')
    values = np.zeros(heat.shape, np.float32)
    values[-1, -1] = 1
    heat.__dict__['values'] = values
    (peak,) = heat.peaks(1)['features']
    assert peak['geometry']['coordinates'] == (65.5, 65)
    (region,) = heat.regions(1)['features']
    assert region['properties']['pixels'] == 3 * 2
    assert (region['properties']['x'], region['properties']['y']) == (65.5, 65)
    assert rasterio.features.bounds(region['geometry']) == (64, 64, 67, 66)
    (whole,) = heat.regions(0)['features']
    assert whole['properties']['pixels'] == 67 * 66


@pytest.mark.parametrize(
    ('method', 'arguments', 'named'),
    [
        ('peaks', (0,), '0'),
        ('peaks', (1, -5), '-5'),
        ('peaks', (1, float('nan')), 'nan'),
        ('regions', (1.5,), '1.5'),
        ('regions', (float('nan'),), 'nan'),
    ],
)
def test_numbers_that_do_not_fit(heat: HeatMap, method: str, arguments: tuple, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        getattr(heat, method)(*arguments)


def test_peaks_are_local_maxima_apart_from_each_other() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 50)).astype(np.float32)
    values[5:10] = np.nan
    peaks = find_peaks(values, 8, 9)
    assert len(peaks) == 8
    scores = [values[peak] for peak in peaks]
    assert scores == sorted(scores, reverse=True) and scores[0] == np.nanmax(values)
    for first in range(8):
        for other in range(first):
            assert np.hypot(*np.subtract(peaks[first], peaks[other])) >= 9
    flat = find_peaks(np.zeros((20, 20), np.float32), 9, 10)
    assert 4 <= len(flat) <= 9
    assert find_peaks(np.full((3, 3), np.nan), 2, 1) == []


def test_the_pixels_of_the_map(heat: HeatMap) -> None:
    pixels = heat.to_pixels()
    assert pixels.shape == (250, 300) and pixels.dtype == np.uint8
    # Bilinear between the middles of cells, which stay what they are.
    middle = pixels[1:250:4, 1:300:4].astype(int)
    low, high = heat.values.min(), heat.values.max()
    expected = 255 * (heat.values - low) / (high - low)
    assert np.abs(middle[:62, :75] - expected[:62]).max() < 20
    assert pixels[:, 200:232].max() > 240 > 100 > pixels[230:, 230:].max()


def test_the_overlay_shows_the_place(
    heat: HeatMap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('urbancross_mm.inference.localization.window_scan._OVERVIEW', 150)
    heat.overlay(tmp_path / 'new' / 'map.png')
    image = np.asarray(Image.open(tmp_path / 'new' / 'map.png')).astype(int)
    assert image.shape == (125, 150, 3)
    # Far from the red squares the gray of the ground shows through, near them the map is bright.
    assert np.abs(image[110:, 120:] - 90).max() < 40
    assert image[24:32, 104:112].sum(axis=2).min() > image[110:, 120:].sum(axis=2).max()
