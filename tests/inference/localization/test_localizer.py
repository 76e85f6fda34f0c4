"""A raster is encoded once, whatever it is like, and every query finds its place."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.inference.localization.fakes import ColorEmbedder, SmallEmbedder, raster, spots
from urbancross_mm.inference.localization import HeatMap, SemanticLocalizer
from urbancross_mm.inference.localization.window_scan import counts_of
from urbancross_mm.utils.files import file_lock

rasterio = pytest.importorskip('rasterio')
SIDES = (32, 64)
RED, BLUE = (40, 200, 'red'), (180, 60, 'blue')


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    return raster(tmp_path / 'city.tif', spots(250, 300, RED, BLUE))


def localizer(
    tif: Path, model: ColorEmbedder | None = None, **options: object
) -> SemanticLocalizer:
    result = SemanticLocalizer(model or ColorEmbedder(), progress=False)
    result.set_image(tif, **dict(dict(scales=SIDES), **options))
    return result


def best_pixel(heat: HeatMap) -> tuple[float, float]:
    """Row and column."""
    known = heat.peaks(1)['features'][0]['properties']
    return known['row'], known['column']


def assert_near(heat: HeatMap, spot: tuple) -> None:
    row, column = best_pixel(heat)
    assert abs(row - spot[0] - 16) <= 12 and abs(column - spot[1] - 16) <= 12


@pytest.mark.parametrize('mode', ['windows', 'coarse-to-fine'])
def test_each_query_finds_its_place(tif: Path, mode: str) -> None:
    city = localizer(tif, mode=mode)
    assert_near(city.locate(text='red'), RED)
    assert_near(city.locate(text='blue'), BLUE)
    assert_near(city.locate(vector=np.array([0, 0, 1.0])), BLUE)
    image = np.zeros((9, 9, 3), np.uint8)
    image[..., 0] = 200
    assert_near(city.locate(image=image), RED)


def test_a_second_localizer_encodes_nothing(tif: Path) -> None:
    model = ColorEmbedder()
    first = localizer(tif, model)
    total = model.seen
    assert total == first.scan.count == first.scan.encoded > 100
    again = localizer(tif, model)
    assert model.seen == total and again.scan.encoded == 0
    assert np.array_equal(again.locate(text='red').values, first.locate(text='red').values)
    assert f'{total} windows' in again.summary() and '0 encoded now' in again.summary()
    for options in (dict(scales=(32,)), dict(bands=(3, 2, 1)), dict(cache=tif.parent / 'new')):
        assert localizer(tif, model, **options).scan.encoded > 0
    assert localizer(tif, ColorEmbedder('another model')).scan.encoded == total


def test_a_changed_raster_is_encoded_again(tif: Path, caplog: pytest.LogCaptureFixture) -> None:
    localizer(tif)
    raster(tif, spots(250, 300, BLUE, (40, 200, 'green')))
    model = ColorEmbedder()
    city = localizer(tif, model)
    assert model.seen == city.scan.count
    assert_near(city.locate(text='green'), RED)


def test_a_killed_run_goes_on_and_gives_the_same_map(tif: Path, tmp_path: Path) -> None:
    whole = localizer(tif, cache=tmp_path / 'whole')
    for last in (8, 60):
        model = ColorEmbedder()
        model.last = last
        with pytest.raises(KeyboardInterrupt):
            localizer(tif, model)
    model = ColorEmbedder()
    rest = localizer(tif, model)
    assert model.seen == rest.scan.count - 68
    assert np.array_equal(rest.locate(text='red').values, whole.locate(text='red').values)


def test_coarse_to_fine_encodes_little_and_keeps_it(tif: Path) -> None:
    model = ColorEmbedder()
    city = localizer(tif, model, mode='coarse-to-fine')
    coarse = 5 * 4  # of 64 pixels, apart
    assert model.seen == coarse
    city.locate(text='red')
    best = int(0.15 * coarse) + 1
    assert coarse < model.seen <= coarse + best * 16
    seen = model.seen
    city.locate(text='red')
    assert model.seen == seen
    city.locate(text='blue')
    assert model.seen > seen
    # The other mode reuses what this one encoded.
    seen = model.seen
    assert localizer(tif, model).scan.encoded + seen == city.scan.count


@pytest.mark.parametrize('when', ['before', 'meanwhile'])
def test_a_raster_that_changes_under_a_query_keeps_no_rows(
    tif: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    old = tif.read_bytes()
    city = localizer(tif, mode='coarse-to-fine')
    kept = city.store.states.copy()
    encode = ColorEmbedder.encode_images

    def change(*args: object) -> torch.Tensor:
        raster(tif, spots(250, 300, BLUE, (40, 200, 'green')))
        return encode(*args)

    if when == 'before':
        change(ColorEmbedder(), [np.ones((2, 2, 3))])
    else:
        monkeypatch.setattr(ColorEmbedder, 'encode_images', change)
    with pytest.raises(ValueError, match=r'city\.tif: .*changed'):
        city.locate(text='red')
    assert np.array_equal(city.store.states, kept)
    monkeypatch.undo()
    tif.write_bytes(old)
    again = localizer(tif, mode='coarse-to-fine')
    assert again.scan.encoded == 0 and np.array_equal(again.store.states, kept)
    assert_near(again.locate(text='red'), RED)


def test_a_raster_that_changes_while_it_is_encoded_keeps_no_rows(
    tif: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, encode = tif.read_bytes(), ColorEmbedder.encode_images

    def change(*args: object) -> torch.Tensor:
        raster(tif, spots(250, 300, BLUE))
        return encode(*args)

    with monkeypatch.context() as patch:
        patch.setattr(ColorEmbedder, 'encode_images', change)
        with pytest.raises(ValueError, match=r'city\.tif: .*changed'):
            localizer(tif)
    tif.write_bytes(old)
    again = localizer(tif)
    assert again.scan.encoded == again.scan.count


def test_a_query_that_encodes_waits_for_nobody(tif: Path) -> None:
    city = localizer(tif, mode='coarse-to-fine')
    red = city.locate(text='red')
    with file_lock(city.store.folder):
        with pytest.raises(ValueError, match='another process'):
            city.locate(text='blue')
        # All that this one needs is there.
        assert np.array_equal(city.locate(text='red').values, red.values, equal_nan=True)


@pytest.mark.parametrize('block', [7, 16, 1000])
def test_blocks_meet_without_seams(tif: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    heat = localizer(tif).locate(text='red')
    whole = heat.block(slice(None), slice(None))
    monkeypatch.setattr('urbancross_mm.inference.localization.heat_map.BLOCK', block)
    assert np.allclose(heat.values, whole, atol=1e-6)
    # Nor at the borders of windows: the largest step between cells is a fraction of the range.
    steps = np.abs(np.diff(whole, axis=0)).max(), np.abs(np.diff(whole, axis=1)).max()
    assert max(steps) < 0.35 * (whole.max() - whole.min())


def test_without_data_there_is_no_score(tmp_path: Path) -> None:
    pixels = spots(250, 300, RED, BLUE)
    pixels[:, :, :100] = 0
    tif = raster(tmp_path / 'a.tif', pixels, nodata=0)
    model = ColorEmbedder()
    city = localizer(tif, model)
    heat = city.locate(text='red')
    cell = city.cell
    assert np.isnan(heat.values[:, : 100 // cell]).all()
    assert np.isfinite(heat.values[:, -(-100 // cell) :]).all()
    assert model.seen < city.scan.count
    assert_near(heat, RED)
    empty = raster(tmp_path / 'b.tif', np.zeros_like(pixels), nodata=0)
    blank = localizer(empty).locate(text='red')
    assert np.isnan(blank.values).all()
    assert blank.peaks()['features'] == [] == blank.regions()['features']
    blank.write(tmp_path / 'blank.tif')
    blank.overlay(tmp_path / 'blank.png')


@pytest.mark.parametrize('mode', ['windows', 'coarse-to-fine', 'dense'])
def test_the_border_of_the_data_is_no_thing_to_find(tmp_path: Path, mode: str) -> None:
    """In noise beside a third without data, scores are there as everywhere."""
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 12, 3, 2, 1), nn.Tanh(), nn.Conv2d(12, 12, 3, 2, 1), nn.Tanh())
    encoder = dict(type='BackboneEncoder', in_channels=12, embed_dim=5, probe_size=8)
    embedder = SmallEmbedder(32, dict(encoder, backbone=nn.Sequential(*layers)))
    pixels = np.random.default_rng(0).integers(1, 256, (3, 256, 320), dtype=np.uint8)
    pixels[:, :, :107] = 0
    tif = raster(tmp_path / 'a.tif', pixels, nodata=0)
    city = localizer(tif, embedder, mode=mode)
    shifts = []
    for query in np.random.default_rng(1).normal(size=(20, 5)):
        values = city.locate(vector=query).values
        beside, inside = np.split(values[:, 107 // city.cell :], [32 // city.cell], axis=1)
        shifts.append((np.nanmean(beside) - np.nanmean(inside)) / np.nanstd(inside))
    assert np.abs(shifts).mean() < 0.7  # above 1.1 where what has no data is black


def test_almost_empty_windows_count_where_no_other_does() -> None:
    counts = counts_of(np.array([0, 0.004, 0.49, 0.5, 0.9, 1]))
    assert counts[0] == 0 < counts[1] < counts[2] < 0.001
    assert counts[3:].tolist() == [0.5, 0.9, 1]


def test_a_raster_smaller_than_a_window(tmp_path: Path) -> None:
    tif = raster(tmp_path / 'a.tif', spots(20, 45, (0, 20, 'red'), size=20))
    city = localizer(tif)
    assert [lattice.side for lattice in city.scan.lattices] == [20]
    heat = city.locate(text='red')
    assert np.isfinite(heat.values).all() and heat.shape == (10, 23)
    assert abs(best_pixel(heat)[1] - 30) <= 4


def test_twelve_bands(tmp_path: Path) -> None:
    pixels = np.full((12, 250, 300), 90, np.uint8)
    pixels[[3, 7, 9]] = spots(250, 300, RED, BLUE)
    tif = raster(tmp_path / 'a.tif', pixels)
    assert_near(localizer(tif, bands=(4, 8, 10)).locate(text='blue'), BLUE)
    named = raster(tmp_path / 'b.tif', pixels)
    with rasterio.open(named, 'r+') as file:
        interp = rasterio.enums.ColorInterp
        kinds = [interp.undefined] * 12
        kinds[3], kinds[7], kinds[9] = interp.red, interp.green, interp.blue
        file.colorinterp = kinds
    assert_near(localizer(named).locate(text='blue'), BLUE)
    with pytest.raises(ValueError, match='no band 13'):
        localizer(tif, bands=(1, 2, 13))


def test_a_large_raster_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    """Nor is anything of its size: 240 MB of pixels, read in windows."""
    path, side = tmp_path / 'a.tif', 9000
    with rasterio.open(
        path, 'w', driver='GTiff', width=side, height=side, count=3, dtype='uint8', tiled=True,
        SPARSE_OK=True, compress='deflate', crs='EPSG:32633',
        transform=rasterio.transform.from_origin(500000, 5800000, 1, 1), nodata=1,
    ) as file:  # fmt: skip
        file.write(
            np.full((3, 64, 64), 200, np.uint8), window=rasterio.windows.Window(64, 64, 64, 64)
        )
    tracemalloc.start()
    city = SemanticLocalizer(ColorEmbedder(batch_size=16), progress=False)
    city.set_image(path, scales=(1024,))
    heat = city.locate(text='red')
    heat.write(tmp_path / 'map.tif')
    heat.overlay(tmp_path / 'map.png')
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A batch of windows with their masks and floats, and the 16 MB of a decimated reading.
    assert peak < 160e6


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(mode='deep'), 'deep'),
        (dict(scales=(4,)), '4'),
        (dict(scales=()), r'\[\]'),
        (dict(mode='coarse-to-fine', scales=(32, 32)), r'\[32, 32\]'),
        (dict(bands=(1, 2)), r'\[1, 2\]'),
        (dict(bands=(0, 1, 2)), r'\[0, 1, 2\]'),
    ],
)
def test_settings_that_do_not_fit(tif: Path, options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        localizer(tif, **options)
    assert not list(tif.parent.glob('*.windows'))


def test_files_that_are_no_raster_are_named(tmp_path: Path) -> None:
    (tmp_path / 'a.tif').write_bytes(b'II*\0nothing')
    with pytest.raises(ValueError, match=r'a\.tif.*cannot be read'):
        localizer(tmp_path / 'a.tif')
    (tmp_path / 'c.jpg').write_bytes(b'\xff\xd8')
    with pytest.raises(ValueError, match=r'c\.jpg.*no TIFF'):
        localizer(tmp_path / 'c.jpg')
    with pytest.raises(FileNotFoundError, match=r'no\.tif'):
        localizer(tmp_path / 'no.tif')
    torn = raster(tmp_path / 'b.tif', spots(250, 300, RED))
    torn.write_bytes(torn.read_bytes()[:9000])
    with pytest.raises(ValueError, match=r'b\.tif.*cannot be read'):
        localizer(torn)


def test_queries_that_are_none(tif: Path) -> None:
    city = SemanticLocalizer(ColorEmbedder(), progress=False)
    for method in (lambda: city.locate(text='red'), city.summary):
        with pytest.raises(ValueError, match='set_image'):
            method()
    city.set_image(tif, scales=SIDES)
    for query in ({}, dict(text='red', image='a.jpg'), dict(vector=np.ones(3), text='red')):
        with pytest.raises(ValueError, match='exactly one'):
            city.locate(**query)
    for vector in (np.ones(4), np.array([1, np.nan, 0])):
        with pytest.raises(ValueError, match='3 finite'):
            city.locate(vector=vector)


def test_a_model_that_scores_pairs_is_refused() -> None:
    model = ColorEmbedder()
    model.model.score_pairs = lambda images, texts: None
    with pytest.raises(ValueError, match='scores pairs'):
        SemanticLocalizer(model)
