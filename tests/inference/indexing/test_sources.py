"""Folders, annotation files, features and rasters become items with paths and positions."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import rasterio
import torch

from tests.curation.stages.test_tile_stage import write_raster
from tests.inference.indexing.test_builder import build, content, numbers
from tests.inference.small_embedder import COLORS, SmallEmbedder, write_image
from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.inference.indexing import SourceOptions, open_sources
from urbancross_mm.inference.indexing.attributes import join_attributes, read_attributes
from urbancross_mm.structures.annotations import encode_annotations

DEGREES = rasterio.transform.from_origin(20.0, 60.0, 0.001, 0.001)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / 'index'


def mosaic(size: int = 80) -> np.ndarray:
    """Quarters of four colors, noisy."""
    half = size // 2
    colors = np.array(list(COLORS.values())).reshape(2, 2, 3)
    pixels = colors.repeat(half, 0).repeat(half, 1).transpose(2, 0, 1)
    noise = np.random.default_rng(0).integers(-25, 25, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def open_one(path: object, **options) -> object:
    return open_sources([str(path)], SourceOptions(**options))[0]


def test_windows_of_a_raster(tmp_path: Path, index: Path) -> None:
    path = tmp_path / 'city.tif'
    write_raster(path, mosaic(), 'EPSG:4326', transform=DEGREES)
    source = open_one(path, tile_size=40)
    assert [source.window(n) for n in range(4)] == [
        (0, 0, 40, 40),
        (40, 0, 40, 40),
        (0, 40, 40, 40),
        (40, 40, 40, 40),
    ]
    build(index, path)  # one window: the raster is smaller than the default
    assert list(content(index)) == ['city/city.tif#0,0,80,80']
    builder_items = items_of(tmp_path / 'other', source)
    embed, attributes = builder_items['city/city.tif#40,0,40,40']
    assert attributes['img_path'] == str(path) and attributes['window'] == [40, 0, 40, 40]
    assert attributes['bounds'] == pytest.approx([20.04, 59.96, 20.08, 60.0])
    assert attributes['lon'] == pytest.approx(20.06) and attributes['lat'] == pytest.approx(59.98)
    pixels = mosaic()[:, :40, 40:].transpose(1, 2, 0)
    expected = SmallEmbedder().encode_images([np.ascontiguousarray(pixels)])[0]
    np.testing.assert_allclose(embed, expected, atol=1e-4)


def items_of(index: Path, source: object) -> dict:
    from urbancross_mm.inference.indexing import IndexBuilder

    IndexBuilder(SmallEmbedder(), str(index), progress=False).build([source])
    return content(index)


@pytest.mark.parametrize(
    ('tile_size', 'stride', 'columns'),
    [
        (32, None, [0, 32, 48]),
        (40, 20, [0, 20, 40]),
        (80, None, [0]),
        (100, 7, [0]),
        (33, 50, [0, 47]),
    ],
)
def test_windows_reach_every_edge(
    tmp_path: Path, tile_size: int, stride: int | None, columns: list[int]
) -> None:
    write_raster(tmp_path / 'a.tif', mosaic())
    source = open_one(tmp_path / 'a.tif', tile_size=tile_size, stride=stride)
    assert list(source.columns) == list(source.rows) == columns
    assert len(source) == len(columns) ** 2
    assert len({source.id_of(n) for n in range(len(source))}) == len(source)


def test_windows_without_data_are_left_out(tmp_path: Path, index: Path) -> None:
    pixels = mosaic()
    pixels[:, :40, :40] = 0
    pixels[:, 40:, 40:] = np.array([77, 0, 255])[:, None, None]  # one color, which may be water
    for name, nodata in (('a', 0), ('b', None)):
        if nodata is None:
            pixels[:, :40, 40:] = 255
        write_raster(tmp_path / f'{name}.tif', pixels, nodata=nodata)
        source = open_one(tmp_path / f'{name}.tif', tile_size=40)
        kept = [f'{name}/{name}.tif#{place},40,40' for place in ('0,40', '40,0', '40,40')]
        if nodata is None:
            del kept[1]
        assert sorted(items_of(tmp_path / f'{name}.index', source)) == kept


def test_windows_across_180_degrees(tmp_path: Path, index: Path) -> None:
    path = tmp_path / 'fiji.tif'
    write_raster(
        path,
        mosaic(),
        'EPSG:4326',
        transform=rasterio.transform.from_origin(179.97, 60.0, 0.001, 0.001),
    )
    source = open_one(path, tile_size=40)
    assert source.remark == ''
    bounds = [attributes['bounds'] for _, attributes in items_of(index, source).values()]
    lons = [attributes['lon'] for _, attributes in content(index).values()]
    assert bounds[0] == pytest.approx([179.97, 59.96, -179.99, 60.0])
    assert lons == pytest.approx([179.99, 179.99, -179.97, -179.97])


def test_windows_beyond_the_globe_have_no_position(tmp_path: Path, index: Path) -> None:
    write_raster(
        tmp_path / 'pole.tif',
        mosaic(),
        'EPSG:4326',
        transform=rasterio.transform.from_origin(20.0, 90.02, 0.001, 0.001),
    )
    source = open_one(tmp_path / 'pole.tif', tile_size=40)
    assert 'pole.tif: 2 of 4 windows have no position' in source.remark
    found = ['lon' in attributes for _, attributes in items_of(index, source).values()]
    assert sorted(found) == [False, False, True, True]


def test_a_raster_that_is_cut_another_way_or_changed(tmp_path: Path, index: Path) -> None:
    path = tmp_path / 'a.tif'
    write_raster(path, mosaic())
    assert len(items_of(index, open_one(path, tile_size=40))) == 4
    assert len(items_of(index, open_one(path, tile_size=20))) == 16
    before = content(index)
    write_raster(path, mosaic()[::-1])
    after = items_of(index, open_one(path, tile_size=20))
    assert list(after) == list(before)
    assert all(after[key][0] != before[key][0] for key in ('a/a.tif#0,0,20,20',))
    os.remove(path)
    write_raster(path, mosaic()[::-1])  # the same content again
    assert items_of(index, open_one(path, tile_size=20)) != after  # times
    assert {k: v[0] for k, v in content(index).items()} == {k: v[0] for k, v in after.items()}


def test_deep_and_strange_rasters(tmp_path: Path, index: Path) -> None:
    deep = (mosaic().astype(np.uint16) * 30).repeat(4, 0)  # 12 bands
    write_raster(tmp_path / 'deep.tif', deep)
    assert len(items_of(index, open_one(tmp_path / 'deep.tif', tile_size=40))) == 4
    write_raster(tmp_path / 'none.tif', mosaic(), None)
    source = open_one(tmp_path / 'none.tif', tile_size=40)
    assert 'none.tif' in source.remark and 'no CRS' in source.remark
    items = items_of(index, source)
    assert 'lon' not in items['none/none.tif#0,0,40,40'][1]
    turned = rasterio.transform.Affine(1, 0.5, 4e5, 0.5, -1, 6e6)
    write_raster(tmp_path / 'turned.tif', mosaic(), transform=turned)
    assert 'north up' in open_one(tmp_path / 'turned.tif').remark


def test_georeferenced_tiles_of_a_folder(tmp_path: Path, index: Path) -> None:
    (tmp_path / 'tiles').mkdir()
    write_raster(tmp_path / 'tiles/a.tif', mosaic(), 'EPSG:4326', transform=DEGREES)
    write_raster(tmp_path / 'tiles/deep.tif', mosaic().astype(np.uint16) * 30)
    write_image(tmp_path / 'tiles/b.png', 'red', size=50)
    (tmp_path / 'tiles/b.pgw').write_text('0.001\n0\n0\n-0.001\n10.0005\n49.9995\n')
    write_image(tmp_path / 'tiles/c.png', 'red')
    (tmp_path / 'tiles/c.pgw').write_text('no numbers')
    build(index, f'x={tmp_path / "tiles"}')
    items = {key: attributes for key, (_, attributes) in content(index).items()}
    assert items['x/a.tif']['bounds'] == pytest.approx([20.0, 59.92, 20.08, 60.0])
    assert items['x/b.png']['bounds'] == pytest.approx([10.0, 49.95, 10.05, 50.0])
    assert items['x/b.png']['lon'] == pytest.approx(10.025)
    assert 'lon' in items['x/deep.tif'] and 'lon' not in items['x/c.png']
    embed = np.array(content(index)['x/a.tif'][0])
    expected = SmallEmbedder().encode_images([mosaic().transpose(1, 2, 0).copy()])[0]
    np.testing.assert_allclose(embed, expected, atol=1e-4)


def annotations(root: Path, suffix: str) -> Path:
    items = [
        dict(
            img_id=f'town/{name}',
            img_path=f'{name}.png',
            captions=[f'a {name} field'],
            caption_ids=[f'{name}#0'],
            label=name,
            lon=2.0,
            lat=41.0,
            geo_tags=['road', 'park of trees'],
            score=0.5,
        )
        for name in ('red', 'blue')
    ]
    for item in items:
        write_image(root / 'images' / item['img_path'], item['label'])
    path = root / 'annotations' / f'town_test{suffix}'
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode_annotations(path, items, dict(dataset='town', domain='spain')))
    return path


@pytest.mark.parametrize('suffix', ['.json', '.parquet'])
def test_an_annotation_file(tmp_path: Path, index: Path, suffix: str) -> None:
    build(index, annotations(tmp_path, suffix))
    attributes = content(index)['town_test/red.png'][1]
    stamp = attributes.pop('stamp')
    assert len(stamp) == 4 and attributes == dict(
        img_id='town/red',
        img_path=str(tmp_path / 'images/red.png'),
        source='town_test',
        captions=['a red field'],
        label='red',
        lon=2.0,
        lat=41.0,
        country='spain',
        tags=['road', 'park of trees'],
    )


def test_annotations_without_their_images(tmp_path: Path) -> None:
    path = annotations(tmp_path, '.json')
    (tmp_path / 'images').rename(tmp_path / 'moved')
    with pytest.raises(FileNotFoundError, match='folder of images'):
        open_one(path)


def write_vectors(path: Path, rows: np.ndarray, **columns: list) -> Path:
    table = pyarrow.table(dict(embed=rows.tolist(), **columns))
    pyarrow.parquet.write_table(table, path, row_group_size=100)
    return path


def test_a_parquet_file_of_vectors(tmp_path: Path, index: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    names = [f'n{(n * 7) % 600:03d}' for n in range(600)]
    path = write_vectors(tmp_path / 'v.parquet', rows, id=names, lon=[n / 10 for n in range(600)])
    assert numbers(build(index, path)) == (600, 0, 0, 0, 0)
    items = content(index)
    for n in (0, 1, 255, 256, 599):
        embed, attributes = items[f'v/{names[n]}']
        np.testing.assert_allclose(embed, rows[n] / np.linalg.norm(rows[n]), atol=1e-4)
        assert attributes['lon'] == n / 10
    rows[[3, 300]] *= -1
    write_vectors(path, rows[:500], id=names[:500], lon=[n / 10 for n in range(500)])
    assert numbers(build(index, path)) == (0, 2, 100, 498, 0)
    np.testing.assert_allclose(
        content(index)[f'v/{names[300]}'][0], rows[300] / np.linalg.norm(rows[300]), atol=1e-4
    )


@pytest.mark.parametrize(
    ('rows', 'columns', 'named'),
    [
        (np.ones((2, 4)), dict(key=['a', 'b']), 'img_path'),
        (np.ones((2, 4)), dict(id=['a', 'a']), 'twice'),
        (np.full((2, 4), np.nan), dict(id=['a', 'b']), 'finite'),
        (np.ones((2, 5)), dict(id=['a', 'b']), '5, the model 4'),
        (np.ones(2), dict(id=['a', 'b']), 'list of numbers a row, it holds double'),
        (np.array([['a'], ['b']]), dict(id=['a', 'b']), 'list of numbers a row, it holds list'),
        (np.ones((2, 4)), dict(id=['a', None]), 'row 2 has no id'),
        (np.array([[1, 0, 0, 0], [0, 0, 0, 0]]), dict(id=['a', 'b']), 'row 2: .*zero'),
    ],
)
def test_vectors_that_do_not_fit(
    tmp_path: Path, index: Path, rows: np.ndarray, columns: dict, named: str
) -> None:
    path = write_vectors(tmp_path / 'v.parquet', rows, **columns)
    with pytest.raises(ValueError, match=named):
        build(index, path)


def test_vectors_of_another_model_are_refused(tmp_path: Path, index: Path) -> None:
    table = pyarrow.table(dict(id=['a'], embed=[[1.0, 0, 0, 0]]))
    pyarrow.parquet.write_table(
        table.replace_schema_metadata({b'fingerprint': b'e' * 32}), tmp_path / 'v.parquet'
    )
    with pytest.raises(ValueError, match='eeeeeeee'):
        build(index, tmp_path / 'v.parquet')


def test_a_file_of_features_is_projected(tmp_path: Path, index: Path) -> None:
    feats = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    write_features(tmp_path / 'f.npz', list('abcde'), feats, ['x'], feats[:1], {})
    embedder = SmallEmbedder()
    model = torch.nn.Module()
    model.score_pairs, model.image_encoder = None, torch.nn.Module()
    model.text_encoder = torch.nn.Module()
    embedder.model = model
    with pytest.raises(ValueError, match='width 6'):
        build(index, tmp_path / 'f.npz', embedder=embedder)
    model.image_encoder.projection = torch.nn.Linear(6, 4)
    for parameter in model.image_encoder.projection.parameters():
        torch.nn.init.zeros_(parameter)
    with pytest.raises(ValueError, match="f.npz: the vector of 'a' is zero"):
        build(index, tmp_path / 'f.npz', embedder=embedder)
    model.image_encoder.projection = torch.nn.Linear(6, 4)
    build(index, tmp_path / 'f.npz', embedder=embedder)
    expected = model.image_encoder.projection(torch.from_numpy(feats)).detach().numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    for row, name in enumerate('abcde'):
        embed, attributes = content(index)[f'f/{name}']
        np.testing.assert_allclose(embed, expected[row], atol=1e-4)
        assert attributes['img_id'] == name


@pytest.mark.parametrize(
    ('name', 'named'),
    [
        ('a.png', 'single image'),
        ('a.txt', 'another kind'),
        ('bad.parquet', 'not a readable'),
        ('bad.tif', r'bad\.tif'),
        ('../x=a', '../x'),
    ],
)
def test_what_is_no_source(tmp_path: Path, name: str, named: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / 'a.png', 'red')
    for path in ('a.txt', 'bad.parquet', 'bad.tif'):
        (tmp_path / path).write_text('nothing')
    with pytest.raises(ValueError, match=named):
        open_one(name)


@pytest.mark.parametrize('options', [dict(tile_size=0), dict(stride=-3), dict(crs='EPSG:0')])
def test_impossible_options(options: dict) -> None:
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        SourceOptions(**options)


def test_names_of_folders(tmp_path: Path) -> None:
    write_image(tmp_path / 'spain/images/a.png', 'red')
    assert open_one(tmp_path / 'spain/images').name == 'spain'
    assert open_one(tmp_path / 'spain').name == 'spain'
    assert open_one(f'es={tmp_path}/spain').id_of(0) == 'es/images/a.png'


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('gsd\n1\n', 'img_path'),
        ('', 'img_path'),
        ('img_path,gsd\na,1\na,2\n', "two rows for 'a'"),
        ('img_path,score\na,1\n', "'score'"),
        ('img_path,gsd\na,1,2\n', 'line 2'),
        ('img_path,gsd\na\n', 'line 2'),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / 't.csv').write_text(text)
    with pytest.raises(ValueError, match=named):
        read_attributes(str(tmp_path / 't.csv'))


def test_values_of_a_table(tmp_path: Path) -> None:
    cells = dict(
        a='1', b='-2.5', c='007', d='1e3', e='nan', f='', g='true', h='0.5', i='1_0', j='0'
    )
    (tmp_path / 't.csv').write_text(f'image,{",".join(cells)}\n1.png,{",".join(cells.values())}\n')
    assert read_attributes(str(tmp_path / 't.csv')) == {
        '1.png': dict(a=1, b=-2.5, c='007', d=1000.0, e='nan', g=True, h=0.5, i='1_0', j=0)
    }
    pyarrow.parquet.write_table(
        pyarrow.table(dict(name=['1.png'], tags=[['a', 'b']], n=[None])), tmp_path / 't.parquet'
    )
    assert read_attributes(str(tmp_path / 't.parquet')) == {'1.png': dict(tags=['a', 'b'])}
    with pytest.raises(FileNotFoundError, match='none'):
        read_attributes(str(tmp_path / 'none.parquet'))


def test_dates_and_countries_are_texts(tmp_path: Path) -> None:
    (tmp_path / 't.csv').write_text('image,date,country,n\na,2021,007,1\nb,2021-06-30,12,\nc,,,\n')
    assert read_attributes(str(tmp_path / 't.csv')) == {
        'a': dict(date='2021', country='007', n=1),
        'b': dict(date='2021-06-30', country='12'),
        'c': {},
    }
    noon = datetime(2021, 6, 30, 18)
    for values, text in (
        ([noon], '2021-06-30T18:00:00'),
        ([noon.replace(tzinfo=UTC)], '2021-06-30T18:00:00+00:00'),
        ([noon.date()], '2021-06-30'),
        ([2021], '2021'),
    ):
        table = pyarrow.table(dict(name=['a'], date=values, country=[7]))
        pyarrow.parquet.write_table(table, tmp_path / 't.parquet')
        assert read_attributes(str(tmp_path / 't.parquet')) == {'a': dict(date=text, country='7')}


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('date', '20210630'),
        ('date', '30.06.2021'),
        ('lat', 91.0),
        ('lat', 'north'),
        ('lon', -181.0),
        ('lon', True),
        ('bounds', [0.0, 1.0, 2.0]),
        ('bounds', [0.0, 3.0, 2.0, 1.0]),
        ('bounds', '0,1,2,3'),
        ('window', [0, 0, 0, 5]),
        ('window', '0,0,5,5'),
    ],
)
def test_dates_and_places_that_are_none(
    tmp_path: Path, index: Path, name: str, value: object
) -> None:
    rows = np.eye(2, 4)
    path = write_vectors(tmp_path / 'v.parquet', rows, id=['a', 'b'], **{name: [None, value]})
    with pytest.raises(ValueError, match=re.escape(f'v.parquet, row 2 (b): {name!r}')) as error:
        build(index, path)
    assert repr(value) in str(error.value)
    if name != 'window' and not isinstance(value, list):
        (tmp_path / 't.csv').write_text(f'image,{name}\na,\nb,"{value}"\n')
        with pytest.raises(ValueError, match=re.escape(f't.csv, row 2 (b): {name!r}')):
            read_attributes(str(tmp_path / 't.csv'))


def test_a_row_that_fits_no_file_or_several(tmp_path: Path) -> None:
    for name in ('x/a.png', 'x/b.png', 'y/a.png'):
        write_image(tmp_path / name, 'red')
    sources = open_sources([f'{tmp_path}/x', f'{tmp_path}/y'])
    assert join_attributes({'b.png': dict(n=1)}, sources) == [{'b.png': dict(n=1)}, {}]
    for name, named in (('a.png', '2 images'), ('c.png', 'no image')):
        with pytest.raises(ValueError, match=f'{name}.*{named}'):
            join_attributes({name: {}}, sources)
    with pytest.raises(ValueError, match='two rows'):
        join_attributes({'b.png': {}, str(tmp_path / 'x/b.png'): {}}, sources)


def test_attributes_are_json(tmp_path: Path, index: Path) -> None:
    path = annotations(tmp_path, '.parquet')
    build(index, path)
    json.dumps([attributes for _, attributes in content(index).values()], allow_nan=False)


def test_a_folder_of_large_rasters_gets_a_remark(tmp_path: Path) -> None:
    (tmp_path / 'x').mkdir()
    write_raster(tmp_path / 'x/a.tif', mosaic())
    assert open_one(tmp_path / 'x', tile_size=40).remark == ''
    assert 'a.tif has 80 x 80 pixels' in open_one(tmp_path / 'x', tile_size=32).remark
