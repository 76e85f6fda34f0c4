"""The caption converters from the command line, in a clone that is not installed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets.converters.layouts import (
    names_of,
    read,
    write_country,
    write_image,
    write_lines,
    write_precomp,
)

TOOLS = Path(__file__).resolve().parents[2] / 'tools/dataset_converters'
NAMES = [f'port_{n}.jpg' for n in range(8)]


def run(tool: str, *args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a tool in isolated mode, so that only its own path hack finds the package."""
    return subprocess.run(
        [sys.executable, '-P', str(TOOLS / f'{tool}.py'), *map(str, args)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize('tool', ['precomp', 'urbancross', 'karpathy'])
def test_help_names_every_option(tool, tmp_path):
    done = run(tool, '--help', cwd=tmp_path)

    assert done.returncode == 0
    for option in (
        '--out',
        '--name',
        '--images',
        '--seed',
        '--force',
        '--only-present',
        '--skip-bad',
    ):
        assert option in done.stdout


def test_precomp_then_again_without_and_with_force(tmp_path):
    write_precomp(tmp_path / 'RSICD_precomp', NAMES, ['port_9.jpg'], NAMES[:2])
    first = run('precomp', 'RSICD_precomp', '--out', 'out', '--seed', 5, cwd=tmp_path)
    again = run('precomp', 'RSICD_precomp', '--out', 'out', cwd=tmp_path)
    forced = run(
        'precomp', 'RSICD_precomp', '--out', 'out', '--force', '--suffix', '.parquet', cwd=tmp_path
    )

    assert first.returncode == 0, first.stderr
    assert 'train: 6 images, 30 captions' in first.stdout
    assert read(tmp_path / 'out/rsicd_train.json')[0]['seed'] == 5
    assert again.returncode == 2 and again.stderr.startswith('error: out/rsicd_train.json exists')
    assert 'Traceback' not in again.stderr and again.stderr.count('\n') == 1
    assert forced.returncode == 0 and (tmp_path / 'out/rsicd_test.parquet').is_file()


def test_precomp_mistakes_are_one_sentence(tmp_path):
    write_precomp(tmp_path / 'ucm', ['1.tif', '2.tif'], ['3.tif'], val=None)
    published = run('precomp', 'ucm', '--out', 'out', cwd=tmp_path)
    write_lines(tmp_path / 'ucm/test_caps.txt', ['one'])
    lines = run('precomp', 'ucm', '--out', 'out', '--split', 'random', cwd=tmp_path)

    assert published.returncode == lines.returncode == 2
    assert '--split stratified' in published.stderr
    assert lines.stderr == (
        'error: ucm/test_caps.txt has 1 lines and ucm/test_filename.txt has 5: '
        'expected one name a caption, or 5 captions a name\n'
    )


def test_urbancross_takes_name_and_images_from_the_folder(tmp_path):
    root = write_country(tmp_path / 'Finland', 10)
    for number in range(10):
        write_image(root / f'images/a{number}_FI_19.jpg')
    done = run('urbancross', 'Finland', '--out', 'Finland/annotations', cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert 'finetune_val: 1 images' in done.stdout
    assert len(names_of(root / 'annotations/finland_test.json')) == 2


def test_karpathy_takes_its_name_from_the_file(tmp_path):
    images = [
        dict(filename=f'{split}.jpg', split=split, sentences=[dict(raw=f'one {split}')])
        for split in ('train', 'val', 'test')
    ]
    write_lines(tmp_path / 'dataset_nwpu.json', [json.dumps(dict(images=images))])
    done = run('karpathy', 'dataset_nwpu.json', '--out', 'out', cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert names_of(tmp_path / 'out/nwpu_test.json') == {'test.jpg'}


def test_columns_are_chosen_on_the_command_line(tmp_path):
    rows = ''.join(f'images2/a{n}.jpg,road {n},long {n}\n' for n in range(12))
    (tmp_path / 'sky.csv').write_text('filepath,title,long\n' + rows)
    known = run('urbancross', '.', '--csv', 'sky.csv', '--out', 'a', '--name', 's', cwd=tmp_path)
    chosen = run(
        'urbancross',
        '.',
        '--csv',
        'sky.csv',
        '--out',
        'b',
        '--name',
        's',
        '--image-column',
        'filepath',
        '--caption-column',
        'long',
        cwd=tmp_path,
    )

    assert known.returncode == chosen.returncode == 0, known.stderr + chosen.stderr
    for folder, word in (('a', 'road'), ('b', 'long')):
        for item in read(tmp_path / folder / 's_train.json')[1]:
            assert item['captions'] == [f'{word} {Path(item["img_path"]).stem[1:]}']


def test_a_mask_beside_its_image_is_one_sentence(tmp_path):
    write_precomp(tmp_path / 'd', ['p1.tif', 'p2.tif'], ['p3.tif'], ['p2.tif'])
    for number in (1, 2, 3):
        for suffix in ('jpg', 'png'):
            write_image(tmp_path / f'd/images/p{number}.{suffix}')
    done = run('precomp', 'd', '--images', 'd/images', '--out', 'out', cwd=tmp_path)

    assert done.returncode == 2 and done.stderr.count('\n') == 1
    assert 'p1.tif may be p1.jpg or p1.png' in done.stderr and not (tmp_path / 'out').exists()
