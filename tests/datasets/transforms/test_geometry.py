"""A bit field moves as its masks would one by one, and masks move as their image does."""

from __future__ import annotations

import numpy as np
import pytest
from mmcv.transforms.utils import cache_random_params
from PIL import Image

from tests.datasets.tiny import image, random_masks
from urbancross_mm.datasets.transforms import (
    RandomCropImage,
    RandomFlipImage,
    RandomRotate,
    ResizeImage,
)
from urbancross_mm.datasets.transforms.segments import pack_masks

TRANSFORMS = [
    ResizeImage(33),
    ResizeImage((70, 90), 'bilinear'),
    RandomRotate((0, 90)),
    RandomRotate((-30, 30), 'nearest'),
    RandomCropImage((20, 31)),
    RandomFlipImage(1, ['horizontal']),
    RandomFlipImage(1, ['vertical']),
    RandomFlipImage(0.5, ['diagonal']),
]
IDS = [f'{type(t).__name__}{i}' for i, t in enumerate(TRANSFORMS)]


def pack(masks: np.ndarray) -> np.ndarray:
    return pack_masks(masks, -(-masks.shape[2] // 16))


@pytest.mark.parametrize('count', [3, 16, 90])
@pytest.mark.parametrize('transform', TRANSFORMS, ids=IDS)
def test_bit_field_equals_mask_by_mask(transform, count):
    masks = random_masks(count)
    with cache_random_params(transform):
        moved = transform(dict(img=image(), segment_bits=pack(masks)))['segment_bits']
        for k in range(count):
            alone = transform(dict(img=image(), segment_bits=masks[..., k : k + 1].copy()))
            expected = alone['segment_bits'][..., 0]
            assert np.array_equal((moved[..., k // 16] >> (k % 16)) & 1, expected), k
            assert expected.dtype == np.uint8
    assert moved.dtype == np.uint16


@pytest.mark.parametrize('transform', TRANSFORMS, ids=IDS)
def test_mask_and_image_move_together(transform):
    """A white blob on black is its own mask: after the move they still agree."""
    mask = random_masks(1, 200, 240)
    blob = np.repeat(mask * 255, 3, axis=2)
    seg = np.where(mask[..., 0] > 0, 7, 2).astype(np.uint8)
    results = transform(dict(img=blob, segment_bits=pack(mask), gt_seg_map=seg))
    bright = results['img'][..., 0] > 127
    assert (bright != results['segment_bits'][..., 0]).mean() < 0.01
    assert (bright != (results['gt_seg_map'] == 7)).mean() < 0.01
    assert set(np.unique(results['gt_seg_map'])) <= {2, 7, 255}
    assert results['img_shape'] == results['img'].shape[:2] == results['gt_seg_map'].shape


def test_resize_is_antialiased_as_pil_does_it():
    for name, filter_ in (
        ('bicubic', Image.Resampling.BICUBIC),
        ('bilinear', Image.Resampling.BILINEAR),
    ):
        results = ResizeImage((20, 10), name)(dict(img=image()))
        wanted = Image.fromarray(image()).resize((20, 10), filter_)
        assert np.abs(results['img'].astype(int) - np.asarray(wanted)).max() <= 1
        assert results['img_shape'] == (10, 20) and results['img'].dtype == np.uint8
    nearest = ResizeImage((20, 10), 'nearest')(dict(img=image()))['img']
    wanted = Image.fromarray(image()).resize((20, 10), Image.Resampling.NEAREST)
    assert np.array_equal(nearest, np.asarray(wanted))


def test_rotation_is_the_published_one():
    """torchvision's default, angle for angle: counter-clockwise, nearest, black corners."""
    from torchvision.transforms.functional import rotate

    results = RandomRotate((35, 35), 'nearest')(dict(img=image()))
    assert np.array_equal(results['img'], np.asarray(rotate(Image.fromarray(image()), 35)))
    assert not results['img'][0, 0].any() and not results['img'][-1, -1].any()
    smooth = RandomRotate((35, 35))(dict(img=image(200, 240)))['img']
    wanted = Image.fromarray(image(200, 240)).rotate(35, Image.Resampling.BILINEAR)
    # Without the jagged edge of the black corners, which each draws its own way.
    assert np.abs(smooth.astype(int) - np.asarray(wanted))[60:140, 60:180].max() <= 3


def test_corners_belong_to_no_mask_but_to_an_image_without_segments():
    full = np.ones((40, 48, 1), np.uint16)
    seg = np.ones((40, 48), np.uint8)
    moved = RandomRotate((40, 40))(dict(img=image(), segment_bits=full, gt_seg_map=seg))
    assert not moved['segment_bits'][0, 0, 0] and moved['segment_bits'][20, 24, 0]
    assert moved['gt_seg_map'][0, 0] == 255
    itself = RandomRotate((40, 40))(dict(img=image(), segment_bits=full, segment_fill=1))
    assert itself['segment_bits'].all()


def test_masks_stored_smaller_are_brought_to_the_image_first():
    masks = random_masks(3, 20, 24)
    crop = RandomCropImage(20)
    with cache_random_params(crop):
        small = crop(dict(img=image(), segment_bits=pack(masks)))
        large = crop(dict(img=image(), segment_bits=pack(masks.repeat(2, 0).repeat(2, 1))))
    assert np.array_equal(small['segment_bits'], large['segment_bits'])


def test_crop_reaches_every_corner_and_refuses_small_images():
    img = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    np.random.seed(0)
    seen = {RandomCropImage((4, 5))(dict(img=img))['img'][0, 0, 0] for _ in range(100)}
    assert seen == {0, 3, 15, 18}
    with pytest.raises(ValueError, match=r'7 x 3 .* 6 x 5'):
        RandomCropImage((3, 7))(dict(img=img))


def test_flip_directions():
    img = image()
    for direction, wanted in (
        ('horizontal', img[:, ::-1]),
        ('vertical', img[::-1]),
        ('diagonal', img[::-1, ::-1]),
    ):
        assert np.array_equal(RandomFlipImage(1, [direction])(dict(img=img))['img'], wanted)
    assert np.array_equal(RandomFlipImage(0)(dict(img=img))['img'], img)


def test_randomness_is_numpys_and_repeats():
    for transform in TRANSFORMS[2:5]:
        np.random.seed(3)
        first = transform(dict(img=image()))['img']
        second = transform(dict(img=image()))['img']
        np.random.seed(3)
        assert np.array_equal(first, transform(dict(img=image()))['img'])
        assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: ResizeImage(0), 'a size must be positive, got 0'),
        (lambda: ResizeImage(8, 'area'), "interpolation must be one of .* got 'area'"),
        (lambda: RandomRotate((5,)), r'degrees must be a range \(low, high\), got \(5,\)'),
        (lambda: RandomFlipImage(2), 'prob must be between 0 and 1, got 2'),
        (lambda: RandomFlipImage(directions=['up']), r"directions must be of .* got \['up'\]"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize('turn', range(3))
def test_no_class_appears_between_two_classes(turn):
    """Between 0 and 5, a resampling that mixes would make 1 to 4, as it does to a photo."""
    seg = np.zeros((60, 60), np.uint8)
    seg[:, 30:] = 5
    results = dict(img=np.repeat(seg[..., None], 3, axis=2), gt_seg_map=seg)
    np.random.seed(turn)
    for transform in (ResizeImage(67, 'bilinear'), RandomRotate((0, 90)), RandomCropImage(50)):
        results = transform(results)
    assert set(np.unique(results['gt_seg_map'])) <= {0, 5, 255}
    assert {1, 2, 3, 4} & set(np.unique(results['img']))  # the image does mix
