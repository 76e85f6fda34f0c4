"""The segment converters and the verification as commands, on generated data."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.datasets import tiny
from urbancross_mm.structures.segment_masks import decode_masks, read_sidecar

SIZE = (60, 80)


@pytest.fixture
def root(tmp_path):
    """Three images with annotations that name no segments."""
    items = [tiny.item(f'p{n}', [f'place {n}']) for n in range(3)]
    tiny.write(tmp_path, items, images=False, split='train')
    for n, item in enumerate(items):
        Image.fromarray(tiny.image(*SIZE, seed=n)).save(tmp_path / 'images' / item['img_path'])
    return tmp_path


def _items(root):
    return json.loads((root / 'annotations/tiny.json').read_text())['data_list']


@pytest.mark.parametrize('method', ['grid', 'color'])
def test_classical_segments_then_verify(call_tool, root, method):
    before = json.loads((root / 'annotations/tiny.json').read_text())
    code, text = call_tool(
        'dataset_converters/classical_segments',
        root / 'images',
        '--out',
        root / 'segments',
        '--method',
        method,
        '--num-segments',
        6,
        '--size',
        40,
        '--annotations',
        root / 'annotations/tiny.json',
    )
    assert code == 0 and '3 images, ' in text and '3 of 3 images have a segment file' in text
    for item in _items(root):
        sidecar = read_sidecar(root / 'segments' / item.pop('segments'))
        masks = decode_masks(sidecar)
        assert sidecar['image_size'] == [60, 80] and masks.shape[1:] == (30, 40)
        assert 1 <= len(masks) <= 6 and masks.sum(axis=0).max() == 1
        if method == 'grid':
            assert len(masks) == 6 and masks.any(axis=0).all()
        assert item in before['data_list']  # nothing but the field was added
    code, text = call_tool(
        'misc/verify_dataset', root / 'annotations/tiny.json', '--data-root', root
    )
    assert code == 0 and 'passed' in text


def test_an_interrupted_run_goes_on_and_force_starts_over(call_tool, root):
    command = (
        'dataset_converters/classical_segments',
        root / 'images',
        '--out',
        root / 'segments',
        '--workers',
        1,
    )
    assert call_tool(*command)[0] == 0
    first = (root / 'segments/p0.json').read_bytes()
    (root / 'segments/p0.json').write_text('mine')
    (root / 'segments/p1.json').unlink()
    code, text = call_tool(*command)
    assert code == 0 and '1 images, ' in text and '2 files of an earlier run kept' in text
    assert (root / 'segments/p0.json').read_text() == 'mine'
    assert call_tool(*command, '--force')[0] == 0
    assert (root / 'segments/p0.json').read_bytes() == first


def test_unreadable_image(call_tool, root):
    (root / 'images/p1.png').write_bytes(b'no image')
    command = (
        'dataset_converters/classical_segments',
        root / 'images',
        '--out',
        root / 'segments',
        '--annotations',
        root / 'annotations/tiny.json',
    )
    code, text = call_tool(*command)
    assert code == 2 and 'p1.png cannot be decoded' in text and 'Traceback' not in text
    assert not any('segments' in item for item in _items(root))
    code, text = call_tool(*command, '--skip-bad')
    assert code == 0 and '1 unreadable images left out' in text and '2 of 3 images' in text
    assert [item.get('segments') for item in _items(root)] == ['p0.json', None, 'p2.json']


def _publish(root, name, masks):
    """Write segments as UrbanCross does: the image on white, one JPEG a mask."""
    pixels = np.minimum(np.asarray(Image.open(root / f'images/{name}.png')), 200)
    folder = root / 'image_segments' / name
    folder.mkdir(parents=True)
    for k, mask in zip((1, 4, 11), masks):
        painted = np.where(mask[..., None], pixels, 255).astype(np.uint8)
        Image.fromarray(painted).save(folder / f'{name}_{k}.jpg', quality=95)


def _squares():
    masks = np.zeros((3, *SIZE), dtype=bool)
    masks[0, 8:48, 8:64], masks[1, 10:40, 40:72], masks[2, 32:56, 0:24] = True, True, True
    return masks


def test_segment_folders(call_tool, root):
    for n in range(3):
        _publish(root, f'p{n}', _squares())
    code, text = call_tool(
        'dataset_converters/segment_folders',
        root,
        '--size',
        80,
        '--annotations',
        root / 'annotations/tiny.json',
    )
    assert code == 0 and '3 images, 9 segments' in text and '3 of 3 images' in text
    result = decode_masks(read_sidecar(root / 'segments/p1.json'))
    overlap = (result & _squares()).sum(axis=(1, 2)) / (result | _squares()).sum(axis=(1, 2))
    # In the order of their numbers, 11 after 4; borders are off by what JPEG blurs.
    assert overlap.min() > 0.9
    code, text = call_tool(
        'misc/verify_dataset', root / 'annotations/tiny.json', '--data-root', root
    )
    assert code == 0
    code, text = call_tool('dataset_converters/segment_folders', root)
    assert code == 0 and '3 files of an earlier run kept' in text


def test_masks_of_sam(call_tool, root):
    for n in range(3):
        counts = [0, n + 1, SIZE[0] * SIZE[1] - n - 1]
        masks = [dict(segmentation=dict(size=list(SIZE), counts=counts), predicted_iou=0.9)]
        (root / 'sam').mkdir(exist_ok=True)
        (root / f'sam/p{n}.json').write_text(json.dumps(masks))
    code, text = call_tool(
        'dataset_converters/segment_folders',
        root,
        '--sam',
        root / 'sam',
        '--annotations',
        root / 'annotations/tiny.json',
    )
    assert code == 0 and '3 images, 3 segments' in text and '3 of 3 images' in text
    code, text = call_tool(
        'misc/verify_dataset', root / 'annotations/tiny.json', '--data-root', root
    )
    assert code == 0
    (root / 'sam/p1.json').write_text(json.dumps(masks).replace(f'[0, {n + 1}', f'[0, {n}'))
    code, text = call_tool(
        'dataset_converters/segment_folders', root, '--sam', root / 'sam', '--force'
    )
    assert code == 2 and 'mask 0 of' in text and 'p1.json' in text and 'Traceback' not in text


def test_segment_folders_of_another_size(call_tool, root):
    _publish(root, 'p0', _squares())
    Image.new('RGB', (20, 20)).save(root / 'image_segments/p0/p0_1.jpg')
    code, text = call_tool('dataset_converters/segment_folders', root)
    assert code == 2 and 'mask of another size' in text and 'p0_1.jpg' in text
    code, text = call_tool('dataset_converters/segment_folders', root, '--skip-bad')
    assert code == 0 and '1 images left out' in text


def test_missing_folders(call_tool, root):
    code, text = call_tool('dataset_converters/segment_folders', root / 'nowhere')
    assert code == 2 and 'nowhere' in text
    code, text = call_tool('dataset_converters/classical_segments', root / 'nowhere', '--out', root)
    assert code == 2 and 'nowhere' in text


def test_verify_against_another_dataset(call_tool, root, tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp('others')
    other = tmp_path / 'other'
    shutil.copytree(root, other)
    (other / 'images/p2.png').write_bytes(b'no image')
    config = tmp_path / 'other.py'
    config.write_text(
        f"model = dict()\ntest_dataloader = dict(dataset=dict(data_root='{other}', "
        "ann_file='annotations/tiny.json'))\nval_dataloader = test_dataloader\n"
    )
    command = ['misc/verify_dataset', root / 'annotations/tiny.json', '--data-root', root]
    assert call_tool(*command)[0] == 0
    for against in (config, other / 'annotations/tiny.json'):
        pairs = tmp_path / 'pairs.csv'
        code, text = call_tool(*command, '--against', against, '--pairs', pairs)
        assert code == 1 and 'identical image in another dataset: 2' in text
        header, *rows = pairs.read_text().splitlines()
        assert header == 'kind,file,image,other_file,other_image' and len(rows) == 2
        assert rows[0].startswith('identical,') and rows[0].endswith('p0.png')
    assert call_tool(*command, '--pairs', pairs)[0] == 2


def test_verify_exit_code_and_json_report(call_tool, root):
    (root / 'images/p2.png').unlink()
    code, text = call_tool(
        'misc/verify_dataset',
        root / 'annotations/tiny.json',
        '--data-root',
        root,
        '--out',
        root / 'report.json',
    )
    assert code == 1 and 'missing image' in text and 'p2.png' in text
    report = json.loads((root / 'report.json').read_text())
    assert report['findings'][0]['level'] == 'error' and report['files'][0]['images'] == 3
    assert call_tool('misc/verify_dataset', root / 'none.json', '--data-root', root)[0] == 2
