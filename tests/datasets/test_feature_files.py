"""Features of one dataset in several files."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from urbancross_mm.datasets import FeatureTokenizer, LoadFeatures
from urbancross_mm.datasets.feature_file import write_features
from urbancross_mm.datasets.feature_files import FeatureFiles
from urbancross_mm.utils.hashing import FileStamp


def made(path: Path, ids: str, texts: list[str], value: float, width: int = 2, **more) -> str:
    """A file whose features all have one value."""
    images = np.full((len(ids), 3), value, np.float32)
    captions = np.full((len(texts), width), value, np.float32)
    stamps = more.pop('stamps', ())
    write_features(path, list(ids), images, texts, captions, more, stamps)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    return [
        made(tmp_path / 'city.npz', 'ab', ['a road', 'a lake'], 1.0, weights='w'),
        made(tmp_path / 'village.npz', 'bc', ['a lake', 'a field'], 2.0, weights='w'),
    ]


def test_the_first_file_that_holds_it(files: list[str]) -> None:
    features = pickle.loads(pickle.dumps(FeatureFiles(files)))
    assert [features.image(name)[0] for name in 'abc'] == [1, 1, 2]
    assert features.texts(['a field', 'a road', 'a lake']).tolist() == [[2, 2], [1, 1], [1, 1]]
    assert features.texts([]).shape == (0, 2)
    assert FeatureFiles(files[::-1]).image('b')[0] == 2


def test_transform_and_tokenizer_take_a_list(files: list[str]) -> None:
    transform = LoadFeatures(file=files)
    assert transform(dict(img_id='c'))['image_feats'].tolist() == [2, 2, 2]
    assert FeatureTokenizer(file=files)(['a field']).equal(torch.full((1, 2), 2.0))


def test_what_none_holds_is_named_with_every_file(files: list[str]) -> None:
    features = FeatureFiles(files)
    for look, name in ((features.image, 'd'), (lambda text: features.texts([text]), 'snow')):
        with pytest.raises(ValueError, match=rf"{files[0]}, {files[1]} .*'{name}'.*extract_feat"):
            look(name)
    with pytest.raises(ValueError, match=f"{files[0]} has .*'c'"):
        FeatureFiles(files[0]).image('c')
    with pytest.raises(FileNotFoundError, match=r'none\.npz'):
        FeatureFiles([files[0], 'none.npz'])
    with pytest.raises(ValueError, match=r'at least one file, got \[\]'):
        FeatureFiles([])


def test_files_of_different_encoders(files: list[str], tmp_path: Path) -> None:
    wide = made(tmp_path / 'wide.npz', 'd', ['snow'], 0.0, width=5)
    with pytest.raises(ValueError, match=rf'{files[0]} and {wide} .*text_feats .*2 and 5'):
        FeatureFiles([files[0], wide])
    other = made(tmp_path / 'other.npz', 'd', ['snow'], 0.0, weights='v')
    with pytest.raises(ValueError, match=rf'{files[0]} and {other} .*different weights'):
        FeatureFiles([files[0], other])
    unknown = made(tmp_path / 'unknown.npz', 'd', ['snow'], 0.0)
    assert len(FeatureFiles([files[0], unknown]).files) == 2


def test_an_image_that_was_replaced_is_noticed_in_the_file_that_holds_it(tmp_path: Path) -> None:
    image = tmp_path / 'b.png'
    image.write_text('before')
    first = made(tmp_path / 'f.npz', 'a', ['x'], 1.0)
    second = made(tmp_path / 'g.npz', 'b', ['y'], 2.0, stamps=[FileStamp.of(image)])
    image.write_text('behind')
    os.utime(image, ns=(1, 1))
    with pytest.raises(ValueError, match=rf'{image} .*{second}'):
        FeatureFiles([first, second]).image('b', str(image))
