"""The report of an adaptation, by its tool and at the end of a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from tests.runs import CONFIGS, reset_mmengine_state, small_config

CONFIG = CONFIGS / 'urbancross_finland2spain_transport.py'
TOOL = 'analysis_tools/adaptation_report'


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    def run(*arguments: object) -> tuple[int, str]:
        reset_mmengine_state()
        return call_tool(*arguments)

    return run


@pytest.fixture
def source(in_sample_dir: Path, tmp_path: Path) -> Path:
    """Weights of the source config, which has segments."""
    reset_mmengine_state()
    runner = Runner.from_cfg(small_config('urbancross_finland.py', tmp_path / 'source'))
    runner.model.init_weights()
    path = tmp_path / 'source' / 'epoch_40.pth'
    torch.save(dict(state_dict=runner.model.state_dict(), meta=dict(epoch=40)), path)
    return path


def settings(source: Path, work: Path, *more: str) -> list[object]:
    return [
        *('train', CONFIG, '--sample', '--no-validate', '--work-dir', work),
        *(('--no-report',) if 'no report' in more else ()),
        *('--cfg-options', f'model.adaptation.source_checkpoint={source}'),
        *('train_cfg.max_epochs=1', 'train_dataloader.batch_sampler.min_steps=1'),
        *('train_dataloader.num_workers=0', 'train_dataloader.batch_size=16'),
        *(
            f'train_dataloader.batch_sampler.{name}=8'
            for name in ('source.finland', 'target.spain')
        ),
    ]


def test_a_training_ends_with_the_report_and_the_tool_makes_it_again(
    call: Callable, source: Path, tmp_path: Path
) -> None:
    work = tmp_path / 'work'
    code, text = call(*settings(source, work))
    assert code == 0, text[-3000:]
    written = json.loads((work / 'report' / 'report.json').read_text())
    assert written['source'] == str(source) and written['adapted'] == str(work / 'epoch_1.pth')
    assert 0 < written['measures']['steps'] < 20 and written['measures']['images'] >= 20
    assert f'{written["verdict"]}: {written["reason"]}' in text
    assert written['verdict'] in ('not enough steps', 'content does not match', 'do not use')
    out = tmp_path / 'again'
    code, text = call(TOOL, CONFIG, work, '--sample', '--out', out)
    assert code == 0, text[-3000:]
    again = json.loads((out / 'report.json').read_text())
    assert again['measures'] == pytest.approx(written['measures'], abs=1e-4)
    assert written['verdict'] in text and str(out / 'report.md') in text
    assert (out / 'image_groups.png').is_file()
    same = [TOOL, CONFIG, source, '--sample', '--source', source, '--out', out]
    assert call(*same)[0] == 0
    numbers = json.loads((out / 'report.json').read_text())['measures']
    # What stands before is the source model with the target's statistics in BatchNorm.
    assert 0 < numbers['kept'] < 0.99


def test_a_failed_report_fails_no_training(
    call: Callable, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('urbancross_mm.apis.adaptation_report.make_report', None)
    code, text = call(*settings(source, tmp_path / 'work'))
    assert code == 0 and 'no report of the adaptation' in text
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()
    code, text = call(*settings(source, tmp_path / 'other', 'no report'))
    assert code == 0 and 'report of the adaptation' not in text


def test_mistakes_are_one_sentence(call: Callable, source: Path) -> None:
    plain = CONFIGS / 'urbancross_finland_no-segments.py'
    code, text = call(TOOL, plain, source, '--sample')
    assert code == 2 and 'is no adaptation' in text
    code, text = call(TOOL, CONFIG, 'nothing.pth', '--sample')
    assert code == 2 and 'nothing.pth' in text and 'Traceback' not in text
    few = ['--cfg-options', 'train_dataloader.dataset.datasets.1.indices=3']
    code, text = call(TOOL, CONFIG, source, '--sample', '--source', source, *few)
    assert code == 2 and '3 images' in text and 'Traceback' not in text
