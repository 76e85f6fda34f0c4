"""The caption converters from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.datasets.converters.layouts import (
    names_of,
    read,
    write_country,
    write_image,
    write_lines,
    write_precomp,
)
from tests.runs import ROOT

NAMES = [f'port_{n}.jpg' for n in range(8)]


@pytest.fixture
def convert(call_tool, tmp_path, monkeypatch):
    """Run a converter in an empty folder: exit code and what it printed."""
    monkeypatch.chdir(tmp_path)
    return lambda tool, *args: call_tool(f'dataset_converters/{tool}', *args)


@pytest.mark.parametrize('tool', ['precomp', 'urbancross', 'karpathy'])
def test_help_names_every_option(tool, convert):
    code, text = convert(tool, '--help')

    assert code == 0
    for option in (
        '--out',
        '--name',
        '--images',
        '--seed',
        '--force',
        '--only-present',
        '--skip-bad',
    ):
        assert option in text


def test_precomp_then_again_without_and_with_force(convert, tmp_path):
    write_precomp(tmp_path / 'RSICD_precomp', NAMES, ['port_9.jpg'], NAMES[:2])
    code, text = convert('precomp', 'RSICD_precomp', '--out', 'out', '--seed', 5)
    assert code == 0 and 'train: 6 images, 30 captions' in text
    assert read(tmp_path / 'out/rsicd_train.json')[0]['seed'] == 5

    code, text = convert('precomp', 'RSICD_precomp', '--out', 'out')
    assert code == 2 and text.count('\n') == 1
    assert 'error: out/rsicd_train.json' in text and '--force' in text

    forced = ('--out', 'out', '--force', '--suffix', '.parquet')
    assert convert('precomp', 'RSICD_precomp', *forced)[0] == 0
    assert (tmp_path / 'out/rsicd_test.parquet').is_file()


def test_precomp_mistakes_are_one_sentence(convert, tmp_path):
    write_precomp(tmp_path / 'ucm', ['1.tif', '2.tif'], ['3.tif'], val=None)
    code, text = convert('precomp', 'ucm', '--out', 'out')
    assert code == 2 and '--split stratified' in text

    write_lines(tmp_path / 'ucm/test_caps.txt', ['one'])
    code, text = convert('precomp', 'ucm', '--out', 'out', '--split', 'random')
    assert code == 2 and text.count('\n') == 1
    assert 'ucm/test_caps.txt has 1 lines and ucm/test_filename.txt has 5' in text


def test_urbancross_takes_name_and_images_from_the_folder(convert, tmp_path):
    root = write_country(tmp_path / 'Finland', 10)
    for number in range(10):
        write_image(root / f'images/a{number}_FI_19.jpg')
    code, text = convert('urbancross', 'Finland', '--out', 'Finland/annotations')

    assert code == 0, text
    assert 'finetune_val: 1 images' in text
    assert len(names_of(root / 'annotations/finland_test.json')) == 2


def test_karpathy_takes_its_name_from_the_file_in_a_clone_that_is_not_installed(tmp_path):
    images = [
        dict(filename=f'{split}.jpg', split=split, sentences=[dict(raw=f'one {split}')])
        for split in ('train', 'val', 'test')
    ]
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(dict(images=images))])
    # In isolated mode only the tool's own path hack finds the package.
    command = [sys.executable, '-P', str(ROOT / 'tools/dataset_converters/karpathy.py')]
    done = subprocess.run(
        [*command, 'dataset_nwpu.json', '--out', 'out'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert names_of(tmp_path / 'out/nwpu_test.json') == {'test.jpg'}


def test_columns_are_chosen_on_the_command_line(convert, tmp_path):
    rows = ''.join(f'images2/a{n}.jpg,road {n},long {n}\n' for n in range(12))
    (tmp_path / 'sky.csv').write_text('filepath,title,long\n' + rows)
    columns = ('--image-column', 'filepath', '--caption-column', 'long')
    for folder, word, chosen in (('a', 'road', ()), ('b', 'long', columns)):
        code, text = convert(
            'urbancross', '.', '--csv', 'sky.csv', '--name', 's', '--out', folder, *chosen
        )
        assert code == 0, text
        for item in read(tmp_path / folder / 's_train.json')[1]:
            assert item['captions'] == [f'{word} {Path(item["img_path"]).stem[1:]}']


def test_a_mask_beside_its_image_is_one_sentence(convert, tmp_path):
    write_precomp(tmp_path / 'd', ['p1.tif', 'p2.tif'], ['p3.tif'], ['p2.tif'])
    for number in (1, 2, 3):
        for suffix in ('jpg', 'png'):
            write_image(tmp_path / f'd/images/p{number}.{suffix}')
    code, text = convert('precomp', 'd', '--images', 'd/images', '--out', 'out')

    assert code == 2 and text.count('\n') == 1
    assert all(name in text for name in ('p1.tif', 'p1.jpg', 'p1.png'))
    assert not (tmp_path / 'out').exists()


def test_masks_to_class_maps_and_weights(convert, call_tool, tmp_path):
    for name in ('one_1', 'one_2', 'two_1'):
        write_image(tmp_path / f'city/images/{name}.png')
        (tmp_path / 'city/masks').mkdir(exist_ok=True)
        with Image.open(tmp_path / f'city/images/{name}.png') as image:
            labels = np.zeros(image.size[::-1], np.uint8)
        labels[0] = 1
        Image.fromarray(labels).save(tmp_path / f'city/masks/{name}.png')
    legend = {'0': 'ground', '1': 'roof', '2': 'car'}
    (tmp_path / 'city/legend.json').write_text(json.dumps(legend))
    words = ('city', '--layout', 'legend', '--group', '^[a-z]+', '--test-groups', 'two')
    code, text = convert('seg_maps', *words)
    assert code == 0 and 'city_train: 2 images, 2 class maps' in text
    code, text = convert('seg_maps', *words)
    assert code == 2 and text.startswith('error: ') and '--force' in text
    code, text = call_tool(
        'misc/class_weights', 'city/annotations/city_train.json', '--out', 'weights.json'
    )
    from mmseg.models.losses.utils import get_class_weight

    assert code == 0 and 'car: 0.00 % of the pixels, weight 0  never occurs' in text
    weights = get_class_weight('weights.json')
    assert weights == json.loads((tmp_path / 'weights.json').read_text())
    assert weights[0] == 1 and weights[1] == labels.shape[0] - 1 and weights[2] == 0
