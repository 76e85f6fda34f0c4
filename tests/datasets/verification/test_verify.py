"""Verification finds each kind of damage, and nothing in sound data."""

from __future__ import annotations

import json
import re
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.datasets import tiny
from tests.recordings import record, tone
from urbancross_mm.datasets.verification.verify import verify


@pytest.fixture
def root(tmp_path):
    """Two sound splits: two images with a segment file each."""
    for start, split in enumerate(('train', 'test')):
        items = [
            tiny.item(f'{split}{n}', [f'{split} {n}', 'a place'], segments=f'{split}{n}.json')
            for n in range(2)
        ]
        tiny.write(tmp_path, items, images=False, split=split)
        (tmp_path / 'annotations/tiny.json').rename(tmp_path / f'annotations/{split}.json')
        for n, item in enumerate(items):
            seed = 2 * start + n
            Image.fromarray(tiny.image(seed=seed)).save(tmp_path / 'images' / item['img_path'])
            made = tiny.sidecar(tiny.random_masks(2, seed=seed), [0.3, 0.9], (40, 48))
            (tmp_path / 'segments' / item['segments']).write_text(json.dumps(made))
    return tmp_path


def _check(root, names=('train', 'test'), **options):
    report = verify(
        [str(root / f'annotations/{name}.json') for name in names], str(root), **options
    )
    results = {(finding.level, finding.what): finding for finding in report.findings}
    assert report.failed == any(level == 'error' for level, _ in results)
    return report, results


def _edit(root, split, change):
    path = root / f'annotations/{split}.json'
    content = json.loads(path.read_text())
    change(content['data_list'])
    path.write_text(json.dumps(content))


def _only_error(root, **options):
    report, result = _check(root, **options)
    errors = [finding for finding in report.findings if finding.level == 'error']
    assert len(errors) == 1, report.to_text()
    return errors[0]


def test_sound_data(root):
    report, result = _check(root)
    assert not report.failed
    assert list(result) == [('info', 'captions that a training split has too')]
    assert '2 of 4 captions of test (50.0 %) are in train' in report.to_text()
    row = report.rows[0]
    assert (row['images'], row['captions'], row['distinct'], row['segments']) == (2, 4, 3, 2)
    assert row['of several images'] == '50.0 %' and row['words mean/max'] == '2.00/2'
    assert row['size'] == '40 x 48'


@pytest.mark.parametrize('workers', [1, 2])
def test_missing_and_truncated_images(root, workers):
    (root / 'images/train0.png').unlink()
    data = (root / 'images/test1.png').read_bytes()
    (root / 'images/test1.png').write_bytes(data[: len(data) // 2])
    _, result = _check(root, workers=workers)
    assert 'train0.png' in result['error', 'missing image'].examples[0]
    assert 'test1.png' in result['error', 'unreadable image'].examples[0]


def test_no_pixels_looks_for_files_only(root):
    (root / 'images/test1.png').write_bytes(b'no image')
    assert not _check(root, pixels=False)[0].failed
    (root / 'images/test1.png').unlink()
    (root / 'segments/train1.json').unlink()
    _, result = _check(root, pixels=False)
    assert {what for level, what in result if level == 'error'} == {
        'missing image',
        'segment file missing, broken or of another size',
    }


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda items: items[1]['captions'].__setitem__(0, ' '), 'caption 0 is empty'),
        (lambda items: items[1].update(img_id=items[0]['img_id']), "'tiny/train0' is used twice"),
        (lambda items: items[1].update(captions='text'), "'text'"),
        (lambda items: items[1]['caption_ids'].pop(), '2 captions but caption_ids'),
        (lambda items: items[1].update(img_path='../x.png'), r"'../x.png' must be relative"),
        (lambda items: items[1].pop('img_path'), "'img_path' must be"),
    ],
)
def test_wrong_items(root, change, words):
    _edit(root, 'train', change)
    error = _only_error(root)
    assert error.what == 'wrong item' and error.count == 1
    assert words in error.examples[0] and 'train.json, item 1' in error.examples[0]


def test_every_wrong_item_is_found(root):
    _edit(root, 'train', lambda items: [item.update(captions=[]) for item in items])
    error = _only_error(root, shown=1)
    assert error.count == 2 and len(error.examples) == 1


def test_image_listed_twice(root):
    _edit(
        root,
        'train',
        lambda items: items.append({**tiny.item('again', ['another']), 'img_path': 'train0.png'}),
    )
    assert _only_error(root).what == 'image listed twice'


def test_segments_of_another_size(root):
    made = tiny.sidecar(tiny.random_masks(1, 20, 20), [0.3], (20, 20))
    (root / 'segments/test0.json').write_text(json.dumps(made))
    error = _only_error(root)
    assert 'mask of another size' in error.examples[0] and 'test0.json' in error.examples[0]


@pytest.mark.parametrize('text', ['{', '[]', '{"image_size": [40, 48], "size": [40, 48]}'])
def test_broken_segment_file(root, text):
    (root / 'segments/test0.json').write_text(text)
    assert 'test0.json' in _only_error(root).examples[0]


@pytest.mark.parametrize('counts', [[900], 'P' * 8, [1920, 5], '0' * 9, [[1920]]])
def test_masks_that_no_decoder_should_trust(root, counts):
    path = root / 'segments/test0.json'
    content = json.loads(path.read_text())
    content['segments'][1]['counts'] = counts
    path.write_text(json.dumps(content))
    error = _only_error(root).examples[0]
    assert 'test0.json' in error and 'mask 1' in error


def test_masks_that_ask_for_more_than_their_image(root):
    path = root / 'segments/test0.json'
    content = json.loads(path.read_text())
    for size in ([40_000, 48_000], [80, 96]):
        for image_size in (size, [40, 48]):
            path.write_text(json.dumps({**content, 'size': size, 'image_size': image_size}))
            assert 'test0.json' in _only_error(root).examples[0]


def test_images_that_training_refuses(root):
    deep = np.random.default_rng(0).integers(0, 4096, (40, 48, 3), dtype=np.uint16)
    cv2.imwrite(str(root / 'images/test0.png'), deep)
    error = _only_error(root)
    assert error.what == 'unreadable image'
    assert 'test0.png has more than 8 bits per channel' in error.examples[0]


@pytest.mark.parametrize(
    ('pixels', 'kept', 'message'),
    [
        (np.zeros((40, 48), np.uint8), 0.6, 'cannot be decoded'),
        (np.zeros((40, 48), np.uint16), 1, 'more than 8 bits'),
        (np.zeros((40, 48, 3), np.uint8), 1, 'one 8-bit number per pixel'),
    ],
)
def test_class_maps_are_decoded(root, pixels, kept, message):
    (root / 'seg_maps').mkdir()
    path = root / 'seg_maps/a.png'
    cv2.imwrite(str(path), pixels)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    _edit(root, 'train', lambda items: items[0].update(seg_map_path='a.png'))
    assert message in _only_error(root).examples[0]


def test_class_map_of_another_size(root):
    (root / 'seg_maps').mkdir()
    Image.fromarray(np.zeros((10, 10), dtype=np.uint8)).save(root / 'seg_maps/a.png')
    _edit(root, 'train', lambda items: items[0].update(seg_map_path='a.png'))
    error = _only_error(root)
    assert 'class map' in error.what
    assert re.search(r'a\.png has 10 x 10 pixels, .*train0\.png has 40 x 48', error.examples[0])


def _name_classes(root, split, number):
    path = root / f'annotations/{split}.json'
    content = json.loads(path.read_text())
    content['metainfo']['classes'] = [f'class {k}' for k in range(number)]
    path.write_text(json.dumps(content))


def test_values_of_class_maps_are_classes(root):
    (root / 'seg_maps').mkdir()
    labels = np.zeros((40, 48), dtype=np.uint8)
    labels[0, :2] = 255, 3
    Image.fromarray(labels).save(root / 'seg_maps/a.png')
    _edit(root, 'train', lambda items: items[0].update(seg_map_path='a.png'))
    for number in (4, 3):
        assert not _check(root)[0].failed  # without classes, and with enough
        _name_classes(root, 'train', number)
    assert re.search(r'a\.png has the value 3: with 3 classes', _only_error(root).examples[0])


def test_masks_need_no_captions(root):
    def drop_captions(items):
        for item in items:
            del item['captions'], item['caption_ids']

    _edit(root, 'train', drop_captions)
    assert 'captions' in _only_error_of_two(root)
    _name_classes(root, 'train', 2)
    report, results = _check(root)
    assert not report.failed and not any('captions' in what for _, what in results)


def _only_error_of_two(root):
    return ' '.join(finding.examples[0] for finding in _check(root)[0].findings)


def test_copy_across_splits_is_an_error_and_within_one_a_warning(root):
    shutil.copy(root / 'images/train0.png', root / 'images/train1.png')
    report, result = _check(root)
    assert ('warning', 'identical files within a split') in result and not report.failed
    shutil.copy(root / 'images/train0.png', root / 'images/test0.png')
    assert _only_error(root).what == 'identical file in two splits'


def test_lookalike_across_splits_is_a_warning(root):
    Image.open(root / 'images/train0.png').save(root / 'images/test0.png', compress_level=0)
    report, result = _check(root)
    example = result['warning', 'similar images in two splits'].examples[0]
    assert not report.failed and 'train0.png ~ test0.png' in example


@pytest.mark.parametrize(
    ('other', 'wrong'),
    [
        ('trainval', False),
        ('finetune', False),
        ('finetune_val', False),
        ('val', True),
        ('test', True),
    ],
)
def test_which_splits_may_share_images(root, other, wrong):
    content = json.loads((root / 'annotations/train.json').read_text())
    content['metainfo']['split'] = other
    (root / 'annotations/other.json').write_text(json.dumps(content))
    report, result = _check(root, ('train', 'other'))
    assert report.failed == wrong
    assert {what for level, what in result if level == 'error'} == (
        {'image in two splits'} if wrong else set()
    )


@pytest.mark.parametrize('split', ['finetune', 'finetune_val', 'trainval'])
def test_test_images_are_never_trained_on(root, split):
    content = json.loads((root / 'annotations/test.json').read_text())
    content['metainfo']['split'] = split
    (root / 'annotations/other.json').write_text(json.dumps(content))
    report, _ = _check(root, ('test', 'other'))
    assert report.failed


def test_unreadable_annotations_and_data_root(root):
    with pytest.raises(FileNotFoundError, match=r'nothing\.json'):
        _check(root, ('nothing',))
    with pytest.raises(FileNotFoundError, match='no folder of images'):
        verify([str(root / 'annotations/train.json')], str(root / 'elsewhere'))
    (root / 'annotations/train.json').write_text('{"data_list": []}')
    with pytest.raises(ValueError, match=r'train\.json'):
        _check(root)


@pytest.mark.parametrize('split', ['train', 'test'])
def test_images_without_captions_are_distractors_of_a_gallery_alone(root, split):
    _edit(root, split, lambda items: items[0].update(captions=[], caption_ids=[]))
    report, result = _check(root)
    assert report.failed == (split == 'train')
    distractors = ('warning', 'images without captions: they are searched, but are not queries')
    assert (distractors in result) == (split == 'test')


def _record_all(root, **names):
    for split, own in names.items():
        _edit(
            root,
            split,
            lambda items, own=own: [
                item.update(audio_paths=[f'{item["img_path"][:-4]}_{k}.flac' for k in own])
                for item in items
            ],
        )
        for item in json.loads((root / f'annotations/{split}.json').read_text())['data_list']:
            for k, name in enumerate(item['audio_paths']):
                record(root / 'audio' / name, tone(440, 0.1 + 0.2 * k))


def test_recordings_are_counted_and_measured(root):
    _record_all(root, train=(0, 1), test=(0,))  # one a caption, one for all
    report, result = _check(root)
    assert not report.failed
    assert [row['recordings'] for row in report.rows] == [4, 4]
    (first, second) = result['info', 'how long recordings last'].examples
    assert 'train: 4 recordings, 0.0 minutes in all, 0.20 s on average, the longest 0.30 s' in first
    assert 'test: 2 recordings' in second


def test_recordings_that_are_missing_broken_or_silent(root):
    _record_all(root, train=(0, 1))
    (root / 'audio/train0_1.flac').unlink()
    path = root / 'audio/train1_0.flac'
    path.write_bytes(path.read_bytes()[:600])
    record(root / 'audio/train1_1.flac', np.zeros(800, 'f4'))
    _, result = _check(root)
    broken = result['error', 'recording missing or broken']
    assert broken.count == 2
    assert re.search(r'tiny/train0\): .*train0_1\.flac', broken.examples[0])
    assert re.search(r'train1_0\.flac cannot be decoded', broken.examples[1])
    assert 'train1_1.flac' in result['warning', 'silent recordings'].examples[0]
    only_missing = _check(root, pixels=False)[1]['error', 'recording missing or broken']
    assert only_missing.count == 1


def test_captions_without_a_recording_among_others(root):
    _record_all(root, train=(0, 1))
    _edit(root, 'train', lambda items: items[0].update(audio_paths=['', 'train0_1.flac']))
    _, result = _check(root)
    what = 'captions without a recording, among others that have one'
    assert result['warning', what].examples == ['train: 1 of 4']


def test_pictures_of_spectrograms_are_decoded_as_pictures(root):
    (root / 'audio').mkdir()
    for name in ('0.jpg', '1.jpg'):
        Image.fromarray(tiny.image()).save(root / 'audio' / name)
    _edit(root, 'train', lambda items: items[0].update(audio_paths=['0.jpg', '1.jpg']))
    assert not _check(root)[0].failed
    (root / 'audio/1.jpg').write_bytes((root / 'audio/1.jpg').read_bytes()[:300])
    assert '1.jpg cannot be decoded' in _only_error(root).examples[0]
