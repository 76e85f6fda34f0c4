"""Features by name, opened once per process, and a message for every wrong file."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from urbancross_mm.datasets.feature_file import FeatureFile, open_features, write_features
from urbancross_mm.utils.hashing import FileStamp

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
    write_features(
        tmp_path / 'again.npz',
        IDS,
        IMAGE_FEATS,
        TEXTS,
        TEXT_FEATS,
        dict(version='1', config='x.py'),
    )
    assert (tmp_path / 'again.npz').read_bytes() == Path(file).read_bytes()


def test_one_file_is_opened_once_until_it_changes(file):
    features = open_features(file)
    assert open_features(file) is features
    assert copy.deepcopy(features) is features and pickle.loads(pickle.dumps(features)) is features
    assert len(pickle.dumps(features)) < 300
    write_features(file, IDS, IMAGE_FEATS + 1, TEXTS, TEXT_FEATS, {})
    os.utime(file, ns=(1, 1))  # two writes within the resolution of the clock
    assert np.array_equal(open_features(file).image('ucm/a'), IMAGE_FEATS[0] + 1)


def test_two_files_of_one_relative_name(tmp_path, monkeypatch):
    for number, name in enumerate('ab'):
        write_features(tmp_path / name / 'f.npz', IDS, IMAGE_FEATS + number, TEXTS, TEXT_FEATS, {})
        os.utime(tmp_path / name / 'f.npz', ns=(1, 1))
        monkeypatch.chdir(tmp_path / name)
        assert np.array_equal(open_features('f.npz').image('ucm/a'), IMAGE_FEATS[0] + number)


def test_a_replaced_image_is_noticed(tmp_path):
    paths = [tmp_path / item[-1] for item in IDS]
    for path in paths:
        path.write_text(f'image {path.name}')
    path = str(tmp_path / 'f.npz')
    write_features(path, IDS, IMAGE_FEATS, TEXTS, TEXT_FEATS, {}, [FileStamp.of(p) for p in paths])
    features = FeatureFile(path)
    for img_id, item in zip(IDS, paths):
        features.check_image(img_id, str(item))
    os.utime(paths[0], ns=(1, 1))
    paths[1].write_text('image z')
    paths[2].unlink()
    features.check_image(IDS[1], str(paths[1]))  # looked at already by this process
    features = FeatureFile(path)
    features.check_image(IDS[0], str(paths[0]))
    features.check_image(IDS[2], str(paths[2]))
    with pytest.raises(ValueError, match=f'{paths[1]} .*f.npz.*extract_feat'):
        features.check_image(IDS[1], str(paths[1]))
    with pytest.raises(ValueError, match='2 .*3 images'):
        write_features(path, IDS, IMAGE_FEATS, TEXTS, TEXT_FEATS, {}, [FileStamp.of(paths[0])] * 2)


def test_what_is_handed_out_is_the_reader_s_own(file):
    features = open_features(file)
    features.image('ucm/a')[:] = 9
    features.texts(TEXTS)[:] = 9
    assert np.array_equal(features.image('ucm/a'), IMAGE_FEATS[0])
    with pytest.raises(ValueError, match='read-only'):
        features.image_feats[0] = 9


def test_what_is_not_there_is_named(file, tmp_path):
    features = FeatureFile(file)
    with pytest.raises(
        ValueError, match=f"{file} .*3 .*'ucm/d'.*extract_features.py CONFIG --out {file}"
    ):
        features.image('ucm/d')
    with pytest.raises(ValueError, match="2 .*'a river'.*extract_features.py"):
        features.texts(['a road', 'a river'])
    with pytest.raises(FileNotFoundError, match=rf'{tmp_path}/none.npz .*extract.*--sample'):
        open_features(str(tmp_path / 'none.npz'))


@pytest.mark.parametrize(
    'arrays, message',
    [
        (None, ''),
        (dict(image_ids=np.array(IDS)), 'lacks image_feats, texts, text_feats, metadata'),
        (dict(image_ids=np.array(IDS[:2])), r'2 image_ids for image_feats of shape \(3, 4\)'),
        (dict(text_feats=TEXT_FEATS[0]), r'2 texts for text_feats of shape \(5,\)'),
        (dict(image_feats=IMAGE_FEATS * np.nan), 'image_feats that are not finite'),
        (dict(image_feats=IMAGE_FEATS.astype('U')), 'floats as image_feats, got <U5 and <U32'),
        (dict(texts=np.array([1, 2])), 'texts.*int'),
        (dict(image_ids=np.array('a')), r'1 image_ids for image_feats of shape \(3, 4\)'),
        (dict(text_feats=TEXT_FEATS * 1j), 'floats as text_feats, got <U.* and complex64'),
        (dict(image_ids=np.array(['a', 'b', 'a'])), 'some of its image_ids twice'),
        (dict(metadata=np.array('{')), "'metadata' is not valid JSON"),
        (dict(metadata=np.array('[1]')), r'metadata.*\[1\]'),
        (
            dict(image_stamps=np.array([['1', '2', '3', 'x']])),
            r'image_stamps of shape \(1, 4\) for 3',
        ),
        (dict(image_stamps=np.zeros((3, 4))), 'image_stamps'),
        (
            dict(image_stamps=np.array([['1', 'x', '3', 'y']] * 3)),
            "image_stamps.*'x'",
        ),
    ],
)
def test_other_files_are_refused(arrays, message, tmp_path):
    path = tmp_path / 'x.npz'
    if arrays is None:
        path.write_bytes(b'no archive')
    elif 'lacks' in message:
        np.savez(path, **arrays)
    else:
        whole = dict(
            image_ids=np.array(IDS),
            image_feats=IMAGE_FEATS,
            texts=np.array(TEXTS),
            text_feats=TEXT_FEATS,
            metadata=np.array('{}'),
        )
        np.savez(path, **{**whole, **arrays})
    with pytest.raises(ValueError, match=f'x.npz.*{message}'):
        open_features(str(path))


def test_pickles_and_lone_arrays_are_refused(tmp_path):
    np.savez(tmp_path / 'x.npz', image_ids=np.array([{}], dtype=object))
    with open(tmp_path / 'y.npz', 'wb') as stream:
        np.save(stream, IMAGE_FEATS)
    for name in 'xy':
        with pytest.raises(ValueError, match=f'{name}.npz '):
            open_features(str(tmp_path / f'{name}.npz'))


@pytest.mark.parametrize(
    'ids, feats, message',
    [
        (['a', 'b', 'a'], IMAGE_FEATS, r'2 distinct of 3 images for features of shape \(3, 4\)'),
        (IDS, IMAGE_FEATS[:2], '3 distinct of 3 images'),
        (IDS, IMAGE_FEATS * np.nan, 'images are not all finite'),
    ],
)
def test_nothing_wrong_is_written(ids, feats, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_features(tmp_path / 'x.npz', ids, feats, TEXTS, TEXT_FEATS, {})
    assert not list(tmp_path.iterdir())


def test_a_bomb_is_refused(tmp_path):
    path = tmp_path / 'x.npz'
    np.savez_compressed(
        path,
        image_ids=np.array(IDS),
        image_feats=np.zeros((3, 10**6), np.float32),
        texts=np.array(TEXTS),
        text_feats=TEXT_FEATS,
        metadata=np.array('{}'),
    )
    with pytest.raises(ValueError, match=r'x\.npz.* 12\d+'):
        open_features(str(path))
