"""The toy world's features: the same bytes, and they differ between images and captions."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.datasets.converters.layouts import read
from urbancross_mm.datasets.feature_file import open_features
from urbancross_mm.toy.features import (
    WIDTH,
    caption_features,
    image_features,
    write_sample_features,
)


def test_every_image_and_caption_of_the_sample_has_some(sample_dir, tmp_path):
    for name in ('rsicd', 'ucm'):
        folder = sample_dir / 'data/sample' / name
        features = open_features(str(folder / 'features.npz'))
        for split in ('train', 'val', 'test'):
            for item in read(folder / f'annotations/{name}_{split}.json')[1]:
                assert features.image(item['img_id']).shape == (WIDTH,)
                assert features.texts(item['captions']).shape == (len(item['captions']), WIDTH)


def test_same_data_same_bytes(sample_dir, tmp_path):
    source = sample_dir / 'data/sample/ucm'
    (tmp_path / 'ucm').mkdir()
    for name in ('images', 'annotations'):
        (tmp_path / 'ucm' / name).symlink_to(source / name)
    write_sample_features(tmp_path / 'ucm')
    again = (tmp_path / 'ucm/features.npz').read_bytes()
    assert again == (source / 'features.npz').read_bytes()


def test_images(tmp_path):
    stripes = np.zeros((10, 13, 3), np.uint8)
    stripes[:, ::2, 0] = 255
    Image.fromarray(stripes).save(tmp_path / 'stripes.png')
    Image.new('RGB', (13, 10), (0, 0, 255)).save(tmp_path / 'blue.png')
    feats = {name: image_features(tmp_path / f'{name}.png') for name in ('stripes', 'blue')}
    assert all(item.shape == (WIDTH,) and item.dtype == np.float32 for item in feats.values())
    assert all(item.min() >= 0 and item.max() <= 1 for item in feats.values())
    blue = np.zeros(WIDTH)
    blue[3] = 1  # no red, no green, the brightest blue
    blue[66::4] = 1  # of red, green, blue and gradient in each cell
    assert np.array_equal(feats['blue'], blue)
    assert (feats['stripes'][67::4] > 0.05).all()  # gradients everywhere


def test_captions():
    one, same, other = map(caption_features, ('A red roof.', 'a RED roof', 'a roof, red'))
    assert one.shape == (WIDTH,) and one.dtype == np.float32
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert abs(np.linalg.norm(one) - 1) < 1e-6
    assert not caption_features('?!').any()
