"""Records and files of the annotation format."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbancross_mm.datasets.converters import image_folder, options
from urbancross_mm.datasets.converters.annotations import (
    check_distinct_ids,
    counts_of,
    encode_annotations,
    make_item,
    refuse_overwrite,
)
from urbancross_mm.structures.annotations import load_annotations

METAINFO = dict(
    dataset='toy', domain='toy', split='train', generator='test.py', seed=0, sources={}, counts={}
)


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


@pytest.mark.parametrize('suffix', ['.json', '.parquet'])
def test_what_is_written_is_read(tmp_path, suffix):
    items = [
        make_item('toy', 'toy', 'a.jpg', ['one'], geo_tags=['road of service'], lat=60.5),
        make_item('toy', 'toy', 'b.jpg', ['zwei ü'], label='beach'),
    ]
    path = tmp_path / f'toy{suffix}'
    path.write_bytes(encode_annotations(path, items, METAINFO))

    metainfo, read = load_annotations(str(path))
    assert read == items
    assert metainfo['schema'] == 1 and metainfo['seed'] == 0


def test_wrong_records_are_not_written(tmp_path):
    twice = [make_item('toy', 'toy', name, ['one']) for name in ('a.jpg', 'a.png')]
    for items in (twice, []):
        with pytest.raises(ValueError, match=r'toy\.json'):
            encode_annotations(tmp_path / 'toy.json', items, METAINFO)


def test_an_existing_file_is_kept_without_force(tmp_path):
    path = tmp_path / 'toy.json'
    path.write_text('mine')

    with pytest.raises(FileExistsError, match='exists already: give --force'):
        refuse_overwrite([path], force=False)
    refuse_overwrite([path], force=True)


def test_two_images_with_one_id_are_refused_in_different_splits_too():
    items = [make_item('toy', 'toy', name, ['one']) for name in ('a.jpg', 'b.jpg', 'a.jpg')]
    check_distinct_ids(items, 'toy.csv')

    with pytest.raises(ValueError, match=r"toy\.csv: a\.jpg and a\.png .* the id 'toy/a'"):
        check_distinct_ids([*items, make_item('toy', 'toy', 'a.png', ['one'])], 'toy.csv')


def test_a_folder_in_the_place_of_a_file_is_found_before_any_work(tmp_path):
    (tmp_path / 'toy.json').mkdir()
    (tmp_path / 'file').write_text('')

    for path in ('toy.json', 'file/toy.json'):
        with pytest.raises(OSError, match=r'cannot write .*toy\.json'):
            refuse_overwrite([tmp_path / path], force=True)


@pytest.mark.parametrize('fields', [dict(score=float('nan')), dict(extra='\ud800')])
def test_what_could_not_be_read_is_not_written(tmp_path, fields):
    with pytest.raises(ValueError, match=r'toy\.json would not be valid JSON'):
        encode_annotations(
            tmp_path / 'toy.json', [make_item('t', 't', 'a.jpg', ['one'], **fields)], METAINFO
        )


@pytest.mark.parametrize(
    'settings, message',
    [
        (dict(name='a/b'), "plain name without folders, got 'a/b'"),
        (dict(name='../b'), 'plain name'),
        (dict(name='a' + chr(92) + 'b'), 'plain name'),
        (dict(name=''), 'plain name'),
        (dict(name='..'), 'plain name'),
        (dict(name='a', seed=-1), '--seed must be at least 0, got -1'),
    ],
)
def test_names_that_lead_out_of_the_folder_and_seeds_below_0(settings, message):
    folder = Path('x')
    for kind, more in (
        (options.Options, dict(root=folder)),
        (image_folder.Options, dict(images=folder, texts=folder)),
    ):
        with pytest.raises(ValueError, match=message):
            kind(out=folder, **more, **settings)
