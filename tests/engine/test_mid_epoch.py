"""A run resumed from an ``iter_*.pth`` equals one that never stopped, to the last bit."""

import math
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from tests.runs import reset_mmengine_state, small_config, weights
from urbancross_mm.apis import build_runner
from urbancross_mm.registry import HOOKS

BATCHES = 4  # an epoch


@HOOKS.register_module(force=True)
class LogOrderHook(Hook):
    """Note which items each iteration sees, and where in its epoch."""

    seen: list = []

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None
    ) -> None:
        """Note them."""
        ids = [sample.img_id for sample in data_batch['data_samples']]
        LogOrderHook.seen.append((runner.epoch, batch_idx, runner.iter, ids))


def config(work_dir: Path, workers: int = 0) -> Config:
    cfg = small_config(
        'urbancross_finland_no-segments.py',
        work_dir,
        items=16,
        batch=4,
        **{'train_cfg.max_epochs': 2},
    )
    cfg.train_dataloader.num_workers = workers
    for key in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        cfg[key] = None
    # Random numbers in the model, too.
    cfg.model.text_encoder.dropout = 0.3
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=0.1, end=8, by_epoch=False)]
    cfg.default_hooks.checkpoint.update(
        by_epoch=False, interval=1, max_keep_ckpts=-1, save_best=None, rule=None
    )
    cfg.custom_hooks.append(dict(type='LogOrderHook'))
    return cfg


def train(cfg: Config) -> list[tuple]:
    """Train; which items each iteration saw."""
    LogOrderHook.seen = []
    reset_mmengine_state()
    build_runner(cfg).train()
    return LogOrderHook.seen


def resumed(cfg: Config, whole: Path, iteration: int, work_dir: Path) -> list[tuple]:
    work_dir.mkdir()
    shutil.copy(whole / f'iter_{iteration}.pth', work_dir)
    cfg.work_dir, cfg.resume = str(work_dir), True
    cfg.load_from = str(work_dir / f'iter_{iteration}.pth')
    return train(cfg)


# In the middle of an epoch, at its end, at the beginning of the next one.
@pytest.mark.parametrize(('workers', 'iterations'), [(0, (2, BATCHES + 1)), (2, (1, BATCHES))])
def test_it_goes_on_at_the_iteration(
    workers: int, iterations: tuple[int, int], in_sample_dir: Path, tmp_path: Path
) -> None:
    order = train(config(tmp_path / 'whole', workers))
    assert [row[:3] for row in order] == [(it // BATCHES, it % BATCHES, it) for it in range(8)]
    last = weights(tmp_path / 'whole/iter_8.pth')
    for iteration in iterations:
        work = tmp_path / str(iteration)
        assert (
            resumed(config(work, workers), tmp_path / 'whole', iteration, work) == order[iteration:]
        )
        result = weights(work / 'iter_8.pth')
        assert result.keys() == last.keys()
        for name in last:
            assert torch.equal(result[name], last[name]), (iteration, name)


def warnings_of(cfg: Config) -> list[str]:
    reset_mmengine_state()
    runner = build_runner(cfg)
    messages: list[str] = []
    MMLogger.get_current_instance().warning = messages.append
    runner.train()
    return messages


@pytest.mark.parametrize('change', ['no states', 'batch size', 'ranks'])
def test_where_it_cannot_it_says_so(change: str, in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    train(cfg)
    path = tmp_path / 'iter_2.pth'
    content = torch.load(path, weights_only=False)
    if change == 'no states':
        del content['random_states']
    elif change == 'ranks':
        content['random_states']['states'] *= 2
    else:
        cfg.train_dataloader.batch_size = 8
    torch.save(content, path)
    cfg.resume, cfg.load_from = True, str(path)
    batches = 2 if change == 'batch size' else BATCHES
    messages = warnings_of(cfg)
    sentence = (
        f'iter_2.pth has 2 iterations, which are not 0 whole epochs of {batches} here: '
        'epoch 1 begins again'
    )
    assert sum(sentence in text for text in messages) == 1


def test_a_lost_part_of_a_gradient_is_said(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.optim_wrapper.accumulative_counts = 2
    train(cfg)
    cfg.resume = True
    for iteration, lost in ((2, False), (3, True)):
        cfg.load_from = str(tmp_path / f'iter_{iteration}.pth')
        assert (
            any(
                'the gradient of 1 of 2 accumulated iterations' in text for text in warnings_of(cfg)
            )
            == lost
        )


def test_epochs_say_nothing(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.default_hooks.checkpoint.by_epoch = True
    train(cfg)
    assert 'random_states' not in torch.load(tmp_path / 'epoch_1.pth', weights_only=False)
    cfg.resume, cfg.load_from = True, str(tmp_path / 'epoch_1.pth')
    assert not any('begins again' in text for text in warnings_of(cfg))
    assert math.isfinite(
        sum(value.double().sum() for value in weights(tmp_path / 'epoch_2.pth').values())
    )
