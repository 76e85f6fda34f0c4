"""From a config's images to a trained linear head, by command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs import CONFIGS, reset_mmengine_state, run, small_config
from urbancross_mm.datasets.feature_file import open_features

CONFIG = CONFIGS / 'baselines/mobilenet-v2_minilm_ucm.py'


@pytest.fixture
def extract(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    reset_mmengine_state()
    return lambda *arguments: call_tool('misc/extract_features', CONFIG, *arguments, '--sample')


def test_features_train_a_linear_head(extract: Callable, tmp_path: Path) -> None:
    out = tmp_path / 'features.npz'
    code, printed = extract('--out', out, '--device', 'cpu', '--batch-size', '16')
    assert code == 0 and str(out) in printed and '(64 wide)' in printed and '(256 wide)' in printed
    assert 'text_encoder.' not in printed and printed.count('as the model was built') == 1
    before = out.read_bytes()
    code, printed = extract('--out', out)
    assert code == 2 and 'features.npz' in printed and '--force' in printed
    assert out.read_bytes() == before
    cfg = small_config(
        'baselines/linear_ucm.py',
        tmp_path / 'work',
        **{
            'train_cfg.max_epochs': 1,
            'train_cfg.val_interval': 1,
            'model.image_encoder.in_channels': 64,
            'model.text_encoder.in_channels': 256,
        },
    )
    for phase in ('train', 'val', 'test'):
        pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
        pipeline[0].file = pipeline[1].tokenizer.file = str(out)
    assert run(cfg).iter == 2


def test_force_replaces_and_a_checkpoint_is_named(extract: Callable, tmp_path: Path) -> None:
    out = tmp_path / 'features.npz'
    out.write_text('something else')
    assert (
        extract('--out', out, '--force', '--cfg-options', 'model.text_encoder.hidden_dim=8')[0] == 0
    )
    assert open_features(str(out)).metadata['checkpoint'] is None
    code, printed = extract('nothing.pth', '--out', tmp_path / 'x.npz')
    assert code == 2 and 'nothing.pth' in printed


def test_only_npz(extract: Callable, tmp_path: Path) -> None:
    code, printed = extract('--out', tmp_path / 'features.json')
    assert code == 2 and 'features.json' in printed
