"""A hit shows its image, or its window of a raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.curation.stages.test_tile_stage import noise, write_raster
from tests.inference.small_embedder import write_image
from urbancross_mm.inference.hit_images import draw_answers, hit_image, read_hit_image


@pytest.fixture
def raster(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pixels = noise(40, 60)
    write_raster(tmp_path / 'a.tif', pixels)
    return tmp_path / 'a.tif', pixels.transpose(1, 2, 0)


def test_a_window_is_read_from_the_raster(raster: tuple) -> None:
    path, pixels = raster
    hit = dict(img_path=str(path), window=[10, 5, 20, 30])
    assert np.array_equal(read_hit_image(hit), pixels[5:35, 10:30])
    assert np.array_equal(hit_image(hit), pixels[5:35, 10:30])
    assert np.array_equal(read_hit_image(dict(img_path=str(path))), pixels)
    assert hit_image(dict(img_path=str(path))) == str(path)


def test_images_and_windows_are_drawn(raster: tuple, tmp_path: Path) -> None:
    image = write_image(tmp_path / 'b.png', 'red')
    hits = [
        dict(img_path=str(raster[0]), window=[0, 0, 20, 20], score=0.5),
        dict(img_path=str(image), score=0.4),
    ]
    draw_answers([('a road', hits), (image, hits[:1])], tmp_path / 'new/grid.png')
    grid = np.asarray(Image.open(tmp_path / 'new/grid.png'))
    red = (grid[..., 0] > 150) & (grid[..., 1] < 80) & (grid[..., 2] < 80)
    assert red.sum() > 20000  # the image once as a hit, once as the query


@pytest.mark.parametrize('hit', [dict(id='a'), dict(id='a', img_path='')])
def test_an_item_without_a_file(hit: dict) -> None:
    with pytest.raises(ValueError, match="'a'"):
        read_hit_image(hit)


@pytest.mark.parametrize('window', [None, [0, 0, 5, 5]])
def test_a_file_that_is_gone(tmp_path: Path, window: list | None) -> None:
    with pytest.raises(FileNotFoundError, match=r'gone\.tif'):
        read_hit_image(dict(img_path=str(tmp_path / 'gone.tif'), window=window))
