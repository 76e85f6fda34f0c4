"""The matrix from the command line: once for real on the sample, and its mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.runs import CONFIGS

SOURCE = str(CONFIGS / 'urbancross_{source}_no-segments.py')
SMALL = [
    f'{phase}_dataloader.{setting}'
    for phase in ('train', 'val', 'test')
    for setting in ('num_workers=0', 'batch_size=8', 'dataset.indices=16')
]
BASE = ['--domains', 'finland', 'spain', '--source', SOURCE, '--sample']


@pytest.fixture
def run(
    call_tool: Callable[..., tuple[int, str]], forked_workers: None
) -> Callable[..., tuple[int, str]]:
    """Run the tool in this process: exit code and what it printed."""
    return lambda *arguments: call_tool('analysis_tools/cross_domain_matrix', *arguments)


@pytest.mark.slow
def test_two_countries(
    run: Callable[..., tuple[int, str]], in_sample_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / 'matrix'
    command = [
        *BASE,
        '--out',
        out,
        '--source-options',
        *SMALL,
        'train_cfg.max_epochs=1',
        'train_cfg.val_interval=1',
    ]
    code, text = run(*command)
    assert code == 0, text
    assert '| finland -> spain | ' in text and '| average | ' in text
    table = pd.read_csv(out / 'runs.csv')
    assert sorted(table.job) == [
        'source-only_finland2spain_seed0',
        'source-only_spain2finland_seed0',
        'source_finland_seed0',
        'source_spain_seed0',
    ]
    assert (table.status == 'done').all() and (table.num_images == 8).all()
    six = table[[f'{way}_R@{k}' for way in ('i2t', 't2i') for k in (1, 5, 10)]]
    assert table.mR.tolist() == pytest.approx(six.mean(axis=1).tolist())
    metrics = json.loads((out / 'source_spain_seed0/metrics.json').read_text())
    assert metrics['retrieval/mR'] == table.set_index('job').mR['source_spain_seed0']
    assert Image.open(out / 'matrix.png').format == 'PNG'
    assert '--source-options train_dataloader.num_workers=0' in (out / 'matrix.md').read_text()

    written = (out / 'source_spain_seed0/metrics.json').stat().st_mtime_ns
    code, _ = run(*command)
    assert code == 0
    assert (out / 'source_spain_seed0/metrics.json').stat().st_mtime_ns == written
    code, text = run(*command[:-1], 'train_cfg.val_interval=2')
    assert code == 2 and 'source_finland_seed0 was made with other settings' in text
    assert 'config.train_cfg.val_interval was 1 and is 2' in text and 'Traceback' not in text


@pytest.mark.slow
def test_a_folder_as_target_with_its_control(
    run: Callable[..., tuple[int, str]], in_sample_dir: Path, tmp_path: Path
) -> None:
    batch = ('batch_size=12', 'batch_sampler.source.spain=8', 'batch_sampler.target.mycountry=4')
    code, text = run(
        *('--directions', 'spain2data/mycountry', '--source', SOURCE, '--sample'),
        *('--method', 'transport', '--out', tmp_path),
        *('--source-options', *SMALL, 'train_cfg.max_epochs=1', 'train_cfg.val_interval=1'),
        '--method-options',
        *(f'{phase}_dataloader.num_workers=0' for phase in ('train', 'val', 'test')),
        *(f'train_dataloader.{setting}' for setting in batch),
        'train_dataloader.batch_sampler.min_steps=2',
        'train_cfg.max_epochs=1',
    )
    assert code == 0, text
    assert '| source -> target | source-only | control | transport | in-target |' in text
    table = pd.read_csv(tmp_path / 'runs.csv').set_index('method')
    assert table.target.tolist() == ['spain', 'mycountry', 'mycountry', 'mycountry']
    assert list(table.index) == ['in-target', 'source-only', 'control', 'transport']
    assert table.loc[['source-only', 'control', 'transport']].num_images.nunique() == 1
    scores = table[['agreement', 'hubness_i2t', 'hubness_t2i', 'entropy_i2t', 'entropy_t2i']]
    assert scores.notna().all().all()
    assert scores.agreement['control'] != scores.agreement['source-only']
    assert '- skipped: in-target models of mycountry' in (tmp_path / 'matrix.md').read_text()


@pytest.mark.slow
def test_a_failure_is_in_the_exit_code_and_in_the_report(
    run: Callable[..., tuple[int, str]], in_sample_dir: Path, tmp_path: Path
) -> None:
    code, text = run(*BASE, '--out', tmp_path, '--source-options', 'model.head.type=Nope')
    assert code == 1
    assert '| finland -> spain | failed | failed |' in text
    assert 'Nope' in (tmp_path / 'source_finland_seed0/error.txt').read_text()
    assert 'it starts from source_spain_seed0, which failed' in (tmp_path / 'matrix.md').read_text()


@pytest.mark.parametrize(
    ('more', 'sentence'),
    [
        (['--method', 'x=none_{source}2{target}.py'], 'no config at none_finland2spain.py'),
        (['--method', 'x'], 'no x.py in '),
        (['--method-options', 'lr=1'], 'no method'),
        (['--source-checkpoint', 'nowhere/{source}'], 'nowhere/finland'),
        (['--domains', 'finland'], 'at least two'),
        (['--directions', 'finland2germany'], "of the domains finland, spain, got 'finland2ger"),
        (['--method', 'control=transport'], '--no-control'),
        (['--source-options', 'lr'], 'KEY=VALUE'),
        (['--jobs', '0'], 'at least 1'),
    ],
)
def test_a_mistake_ends_in_one_sentence(
    run: Callable[..., tuple[int, str]],
    in_sample_dir: Path,
    tmp_path: Path,
    more: list[str],
    sentence: str,
) -> None:
    code, text = run(*BASE, '--out', tmp_path / 'out', *more)
    assert code == 2 and 'Traceback' not in text
    last = text.strip().splitlines()[-1]
    assert last.startswith('error: ') and sentence in last
    assert not list(tmp_path.glob('out/*/*'))
