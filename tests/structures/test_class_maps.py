"""What a class map may hold, and what an annotation file may say of its classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from urbancross_mm.structures.class_maps import (
    IGNORE_INDEX,
    check_classes,
    check_same_size,
    pixels_of_values,
    read_checked_map,
)


def write_map(path: Path, *values: int) -> str:
    Image.fromarray(np.array([values], np.uint8)).save(path)
    return str(path)


def test_values_are_classes_or_ignored(tmp_path: Path) -> None:
    path = write_map(tmp_path / 'a.png', 0, 4, 255, 4)
    assert read_checked_map(path, 5).tolist() == [[0, 4, 255, 4]]
    with pytest.raises(ValueError, match=rf'{re.escape(path)} has the value 4: with 4 classes'):
        read_checked_map(path, 4)
    assert read_checked_map(write_map(tmp_path / 'b.png', 254), None).tolist() == [[254]]
    with pytest.raises(ValueError, match='value 254: with 254 classes'):
        read_checked_map(str(tmp_path / 'b.png'), 254)
    with pytest.raises(FileNotFoundError, match=r'none\.png'):
        read_checked_map(str(tmp_path / 'none.png'))


def test_pixels_are_counted_by_value() -> None:
    counts = pixels_of_values(np.array([[0, 3], [3, 255]], np.uint8))
    assert counts.shape == (IGNORE_INDEX + 1,)
    assert {v: n for v, n in enumerate(counts.tolist()) if n} == {0: 1, 3: 2, 255: 1}


def test_sizes_name_both_files() -> None:
    check_same_size('m.png', (4, 5), 'i.jpg', (4, 5))
    with pytest.raises(ValueError, match=r'm\.png has 4 x 5 pixels, its image i\.jpg has 5 x 4'):
        check_same_size('m.png', (4, 5), 'i.jpg', (5, 4))


def test_classes_and_palette_of_a_file() -> None:
    check_classes({}, 'a.json')
    check_classes(dict(classes=['a', 'b']), 'a.json')
    check_classes(dict(classes=['a', 'b'], palette=[[0, 0, 0], [0, 0, 255]]), 'a.json')


@pytest.mark.parametrize(
    'metainfo, message',
    [
        (dict(classes='ab'), "'classes' must be .*'ab'"),
        (dict(classes=[]), "'classes'"),
        (dict(classes=['a', 'a']), "'classes'"),
        (dict(classes=['a', '']), "'classes'"),
        (dict(classes=[f'{k}' for k in range(256)]), "'classes' must be a list of 1 to 255"),
        (dict(classes=['a'], palette=[[0, 0]]), "'palette'"),
        (dict(classes=['a'], palette=[[0, 0, 256]]), "'palette'"),
        (dict(classes=['a', 'b'], palette=[[0, 0, 0]]), "'palette' .*of 2 classes"),
        (dict(palette=[[0, 0, 0]]), "'palette' .*of 0 classes"),
    ],
)
def test_wrong_classes(metainfo: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf'a\.json, .metainfo.: {message}'):
        check_classes(metainfo, 'a.json')
