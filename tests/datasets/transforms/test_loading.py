"""Every kind of image becomes RGB, and a broken one is named."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.datasets.tiny import image
from urbancross_mm.datasets.transforms.loading import LoadImage, LoadSegMap
from urbancross_mm.utils.images import probe_image, read_image


def load(path) -> dict:
    return LoadImage()(dict(img_path=str(path)))


@pytest.mark.parametrize('suffix', ['png', 'tif', 'bmp'])
def test_lossless_formats_are_exact(tmp_path, suffix):
    Image.fromarray(image()).save(tmp_path / f'a.{suffix}')
    results = load(tmp_path / f'a.{suffix}')
    assert np.array_equal(results['img'], image())
    assert results['img'].dtype == np.uint8 and results['img'].flags.writeable
    assert results['ori_shape'] == results['img_shape'] == (40, 48)


@pytest.mark.parametrize(
    'mode, suffix',
    [('L', 'png'), ('1', 'png'), ('P', 'png'), ('LA', 'png'), ('RGBA', 'png'), ('CMYK', 'jpg')],
)
def test_other_modes_become_rgb(tmp_path, mode, suffix):
    drawn = Image.fromarray(image()).convert(mode)
    drawn.save(tmp_path / f'a.{suffix}', **(dict(quality=98) if suffix == 'jpg' else {}))
    results = load(tmp_path / f'a.{suffix}')
    wanted = np.asarray(drawn.convert('RGB')).astype(int)
    assert results['img'].shape == (40, 48, 3)
    assert np.abs(results['img'] - wanted).mean() < (3 if suffix == 'jpg' else 1e-9)


def test_exif_orientation_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(image()).save(tmp_path / 'a.png', exif=exif)
    assert np.array_equal(load(tmp_path / 'a.png')['img'], image())


def test_deep_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / 'a.png')
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / 'b.tif')
    for name in ('a.png', 'b.tif'):
        with pytest.raises(ValueError, match=rf'{name} .*8 bits'):
            load(tmp_path / name)


@pytest.mark.parametrize('suffix', ['jpg', 'png', 'tif'])
@pytest.mark.parametrize('kept', [0.0, 0.1, 0.6])
def test_truncated_images_are_found(tmp_path, suffix, kept):
    path = tmp_path / f'a.{suffix}'
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    assert probe_image(str(path)) is None
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=rf'a\.{suffix}') as caught:
        load(path)
    assert '\n' not in str(caught.value)
    assert 'cannot be decoded' in probe_image(str(path))


def test_what_is_no_image(tmp_path):
    (tmp_path / 'a.jpg').write_text('hello')
    (tmp_path / 'folder.jpg').mkdir()
    for name in ('a.jpg', 'folder.jpg'):
        with pytest.raises(ValueError, match=f'{name}'):
            load(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r'none\.jpg'):
        load(tmp_path / 'none.jpg')


def test_draft_shrinks_a_large_jpeg_only(tmp_path):
    Image.fromarray(image(400, 600)).save(tmp_path / 'a.jpg')
    results = LoadImage(draft=100)(dict(img_path=str(tmp_path / 'a.jpg')))
    assert results['ori_shape'] == (400, 600)
    assert results['img_shape'] == results['img'].shape[:2] == (100, 150)
    Image.fromarray(image(400, 600)).save(tmp_path / 'a.png')
    assert read_image(str(tmp_path / 'a.png'), draft=100)[0].shape == (400, 600, 3)


def with_map(path, img_shape=(40, 48)) -> dict:
    return dict(img_path='pic.png', seg_map_path=str(path), ori_shape=(40, 48), img_shape=img_shape)


@pytest.mark.parametrize('mode', ['L', 'P'])
def test_a_class_map_is_the_numbers_of_gray_or_palette(tmp_path, mode):
    labels = np.random.default_rng(0).integers(0, 15, (40, 48), dtype=np.uint8)
    labels[0] = 255
    drawn = Image.fromarray(labels)
    if mode == 'P':  # colors that would give other numbers
        drawn.putpalette(np.random.default_rng(1).integers(0, 256, 768).tolist())
    drawn.save(tmp_path / 'a.png')
    results = LoadSegMap(num_classes=15)(with_map(tmp_path / 'a.png', (10, 12)))
    assert results['gt_seg_map'].dtype == np.uint8
    assert np.array_equal(results['gt_seg_map'], labels)


def test_no_class_map_means_no_class():
    results = LoadSegMap()(dict(img_path='pic.png', ori_shape=(40, 48), img_shape=(20, 24)))
    assert results['gt_seg_map'].shape == (20, 24) and results['gt_seg_map'].dtype == np.uint8
    assert (results['gt_seg_map'] == 255).all()


def test_wrong_class_maps(tmp_path):
    Image.fromarray(np.full((40, 48), 6, np.uint8)).save(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png has the value 6: with 6 classes'):
        LoadSegMap(6)(with_map(tmp_path / 'a.png'))
    Image.fromarray(np.zeros((48, 40), np.uint8)).save(tmp_path / 'b.png')
    with pytest.raises(ValueError, match=r'b\.png has 48 x 40 pixels.* pic\.png has 40 x 48'):
        LoadSegMap()(with_map(tmp_path / 'b.png'))
    Image.fromarray(image()).save(tmp_path / 'c.png')
    with pytest.raises(ValueError, match=r'c\.png has channels RGB'):
        LoadSegMap()(with_map(tmp_path / 'c.png'))
    with pytest.raises(FileNotFoundError, match=r'class map of pic\.png not found: .*d\.png'):
        LoadSegMap()(with_map(tmp_path / 'd.png'))
    for number in (0, 256):
        with pytest.raises(ValueError, match=f'num_classes must be 1 to 255, got {number}'):
            LoadSegMap(number)
