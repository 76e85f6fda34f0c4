"""Published segment images to masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.converters.layouts import write_image
from urbancross_mm.datasets.converters.segment_folders import (
    Options,
    convert,
    list_segments,
    mask_of,
)
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar

SIZE = (64, 96)


def true_masks() -> np.ndarray:
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0, 8:48, 10:60] = True
    masks[1, 30:60, 50:90] = True
    return masks


def write_segments(root: Path, stem: str = 'a', numbers: tuple[int, ...] = (0, 10)) -> Path:
    """An image and its segments on white, as JPEG."""
    rng = np.random.default_rng(0)
    image = rng.integers(40, 180, (*SIZE, 3), dtype=np.uint8)
    (root / 'images').mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(root / f'images/{stem}.jpg')
    folder = root / 'image_segments' / stem
    folder.mkdir(parents=True)
    for number, mask in zip(numbers, true_masks()):
        painted = np.where(mask[..., None], image, 255).astype(np.uint8)
        Image.fromarray(painted).save(folder / f'{stem}_{number}.jpg', quality=90)
    return folder


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    return (mask & truth).sum() / (mask | truth).sum()


def test_masks_survive_the_jpeg(tmp_path):
    write_segments(tmp_path)
    summary = convert(Options(tmp_path))

    assert (summary.images, summary.segments) == (1, 2)
    sidecar = read_sidecar(tmp_path / 'segments/a.json')
    assert sidecar['image_size'] == list(SIZE) and sidecar['source'] == 'image_segments'
    for mask, truth in zip(decode_masks(sidecar), true_masks()):
        assert overlap(mask, truth) > 0.93


def test_segments_are_ordered_by_number_not_by_text(tmp_path):
    folder = write_segments(tmp_path, numbers=(10, 9))
    files, ignored = list_segments(folder)

    assert [file.stem for file in files] == ['a_9', 'a_10'] and not ignored
    convert(Options(tmp_path))
    best, _ = decode_masks(read_sidecar(tmp_path / 'segments/a.json'))
    assert overlap(best, true_masks()[1]) > 0.93


def test_masks_are_stored_small(tmp_path):
    write_segments(tmp_path)
    convert(Options(tmp_path, size=48))

    sidecar = read_sidecar(tmp_path / 'segments/a.json')
    assert sidecar['size'] == [32, 48] and sidecar['image_size'] == list(SIZE)
    assert overlap(decode_masks(sidecar)[0], true_masks()[0, ::2, ::2]) > 0.85
    assert sidecar['segments'][0]['area'] == pytest.approx(true_masks()[0].sum(), rel=0.1)


def test_specks_and_holes_are_repaired_but_a_small_mask_stays():
    image = np.full((*SIZE, 3), 255, dtype=np.uint8)
    image[8:48, 10:60] = 90
    image[20, 20:22] = 255  # a bright spot inside
    image[60, 90] = 200  # gray speck outside
    assert overlap(mask_of(image, clean=10), true_masks()[0]) == 1
    tiny = np.full((*SIZE, 3), 255, dtype=np.uint8)
    tiny[5, 5] = 0
    assert mask_of(tiny, clean=10).sum() == 1


def test_other_files_are_ignored_and_reported(tmp_path):
    folder = write_segments(tmp_path)
    write_image(folder / 'overview.jpg', SIZE)
    summary = convert(Options(tmp_path))

    assert summary.ignored == [folder / 'overview.jpg'] and summary.segments == 2


def test_hidden_folders_are_no_images_and_links_are_followed(tmp_path):
    folder = write_segments(tmp_path)
    (folder / '.ipynb_checkpoints').mkdir()
    (folder / '.ipynb_checkpoints/a_0-checkpoint.jpg').write_bytes(b'x')
    (tmp_path / 'image_segments/__MACOSX/a').mkdir(parents=True)
    write_segments(tmp_path / 'else', 'b')
    (tmp_path / 'image_segments/city').symlink_to(tmp_path / 'else/image_segments')
    (tmp_path / 'else/image_segments/loop').symlink_to(tmp_path / 'image_segments')

    summary = convert(Options(tmp_path))
    assert (summary.images, summary.segments) == (2, 4)
    assert sorted(
        path.relative_to(tmp_path / 'segments').as_posix()
        for path in (tmp_path / 'segments').rglob('*.json')
    ) == ['a.json', 'city/b.json']


def test_an_empty_folder_gives_no_segment(tmp_path):
    write_image(tmp_path / 'images/b.jpg', SIZE)
    (tmp_path / 'image_segments/b').mkdir(parents=True)
    convert(Options(tmp_path))

    sidecar = read_sidecar(tmp_path / 'segments/b.json')
    assert sidecar['segments'] == [] and sidecar['image_size'] == list(SIZE)


def test_a_segment_of_another_size_is_refused_with_both_sizes(tmp_path):
    write_segments(tmp_path)
    write_image(tmp_path / 'images/a.jpg', (10, 20))

    with pytest.raises(ValueError, match=r'a_0\.jpg .*64 x 96 .* 10 x 20'):
        convert(Options(tmp_path))


def test_truncated_segments_are_an_error_or_counted(tmp_path):
    folder = write_segments(tmp_path)
    write_segments(tmp_path, 'b')
    whole = (folder / 'a_0.jpg').read_bytes()
    (folder / 'a_0.jpg').write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ValueError, match=r'a_0\.jpg'):
        convert(Options(tmp_path, out=tmp_path / 'first'))
    summary = convert(Options(tmp_path, skip_bad=True, workers=2))
    assert summary.images == 1 and 'a_0.jpg' in summary.bad[0]
    assert not (tmp_path / 'segments/a.json').exists()
    assert (tmp_path / 'segments/b.json').is_file()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='image_segments'):
        convert(Options(tmp_path))


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    folder = tmp_path / 'image_segments' / 'a'
    folder.mkdir(parents=True)
    (tmp_path / 'images').mkdir()
    Image.new('RGB', (20, 20)).save(folder / 'a_0.png')
    (tmp_path / 'image_segments' / 'up').symlink_to(tmp_path)
    assert convert(Options(tmp_path)).images == 1
    assert [path.name for path in (tmp_path / 'segments').iterdir()] == ['a.json']
