"""Items of the annotation format: how they are made, and what is refused by name."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from tests.structures.items import ITEM
from urbancross_mm.structures.annotation_schema import (
    FIELDS,
    FOLDERS,
    check_distinct_ids,
    check_items,
    counts_of,
    item_problems,
    make_item,
)

OTHER = dict(img_id='x/b', img_path='b.jpg', captions=['three', 'four'])


def test_a_record_leaves_out_empty_captions_and_unknown_fields():
    item = make_item('toy', 'town', 'a/b.jpg', ['one ', '', 'two'], label=None, lon=1.5)

    assert item == dict(
        img_id='toy/a/b',
        img_path='a/b.jpg',
        captions=['one', 'two'],
        caption_ids=['toy/a/b#0', 'toy/a/b#2'],
        domain='town',
        lon=1.5,
    )


def test_counts_know_equal_captions():
    items = [make_item('toy', 'toy', f'{n}.jpg', ['same', f'own {n}']) for n in range(3)]

    assert counts_of(items, dropped=4) == dict(images=3, captions=6, distinct_captions=4, dropped=4)


def test_two_images_with_one_id_are_refused_in_different_splits_too():
    items = [make_item('toy', 'toy', name, ['one']) for name in ('a.jpg', 'b.jpg', 'a.jpg')]
    check_distinct_ids(items, 'toy.csv')

    with pytest.raises(ValueError, match=r"toy\.csv: a\.jpg and a\.png .* the id 'toy/a'"):
        check_distinct_ids([*items, make_item('toy', 'toy', 'a.png', ['one'])], 'toy.csv')


NUMBERS = [True, 'east', [1], math.nan, math.inf]
WRONG = dict(
    img_id=[None, '', 5],
    img_path=[None, '', 7, '../a.jpg', '/a.jpg'],
    captions=['letters', ['one', 3], ['one', None], ['one', ' ']],
    caption_ids=['ab', ['x', ['y']], [[1], 2], ['x']],
    domain=[1],
    label=[['port']],
    lon=[*NUMBERS, 181],
    lat=[*NUMBERS, -91],
    geo_tags=['road', [1]],
    segments=[4, '../a.json'],
    seg_map_path=[['a'], '/a.png'],
    audio_paths=['x', [None, 'x'], ['a.flac', '../b.flac'], ['a.flac'] * 5],
)


def problem_of(*items: Any, captions_required: bool = True) -> tuple[int, str]:
    """The only problem of these items: index and message."""
    ((index, message),) = item_problems(items, 'some/file.json', captions_required)
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        check_items(items, 'some/file.json', captions_required)
    assert f'some/file.json, item {index}' in message
    return index, message


@pytest.mark.parametrize('captions_required', [True, False])
@pytest.mark.parametrize(
    ('key', 'value'), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_wrong_field_is_named_with_its_value(key, value, captions_required):
    index, message = problem_of(ITEM, {**OTHER, key: value}, captions_required=captions_required)

    assert index == 1
    if key == 'captions' and isinstance(value, list):
        assert f'caption 1 is empty or not a string: {value[1]!r}' in message
    else:
        assert repr(value) in message or key == 'audio_paths'
        assert key in message or 'file name' in message


@pytest.mark.parametrize('names', [[], ['a.flac'], ['a.flac', ''], ['', ''], ['x/a.ogg', 'b.wav']])
def test_recordings_are_none_one_or_one_a_caption(names):
    check_items([dict(OTHER, audio_paths=names)], 'a.json')


def test_the_number_of_recordings_is_named():
    message = problem_of(dict(OTHER, audio_paths=['a', 'b', 'c']))[1]
    assert 'got 3 for 2 captions' in message and OTHER['img_id'] in message


def test_every_field_of_the_schema_is_tried():
    assert FIELDS.keys() == WRONG.keys() and FOLDERS.keys() <= FIELDS.keys()


@pytest.mark.parametrize('captions', [None, []])
def test_captions_may_be_missing_where_they_are_not_required(captions):
    item = dict(ITEM, captions=captions, caption_ids=None)

    check_items([item], 'a.json', captions_required=False)
    assert "'captions'" in problem_of(item)[1]


@pytest.mark.parametrize('item', ['a.jpg', None, ['img_id'], 3])
def test_an_item_that_is_no_object(item):
    assert type(item).__name__ in problem_of(item)[1]


def test_ids_are_used_once():
    twice = {**OTHER, 'img_id': ITEM['img_id'], 'caption_ids': ['x/b#0', 'x/b#0']}

    assert problem_of(ITEM, twice) == (
        1,
        "some/file.json, item 1: img_id 'x/a' is used twice, first by item 0",
    )
    for item in (dict(twice, img_id='x/b'), {**OTHER, 'caption_ids': ['x/b#0', 'x/a#1']}):
        assert 'caption id' in problem_of(ITEM, item)[1]


def test_every_wrong_item_is_found():
    items = [ITEM, {**ITEM, 'img_id': 'x/c'}, 3, OTHER]

    assert [index for index, _ in item_problems(items, 'a.json')] == [1, 2]


def test_numbers_as_labels_and_caption_ids_are_taken():
    items = [{**ITEM, 'label': 3, 'caption_ids': [0, 1]}, {**OTHER, 'label': 3.0}]

    check_items(items, 'a.json')
