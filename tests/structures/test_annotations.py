"""Annotation files: what is written is read, and broken files are named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.structures.items import ITEM
from urbancross_mm.structures.annotation_schema import make_item
from urbancross_mm.structures.annotations import encode_annotations, load_annotations

META = dict(schema=1, dataset='x', domain='x', split='train')
NEW_META = dict(
    dataset='x', domain='x', split='train', generator='test.py', seed=0, sources={}, counts={}
)


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def write_items(tmp_path: Path, *items: Any, **meta: Any) -> str:
    content = dict(metainfo={**META, **meta}, data_list=items)
    return write(tmp_path / 'a.json', json.dumps(content))


def write_parquet(path: Path, items: list[dict[str, Any]], metainfo: Any = META) -> str:
    table = pyarrow.Table.from_pylist(items)
    if metainfo is not None:
        packed = metainfo if isinstance(metainfo, bytes) else json.dumps(metainfo).encode()
        table = table.replace_schema_metadata({b'metainfo': packed})
    pyarrow.parquet.write_table(table, path)
    return str(path)


def test_a_mark_of_a_windows_editor_changes_nothing(tmp_path):
    path = write_items(tmp_path, ITEM)
    expected = load_annotations(path)
    write(Path(path), b'\xef\xbb\xbf' + Path(path).read_bytes())

    assert load_annotations(path) == expected == (META, [ITEM])


GOOD = json.dumps(dict(metainfo=META, data_list=[ITEM]))


@pytest.mark.parametrize(
    'text, message',
    [
        (GOOD.replace('"lat": 60', '"lat": 60, "lat": 61'), "key 'lat' stands twice"),
        (GOOD.replace('24.5', 'NaN'), 'NaN is no number'),
        (GOOD.replace('24.5', '1e400'), 'too large'),
        (GOOD + '}', 'Extra data'),
        (GOOD + '\n' + GOOD, 'JSON Lines'),
        (GOOD[:-40], 'not valid JSON'),
        ('[' * 99_999, 'nested too deep'),
        ('', 'it is empty'),
        (GOOD.encode('utf-16'), 'UTF-16'),
        (GOOD.replace('port', 'caf\u00e9').encode('latin-1'), 'line 1: not UTF-8'),
        (GOOD.replace('port', r'\udc00'), 'half a character'),
        ('[]', "'metainfo' and 'data_list'"),
        ('{"metainfo": [], "data_list": []}', "'metainfo' and 'data_list'"),
        ('{"metainfo": {}, "data_list": []}', 'has schema None'),
        (GOOD.replace('"domain": "x"', '"domain": 4', 1), "'metainfo': 'domain'.*4"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf'a\.json.*{message}'):
        load_annotations(write(tmp_path / 'a.json', text))


def test_parquet_is_the_same(tmp_path):
    other = dict(img_id='x/b', img_path='b.jpg', captions=['three'])
    folder = tmp_path / 'split=train'  # no column of the table
    folder.mkdir()
    path = write_parquet(folder / 'a.parquet', [ITEM, other])

    assert load_annotations(path) == (META, [ITEM, other])


@pytest.mark.parametrize(
    'change, metainfo, message',
    [
        (dict(captions='letters'), META, "item 0.*'captions'.*'letters'"),
        (dict(captions=[1, 2]), META, 'item 0.*caption 0'),
        (dict(img_path=3), META, "item 0.*'img_path'"),
        (dict(lon='east'), META, "item 0.*'lon'"),
        (dict(lon=float('nan')), META, "item 0.*'lon'"),
        (dict(captions=[b'one', b'two']), META, 'item 0.*caption 0'),
        ({}, None, "has no 'metainfo'"),
        ({}, b'{', "'metainfo' of .* is not valid JSON"),
        ({}, [1], "'metainfo' of .* be an object"),
        ({}, b'\xff', "'metainfo' of .* is not valid JSON"),
        ({}, {}, 'has schema None'),
    ],
)
def test_broken_parquet_is_named(tmp_path, change, metainfo, message):
    path = write_parquet(tmp_path / 'a.parquet', [{**ITEM, **change}], metainfo)

    with pytest.raises(ValueError, match=message) as error:
        load_annotations(path)
    assert 'a.parquet' in str(error.value)


def test_a_file_that_is_no_parquet_or_has_a_column_twice(tmp_path):
    with pytest.raises(ValueError, match=r'a\.parquet '):
        load_annotations(write(tmp_path / 'a.parquet', GOOD))
    table = pyarrow.table([['x'], ['a.jpg'], ['b.jpg']], names=['img_id', 'img_path', 'img_path'])
    packed = {b'metainfo': json.dumps(META).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(packed), tmp_path / 'b.parquet')
    with pytest.raises(ValueError, match=r'b\.parquet .*img_path'):
        load_annotations(str(tmp_path / 'b.parquet'))


@pytest.mark.parametrize('suffix', ['.json', '.parquet'])
def test_what_is_written_is_read(tmp_path, suffix):
    items = [
        make_item('toy', 'toy', 'a.jpg', ['one'], geo_tags=['road of service'], lat=60.5),
        make_item('toy', 'toy', 'b.jpg', ['zwei ü'], label='beach'),
    ]
    path = tmp_path / f'toy{suffix}'
    path.write_bytes(encode_annotations(path, items, NEW_META))

    metainfo, read = load_annotations(str(path))
    assert read == items
    assert metainfo['schema'] == 1 and metainfo['seed'] == 0


def test_wrong_records_are_not_written(tmp_path):
    twice = [make_item('toy', 'toy', name, ['one']) for name in ('a.jpg', 'a.png')]
    for items in (twice, []):
        with pytest.raises(ValueError, match=r'toy\.json'):
            encode_annotations(tmp_path / 'toy.json', items, NEW_META)


@pytest.mark.parametrize('fields', [dict(score=float('nan')), dict(extra='\ud800')])
def test_what_could_not_be_read_is_not_written(tmp_path, fields):
    with pytest.raises(ValueError, match=r'toy\.json'):
        encode_annotations(
            tmp_path / 'toy.json',
            [make_item('t', 't', 'a.jpg', ['one'], **fields)],
            NEW_META,
        )
