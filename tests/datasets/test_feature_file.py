"""Features by name, opened once a process, and a sentence for every wrong file."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from urbancross_mm.datasets.feature_file import FeatureFile, open_features, write_features

IDS = ['ucm/a', 'ucm/b', 'ucm/c']
TEXTS = ['a road', 'Häuser am Fluß']
IMAGE_FEATS = np.arange(12, dtype=np.float32).reshape(3, 4)
TEXT_FEATS = np.linspace(0, 1, 10, dtype=np.float32).reshape(2, 5)


@pytest.fixture
def file(tmp_path):
    path = str(tmp_path / 'some' / 'features.npz')
    write_features(path, IDS, IMAGE_FEATS, TEXTS, TEXT_FEATS, dict(config='x.py', version='1'))
    return path


def test_what_was_written_is_read(file):
    features = open_features(file)
    assert np.array_equal(features.image('ucm/b'), IMAGE_FEATS[1])
    assert np.array_equal(features.texts(TEXTS[::-1] + TEXTS[:1]), TEXT_FEATS[[1, 0, 0]])
    assert features.texts([]).shape == (0, 5)
    assert features.metadata == dict(config='x.py', version='1')


def test_half_precision_becomes_float32(tmp_path):
    path = tmp_path / 'half.npz'
    write_features(path, IDS, IMAGE_FEATS.astype(np.float16), TEXTS, TEXT_FEATS, {})
    features = open_features(str(path))
    assert features.image('ucm/c').dtype == features.texts(TEXTS).dtype == np.float32
    assert np.array_equal(features.image('ucm/c'), IMAGE_FEATS[2])


def test_equal_content_equal_bytes(file, tmp_path):
    write_features(tmp_path / 'again.npz', IDS, IMAGE_FEATS, TEXTS, TEXT_FEATS,
                   dict(version='1', config='x.py'))
    assert (tmp_path / 'again.npz').read_bytes() == Path(file).read_bytes()


def test_one_file_is_opened_once_until_it_changes(file):
    features = open_features(file)
    assert open_features(file) is features
    assert copy.deepcopy(features) is features and pickle.loads(pickle.dumps(features)) is features
    assert len(pickle.dumps(features)) < 300
    write_features(file, IDS, IMAGE_FEATS + 1, TEXTS, TEXT_FEATS, {})
    os.utime(file, ns=(1, 1))  # two writes within the resolution of the clock
    assert np.array_equal(open_features(file).image('ucm/a'), IMAGE_FEATS[0] + 1)


def test_what_is_handed_out_is_the_reader_s_own(file):
    features = open_features(file)
    features.image('ucm/a')[:] = 9
    features.texts(TEXTS)[:] = 9
    assert np.array_equal(features.image('ucm/a'), IMAGE_FEATS[0])
    with pytest.raises(ValueError, match='read-only'):
        features.image_feats[0] = 9


def test_what_is_not_there_is_named(file, tmp_path):
    features = FeatureFile(file)
    with pytest.raises(ValueError, match="picture 'ucm/d' among the 3 .*extract_features.py CONFIG"
                                         f' --out {file}'):
        features.image('ucm/d')
    with pytest.raises(ValueError, match="sentence 'a river' among the 2 .*extract_features.py"):
        features.texts(['a road', 'a river'])
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/none.npz .*extract.*--sample'):
        open_features(str(tmp_path / 'none.npz'))


@pytest.mark.parametrize('arrays, sentence', [
    (None, 'not a readable file of features'),
    (dict(image_ids=np.array(IDS)), 'lacks image_feats, texts, text_feats, metadata'),
    (dict(image_ids=np.array(IDS[:2])), r'2 image_ids for image_feats of shape \(3, 4\)'),
    (dict(text_feats=TEXT_FEATS[0]), r'2 texts for text_feats of shape \(5,\)'),
    (dict(image_ids=np.array('a')), r'1 image_ids for image_feats of shape \(3, 4\)'),
    (dict(image_ids=np.arange(3)), 'image_ids of type int64'),
    (dict(text_feats=TEXT_FEATS.astype(str)), 'text_feats of type <U'),
    (dict(text_feats=TEXT_FEATS * 1j), 'text_feats of type complex64'),
    (dict(image_feats=IMAGE_FEATS * np.nan), 'image_feats that are not all finite'),
    (dict(image_ids=np.array(['a', 'b', 'a'])), 'some of its image_ids twice'),
    (dict(metadata=np.array('{')), 'metadata that are not valid JSON'),
])
def test_other_files_are_refused(arrays, sentence, tmp_path):
    path = tmp_path / 'x.npz'
    if arrays is None:
        path.write_bytes(b'no archive')
    elif 'lacks' in sentence:
        np.savez(path, **arrays)
    else:
        whole = dict(image_ids=np.array(IDS), image_feats=IMAGE_FEATS, texts=np.array(TEXTS),
                     text_feats=TEXT_FEATS, metadata=np.array('{}'))
        np.savez(path, **{**whole, **arrays})
    with pytest.raises(ValueError, match=f'x.npz .*{sentence}'):
        open_features(str(path))


def test_pickles_and_lone_arrays_are_refused(tmp_path):
    np.savez(tmp_path / 'x.npz', image_ids=np.array([{}], dtype=object))
    with open(tmp_path / 'y.npz', 'wb') as stream:
        np.save(stream, IMAGE_FEATS)
    for name in 'xy':
        with pytest.raises(ValueError, match=f'{name}.npz is not a readable file of features'):
            open_features(str(tmp_path / f'{name}.npz'))


@pytest.mark.parametrize('ids, feats, sentence', [
    (['a', 'b', 'a'], IMAGE_FEATS, r'2 distinct of 3 pictures for features of shape \(3, 4\)'),
    (IDS, IMAGE_FEATS[:2], '3 distinct of 3 pictures'),
    (IDS, IMAGE_FEATS * np.nan, 'pictures are not all finite'),
])
def test_nothing_wrong_is_written(ids, feats, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        write_features(tmp_path / 'x.npz', ids, feats, TEXTS, TEXT_FEATS, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('shape', ['(1000000, 1000000)', '(2000000000000, 900)', '(3, 5)'])
def test_a_header_that_asks_for_more_than_the_file_holds(file, shape):
    content = Path(file).read_bytes()
    old = b"'shape': (3, 4), }"
    new = f"'shape': {shape}, }}".encode()
    spare = content[content.index(old):].index(b'\n')
    assert len(new) < spare
    start = content.index(old)
    Path(file).write_bytes(content[:start] + new.ljust(spare) + content[start + spare:])
    with pytest.raises(ValueError, match=r'features\.npz is not a readable file of features'):
        open_features(file)
