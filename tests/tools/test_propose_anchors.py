"""From the proposal over the table that somebody fills in to an adaptation that uses it."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.runs import CONFIGS, run, small_config
from urbancross_mm.datasets import AnchorDataset

CONFIG = 'urbancross_finland_no-segments.py'


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    return partial(call_tool, 'analysis_tools/propose_anchors', '--sample', '--device', 'cpu')


def test_from_a_proposal_to_an_adaptation(call, tmp_path: Path) -> None:
    source = small_config(CONFIG, tmp_path / 'source')
    source.train_cfg.update(max_epochs=1, val_interval=1)
    run(source)
    out = tmp_path / 'labels'
    arguments = [CONFIGS / 'adapt.py', tmp_path / 'source', '--out', out, '--count', 3]
    options = ['--cfg-options', f'CONFIG={CONFIG}', 'TARGET=spain']
    code, text = call(*arguments, *options)
    assert code == 0 and '3 images to label' in text, text
    assert (out / 'anchors.html').read_text().count('base64,') == 3
    with open(out / 'anchors.csv') as file:
        rows = list(csv.DictReader(file))
    assert [list(row) for row in rows] == [['image', 'caption', 'class', 'guess']] * 3
    assert all(row['guess'] and not row['caption'] for row in rows)
    assert call(*arguments, *options)[0] == 2  # a table that is filled in is not replaced

    labels = tmp_path / 'anchors.csv'
    labels.write_text(f'image,caption\n{rows[0]["image"]},my words\n{rows[1]["image"]},\n')
    chosen = dict(CONFIG=CONFIG, TARGET='spain', METHOD='transport', ANCHORS=str(labels))
    cfg = small_config('adapt.py', tmp_path / 'run', **chosen)
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    for part in cfg.train_dataloader.dataset.datasets:
        part.pop('indices')
    cfg.train_dataloader.batch_sampler.min_steps = 2
    runner = run(cfg)
    members = runner.train_dataloader.dataset.datasets
    assert [len(member) for member in members if isinstance(member, AnchorDataset)] == [1]
    assert runner.message_hub.get_scalar('train/loss').current() > 0
    # The next proposal does not ask for the label again.
    code, text = call(*arguments, '--force', *options, f'ANCHORS={labels}')
    assert code == 0, text
    assert rows[0]['image'] not in (out / 'anchors.csv').read_text()


def test_mistakes_are_named(call, tmp_path: Path) -> None:
    code, text = call(CONFIGS / CONFIG, 'none.pth', '--out', tmp_path)
    assert code == 2 and 'adapts to no target' in text
    code, text = call(CONFIGS / CONFIG, 'none.pth', '--out', tmp_path, '--count', 0)
    assert code == 2 and '--count' in text and '0' in text
