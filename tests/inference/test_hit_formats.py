"""What is written can be read again, and means the same."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import shapely

from urbancross_mm.inference.hit_formats import (
    format_table,
    geometry_of,
    to_csv,
    to_geojson,
    to_json,
    to_text,
)

HITS = [
    dict(
        img_path='/d/city.tif',
        window=[0, 256, 256, 256],
        lon=24.94,
        lat=60.17,
        bounds=[24.9, 60.1, 25.0, 60.2],
        tags=['harbor', 'ship'],
        rank=1,
        score=0.31,
        id='city/city.tif#0,256,256,256',
    ),
    dict(img_path='/d/a, "b".jpg', lon=-0.5, lat=1.0, rank=2, score=-0.2, id='d/a'),
    dict(img_path='/d/ü.jpg', note='=1+1', class_map=np.zeros((2, 2)), rank=3, score=0.1, id='d/ü'),
]


def test_csv_has_a_row_per_hit_and_all_columns() -> None:
    header, *rows = csv.reader(io.StringIO(to_csv(HITS)))
    first = ['rank', 'score', 'id', 'img_path', 'window', 'lon', 'lat', 'bounds']
    assert header == [*first, 'note', 'tags']
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert [cell['img_path'] for cell in cells] == [hit['img_path'] for hit in HITS]
    assert cells[0]['tags'] == 'harbor|ship' and json.loads(cells[0]['window']) == [
        0,
        256,
        256,
        256,
    ]
    assert cells[1]['score'] == '-0.2' and cells[1]['lon'] == '-0.5' and cells[1]['tags'] == ''


def test_no_cell_is_a_formula() -> None:
    hits = [dict(rank=1, score=0.5, id=text, tags=[text]) for text in ('=1', '+1', '-1', '@a')]
    for row in csv.DictReader(io.StringIO(to_csv(hits))):
        assert row['id'][0] == row['tags'][0] == "'" and row['id'][1:] in '=1 +1 -1 @a'


def test_no_hit_is_a_table_without_rows() -> None:
    assert to_csv([]) == 'rank,score,id\r\n'
    assert json.loads(to_geojson([])) == dict(type='FeatureCollection', features=[])
    assert json.loads(to_json([])) == [] and format_table([]) == ''


def test_geojson_holds_areas_points_and_nothing() -> None:
    content = json.loads(to_geojson(HITS))
    shapes = [shapely.geometry.shape(f['geometry']) for f in content['features'][:2]]
    assert shapes[0].bounds == (24.9, 60.1, 25.0, 60.2) and shapes[0].exterior.is_ccw
    assert shapes[1].coords[:] == [(-0.5, 1.0)]
    assert content['features'][2]['geometry'] is None
    assert [f['id'] for f in content['features']] == [hit['id'] for hit in HITS]
    assert content['features'][0]['properties']['tags'] == ['harbor', 'ship']


def test_bounds_across_180_degrees_are_cut() -> None:
    geometry = geometry_of(dict(bounds=[179.5, -17.0, -179.5, -16.0]))
    west, east = shapely.geometry.shape(geometry).geoms
    assert west.bounds == (179.5, -17, 180, -16) and east.bounds == (-180, -17, -179.5, -16)


def test_a_place_that_is_none_is_ignored() -> None:
    for place in (
        dict(bounds='1,2,3,4'),
        dict(bounds=[1, 2, None, 4]),
        dict(bounds=7),
        dict(lon='east', lat=1.0),
        dict(lon=float('nan'), lat=1.0),
        dict(window='a,b,c,d'),
    ):
        hit = dict(rank=1, score=0.5, img_path='a.png', **place)
        assert geometry_of(hit) is None
        assert format_table([hit]).endswith('a.png')
    assert geometry_of(dict(bounds='x', lon=1, lat=2))['coordinates'] == [1.0, 2.0]


def test_json_holds_what_is_plain() -> None:
    content = json.loads(to_json(HITS))
    assert content[0] == HITS[0] and 'class_map' not in content[2]
    assert '"/d/ü.jpg"' in to_json(HITS)


@pytest.mark.parametrize(
    ('hit', 'parts'),
    [
        (
            HITS[0],
            ['   1  0.3100  /d/city.tif', '[0,256,256,256]', 'lon, lat 24.94000,60.17000', 'id '],
        ),
        (HITS[1], ['   2  -0.2000  /d/a, "b".jpg', 'lon, lat -0.50000,1.00000  id d/a']),
        (dict(rank=3, score=0.0, id='x'), ['   3  0.0000  x']),
    ],
)
def test_a_line_says_what_and_where(hit: dict, parts: list[str]) -> None:
    line = format_table([hit])
    assert all(part in line for part in parts)


def test_hits_of_several_queries_name_them() -> None:
    one = [('a road', HITS[:2])]
    assert to_text(one, 'json') == to_json(HITS[:2]) and to_text(one, 'csv') == to_csv(HITS[:2])
    content = json.loads(to_text([('a road', HITS[:1]), ('a lake', HITS[1:2])], 'geojson'))
    assert [f['properties']['query'] for f in content['features']] == ['a road', 'a lake']
