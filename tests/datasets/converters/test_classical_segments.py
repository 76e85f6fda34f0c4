"""Grid cells and regions of one color."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.datasets.converters.layouts import write_image, write_lines
from urbancross_mm.datasets.converters.classical_masks import color_masks, grid_masks
from urbancross_mm.datasets.converters.classical_segments import Options, convert
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar


def fields(height: int = 60, width: int = 90) -> np.ndarray:
    """Sea on the left, sand on the right, a red roof in the sand."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[:, : width // 3] = (20, 60, 140)
    image[:, width // 3 :] = (210, 190, 140)
    image[20:40, 50:80] = (160, 40, 30)
    noise = np.random.default_rng(0).integers(-6, 7, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize('count', [1, 2, 3, 5, 7, 10, 16])
def test_grid_cells_cover_the_image_once(count):
    masks, scores = grid_masks(np.zeros((37, 53, 3), dtype=np.uint8), count)

    assert len(masks) == count and (masks.sum(axis=0) == 1).all()
    assert scores.sum() == pytest.approx(1)


def test_color_finds_the_regions():
    masks, scores = color_masks(fields(), 10, colors=3)

    sea, roof = (np.zeros((60, 90), dtype=bool) for _ in range(2))
    sea[:, :30] = True
    roof[20:40, 50:80] = True
    for truth in (sea, roof):
        assert max((m & truth).sum() / (m | truth).sum() for m in masks) > 0.9
    assert (masks.sum(axis=0) <= 1).all()
    assert (np.diff(scores) <= 0).all()


def test_color_keeps_the_best_and_drops_the_small():
    all_masks, _ = color_masks(fields(), 10, colors=3, min_area=0.02)

    assert (all_masks.mean(axis=(1, 2)) >= 0.02).all()
    assert (color_masks(fields(), 1, colors=3)[0] == all_masks[:1]).all()


def test_an_even_image_is_one_segment():
    masks, _ = color_masks(np.full((20, 30, 3), 128, dtype=np.uint8), 10, colors=1)

    assert masks.shape == (1, 20, 30) and masks.all()


@pytest.mark.parametrize('method', ['grid', 'color'])
def test_same_seed_same_bytes_at_any_number_of_threads(tmp_path, method):
    for number in range(6):
        write_image(tmp_path / f'images/x/{number}.png', (40, 50), number)
    for run, workers in enumerate((1, 1, 3)):
        counts = convert(
            Options(tmp_path / 'images', tmp_path / str(run), method, min_area=0.0, workers=workers)
        )
        assert counts['images'] == 6 and counts['segments'] > 0
    files = [sorted((tmp_path / str(run)).rglob('*.json')) for run in range(3)]
    assert [file.relative_to(tmp_path / '0').as_posix() for file in files[0]] == [
        f'x/{number}.json' for number in range(6)
    ]
    texts = [[file.read_bytes() for file in item] for item in files]
    assert texts[0] == texts[1] == texts[2]


def test_large_images_are_stored_small(tmp_path):
    (tmp_path / 'images').mkdir()
    Image.fromarray(fields(240, 360)).save(tmp_path / 'images/a.png')
    convert(Options(tmp_path / 'images', tmp_path / 'segments', size=90))

    sidecar = read_sidecar(tmp_path / 'segments/a.json')
    assert sidecar['image_size'] == [240, 360] and sidecar['size'] == [60, 90]
    assert sidecar['source'] == 'color' and decode_masks(sidecar).shape[1:] == (60, 90)


def test_unreadable_images_are_an_error_or_counted(tmp_path):
    whole = write_image(tmp_path / 'images/a.jpg', (64, 64)).read_bytes()
    (tmp_path / 'images/b.jpg').write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ValueError, match=r'b\.jpg'):
        convert(Options(tmp_path / 'images', tmp_path / 'first', 'grid'))
    counts = convert(Options(tmp_path / 'images', tmp_path / 'second', 'grid', skip_bad=True))
    assert counts['images'] == 1 and counts['unreadable'] == 1


def test_wrong_arguments_and_empty_folders(tmp_path):
    with pytest.raises(ValueError, match="got 'watershed'"):
        convert(Options(tmp_path, tmp_path, 'watershed'))
    write_lines(tmp_path / 'images/readme.txt', [])
    with pytest.raises(FileNotFoundError, match='no image in'):
        convert(Options(tmp_path / 'images', tmp_path))


def test_two_images_with_one_segment_file_are_refused(tmp_path):
    for name in ('a.jpg', 'a.png', 'b.jpg'):
        write_image(tmp_path / 'images' / name)
    with pytest.raises(ValueError, match=r'a\.jpg and a\.png in .*images'):
        convert(Options(tmp_path / 'images', tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
