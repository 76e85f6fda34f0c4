"""The command-line tools, as a user runs them: from a clone that was never installed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.runs import CONFIGS, ROOT

TOOLS = sorted(str(p.relative_to(ROOT)) for p in (ROOT / 'tools').rglob('*.py'))
CONFIG = str(CONFIGS / 'urbancross_finland_no-segments.py')
SMALL = [
    'train_dataloader.dataset.indices=80',
    'train_dataloader.num_workers=0',
    'val_dataloader.num_workers=0',
    'test_dataloader.num_workers=0',
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=1',
    'train_dataloader.batch_size=8',
]


def call(*args: str, cwd: Path, ok: bool = True) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', str(ROOT / args[0]), *args[1:]],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert (done.returncode == 0) == ok, done.stdout[-1500:] + done.stderr[-3000:]
    return done


@pytest.mark.parametrize('tool', TOOLS)
def test_help(tool: str, tmp_path: Path) -> None:
    assert 'usage' in call(tool, '--help', cwd=tmp_path).stdout


def test_train_resume_test_search(in_sample_dir: Path, tmp_path: Path) -> None:
    work = tmp_path / 'work'
    train = ['tools/train.py', CONFIG, '--sample', '--work-dir', str(work)]
    call(*train, '--cfg-options', *SMALL, cwd=in_sample_dir)
    assert (work / 'epoch_2.pth').is_file()
    call(*train, '--resume', '--cfg-options', *SMALL, 'train_cfg.max_epochs=3', cwd=in_sample_dir)
    assert (work / 'epoch_3.pth').is_file()
    assert len(list(work.glob('*/vis_data/scalars.json'))) == 2
    assert len(list(work.glob('best_retrieval_mR_*.pth'))) == 1
    done = call(*train, '--cfg-options', *SMALL, cwd=in_sample_dir, ok=False)
    assert 'holds an earlier training' in done.stderr.splitlines()[-1]
    call(
        *train, '--overwrite', '--cfg-options', *SMALL, 'train_cfg.max_epochs=1', cwd=in_sample_dir
    )
    assert sorted(path.name for path in work.glob('*.pth')) == [
        'best_retrieval_mR_epoch_1.pth',
        'epoch_1.pth',
    ]
    out = tmp_path / 'metrics.json'
    call(
        'tools/test.py',
        CONFIG,
        str(work),
        '--sample',
        '--work-dir',
        str(work),
        '--out',
        str(out),
        '--show-dir',
        str(tmp_path / 'strips'),
        '--cfg-options',
        *SMALL,
        cwd=in_sample_dir,
    )
    metrics = json.loads(out.read_text())
    six = [metrics[f'retrieval/{way}_R@{k}'] for way in ('i2t', 't2i') for k in (1, 5, 10)]
    assert metrics['retrieval/mR'] == pytest.approx(sum(six) / 6)
    assert len(list((tmp_path / 'strips').glob('*.png'))) > 0
    found = call(
        'tools/search.py',
        CONFIG,
        str(work),
        '--sample',
        '--images',
        'data/sample/urbancross/Finland/images',
        'a lake',
        '--topk',
        '3',
        '--out',
        str(tmp_path / 'strip.png'),
        cwd=in_sample_dir,
    )
    ranks = [line.split()[0] for line in found.stdout.splitlines() if line.endswith('.jpg')]
    assert ranks == ['1', '2', '3']
    assert Image.open(tmp_path / 'strip.png').width > 300


def test_bfloat16_on_a_cpu(in_sample_dir: Path, tmp_path: Path) -> None:
    call(
        'tools/train.py',
        CONFIG,
        '--sample',
        '--amp',
        '--work-dir',
        str(tmp_path),
        '--cfg-options',
        *SMALL,
        'train_cfg.max_epochs=1',
        cwd=in_sample_dir,
    )
    call(
        'tools/test.py',
        CONFIG,
        str(tmp_path),
        '--sample',
        '--amp',
        '--work-dir',
        str(tmp_path),
        '--cfg-options',
        *SMALL,
        cwd=in_sample_dir,
    )


def test_no_validate(in_sample_dir: Path, tmp_path: Path) -> None:
    done = call(
        'tools/train.py',
        CONFIG,
        '--sample',
        '--no-validate',
        '--work-dir',
        str(tmp_path),
        '--cfg-options',
        *SMALL,
        'train_cfg.max_epochs=1',
        cwd=in_sample_dir,
    )
    assert 'retrieval/mR' not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ('args', 'sentence'),
    [
        (['tools/train.py', 'configs/nothing.py'], 'no config at'),
        (['tools/train.py', CONFIG], '--sample'),
        (['tools/test.py', CONFIG, 'nothing.pth', '--sample'], 'no checkpoint at nothing.pth'),
        (
            ['tools/train.py', str(CONFIGS / 'urbancross_finland2spain.py'), '--sample'],
            'train the source model first',
        ),
        (['tools/search.py', CONFIG, 'none', '--sample', '--images', 'nowhere', 'a'], 'nowhere'),
        (
            [
                'tools/train.py',
                CONFIG,
                '--sample',
                '--cfg-options',
                'model.image_encoder.type=Nope',
            ],
            'Nope',
        ),
        (['tools/train.py', CONFIG, '--sample', '--cfg-options', 'train_cfg=None'], 'no train_cfg'),
        (
            ['tools/test.py', CONFIG, '--sample', '--cfg-options', 'test_dataloader=None'],
            'no test_dataloader',
        ),
    ],
)
def test_a_mistake_ends_in_one_sentence(
    args: list[str], sentence: str, in_sample_dir: Path, tmp_path: Path
) -> None:
    if 'search' not in args[0]:
        args = [*args, *(['--work-dir', str(tmp_path)] if '--cfg-options' not in args else [])]
    done = call(*args, cwd=in_sample_dir, ok=False)
    assert 'Traceback' not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('error: ') and sentence in last


def test_browse_dataset_draws_sheets(in_sample_dir: Path, tmp_path: Path) -> None:
    call(
        'tools/visualization/browse_dataset.py',
        str(CONFIGS / 'urbancross_rsicd.py'),
        '--sample',
        '--number',
        '2',
        '--out',
        str(tmp_path),
        cwd=in_sample_dir,
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ['000.png', '001.png']


def test_print_config_is_a_config(in_sample_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / 'printed.py'
    call('tools/misc/print_config.py', CONFIG, '--sample', '--out', str(out), cwd=in_sample_dir)
    from urbancross_mm.apis import load_config

    assert load_config(out).model.type == 'CrossModalRetriever'


def test_average_folds(tmp_path: Path) -> None:
    for number, value in enumerate((1.0, 3.0)):
        (tmp_path / f'{number}.json').write_text(json.dumps({'retrieval/mR': value}))
    done = call(
        'tools/analysis_tools/average_folds.py',
        '0.json',
        '1.json',
        '--out',
        'folds.md',
        cwd=tmp_path,
    )
    assert '| retrieval/mR | 2.00 | 1.41 | 1.00 | 3.00 |' in done.stdout
    assert (tmp_path / 'folds.md').read_text() == done.stdout
    (tmp_path / '2.json').write_text('[')
    bad = call('tools/analysis_tools/average_folds.py', '0.json', '2.json', cwd=tmp_path, ok=False)
    assert '2.json' in bad.stderr and 'Traceback' not in bad.stderr
