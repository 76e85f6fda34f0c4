"""The one annotation format: what is read, and what is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from urbancross_mm.structures.annotations import load_annotations

ITEM = dict(
    img_id='x/a',
    img_path='a.jpg',
    captions=['one', 'two'],
    caption_ids=['x/a#0', 'x/a#1'],
    domain='x',
    lon=24.5,
    lat=60,
    geo_tags=['road of service'],
    label='port',
)
META = dict(schema=1, dataset='x', domain='x', split='train')


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


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(captions='letters'), "'captions' must be a non-empty list, got 'letters'"),
        (dict(captions=None), "'captions' must be"),
        (dict(captions=['one', 3]), 'caption 1 is empty'),
        (dict(captions=['one', None]), 'caption 1'),
        (dict(caption_ids=['x', ['y']]), 'caption_ids'),
        (dict(caption_ids=[[1], 2]), 'caption_ids must be texts or numbers'),
        (dict(caption_ids='ab'), 'caption_ids'),
        (dict(img_id=5), "'img_id' must be"),
        (dict(img_path=7), "'img_path' must be"),
        (dict(img_path='../a.jpg'), 'stay inside'),
        (dict(segments=4), "'segments' must be a text"),
        (dict(seg_map_path=['a']), "'seg_map_path' must be a text"),
        (dict(lon='24.5'), "'lon' must be a number within 180 .*'24.5'"),
        (dict(lat=91), "'lat' must"),
        (dict(lat=True), "'lat' must"),
        (dict(lon=[1]), "'lon' must"),
        (dict(domain=1), "'domain' must"),
        (dict(label=['port']), "'label' must be a text"),
        (dict(geo_tags='road'), "'geo_tags' must be a list"),
        (dict(geo_tags=[1]), "'geo_tags' must"),
        (dict(audio_paths=[None, 'x']), "'audio_paths' must"),
    ],
)
@pytest.mark.parametrize('captions_required', [True, False])
def test_a_field_of_another_type_names_file_and_item(tmp_path, change, message, captions_required):
    if not captions_required and change == dict(captions=None):
        return
    path = write_items(tmp_path, ITEM, {**ITEM, 'img_id': 'x/b', 'caption_ids': None, **change})

    with pytest.raises(ValueError, match=rf'a\.json, item 1.*{message}|{message}.*a\.json, item 1'):
        load_annotations(path, captions_required)


@pytest.mark.parametrize('item', ['a.jpg', None, ['img_id'], 3])
def test_an_item_that_is_no_object(tmp_path, item):
    with pytest.raises(ValueError, match=r'a\.json, item 0: expected an object'):
        load_annotations(write_items(tmp_path, item))


def test_ids_are_used_once(tmp_path):
    with pytest.raises(ValueError, match=r"item 1: img_id 'x/a' is used twice, first by item 0"):
        load_annotations(write_items(tmp_path, ITEM, {**ITEM, 'img_path': 'a.png'}))
    with pytest.raises(ValueError, match=r"item 1: caption id 'x/a#0' is used twice"):
        load_annotations(write_items(tmp_path, ITEM, {**ITEM, 'img_id': 'x/b'}))


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
        (GOOD.replace('"domain": "x"', '"domain": 4', 1), "'metainfo': 'domain' must be a text"),
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
        (dict(captions='letters'), META, "item 0.*'captions' must be a non-empty list"),
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
    with pytest.raises(ValueError, match=r'a\.parquet is not a readable Parquet file'):
        load_annotations(write(tmp_path / 'a.parquet', GOOD))
    table = pyarrow.table([['x'], ['a.jpg'], ['b.jpg']], names=['img_id', 'img_path', 'img_path'])
    packed = {b'metainfo': json.dumps(META).encode()}
    pyarrow.parquet.write_table(table.replace_schema_metadata(packed), tmp_path / 'b.parquet')
    with pytest.raises(ValueError, match=r'b\.parquet is not a readable .*img_path'):
        load_annotations(str(tmp_path / 'b.parquet'))


def test_numbers_as_labels_and_caption_ids_are_taken(tmp_path):
    items = [
        {**ITEM, 'label': 3, 'caption_ids': list(range(len(ITEM['captions'])))},
        {**ITEM, 'img_id': 'x/b', 'label': 3.0, 'caption_ids': None},
    ]

    assert load_annotations(write_items(tmp_path, *items))[1] == items
    assert load_annotations(write_items(tmp_path, items[0]))[1] == items[:1]
