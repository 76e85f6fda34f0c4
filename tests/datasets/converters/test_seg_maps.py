"""Published masks to class maps: layouts, defects, splits, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.datasets import tiny
from tests.datasets.converters.layouts import names_of, read, write_image
from urbancross_mm.datasets import ImageTextDataset
from urbancross_mm.datasets.converters.seg_map_splits import SplitRule
from urbancross_mm.datasets.converters.seg_maps import Options, convert
from urbancross_mm.datasets.rsitmd_ss import METAINFO
from urbancross_mm.utils.images import read_class_map

SHAPE = (40, 48)
COLORS = dict(building=(230, 25, 75), ground=(255, 255, 255), water=(245, 130, 48))


def write_mask(path: Path, values: np.ndarray, colors: Sequence[Sequence[int]] = ()) -> Path:
    """A mask of numbers, with a palette if there are colors."""
    image = Image.fromarray(values.astype(np.uint8))
    if colors:
        image.putpalette([part for color in colors for part in color])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return path


def stripes(*values: int) -> np.ndarray:
    """A mask with a row of each value and the first one below."""
    mask = np.full(SHAPE, values[0])
    for row, value in enumerate(values):
        mask[row] = value
    return mask


def class_map(root: Path, name: str) -> np.ndarray:
    return read_class_map(str(root / 'seg_maps' / name))


# ---------------------------------------------------------------- RSITMD-SS


def rsitmd(root: Path, masks: dict[str, np.ndarray]) -> Options:
    """Three captioned images in two splits, and some masks."""
    for split, names in (('train', ['port_1', 'port_2']), ('test', ['port_3'])):
        items = [dict(tiny.item(n, ['a port']), img_path=f'{n}.tif', label='port') for n in names]
        tiny.write(root, items, split=split, counts=dict(captions=len(items)))
        (root / 'annotations/tiny.json').rename(root / f'annotations/rsitmd_{split}.json')
    for name, values in masks.items():
        write_mask(root / f'masks/mask_{name}.png', values)
    files = tuple(root / f'annotations/rsitmd_{split}.json' for split in ('train', 'test'))
    return Options(root=root, layout='rsitmd-ss', annotations=files)


def test_rsitmd_ss_joins_captions(tmp_path: Path) -> None:
    options = rsitmd(tmp_path, dict(port_1=stripes(0, 10, 140), port_3=stripes(50)))
    counts = convert(options)
    assert counts['rsitmd_train'] == dict(
        images=2, class_maps=1, images_without_class_map=1, unknown_pixels=0
    )
    assert np.array_equal(class_map(tmp_path, 'port_1.png'), stripes(0, 1, 14))
    metainfo, items = read(options.annotations[0])
    assert [item.get('seg_map_path') for item in items] == ['port_1.png', None]
    assert items[0]['captions'] == ['a port'] and items[0]['label'] == 'port'
    assert metainfo['counts']['captions'] == 2 and metainfo['counts']['class_maps'] == 1
    for path in options.annotations:
        metainfo, _ = read(path)
        assert {key: metainfo[key] for key in METAINFO} == METAINFO
        pixels = metainfo['class_pixels']  # of the training split
        assert {k: n for k, n in enumerate(pixels) if n} == {0: 38 * 48, 1: 48, 14: 48}
    dataset = ImageTextDataset('annotations/rsitmd_train.json', str(tmp_path))
    assert dataset.metainfo['classes'][5] == 'River'


def test_classes_and_colors_of_rsitmd_ss() -> None:
    named = dict(zip(METAINFO['classes'], METAINFO['palette']))
    assert len(named) == len(METAINFO['classes']) == len(METAINFO['palette']) == 15
    assert named['Background'] == [0, 0, 0] and named['River'] == [30, 144, 255]
    assert METAINFO['classes'].index('Bridge') == 14 and named['Church'] == [255, 255, 255]


def test_values_off_the_grid_are_no_class_and_counted(tmp_path: Path) -> None:
    """Bilinear resampling makes such values between two classes, here 0 and 50."""
    blurred = Image.fromarray(stripes(*([0] * 20), *([50] * 20)).astype(np.uint8))
    blurred = np.asarray(blurred.resize((24, 20)).resize((48, 40), Image.Resampling.BILINEAR))
    made = [v for v in np.unique(blurred) if v % 10]
    assert made
    counts = convert(rsitmd(tmp_path, dict(port_1=blurred, port_2=stripes(0, 150, 255, 7))))
    off = int(np.isin(blurred, made).sum())
    assert counts['rsitmd_train']['unknown_pixels'] == off + 3 * 48
    assert set(np.unique(class_map(tmp_path, 'port_1.png')[np.isin(blurred, made)])) == {255}
    assert np.unique(class_map(tmp_path, 'port_2.png')).tolist() == [0, 255]


def test_a_second_run_needs_force_and_replaces_all(tmp_path: Path) -> None:
    options = rsitmd(tmp_path, dict(port_1=stripes(0), port_3=stripes(50)))
    convert(options)
    with pytest.raises(FileExistsError, match=r'seg_maps/port_1\.png.*--force'):
        convert(options)
    (tmp_path / 'masks/mask_port_1.png').unlink()
    options.force = True
    convert(options)
    metainfo, items = read(options.annotations[0])
    assert not any('seg_map_path' in item for item in items)
    assert metainfo['class_pixels'] == [0] * 15


# ---------------------------------------------------------------- masks without captions


def pairs(root: Path, masks: dict[str, np.ndarray], suffix: str = '') -> Path:
    """mmseg's folders."""
    for name, values in masks.items():
        write_image(root / f'img_dir/{name}.png', SHAPE)
        write_mask(root / f'ann_dir/{name}{suffix}.png', values)
    return root


def test_mmseg_folders_are_splits(tmp_path: Path) -> None:
    masks = {'train/a': stripes(0, 1, 255), 'train/b': stripes(1), 'val/c': stripes(0)}
    root = pairs(tmp_path / 'isaid', masks, '_instance_color_RGB')
    write_image(root / 'img_dir/val/bare.png', SHAPE)
    counts = convert(
        Options(
            root=root,
            layout='mmseg',
            classes=('no', 'yes'),
            suffix='_instance_color_RGB',
            workers=2,
        )
    )
    assert {name: count['images'] for name, count in counts.items()} == dict(
        isaid_train=2, isaid_val=1
    )
    metainfo, items = read(root / 'annotations/isaid_train.json')
    assert items[0] == dict(
        img_id='isaid/train/a', img_path='train/a.png', domain='isaid', seg_map_path='train/a.png'
    )
    assert metainfo['classes'] == ['no', 'yes'] and 'palette' not in metainfo
    assert metainfo['class_pixels'] == [38 * 48, 48 + 40 * 48]
    assert np.array_equal(class_map(root, 'train/a.png'), stripes(0, 1, 255))
    dataset = ImageTextDataset(
        'annotations/isaid_train.json',
        str(root),
        captions='none',
        pipeline=[dict(type='LoadImage'), dict(type='LoadSegMap', num_classes=2)],
    )
    assert dataset[0]['gt_seg_map'][2].tolist() == [255] * 48


def test_zero_may_be_no_class(tmp_path: Path) -> None:
    root = pairs(tmp_path, {'train/a': stripes(0, 1, 7, 255)})
    convert(Options(root=root, layout='mmseg', classes=('loveda',), reduce_zero_label=True))
    assert np.array_equal(
        class_map(root, 'train/a.png'),
        np.where(stripes(0, 1, 7, 255) == 0, 255, stripes(256, 1, 7, 256) - 1),
    )
    files = list((root / 'annotations').iterdir())
    metainfo, _ = read(files[0])
    assert metainfo['classes'][0] == 'background' and len(metainfo['palette']) == 7
    with Image.open(root / 'seg_maps/train/a.png') as image:
        assert image.mode == 'P' and image.getpalette()[:3] == metainfo['palette'][0]


def test_an_index_of_no_class_is_an_error(tmp_path: Path) -> None:
    root = pairs(tmp_path, {'train/a': stripes(0, 5)})
    options = Options(root=root, layout='mmseg', classes=('a', 'b'))
    with pytest.raises(ValueError, match=r'ann_dir/train/a\.png has the value 5.* 2 classes: a, b'):
        convert(options)
    assert not (root / 'annotations').exists()
    with pytest.raises(ValueError, match='loveda, potsdam or isaid; got .nowhere'):
        convert(Options(root=root, layout='mmseg', classes=('nowhere',)))


# ---------------------------------------------------------------- legends


def scenes(root: Path, legend: Any, draw: Any) -> Options:
    """Three images of scene one and two of scene two; ``draw`` writes a mask."""
    root.mkdir(exist_ok=True)
    for n in range(5):
        name = f'{"one" if n < 3 else "two"}_{n}'
        write_image(root / f'images/{name}.jpg', SHAPE)
        draw(root / f'masks/{name}.png')
    (root / 'legend.json').write_text(json.dumps(legend))
    return Options(root=root, layout='legend', name='city')


def paint(path: Path) -> None:
    """Colors without a palette; one is not in the legend."""
    image = np.empty((*SHAPE, 3), np.uint8)
    image[:] = COLORS['ground']
    image[0], image[1, :10], image[2] = COLORS['water'], (1, 2, 3), COLORS['building']
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


@pytest.mark.parametrize('written', ['numbers', 'hex'])
def test_colors_of_a_legend(tmp_path: Path, written: str) -> None:
    legend = {
        name: list(color) if written == 'numbers' else '#{:02x}{:02X}{:02x}'.format(*color)
        for name, color in COLORS.items()
    }
    options = scenes(tmp_path, legend, paint)
    options.split = SplitRule(group='^[a-z]+', test_groups=('two',), val=0.3)
    counts = convert(options)
    assert {n: (c['images'], c['unknown_pixels']) for n, c in counts.items()} == dict(
        city_train=(2, 20), city_val=(1, 10), city_test=(2, 20)
    )
    labels = class_map(tmp_path, 'one_0.png')
    assert labels[0].tolist() == [2] * 48 and labels[2].tolist() == [0] * 48
    assert labels[1].tolist() == [255] * 10 + [1] * 38
    metainfo, _ = read(tmp_path / 'annotations/city_train.json')
    assert metainfo['classes'] == list(COLORS)
    assert metainfo['palette'] == [list(color) for color in COLORS.values()]
    assert metainfo['class_pixels'] == [2 * 48, 2 * (38 * 48 - 10), 2 * 48]
    assert names_of(tmp_path / 'annotations/city_test.json') == {'two_3.jpg', 'two_4.jpg'}


def test_values_of_a_legend_take_the_palette_of_the_masks(tmp_path: Path) -> None:
    colors = [*COLORS.values(), (9, 9, 9)]
    options = scenes(
        tmp_path,
        {'2': 'water', '0': 'building', '1': 'ground'},
        lambda path: write_mask(path, stripes(1, 0, 2, 3), colors),
    )
    options.split = SplitRule(test=0.4)
    counts = convert(options)
    assert sum(count['unknown_pixels'] for count in counts.values()) == 5 * 48
    metainfo, _ = read(tmp_path / 'annotations/city_train.json')
    assert metainfo['classes'] == list(COLORS) and len(metainfo['palette']) == 3
    assert metainfo['palette'] == [list(color) for color in COLORS.values()]
    assert np.array_equal(class_map(tmp_path, 'two_4.png'), stripes(1, 0, 2, 255))


@pytest.mark.parametrize(
    'legend, message',
    [
        ([], 'must be an object'),
        ({}, 'must be an object'),
        ({'roof': 'red'}, "'roof'.*'red'"),
        ({'roof': '#12345g'}, "'roof'.*'#12345g'"),
        ({'roof': [0, 0]}, "'roof'"),
        ({'roof': [0, 0, 0], 'road': '#000000'}, 'one color to two classes'),
        ({'0': 'roof', '256': 'road'}, 'the value 256'),
        ({'0': 'roof', '1': 'roof'}, "'classes'"),
        ({'0': 'roof', 'road': [0, 0, 0]}, "'0'"),
    ],
)
def test_wrong_legends(tmp_path: Path, legend: Any, message: str) -> None:
    options = scenes(tmp_path, legend, paint)
    with pytest.raises(ValueError, match=rf'(?s)legend .*legend\.json.*{message}'):
        convert(options)


def test_images_elsewhere_are_linked_and_nothing_there_is_written(tmp_path: Path) -> None:
    source = scenes(tmp_path / 'source', {n: list(c) for n, c in COLORS.items()}, paint).root
    before = sorted(source.rglob('*'))
    given = dict(
        layout='legend',
        images=source / 'images',
        masks=source / 'masks',
        legend=source / 'legend.json',
        split=SplitRule(val=0.4),
    )
    (tmp_path / 'city').mkdir()
    convert(Options(root=tmp_path / 'city', **given))
    assert sorted(source.rglob('*')) == before
    dataset = ImageTextDataset(
        'annotations/city_train.json',
        str(tmp_path / 'city'),
        captions='none',
        pipeline=[dict(type='LoadImage'), dict(type='LoadSegMap')],
    )
    assert len(dataset) == 3 and dataset[0]['img'].shape == (*SHAPE, 3)
    (tmp_path / 'other/images').mkdir(parents=True)
    with pytest.raises(FileExistsError, match=r'other/images exists and is not .*source/images'):
        convert(Options(root=tmp_path / 'other', **given))
    convert(Options(root=tmp_path / 'city', force=True, **given))


# ---------------------------------------------------------------- what is refused


def test_sizes_and_missing_masks(tmp_path: Path) -> None:
    options = scenes(tmp_path, {'0': 'x'}, lambda path: write_mask(path, np.zeros((48, 40))))
    options.split = SplitRule(val=0.4)
    with pytest.raises(
        ValueError, match=r'masks/one_0\.png has 48 x 40 pixels, .*images/one_0\.jpg has 40 x 48'
    ):
        convert(options)
    options.suffix = '_mask'
    with pytest.raises(FileNotFoundError, match=r'no image has a mask in .*masks.*_mask\.png'):
        convert(options)
    options.masks = tmp_path / 'seg_maps'
    with pytest.raises(ValueError, match='seg_maps is where the class maps go'):
        convert(options)
    options.masks = tmp_path / 'nowhere'
    with pytest.raises(FileNotFoundError, match='no folder of masks at .*nowhere.*--masks'):
        convert(options)


@pytest.mark.parametrize(
    'options, message',
    [
        (dict(layout='coco'), "layout must be one of .*'coco'"),
        (dict(layout='mmseg'), 'mmseg needs --classes'),
        (dict(layout='legend', classes=('a',)), '--classes .* not for legend'),
        (dict(layout='rsitmd-ss'), 'give --annotations'),
        (dict(layout='legend', name='../x'), '--name'),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Options(root=tmp_path, **options)


def test_ids_are_checked(tmp_path: Path) -> None:
    options = scenes(tmp_path, {'0': 'x'}, lambda path: write_mask(path, stripes(0)))
    write_image(tmp_path / 'images/one_0.png', SHAPE)
    with pytest.raises(ValueError, match=re.escape('one_0.jpg and one_0.png')):
        convert(options)
