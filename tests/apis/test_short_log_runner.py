"""The console is short, the log file is whole."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.runs import reset_mmengine_state, small_config
from urbancross_mm.apis import build_runner
from urbancross_mm.apis.short_log_runner import ShortLogRunner

CONFIG = 'urbancross_finland_no-segments.py'
DETAILS = ('System environment', 'Config:', 'Hooks will be executed', 'Distributed training')


def build(work_dir: Path, name: str = CONFIG, **options: object) -> ShortLogRunner:
    reset_mmengine_state()
    return build_runner(small_config(name, work_dir, **options))


def log_of(work_dir: Path) -> str:
    (log,) = work_dir.glob('*/*.log')
    return log.read_text()


def test_details_stay_in_the_file(
    in_sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    runner = build(tmp_path, **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1})
    runner.logger.warning('a warning')
    runner.logger.error('an error')
    runner.train()
    console, log = capsys.readouterr().out, log_of(tmp_path)
    assert [detail for detail in DETAILS if detail in console or detail not in log] == []
    lines = console.splitlines()
    assert CONFIG in lines[0] and str(tmp_path) in lines[0] and len(lines) < 15
    for said in ('a warning', 'an error', 'train 16 items in 2 batches, val 4 ', 'Epoch(train)'):
        assert said in console and said in log
    assert 'OneDL' not in console
    count = len(list(runner.model.parameters()))
    for text in (console, log):
        assert text.count('weights: ') == 1 and f'weights: {count} parameters: ' in text
        assert 'The value is the same' not in text and 'Name of parameter' not in text


def test_debug_shows_everything(
    in_sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    build(tmp_path, log_level='DEBUG')
    console = capsys.readouterr().out
    assert [detail for detail in DETAILS if detail not in console] == []


def test_expected_differences_of_a_checkpoint_are_no_mismatch(
    in_sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """Segments, and the losses, of a checkpoint have no place in a plain model that tests."""
    state = build(tmp_path / 'a', 'urbancross_finland.py').model.state_dict()
    shutil.rmtree(tmp_path / 'a')
    torch.save(dict(state_dict=state, meta={}), tmp_path / 'x.pth')
    capsys.readouterr()
    build(tmp_path / 'b', **{'load_from': str(tmp_path / 'x.pth'), 'model.head': None}).test()
    console, log = capsys.readouterr().out, log_of(tmp_path / 'b')
    segments = sum(name.startswith('segment_encoder.') for name in state)
    assert f'segment_encoder ({segments})' in console and 'head (' not in console
    assert 'unexpected key' not in console and 'unexpected key' in log


def test_new_weights_of_a_fine_tune_are_named(
    in_sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    state = build(tmp_path / 'a').model.state_dict()
    lost = [name for name in state if name.startswith('text_encoder.projection.')]
    kept = {name: value for name, value in state.items() if name not in lost}
    torch.save(dict(state_dict=kept, meta={}), tmp_path / 'x.pth')
    capsys.readouterr()
    options = {'load_from': str(tmp_path / 'x.pth'), 'train_cfg.max_epochs': 1}
    build(tmp_path / 'b', **options).train()
    warned = [line for line in capsys.readouterr().out.splitlines() if 'WARNING' in line]
    assert [f'text_encoder ({len(lost)})' in line for line in warned].count(True) == 1
