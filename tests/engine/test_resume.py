"""A run that stops and resumes equals one that never stopped, to the last bit."""

from pathlib import Path

import pytest
import torch

from tests.runs import run, small_config, weights


def train(work_dir: Path, epochs: int, resume: bool = False, workers: int = 0) -> None:
    # A constant schedule: the number of epochs of the first leg must not shape the second.
    cfg = small_config('urbancross_finland.py', work_dir,
                       **{'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': 1})
    cfg.train_dataloader.num_workers = workers
    cfg.param_scheduler = [dict(type='StepLR', by_epoch=True, step_size=1, gamma=0.7)]
    cfg.resume = resume
    run(cfg)


@pytest.mark.parametrize('workers', [0, 2])
def test_train_and_resume_is_bit_equal(in_sample_dir: Path, tmp_path: Path, workers: int) -> None:
    train(tmp_path / 'whole', 4, workers=workers)
    train(tmp_path / 'parts', 2, workers=workers)
    train(tmp_path / 'parts', 4, resume=True, workers=workers)
    whole, parts = (weights(tmp_path / name / 'epoch_4.pth') for name in ('whole', 'parts'))
    assert whole.keys() == parts.keys()
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name


def test_epochs_draw_different_augmentations(in_sample_dir: Path, tmp_path: Path) -> None:
    from mmengine.runner import Runner

    from tests.runs import forget_runs
    from urbancross_mm.engine import EpochSeedHook

    cfg = small_config('urbancross_finland.py', tmp_path)
    cfg.train_dataloader.num_workers = 1
    cfg.train_dataloader.sampler.shuffle = False
    forget_runs()
    runner = Runner.from_cfg(cfg)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    pictures = []
    for epoch in (0, 1, 0):
        runner.train_loop._epoch = epoch
        EpochSeedHook().before_train_epoch(runner)
        pictures.append(next(iter(loader))['inputs']['image'][0])
    assert torch.equal(pictures[0], pictures[2])
    assert not torch.equal(pictures[0], pictures[1])
