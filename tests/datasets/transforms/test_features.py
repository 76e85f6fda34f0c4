"""An image's features take the place of its pixels."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from tests.datasets.tiny import item, write
from urbancross_mm.datasets import ImageTextDataset, LoadFeatures
from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.utils.hashing import FileStamp

FEATS = np.random.default_rng(0).random((2, 6), dtype=np.float32)
TEXT_FEATS = np.eye(3, dtype=np.float32)


@pytest.fixture
def file(tmp_path):
    path = str(tmp_path / 'f.npz')
    write_features(path, ['tiny/a', 'tiny/b'], FEATS, ['one', 'two', 'three'], TEXT_FEATS, {})
    return path


def test_looks_the_image_up(file):
    transform = LoadFeatures(file)
    result = transform(dict(img_id='tiny/b'))['image_feats']
    assert np.array_equal(result, FEATS[1]) and result.dtype == np.float32
    with pytest.raises(ValueError, match="'tiny/c'"):
        transform(dict(img_id='tiny/c'))
    with pytest.raises(FileNotFoundError, match='extract_features.py'):
        LoadFeatures('none.npz')


def test_an_image_under_its_name_is_the_one_that_was_encoded(tmp_path):
    paths = [tmp_path / name for name in 'ab']
    for path in paths:
        path.write_text(path.name)
    write_features(
        tmp_path / 'f.npz',
        ['a', 'b'],
        FEATS,
        ['one'],
        TEXT_FEATS[:1],
        {},
        [FileStamp.of(path) for path in paths],
    )
    transform = LoadFeatures(str(tmp_path / 'f.npz'))
    transform(dict(img_id='a', img_path=str(paths[0])))
    transform(dict(img_id='b', img_path=str(tmp_path / 'elsewhere')))
    with pytest.raises(ValueError, match=f'{paths[0]} .*f.npz'):
        transform(dict(img_id='b', img_path=str(paths[0])))


def test_transforms_of_one_file_share_it(file):
    one, two = LoadFeatures(file), LoadFeatures(file)
    (first,), (second,) = one._features.files, two._features.files
    assert first is second is copy.deepcopy(one)._features.files[0]


@pytest.mark.parametrize('captions', ['each', 'all'])
def test_through_a_dataset(file, tmp_path, captions):
    keywords = write(tmp_path, [item('a', ['one', 'two']), item('b', ['two', 'three'])])
    pipeline = [
        dict(type='LoadFeatures', file=file),
        dict(type='TokenizeText', tokenizer=dict(type='FeatureTokenizer', file=file)),
        dict(type='PackRetrievalInputs'),
    ]
    dataset = ImageTextDataset(**keywords, captions=captions, pipeline=pipeline)
    items = [dataset[position] for position in range(len(dataset))]
    owners, rows = ([0, 0, 1, 1], [0, 1, 1, 2]) if captions == 'each' else ([0, 1], [0, 1, 2])
    assert torch.stack([entry['inputs']['image'] for entry in items]).equal(
        torch.from_numpy(FEATS[owners])
    )
    assert torch.cat([entry['inputs']['text'] for entry in items]).equal(
        torch.from_numpy(TEXT_FEATS[rows])
    )
    assert items[0]['data_samples'].img_id == 'tiny/a'
