"""Rare classes weigh more, and those that never occur nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.tiny import item, write
from urbancross_mm.datasets.class_weights import class_weights, count_class_pixels


def test_every_class_counts_as_much_as_the_most_frequent_one() -> None:
    pixels = [80, 20, 0, 1]
    weights = class_weights(pixels)
    assert weights == [1.0, 4.0, 0.0, 80.0]
    assert {n * w for n, w in zip(pixels, weights) if n} == {80}
    assert class_weights(pixels, cap=10) == [1.0, 4.0, 0.0, 10.0]
    with pytest.raises(ValueError, match='none of 2 classes has a pixel'):
        class_weights([0, 0])
    with pytest.raises(ValueError, match='cap must be 1 or more, got 0.5'):
        class_weights(pixels, cap=0.5)


def test_pixels_are_those_of_the_file_or_counted(tmp_path: Path) -> None:
    labels = np.zeros((40, 48), np.uint8)
    labels[0], labels[1] = 1, 255
    items = [item('a', [], seg_map_path='a.png'), item('b', [])]
    files = write(tmp_path, items, classes=['x', 'y'])
    path = tmp_path / files['ann_file']
    (tmp_path / 'seg_maps').mkdir()
    Image.fromarray(labels).save(tmp_path / 'seg_maps/a.png')
    counted = dict(x=38 * 48, y=48)
    assert count_class_pixels(path) == counted
    write(tmp_path, items, images=False, classes=['x', 'y'], class_pixels=[3, 4])
    assert count_class_pixels(path) == dict(x=3, y=4)
    assert count_class_pixels(path, tmp_path / 'seg_maps', workers=2) == counted


def test_what_cannot_be_counted(tmp_path: Path) -> None:
    path = tmp_path / write(tmp_path, [item('a', ['x'])])['ann_file']
    with pytest.raises(ValueError, match=r'tiny\.json names no classes'):
        count_class_pixels(path)
    write(tmp_path, [item('a', ['x'])], images=False, classes=['x'])
    with pytest.raises(ValueError, match=r'no image of .*tiny\.json has a class map'):
        count_class_pixels(path)
    write(tmp_path, [item('a', ['x'])], images=False, classes=['x'], class_pixels=[1, 2])
    with pytest.raises(ValueError, match='1 classes and 2 class_pixels'):
        count_class_pixels(path)
