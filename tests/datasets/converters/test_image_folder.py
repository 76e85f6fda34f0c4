"""A folder of images without captions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.datasets.converters.layouts import names_of, read, write_image, write_lines
from urbancross_mm.datasets import UnpairedDataset
from urbancross_mm.datasets.converters.image_folder import Options, convert

TEXTS = ['A port\x0c with cranes.', 'A road\u2028beside a river.', 'Houses\x85in rows.']


def options(tmp_path: Path, names: list[str], **kwargs) -> Options:
    for name in names:
        write_image(tmp_path / 'images' / name)
    write_lines(tmp_path / 'texts.txt', ['\ufeff' + TEXTS[0], '', *TEXTS[1:]])
    return Options(
        **{
            **dict(
                images=tmp_path / 'images',
                texts=[tmp_path / 'texts.txt'],
                out=tmp_path / 'out',
                name='c',
            ),
            **kwargs,
        }
    )


@pytest.mark.parametrize('count, val', [(2, 1), (3, 1), (5, 1), (9, 1), (14, 1), (16, 2), (20, 2)])
def test_two_images_are_enough(tmp_path, count, val):
    names = [f't{n}.png' for n in range(count)]
    counts = convert(options(tmp_path, names))

    assert (counts['train']['images'], counts['val']['images']) == (count - val, val)
    parts = [names_of(tmp_path / f'out/c_{split}.json') for split in ('train', 'val')]
    assert not parts[0] & parts[1] and parts[0] | parts[1] == set(names)


def test_converter_and_dataset_have_the_same_lines(tmp_path):
    convert(options(tmp_path, ['a.png', 'b.png']))
    dataset = UnpairedDataset('out/c_train.json', str(tmp_path), text_file='out/c_texts.txt')

    assert dataset.pool == sorted(TEXTS)
    direct = UnpairedDataset('out/c_train.json', str(tmp_path), text_file='texts.txt')
    assert direct.pool == sorted(TEXTS)


def test_several_text_files(tmp_path):
    write_lines(tmp_path / 'more.txt', ['Snow.'])
    given = options(tmp_path, ['a.png', 'b.png'])
    given.texts = [*given.texts, tmp_path / 'more.txt']
    convert(given)
    dataset = UnpairedDataset('out/c_train.json', str(tmp_path), text_file='out/c_texts.txt')
    assert dataset.pool == sorted([*TEXTS, 'Snow.'])
    assert set(read(tmp_path / 'out/c_val.json')[0]['sources']) == {'texts.txt', 'more.txt'}
    write_lines(tmp_path / 'more.txt', [''])
    with pytest.raises(ValueError, match='more.txt has no caption'):
        convert(replace(given, force=True))


@pytest.mark.parametrize(
    'names, message',
    [
        (['a.png'], '1 readable images: at least two'),
        (['sub/a.png', 'sub/a.jpg', 'b.png'], r"would both have the id 'c/sub/a'"),
    ],
)
def test_nothing_is_written_if_something_is_wrong(tmp_path, names, message):
    for seed in range(4):  # in one split, or in both
        with pytest.raises(ValueError, match=message):
            convert(options(tmp_path, names, seed=seed))
        assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('name', ['c_texts.txt', 'c_val.json'])
def test_a_folder_instead_of_an_output(tmp_path, name):
    given = options(tmp_path, ['a.png', 'b.png'], force=True)
    (tmp_path / 'out' / name).mkdir(parents=True)

    with pytest.raises(IsADirectoryError, match=name):
        convert(given)
    assert [path.name for path in (tmp_path / 'out').iterdir()] == [name]


def test_sources_are_on_record(tmp_path):
    convert(options(tmp_path, ['a.png', 'b.png'], seed=3))

    metainfo, _ = read(tmp_path / 'out/c_val.json')
    assert metainfo['seed'] == 3 and metainfo['sources']['texts.txt'].startswith('sha256:')
