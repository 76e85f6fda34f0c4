"""Damaged text files are read to the last row or refused by name: nothing is lost in silence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.converters.layouts import captions_of, write_precomp
from tests.fuzz.mutate import mutate_bytes, mutate_json
from urbancross_mm.datasets.converters import karpathy, precomp
from urbancross_mm.datasets.converters.sources import Problems
from urbancross_mm.datasets.converters.urbancross import read_rows
from urbancross_mm.datasets.tokenizers import VocabTokenizer
from urbancross_mm.structures.annotations import load_annotations
from urbancross_mm.utils.error_sentence import sentence_of
from urbancross_mm.utils.text_files import parse_json

NAMES = [f'a{n:02d}_x.jpg' for n in range(12)]
TABLE = 'image_name,description,lon\n' + ''.join(
    f'{name},"Text {n}, a ""good"" one",{n}\n' for n, name in enumerate(NAMES)
)
KARPATHY = dict(
    images=[dict(filename=name, split='train', sentences=[dict(raw='one')]) for name in NAMES[:4]]
)
BY_CLASS = {
    label: [dict(filename=name, split='val', raw='one', raw_1='two') for name in NAMES[:2]]
    for label in ('port', 'beach')
}
ANNOTATIONS = dict(
    metainfo=dict(schema=1, dataset='x', domain='x', split='train'),
    data_list=[
        dict(
            img_id=name,
            img_path=name,
            captions=['one', 'two'],
            caption_ids=[f'{name}#{k}' for k in 'ab'],
            lon=1.5,
            lat=2,
            geo_tags=['a'],
            label='port',
        )
        for name in NAMES[:4]
    ],
)
VOCABULARY = dict(word2idx={'one': 1, 'two': 2, '<unk>': 3}, idx2word={'1': 'one'}, idx=4)


def of_table(path: Path) -> list[str]:
    return [text for row in read_rows(path) for text in (row.name, *row.captions)]


def of_entries(path: Path) -> list[str]:
    builder = karpathy.ItemBuilder(karpathy.DividedOptions(root=path, out=path, name='x'))
    return [
        text
        for where, entry in karpathy.read_entries(path)
        for text in karpathy._parse(entry, where, builder)[1].captions
    ]


def of_annotations(path: Path) -> list[str]:
    return [
        text
        for item in load_annotations(str(path))[1]
        for text in (item['img_id'], *item['captions'])
    ]


def of_vocabulary(path: Path) -> list[str]:
    return list(VocabTokenizer(str(path)).word2idx)


def strings(node: Any) -> set[str]:
    if isinstance(node, dict):
        return set(node).union(*map(strings, node.values()))
    if isinstance(node, list):
        return set().union(*map(strings, node))
    return {node} if isinstance(node, str) else set()


def outcome(read: Callable[[Path], list[str]], path: Path, content: bytes) -> list[str] | None:
    """What is read, or None where the file is refused in a sentence with its name."""
    path.write_bytes(content)
    try:
        return read(path)
    except ValueError as error:
        assert path.name in sentence_of(error), error
        return None


@pytest.mark.parametrize('mutate', [mutate_bytes, mutate_json])
@pytest.mark.parametrize(
    'read, content',
    [
        (of_entries, KARPATHY),
        (of_entries, BY_CLASS),
        (of_annotations, ANNOTATIONS),
        (of_vocabulary, VOCABULARY),
    ],
    ids=['karpathy', 'classes', 'annotations', 'vocabulary'],
)
def test_json_is_read_whole_or_refused(tmp_path, read, content, mutate):
    whole, refused = json.dumps(content, indent=1).encode(), 0
    for seed in range(250):
        damaged = mutate(whole, random.Random(seed))
        result = outcome(read, tmp_path / 'a.json', damaged)
        refused += result is None
        if result is not None:
            assert set(result) <= strings(parse_json(damaged.decode('utf-8-sig'), 'x'))
    assert refused > 50


def test_a_table_is_read_whole_or_refused(tmp_path):
    """What is read holds every character of the file but those of the format."""
    refused = 0
    for seed in range(500):
        damaged = mutate_bytes(TABLE.encode(), random.Random(seed))
        result = outcome(of_table, tmp_path / 'a.csv', damaged)
        refused += result is None
        if result:
            text = damaged.decode('utf-8-sig')
            assert sum(name in result for name in NAMES) >= sum(
                f'\n{name},' in text.replace('\r\n', '\n').replace('\r', '\n') for name in NAMES
            )
            assert not any('\n' in cell and '.jpg,' in cell for cell in result)
    assert 100 < refused < 400


@pytest.mark.parametrize('file', ['test_caps.txt', 'test_filename.txt'])
def test_lists_are_read_whole_or_refused(tmp_path, file):
    write_precomp(tmp_path, NAMES[:2], NAMES)
    whole, refused = (tmp_path / file).read_bytes(), 0
    expected = {name: captions_of(name) for name in NAMES}
    for seed in range(250):

        def read(path: Path) -> list[Any]:
            return precomp.read_split(tmp_path, 'test', Problems())

        result = outcome(read, tmp_path / file, mutate_bytes(whole, random.Random(seed)))
        refused += result is None
        if result and file == 'test_filename.txt':
            assert [text for item in result for text in item.captions] == [
                text for captions in expected.values() for text in captions
            ]
        elif result:
            assert [item.name for item in result] == NAMES
            assert all(len(item.captions) == 5 for item in result)
    assert refused > 50
