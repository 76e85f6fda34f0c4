"""A run that stops and resumes equals one that never stopped, to the last bit."""

import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.ranks import processes
from tests.runs import reset_mmengine_state, run, small_config, weights
from urbancross_mm.engine import EpochSeedHook, find_resumable, remove_leftovers
from urbancross_mm.registry import HOOKS


class Killed(Exception):
    """Stands for a kill at any moment."""


@HOOKS.register_module(force=True)
class KillHook(Hook):
    """Kill the run in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def after_train_iter(self, runner: Runner, *args: object, **kwargs: object) -> None:
        """After the first iteration of the epoch."""
        if runner.epoch == self.epoch:
            raise Killed


def train(work_dir: Path, resume: bool = False, workers: int = 0, kill: int | None = None) -> None:
    cfg = small_config(
        'urbancross_finland.py',
        work_dir,
        **{'train_cfg.max_epochs': 4, 'train_cfg.val_interval': 1},
    )
    cfg.train_dataloader.num_workers = workers
    cfg.param_scheduler = [dict(type='StepLR', by_epoch=True, step_size=1, gamma=0.7)]
    cfg.resume = resume
    if kill is not None:
        cfg.custom_hooks.append(dict(type='KillHook', epoch=kill))
    run(cfg)


@pytest.mark.parametrize('workers', [0, 2])
def test_train_and_resume_is_bit_equal(in_sample_dir: Path, tmp_path: Path, workers: int) -> None:
    train(tmp_path / 'whole', workers=workers)
    with pytest.raises(Killed):
        train(tmp_path / 'parts', workers=workers, kill=2)
    train(tmp_path / 'parts', resume=True, workers=workers)
    whole, parts = (weights(tmp_path / name / 'epoch_4.pth') for name in ('whole', 'parts'))
    assert whole.keys() == parts.keys()
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name


def test_epochs_draw_different_augmentations(in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = small_config('urbancross_finland.py', tmp_path)
    cfg.train_dataloader.num_workers = 1
    cfg.train_dataloader.sampler.shuffle = False
    reset_mmengine_state()
    runner = Runner.from_cfg(cfg)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    images = []
    for epoch in (0, 1, 0):
        runner.train_loop._epoch = epoch
        EpochSeedHook().before_train_epoch(runner)
        images.append(next(iter(loader))['inputs']['image'][0])
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])


def train_and_die(config: str) -> None:
    """End the process where the second checkpoint would take its name."""
    replace = os.replace

    def dying(source: str, target: str) -> None:
        if 'epoch_2' in str(target):
            os._exit(9)
        replace(source, target)

    os.replace = dying
    run(Config.fromfile(config))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_last_whole_one(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config(
        'urbancross_finland_no-segments.py',
        tmp_path / 'work',
        **{'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 1},
    )
    cfg.dump(tmp_path / 'config.py')
    process = processes().Process(target=train_and_die, args=(str(tmp_path / 'config.py'),))
    process.start()
    process.join(200)
    assert process.exitcode == 9
    work = tmp_path / 'work'
    assert list(work.glob('.epoch_2.pth.*.tmp')) and not (work / 'epoch_2.pth').exists()
    assert find_resumable(work) == str(work / 'epoch_1.pth')
    assert remove_leftovers(work) == 1
    cfg.resume = True
    assert run(cfg).epoch == 3
    assert (work / 'epoch_3.pth').is_file()


@pytest.mark.parametrize('config', ['urbancross_finland_no-segments.py', 'mcrn/mcrn.py'])
def test_a_resumed_run_keeps_the_best_until_it_is_beaten(
    config: str, in_sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_to(epochs: int, *scores: float, resume: bool = True) -> list[str]:
        """Train with these scores of the validations; which best checkpoints are left."""
        given = iter(scores)
        monkeypatch.setattr(Evaluator, 'evaluate', lambda *_: dict(score=next(given)))
        cfg = small_config(
            config, tmp_path, **{'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': 1}
        )
        cfg.default_hooks.checkpoint.save_best = 'score'
        cfg.resume = resume
        runner = run(cfg)
        assert next(given, None) is None and runner.epoch == epochs
        return [path.name for path in tmp_path.glob('best_*.pth')]

    assert train_to(1, 50.0, resume=False) == ['best_score_epoch_1.pth']
    best = weights(tmp_path / 'best_score_epoch_1.pth')
    assert train_to(3, 20.0, 50.0) == ['best_score_epoch_1.pth']
    kept = weights(tmp_path / 'best_score_epoch_1.pth')
    assert [name for name in best if not torch.equal(best[name], kept[name])] == []
    assert train_to(4, 60.0) == ['best_score_epoch_4.pth']
