"""The JSON layout of Karpathy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.converters.layouts import read, write_image, write_lines
from urbancross_mm.datasets.converters.karpathy import convert
from urbancross_mm.datasets.converters.options import DividedOptions


def entry(name: str, split: str, **fields: Any) -> dict[str, Any]:
    sentences = [dict(raw=f'caption {k} of {name}', tokens=[]) for k in range(5)]
    return dict(dict(filename=name, split=split, sentences=sentences), **fields)


def convert_entries(tmp_path: Path, entries: Any, **kwargs: Any) -> dict[str, dict[str, int]]:
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(dict(images=entries))])
    return convert(
        DividedOptions(
            root=tmp_path / 'dataset_nwpu.json', out=tmp_path / 'out', name='nwpu', **kwargs
        )
    )


def test_splits_captions_and_labels(tmp_path):
    counts = convert_entries(
        tmp_path,
        [
            entry('airplane_001.jpg', 'train'),
            entry('airplane_002.jpg', 'restval'),
            entry('beach_001.jpg', 'val'),
            entry('beach_002.jpg', 'test'),
        ],
    )

    assert {split: one['images'] for split, one in counts.items()} == dict(train=2, val=1, test=1)
    metainfo, (item,) = read(tmp_path / 'out/nwpu_test.json')
    assert item['captions'] == [f'caption {k} of beach_002.jpg' for k in range(5)]
    assert item['label'] == 'beach' and item['img_id'] == 'nwpu/beach_002'
    assert metainfo['sources']['dataset_nwpu.json'].startswith('sha256:')
    assert (tmp_path / 'out/nwpu_vocab.json').is_file()


def test_folder_of_an_image_and_segments_beside_it(tmp_path):
    write_image(tmp_path / 'images/airplane/x1.jpg')
    write_image(tmp_path / 'images/x2.jpg')
    write_lines(tmp_path / 'segments/airplane/x1.json', ['{}'])
    convert_entries(
        tmp_path,
        [
            entry('x1.jpg', 'train', filepath='airplane'),
            entry('x2.jpg', 'test', filepath='elsewhere'),
        ],
        images=tmp_path / 'images',
    )

    (first,), (second,) = (read(tmp_path / f'out/nwpu_{s}.json')[1] for s in ('train', 'test'))
    assert first['img_path'] == 'airplane/x1.jpg' and first['label'] == 'airplane'
    assert first['segments'] == 'airplane/x1.json'
    assert second['img_path'] == 'x2.jpg'


def test_empty_captions_are_counted(tmp_path):
    images = [entry('a_1.jpg', 'train', sentences=[dict(raw=''), dict(raw='text')])]

    assert convert_entries(tmp_path, images)['train']['dropped_empty_captions'] == 1


def test_an_image_in_two_splits_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image 1: image 'a_1\.jpg' was .*image 0"):
        convert_entries(tmp_path, [entry('a_1.jpg', 'train'), entry('a_1.jpg', 'test')])


@pytest.mark.parametrize('split', ['random', 'stratified'])
def test_val_is_drawn_where_the_file_has_none(tmp_path, split):
    names = [f'{label}_{n}.jpg' for label in ('airplane', 'beach') for n in range(10)]
    entries = [*(entry(name, 'train') for name in names), entry('port_1.jpg', 'test')]
    drawn = []
    for seed in (0, 0, 1):
        counts = convert_entries(tmp_path, entries, split=split, seed=seed, force=True)
        assert {k: v['images'] for k, v in counts.items()} == dict(train=16, val=4, test=1)
        parts = {k: read(tmp_path / f'out/nwpu_{k}.json') for k in counts}
        paths = {k: {item['img_path'] for item in items} for k, (_, items) in parts.items()}
        assert paths['train'] | paths['val'] == set(names) and paths['test'] == {'port_1.jpg'}
        assert parts['val'][0]['split_rule'] == split and parts['val'][0]['seed'] == seed
        assert split == 'random' or sum('beach' in path for path in paths['val']) == 2
        drawn.append(paths['val'])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize('published', [['train', 'val'], ['test']])
def test_val_is_never_drawn_again_or_from_nothing(tmp_path, published):
    entries = [entry(f'a_{split}.jpg', split) for split in published]
    with pytest.raises(ValueError, match=r'--split random .*dataset_nwpu\.json .*1 '):
        convert_entries(tmp_path, entries, split='random')
    with pytest.raises(ValueError, match="got 'half'"):
        convert_entries(tmp_path, entries, split='half')


@pytest.mark.parametrize(
    'broken, message',
    [
        (dict(filename='a.jpg', split='train'), r'image 0: .*KeyError'),
        (entry('a.jpg', 'holdout'), r"image 0: split .*'holdout'"),
        (entry('a.jpg', 'train', sentences=[dict(raw=None)]), r'image 0: raw .*None'),
        (entry('../a.jpg', 'train'), r"'\.\./a\.jpg' .*image 0"),
        ('a.jpg', r'image 0: '),
    ],
)
def test_broken_entries_are_named(tmp_path, broken, message):
    with pytest.raises(ValueError, match=message):
        convert_entries(tmp_path, [broken])


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', r'dataset\.json is not valid JSON'),
        ('[]', r"dataset\.json .*'images'.*list"),
        ('{"airplane": []}', r"\['airplane'\]"),
        ('{"images": []}', r'dataset\.json'),
        ('{"images": [], "images": []}', "not valid JSON: key 'images' stands twice"),
        ('{"a": [{"raw": "x"}], "b": [3]}', "class 'b', image 0: .*got 3"),
        (
            '{"a": [{"raw": "x", "filename": "a.jpg", "split": "train", "raw_1": null}]}',
            "class 'a', image 0: raw .*None",
        ),
        ('{"a": [{"raw": "x", "split": "train"}]}', "class 'a', image 0: filename .*None"),
    ],
)
def test_files_of_another_layout(tmp_path, text, message):
    write_lines(tmp_path / 'dataset.json', [text])

    with pytest.raises(ValueError, match=message):
        convert(DividedOptions(root=tmp_path / 'dataset.json', out=tmp_path, name='x'))


CLASSES = ('airplane', 'baseball_diamond')


def by_class(**fields: Any) -> dict[str, list[dict[str, Any]]]:
    """NWPU-Captions as published, an image of each class in each split."""
    return {
        label: [
            dict(
                filename=f'{label}_{number:03d}.jpg',
                imgid=number,
                split=split,
                raw=f'{label} {number} 0',
                sentids=0,
                **{f'raw_{k}': f'{label} {number} {k}' for k in range(1, 5)},
                **fields,
            )
            for number, split in enumerate(('train', 'val', 'test'))
        ]
        for label in CLASSES
    }


@pytest.mark.parametrize('folder', ['class', 'flat', None])
def test_the_layout_of_nwpu_captions(tmp_path, folder):
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(by_class())])
    for label in CLASSES if folder else ():
        for number in range(3):
            position = label if folder == 'class' else ''
            write_image(tmp_path / 'images' / position / f'{label}_{number:03d}.jpg')
    counts = convert(
        DividedOptions(
            root=tmp_path / 'dataset_nwpu.json',
            out=tmp_path / 'out',
            name='nwpu',
            images=tmp_path / 'images' if folder else None,
        )
    )

    assert [counts[split]['images'] for split in ('train', 'val', 'test')] == [2, 2, 2]
    for number, split in enumerate(('train', 'val', 'test')):
        for label, item in zip(CLASSES, read(tmp_path / f'out/nwpu_{split}.json')[1]):
            stem = f'{label}_{number:03d}' if folder == 'flat' else f'{label}/{label}_{number:03d}'
            assert item == dict(
                img_id=f'nwpu/{stem}',
                img_path=f'{stem}.jpg',
                domain='nwpu',
                label=label,
                captions=[f'{label} {number} {k}' for k in range(5)],
                caption_ids=[f'nwpu/{stem}#{k}' for k in range(5)],
            )


def test_captions_of_nwpu_that_are_missing_empty_or_more(tmp_path):
    content = by_class(raw_10='ten', raw_9='', other='no caption')
    del content['airplane'][0]['raw_3']
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(content)])
    counts = convert(
        DividedOptions(root=tmp_path / 'dataset_nwpu.json', out=tmp_path / 'out', name='nwpu')
    )

    assert counts['train']['dropped_empty_captions'] == 2
    captions = [item['captions'] for item in read(tmp_path / 'out/nwpu_train.json')[1]]
    assert captions == [
        [*(f'airplane 0 {k}' for k in (0, 1, 2, 4)), 'ten'],
        [*(f'baseball_diamond 0 {k}' for k in range(5)), 'ten'],
    ]


def test_an_image_that_two_names_mean_is_refused(tmp_path):
    write_image(tmp_path / 'images/port/a.jpg')
    with pytest.raises(
        ValueError,
        match=r"'a\.tif' .*image 0.* and 'port/a\.tif' .*image 1.* "
        r'.*port/a\.jpg',
    ):
        convert_entries(
            tmp_path,
            [entry('a.tif', 'train'), entry('port/a.tif', 'test')],
            images=tmp_path / 'images',
        )
    assert not (tmp_path / 'out').exists()


def test_images_without_caption_are_counted(tmp_path, capsys):
    for name in ('a.jpg', 'b.jpg', 'sub/c.jpg'):
        write_image(tmp_path / 'images' / name)
    convert_entries(tmp_path, [entry('b.jpg', 'train')], images=tmp_path / 'images')

    assert 'note: 2 of 3 images in' in capsys.readouterr().err


@pytest.mark.parametrize('images', [False, True])
def test_two_images_with_one_id_are_refused(tmp_path, images):
    for name in ('a.jpg', 'a.png'):
        write_image(tmp_path / 'images' / name)
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png .*'nwpu/a'"):
        convert_entries(
            tmp_path,
            [entry('a.jpg', 'train'), entry('a.png', 'test')],
            images=tmp_path / 'images' if images else None,
        )
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('label', [3, ['beach'], 'beach', None])
def test_a_field_label_of_karpathys_layout_is_left_alone(tmp_path, label):
    convert_entries(tmp_path, [entry('a.jpg', 'train', label=label)])

    (item,) = read(tmp_path / 'out/nwpu_train.json')[1]
    assert item['img_path'] == 'a.jpg' and 'label' not in item


def test_a_class_folder_that_the_name_has_is_not_put_before_it_again(tmp_path):
    classes = by_class()
    for label, entries in classes.items():
        for element in entries:
            element['filename'] = f'{label}/{element["filename"]}'
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(classes)])
    convert(DividedOptions(root=tmp_path / 'dataset_nwpu.json', out=tmp_path / 'out', name='nwpu'))

    paths = [item['img_path'] for item in read(tmp_path / 'out/nwpu_test.json')[1]]
    assert paths == [f'{label}/{label}_002.jpg' for label in CLASSES]


def test_an_image_in_two_class_folders_names_the_entry(tmp_path):
    for folder in 'ab':
        write_image(tmp_path / 'images' / folder / 'x.jpg')

    with pytest.raises(ValueError, match=r'nwpu\.json, image 0: x\.jpg .*a/x\.jpg and b/x'):
        convert_entries(tmp_path, [entry('x.jpg', 'train')], images=tmp_path / 'images')
