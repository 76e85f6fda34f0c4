"""Sidecars and segment folders: order, packing, fallback, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from tests.datasets.tiny import image, random_masks, sidecar
from urbancross_mm.datasets.transforms import LoadSegmentFolder, LoadSegments
from urbancross_mm.datasets.transforms.segments import pack_masks

SHAPE = (40, 48)


def results_for(path=None, **more) -> dict:
    results = dict(img_path='pic.png', img=image(), ori_shape=SHAPE, img_shape=SHAPE, **more)
    if path is not None:
        results['segments_path'] = str(path)
    return results


def unpack(bits: np.ndarray, k: int) -> np.ndarray:
    return (bits[..., k // 16] >> (k % 16)) & 1


@pytest.mark.parametrize('count', [1, 5, 16, 17, 40])
def test_bits_hold_the_masks_in_order_of_score(tmp_path, count):
    masks = random_masks(count)
    scores = np.random.default_rng(1).permutation(count) / count
    (tmp_path / 'a.json').write_text(json.dumps(sidecar(masks, scores.tolist(), SHAPE)))
    results = LoadSegments(count)(results_for(tmp_path / 'a.json'))
    assert results['segment_bits'].dtype == np.uint16
    assert results['segment_bits'].shape == (*SHAPE, -(-count // 16))
    assert results['num_segments'] == count and results['segment_fill'] == 0
    for position, k in enumerate(np.argsort(-scores)):
        assert np.array_equal(unpack(results['segment_bits'], position), masks[..., k])


def test_only_the_best_are_kept_and_ties_go_to_the_larger(tmp_path):
    masks = random_masks(4)
    content = sidecar(masks, [0.5, 0.9, 0.5, 0.5], SHAPE)
    content['segments'][2]['area'] = 10_000
    content['segments'][0]['area'] = content['segments'][3]['area'] = 10
    (tmp_path / 'a.json').write_text(json.dumps(content))
    results = LoadSegments(3)(results_for(tmp_path / 'a.json'))
    assert results['num_segments'] == 3
    for position, k in enumerate((1, 2, 0)):
        assert np.array_equal(unpack(results['segment_bits'], position), masks[..., k])


def test_masks_may_be_stored_smaller(tmp_path):
    masks = random_masks(2, 20, 24)
    (tmp_path / 'a.json').write_text(json.dumps(sidecar(masks, [1, 0], SHAPE)))
    assert LoadSegments(2)(results_for(tmp_path / 'a.json'))['segment_bits'].shape == (20, 24, 1)


def test_no_segments_mean_the_image_itself(tmp_path):
    (tmp_path / 'a.json').write_text(json.dumps(sidecar(random_masks(1), [], SHAPE)))
    for path in (None, tmp_path / 'a.json'):
        results = LoadSegments(20)(results_for(path))
        assert results['num_segments'] == 1 and results['segment_fill'] == 1
        assert (results['segment_bits'][..., 0] == 1).all()
        assert not results['segment_bits'][..., 1].any()


def test_a_named_sidecar_must_be_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'pic\.png .*none\.json'):
        LoadSegments()(results_for(tmp_path / 'none.json'))


@pytest.mark.parametrize(
    'fields, message',
    [
        (
            dict(image_size=[40, 50]),
            r'a\.json .*40 x 50, '
            r'pic\.png has 40 x 48',
        ),
        (dict(size=[40, 24]), r'a\.json.* 40 x 24 .*40 x 48'),
        (dict(size=[20, 24]), r'a\.json'),
        (dict(segments=[dict(counts='??')]), r'segment 0'),
        (dict(segments=[dict(counts=3, score=1, area=1)]), r'a\.json'),
        (dict(segments=[dict(counts='', score=1, area=1)]), r'a\.json'),
        (dict(segments=None), r'a\.json'),
    ],
)
def test_bad_sidecars(tmp_path, fields, message):
    content = {**sidecar(random_masks(1), [1], SHAPE), **fields}
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        LoadSegments()(results_for(tmp_path / 'a.json'))
    (tmp_path / 'a.json').write_text('{')
    with pytest.raises(ValueError, match=r'a\.json'):
        LoadSegments()(results_for(tmp_path / 'a.json'))


def test_pack_masks_takes_any_memory_order():
    masks = random_masks(3)
    assert np.array_equal(pack_masks(masks, 1), pack_masks(np.asfortranarray(masks), 1))


def test_folder_in_order_of_number(tmp_path):
    for k in (10, 2, 7):
        Image.fromarray(np.full((30, 30, 3), k * 10, np.uint8)).save(tmp_path / f'x1_{k}.png')
    results = LoadSegmentFolder(5, size=16)(results_for(segment_dir=str(tmp_path)))
    assert results['segment_images'].shape == (5, 16, 16, 3)
    assert results['segment_images'][:, 0, 0, 0].tolist() == [20, 70, 100, 0, 0]
    assert results['num_segments'] == 3
    for name in ('._x1_2.png', 'Thumbs.db', 'x1_8.txt'):  # what systems leave is no segment
        (tmp_path / name).write_bytes(b'x')
    two = LoadSegmentFolder(2, size=16)(results_for(segment_dir=str(tmp_path)))
    assert two['segment_images'][:, 0, 0, 0].tolist() == [20, 70] and two['num_segments'] == 2


def test_folder_fallback_and_errors(tmp_path):
    results = LoadSegmentFolder(2, size=48)(results_for(segment_dir=str(tmp_path)))
    wanted = Image.fromarray(image()).resize((48, 48), Image.Resampling.BICUBIC)
    assert results['num_segments'] == 1
    assert np.array_equal(results['segment_images'][0], np.asarray(wanted))
    with pytest.raises(FileNotFoundError, match=r'pic\.png .*none'):
        LoadSegmentFolder()(results_for(segment_dir=str(tmp_path / 'none')))
    with pytest.raises(ValueError, match=r'pic\.png has no segment_dir'):
        LoadSegmentFolder()(results_for())
    (tmp_path / 'a_1.jpg').write_text('no image')
    with pytest.raises(ValueError, match=r'a_1\.jpg'):
        LoadSegmentFolder()(results_for(segment_dir=str(tmp_path)))
    with pytest.raises(ValueError, match='num_segments .* 0'):
        LoadSegments(0)
