"""Two ranks train and evaluate as one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.runs import ROOT, run, small_config, weights


def train_on_two_ranks(cfg_file: Path, work_dir: Path) -> None:
    port = 20000 + os.getpid() % 20000
    command = [
        *(sys.executable, '-W', 'ignore', '-m', 'torch.distributed.run'),
        *('--nproc-per-node=2', f'--master-port={port}'),
        *(str(ROOT / 'tools/train.py'), str(cfg_file), '--work-dir', str(work_dir)),
        *('--launcher', 'pytorch'),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
    )
    assert done.returncode == 0, done.stderr[-3000:]


def logged(work_dir: Path) -> list[dict[str, float]]:
    lines = next(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()
    return [json.loads(line) for line in lines]  # two iterations and a validation


def test_two_ranks_equal_one(in_sample_dir: Path, tmp_path: Path) -> None:
    """Same global batches, no augmentation, no batch statistics: only the sharding differs."""
    files = {}
    for ranks in (1, 2):
        cfg = small_config(
            'urbancross_rsicd.py',
            tmp_path,
            items=16,
            batch=8 // ranks,
            **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 1},
        )
        pipeline = cfg.train_dataloader.dataset.pipeline
        cfg.train_dataloader.dataset.pipeline = [
            step for step in pipeline if not step.type.startswith('Random')
        ]
        cfg.val_dataloader.dataset.indices = 7  # uneven: the sampler pads the second rank
        cfg.model.image_encoder.norm_eval = True
        # A residual branch of zeros puts flat white areas on the kink of the ReLU behind it.
        cfg.model.image_encoder.backbone.zero_init_residual = False
        cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.01)
        cfg.default_hooks.logger.interval = 1
        files[ranks] = tmp_path / f'ranks{ranks}.py'
        cfg.dump(files[ranks])
    alone = Config.fromfile(files[1])
    alone.work_dir = str(tmp_path / 'one')
    run(alone)
    train_on_two_ranks(files[2], tmp_path / 'two')
    w1, w2 = (weights(tmp_path / name / 'epoch_1.pth') for name in ('one', 'two'))
    assert w1.keys() == w2.keys()
    for name in w1:
        torch.testing.assert_close(w1[name], w2[name], rtol=1e-3, atol=1e-5, msg=name)
    one, two = logged(tmp_path / 'one'), logged(tmp_path / 'two')
    # The second loss comes after one update: half a gradient would change its third digit.
    assert [r['loss'] for r in one[:2]] == pytest.approx([r['loss'] for r in two[:2]], rel=1e-5)
    one, two = one[-1], two[-1]
    keys = [key for key in one if key.startswith('retrieval/')]
    assert keys and all(abs(one[key] - two[key]) < 1e-3 for key in keys)
