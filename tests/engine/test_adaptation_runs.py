"""Whole adaptations of a sample model: resumed, distributed, and blind to the target's pairs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.runs import ROOT, forget_runs, run, small_config, weights
from urbancross_mm.apis import resolve_start
from urbancross_mm.registry import HOOKS

CURRICULUM = 'urbancross_finland2spain.py'


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


@pytest.fixture(scope='module')
def start(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run of the source recipe leaves: a model with segments and another loss."""
    folder = tmp_path_factory.mktemp('source')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(sample_dir)
        forget_runs()
        cfg = small_config('urbancross_finland.py', folder, **{'randomness.seed': 1})
        state = Runner.from_cfg(cfg).model.state_dict()
    path = folder / 'epoch_40.pth'
    torch.save(dict(state_dict=state, meta=dict(epoch=40)), path)
    return str(path)


def recipe(work_dir: Path, start: str, name: str = CURRICULUM, resume: bool = False,
           epochs: int = 1, **options: Any) -> Config:
    """A small adaptation, as ``tools/train.py`` prepares it."""
    cfg = small_config(name, work_dir, **{
        'train_cfg.max_epochs': epochs, 'train_cfg.val_interval': epochs, 'start': start,
        **options})
    cfg.resume = resume
    resolve_start(cfg)
    return cfg


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """Names of the weights that differ in any bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize('name', [CURRICULUM, 'urbancross_finland2spain_transport.py'])
def test_train_and_resume_is_bit_equal(in_sample_dir: Path, tmp_path: Path, start: str, name: str
                                       ) -> None:
    run(recipe(tmp_path / 'whole', start, name, epochs=4))
    cfg = recipe(tmp_path / 'parts', start, name, epochs=4)
    cfg.custom_hooks.append(dict(type='KillHook', epoch=2))
    with pytest.raises(Killed):
        run(cfg)
    run(recipe(tmp_path / 'parts', start, name, resume=True, epochs=4))
    whole, parts = (weights(tmp_path / part / 'epoch_4.pth') for part in ('whole', 'parts'))
    print({n: float((whole[n].float()-parts[n].float()).abs().max()) for n in same(whole, parts)})
    assert same(whole, parts) == []
