"""The map of two domains, from trained checkpoints to image and numbers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from tests.runs import CONFIGS, run, small_config

FINLAND, SPAIN = (CONFIGS / f'urbancross_{name}_no-segments.py' for name in ('finland', 'spain'))
NUMBERS = ('a_distance_image', 'a_distance_text', 'hubness_i2t', 'hubness_t2i', 'agreement')


@pytest.fixture
def call(call_tool: Callable[..., tuple[int, str]], in_sample_dir: Path) -> Callable:
    return partial(
        call_tool,
        'analysis_tools/embedding_map',
        SPAIN,
        '--sample',
        '--device',
        'cpu',
        '--source-config',
        FINLAND,
        '--max-items',
        6,
    )


def test_one_panel_per_checkpoint_and_the_numbers(call, tmp_path: Path) -> None:
    cfg = small_config(FINLAND.name, tmp_path / 'run')
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    run(cfg)
    out = tmp_path / 'maps' / 'map.png'
    for method in ('tsne', 'pca'):
        # One epoch: the best checkpoint, which the folder stands for, is the last.
        code, text = call(
            '--method',
            method,
            '--out',
            out,
            '--split',
            'val',
            '--seed',
            3,
            tmp_path / 'run',
            tmp_path / 'run' / 'epoch_1.pth',
        )
        assert code == 0, text
        assert text.count('A-distance: image') == 2 and 'run/epoch_1.pth' in text
        assert Image.open(out).width == 1200
        content = json.loads(out.with_suffix('.json').read_text())
        assert (content['method'], content['split'], content['seed']) == (method, 'val', 3)
        first, second = content['maps']
        assert first['source'] == dict(domain='finland', images=4, captions=4)
        assert first['target']['domain'] == 'spain'
        assert {name: first[name] for name in NUMBERS} == {name: second[name] for name in NUMBERS}
        assert 0 <= first['a_distance_image'] <= 2


def test_without_scikit_learn_the_alternatives_are_named(
    call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    code, text = call('none', '--out', tmp_path / 'map.png')
    assert code == 2 and 'pip install urbancross-mm[analysis]' in text and '--method pca' in text
    assert call('none', '--out', tmp_path / 'map.png', '--method', 'pca')[0] == 0


def test_mistakes_are_named(call, tmp_path: Path) -> None:
    code, text = call('none', '--out', tmp_path / 'map.pdf')
    assert code == 2 and 'map.pdf' in text
    code, text = call('nothing.pth', '--out', tmp_path / 'map.png')
    assert code == 2 and 'nothing.pth' in text and 'Traceback' not in text
