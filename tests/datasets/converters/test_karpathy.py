"""The JSON layout of Karpathy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.converters.layouts import read, write_lines, write_picture
from urbancross_mm.datasets.converters.karpathy import convert
from urbancross_mm.datasets.converters.options import Options


def entry(name: str, split: str, **fields: Any) -> dict[str, Any]:
    sentences = [dict(raw=f'caption {k} of {name}', tokens=[]) for k in range(5)]
    return dict(dict(filename=name, split=split, sentences=sentences), **fields)


def convert_entries(tmp_path: Path, entries: Any, **kwargs: Any) -> dict[str, dict[str, int]]:
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(dict(images=entries))])
    return convert(Options(root=tmp_path / 'dataset_nwpu.json', out=tmp_path / 'out', name='nwpu',
                           **kwargs))


def test_splits_captions_and_labels(tmp_path):
    counts = convert_entries(tmp_path, [
        entry('airplane_001.jpg', 'train'), entry('airplane_002.jpg', 'restval'),
        entry('beach_001.jpg', 'val'), entry('beach_002.jpg', 'test')])

    assert {split: one['images'] for split, one in counts.items()} == dict(train=2, val=1, test=1)
    metainfo, (item,) = read(tmp_path / 'out/nwpu_test.json')
    assert item['captions'] == [f'caption {k} of beach_002.jpg' for k in range(5)]
    assert item['label'] == 'beach' and item['img_id'] == 'nwpu/beach_002'
    assert metainfo['sources']['dataset_nwpu.json'].startswith('sha256:')
    assert (tmp_path / 'out/nwpu_vocab.json').is_file()


def test_folder_of_a_picture_and_segments_beside_it(tmp_path):
    write_picture(tmp_path / 'images/airplane/x1.jpg')
    write_picture(tmp_path / 'images/x2.jpg')
    write_lines(tmp_path / 'segments/airplane/x1.json', ['{}'])
    convert_entries(tmp_path, [entry('x1.jpg', 'train', filepath='airplane'),
                               entry('x2.jpg', 'test', filepath='elsewhere')],
                    images=tmp_path / 'images')

    (first,), (second,) = (read(tmp_path / f'out/nwpu_{s}.json')[1] for s in ('train', 'test'))
    assert first['img_path'] == 'airplane/x1.jpg' and first['label'] == 'airplane'
    assert first['segments'] == 'airplane/x1.json'
    assert second['img_path'] == 'x2.jpg'


def test_empty_captions_are_counted(tmp_path):
    images = [entry('a_1.jpg', 'train', sentences=[dict(raw=''), dict(raw='text')])]

    assert convert_entries(tmp_path, images)['train']['dropped_empty_captions'] == 1


def test_a_picture_in_two_splits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image 1: picture 'a_1\.jpg' was .*image 0"):
        convert_entries(tmp_path, [entry('a_1.jpg', 'train'), entry('a_1.jpg', 'test')])


@pytest.mark.parametrize('broken, message', [
    (dict(filename='a.jpg', split='train'), r'image 0: expected filename, split and sentences'),
    (entry('a.jpg', 'holdout'), r"image 0: split must be one of .* got split 'holdout'"),
    (entry('a.jpg', 'train', sentences=[dict(raw=None)]), r'image 0: .*must be text'),
    (entry('../a.jpg', 'train'), r"'\.\./a\.jpg' must be relative.*image 0"),
    ('a.jpg', r'image 0: expected filename'),
])
def test_broken_entries_are_named(tmp_path, broken, message):
    with pytest.raises(ValueError, match=message):
        convert_entries(tmp_path, [broken])


@pytest.mark.parametrize('text, message', [
    ('{', r'dataset\.json is not valid JSON'), ('[]', r"has no list 'images' \(found: list"),
    ('{"airplane": []}', r"found: \['airplane'\]"), ('{"images": []}', 'lists no picture')])
def test_files_of_another_layout(tmp_path, text, message):
    write_lines(tmp_path / 'dataset.json', [text])

    with pytest.raises(ValueError, match=message):
        convert(Options(root=tmp_path / 'dataset.json', out=tmp_path, name='x'))
