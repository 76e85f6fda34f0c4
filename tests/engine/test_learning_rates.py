"""A learning rate of 0 is refused or said, for one optimizer and for two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from tests.engine.test_training_guard import config, train
from tests.runs import reset_mmengine_state
from urbancross_mm.apis import build_runner

ADAM = dict(optimizer=dict(type='Adam', lr=0.1))


@MODELS.register_module(force=True)
class JudgedModel(BaseModel):
    """A weight that learns, and one that judges it."""

    def __init__(self, frozen: str = '') -> None:
        super().__init__()
        self.encoder, self.discriminator = nn.Linear(1, 1), nn.Linear(1, 1)
        if frozen:
            getattr(self, frozen).requires_grad_(False)

    def forward(self, value: torch.Tensor, mode: str = 'loss') -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def train_step(self, data: dict, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        value = torch.stack(data['value'])[:, None]
        for name, part in (('encoders', self.encoder), ('discriminator', self.discriminator)):
            optim_wrapper[name].update_params(part(value).mean())
        return dict(loss=torch.zeros(()))


def judged(work_dir: Path, frozen: str = '', epochs: int = 1, **wrappers: Any) -> Config:
    cfg = config(work_dir, by_epoch=True, max_epochs=epochs)
    cfg.model = dict(type='JudgedModel', frozen=frozen)
    cfg.optim_wrapper = dict(
        constructor='urbancross_mm.AdversarialOptimWrapperConstructor',
        **{'encoders': ADAM, 'discriminator': ADAM, **wrappers},
    )
    return cfg


def warnings_of(cfg: Config) -> list[str]:
    """Train; what was warned of the learning rate."""
    reset_mmengine_state()
    runner = build_runner(cfg)
    messages: list[str] = []
    MMLogger.get_current_instance().warning = messages.append
    runner.train()
    return [text for text in messages if 'learning rate' in text]


def test_two_optimizers_that_learn(tmp_path: Path) -> None:
    assert warnings_of(judged(tmp_path)) == []


@pytest.mark.parametrize(('frozen', 'name'), [('encoder', 'encoders'), ('discriminator',) * 2])
def test_one_of_two_has_nothing_to_train(frozen: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f'optim_wrapper.{name} is frozen'):
        train(judged(tmp_path, frozen))


@pytest.mark.parametrize('name', ['encoders', 'discriminator'])
def test_one_of_two_has_no_rate(name: str, tmp_path: Path) -> None:
    still = dict(optimizer=dict(type='Adam', lr=0.0))
    with pytest.raises(ValueError, match=f'optim_wrapper.{name}.optimizer.lr=0'):
        train(judged(tmp_path, **{name: still}))
    cfg = judged(tmp_path)
    key = dict(encoders='encoder', discriminator='discriminator')[name]
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys={key: dict(lr_mult=0.0)})
    with pytest.raises(ValueError, match=f'paramwise_cfg .* optim_wrapper.{name} '):
        train(cfg)
    cfg = judged(tmp_path)
    cfg.param_scheduler = {name: [dict(type='ConstantLR', factor=0.0, end=100, by_epoch=False)]}
    other = 'encoders' if name == 'discriminator' else 'discriminator'
    cfg.param_scheduler[other] = [dict(type='ConstantLR', factor=0.5, end=100, by_epoch=False)]
    with pytest.raises(ValueError, match=f'learning rate of optim_wrapper.{name} was 0'):
        train(cfg)


def test_settings_of_two_optimizers_are_checked(tmp_path: Path) -> None:
    for wrong in ('abc', -1):
        cfg = judged(tmp_path, encoders=dict(optimizer=dict(type='Adam', lr=wrong)))
        with pytest.raises(ValueError, match=f'optim_wrapper.encoders.optimizer.lr .*{wrong}'):
            build_runner(cfg)


def test_a_cosine_that_ends_early_and_climbs_again_is_said_once(tmp_path: Path) -> None:
    """As MCRN was released: T_max of 20 epochs in a run of 70."""
    cfg = config(tmp_path, by_epoch=True, max_epochs=7)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, by_epoch=True)]
    (said,) = warnings_of(cfg)
    assert 'optim_wrapper is 0 in epoch 3 of 7' in said and 'T_max' in said


@pytest.mark.parametrize(('length', 'said'), [(3, 1), (4, 0), (5, 0)])
def test_only_zero_before_the_last_epoch_is_said(length: int, said: int, tmp_path: Path) -> None:
    cfg = config(tmp_path, by_epoch=True, max_epochs=5)
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=length, by_epoch=True)]
    assert len(warnings_of(cfg)) == said


def test_runs_by_iterations_and_two_schedules(tmp_path: Path) -> None:
    cfg = config(tmp_path, by_epoch=False, max_iters=6)
    cfg.param_scheduler = [dict(type='LinearLR', end_factor=0.0, end=3, by_epoch=False)]
    (said,) = warnings_of(cfg)
    assert 'iteration 3 of 6' in said
    cfg = judged(tmp_path, epochs=4)
    step = dict(type='MultiStepLR', milestones=[1], gamma=0.0, by_epoch=True)
    still = dict(type='ConstantLR', factor=0.5, end=9, by_epoch=True)
    cfg.param_scheduler = dict(encoders=[still], discriminator=[step])
    (said,) = warnings_of(cfg)
    assert 'optim_wrapper.discriminator is 0 in epoch 2 of 4' in said


def test_a_resumed_run_goes_on_where_the_rate_is_zero(tmp_path: Path) -> None:
    cfg = config(tmp_path, by_epoch=True, max_epochs=5)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.param_scheduler = [dict(type='CosineAnnealingLR', T_max=2, by_epoch=True)]
    warnings_of(cfg)
    cfg.resume, cfg.load_from = True, str(tmp_path / 'epoch_2.pth')
    (said,) = warnings_of(cfg)
    assert 'epoch 3 of 5' in said


def test_a_checkpoint_of_other_optimizers_is_refused(tmp_path: Path) -> None:
    cfg = judged(tmp_path)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.custom_hooks = [dict(type='urbancross_mm.CheckpointGuardHook')]
    train(cfg)
    cfg.train_cfg.max_epochs = 2
    cfg.resume, cfg.load_from = True, str(tmp_path / 'epoch_1.pth')
    whole = torch.load(cfg.load_from, weights_only=False)
    train(cfg)
    for optimizer, named in (
        ({'encoders': whole['optimizer']['encoders']}, r"of \['encoders'\]"),
        (whole['optimizer']['encoders'], 'param_groups'),
        ({**whole['optimizer'], 'discriminator': {}}, r'optimizer \(discriminator\)'),
    ):
        torch.save(dict(whole, optimizer=optimizer), tmp_path / 'x.pth')
        cfg.load_from = str(tmp_path / 'x.pth')
        with pytest.raises(ValueError, match=f'x.pth .*{named}'):
            train(cfg)
