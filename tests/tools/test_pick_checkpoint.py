"""Picks from logged validations: directions, regret, resumed runs, and the hook's own choice."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from tests.runs import run, small_config

TOOL = 'analysis_tools/pick_checkpoint'


@pytest.fixture
def tool(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool(TOOL)


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, str]]:
    return partial(call_tool, TOOL)


def write_log(work_dir: Path, start: str, *validations: tuple, end: str = '') -> None:
    """Epoch, agreement, hubness and mR of each validation, training records between them."""
    log = work_dir / start / 'vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    lines = []
    for epoch, agreement, hubness, recall in validations:
        lines.append(json.dumps(dict(lr=0.1, loss=1.0, epoch=epoch, iter=epoch, step=9 * epoch)))
        scores = {
            'label_free/agreement': agreement,
            'label_free/hubness_t2i': hubness,
            'retrieval/mR': recall,
            'time': 0.1,
            'step': epoch,
        }
        lines.append(json.dumps({k: v for k, v in scores.items() if v is not None}))
    log.write_text('\n'.join(lines) + '\n' + end)


def test_each_rule_has_its_epoch_and_its_regret(call, tmp_path: Path) -> None:
    write_log(
        tmp_path / 'run',
        '1',
        (1, 0.2, 3.0, 30.0),
        (2, 0.5, 1.0, 41.0),
        (3, 0.4, 0.5, 42.5),
        (4, 0.5, 2.0, 35.0),
    )
    for name in ('epoch_4.pth', 'best_label_free_agreement_epoch_2.pth'):
        (tmp_path / 'run' / name).touch()
    code, text = call(tmp_path / 'run', '--out', tmp_path / 'picks.json')
    assert code == 0
    for line in (
        '| picked by (4 validations) | epoch | checkpoint | score | mR on validation | regret |',
        '| label_free/agreement (greatest) | 2 | best_label_free_agreement_epoch_2.pth | '
        '0.5000 | 41.00 | 1.50 |',
        '| label_free/hubness_t2i (nearest to 0) | 3 | not kept | 0.5000 | 42.50 | 0.00 |',
        '| last epoch | 4 | epoch_4.pth | - | 35.00 | 7.50 |',
        '| oracle: retrieval/mR (greatest) | 3 | not kept | 42.5000 | 42.50 | 0.00 |',
    ):
        assert line in text
    written = json.loads((tmp_path / 'picks.json').read_text())
    assert written['picks'][0] == dict(
        rule='label_free/agreement (greatest)',
        epoch=2,
        score=0.5,
        mR=41.0,
        regret=1.5,
        checkpoint='best_label_free_agreement_epoch_2.pth',
    )
    call(tmp_path / 'run', '--out', tmp_path / 'picks.md')
    assert (tmp_path / 'picks.md').read_text() == text


def test_without_recall_there_is_no_oracle(call, tmp_path: Path) -> None:
    write_log(tmp_path, '1', (1, 0.2, 3.0, None), (2, 0.1, float('nan'), None))
    code, text = call(tmp_path)
    assert code == 0 and 'oracle:' not in text
    assert '| label_free/agreement (greatest) | 1 | not kept | 0.2000 | - | - |' in text
    # Not a number never wins.
    assert '| label_free/hubness_t2i (nearest to 0) | 1 | not kept | 3.0000 | - | - |' in text


def test_a_resumed_run_is_one_run_and_a_new_one_replaces_the_old(tool, tmp_path: Path) -> None:
    write_log(
        tmp_path,
        '20260101_1',
        (1, 0.1, 1.0, 1.0),
        (2, 0.2, 1.0, 2.0),
        (3, 0.3, 1.0, 3.0),
        end='{"label_free/agreem',
    )
    write_log(tmp_path, '20260101_2', (3, 0.9, 1.0, 9.0), (4, 0.4, 1.0, 4.0))
    validations = tool.read_scores(tmp_path)
    assert {epoch: record['retrieval/mR'] for epoch, record in validations.items()} == {
        1: 1.0,
        2: 2.0,
        3: 9.0,
        4: 4.0,
    }
    write_log(tmp_path, '20260101_3', (1, 0.5, 1.0, 5.0))
    assert list(tool.read_scores(tmp_path)) == [1]


def test_another_key_for_the_oracle(tool, tmp_path: Path) -> None:
    validations = {
        1: {'label_free/agreement': 0.1, 'retrieval/spain/mR': 7.0},
        2: {'label_free/agreement': 0.2, 'retrieval/spain/mR': 5.0},
    }
    rows = tool.pick(validations, 'retrieval/spain/mR')
    assert [(row['epoch'], row['regret']) for row in rows] == [(2, 2.0), (2, 2.0), (1, 0.0)]


def test_mistakes_are_named(call, tmp_path: Path) -> None:
    assert str(tmp_path) in call(tmp_path)[1]
    log = tmp_path / '1/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    log.write_text('{"retrieval/mR": 1, "step": 1}\n')
    code, text = call(tmp_path)
    assert code == 2 and 'LabelFreeMetric' in text and 'Traceback' not in text
    log.write_text('{"broken\n{}\n')
    assert f'{log}, line 1' in call(tmp_path)[1]
    assert call(tmp_path, '--out', 'picks.csv')[0] == 2


def test_it_agrees_with_the_checkpoint_hook(tool, in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland_no-segments.py', tmp_path)
    cfg.train_cfg.update(max_epochs=2, val_interval=1)
    cfg.val_evaluator = [dict(type='RecallAtK'), dict(type='LabelFreeMetric')]
    cfg.default_hooks.checkpoint.save_best = 'label_free/agreement'
    run(cfg)
    validations = tool.read_scores(tmp_path)
    rows = {row['rule']: row for row in tool.pick(validations)}
    assert list(validations) == [1, 2] and len(rows) == 7
    best = rows['label_free/agreement (greatest)']['epoch']
    assert len(list(tmp_path.glob(f'best_label_free_agreement_epoch_{best}.pth'))) == 1
    assert rows['oracle: retrieval/mR (greatest)']['regret'] == 0
