"""A setting of another type is named before anything is built."""

import re
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from tests.runs import CONFIGS
from urbancross_mm.apis import load_config
from urbancross_mm.apis.run_settings import check_settings

CONFIG = CONFIGS / 'baselines' / 'linear_ucm.py'
WRONG: dict[str, tuple[Any, ...]] = {
    'train_dataloader': ('abc', 5),
    'train_dataloader.dataset': ('abc', [1]),
    'train_dataloader.sampler': ('abc',),
    'train_dataloader.collate_fn': ('abc',),
    'train_dataloader.num_workers': ('a', 1.5, -1, None),
    'train_dataloader.batch_size': ('a', 1.5, 0, True, None),
    'train_dataloader.dataset.pipeline': ('abc',),
    'train_dataloader.dataset.indices': ('a', 0, []),
    'train_cfg': ('abc',),
    'train_cfg.max_epochs': ('abc', 1.5, -1, None),
    'train_cfg.val_interval': ('abc', 0, -3, 1.5),
    'val_evaluator': ('abc',),
    'default_hooks': ('abc',),
    'default_hooks.logger': ('abc',),
    'default_hooks.checkpoint.interval': ('abc', 1.5),
    'default_hooks.checkpoint.save_best': (5,),
    'default_hooks.checkpoint.max_keep_ckpts': ('abc',),
    'default_hooks.checkpoint.priority': ('nonsense', 5000),
    'default_hooks.checkpoint.backend_args': ('abc',),
    'default_hooks.checkpoint.backend_args.backend': ('nope',),
    'default_hooks.logger.interval': ('abc', 0),
    'custom_hooks': ('abc',),
    'randomness': (3,),
    'randomness.seed': ('x', -1, 1.5, 2**32),
    'log_level': ('NOPE', None),
    'log_processor.window_size': ('abc', 0),
    'log_processor.by_epoch': ('abc',),
    'visualizer': ('abc',),
    'env_cfg': ('abc',),
    'env_cfg.mp_cfg': ('abc',),
    'load_from': (5,),
    'resume': ('abc', 1),
    'default_scope': (5,),
    'param_scheduler': ('abc',),
    'optim_wrapper': ('abc',),
    'optim_wrapper.optimizer': ('abc',),
    'optim_wrapper.optimizer.type': ('Nope',),
    'optim_wrapper.optimizer.lr': ('abc', -1, float('nan')),
    'optim_wrapper.accumulative_counts': ('abc', 0),
    'optim_wrapper.clip_grad': ('abc',),
    'optim_wrapper.clip_grad.max_norm': ('abc', 0),
    'optim_wrapper.paramwise_cfg': ('abc',),
    'optim_wrapper.paramwise_cfg.custom_keys.x.lr_mult': ('abc', -1),
    'auto_scale_lr.base_batch_size': ('abc', 0),
}


@pytest.mark.parametrize(
    ('key', 'value'), [(key, value) for key, values in WRONG.items() for value in values]
)
def test_a_wrong_type_is_named(key: str, value: Any) -> None:
    cfg = load_config(CONFIG, sample=True)
    cfg.merge_from_dict({key: value})
    with pytest.raises(ValueError, match=re.escape(key)) as info:
        check_settings(cfg)
    assert str(info.value).startswith(f'{CONFIG}: {key} ')
    assert str(info.value).endswith(f' {value!r}')


def test_a_wrong_type_in_a_list() -> None:
    for key, value in {
        'param_scheduler.0.T_max': 0,
        'param_scheduler.0.by_epoch': 'abc',
        'custom_hooks.1.priority': 'x',
    }.items():
        cfg = load_config(CONFIG, sample=True)
        cfg.merge_from_dict({key: value})
        with pytest.raises(ValueError, match=f'{key} .* {value!r}'):
            check_settings(cfg)


@pytest.mark.parametrize(
    'key', ['val_cfg', 'val_evaluator', 'val_dataloader', 'test_cfg', 'train_cfg', 'optim_wrapper']
)
def test_what_belongs_together(key: str) -> None:
    cfg = load_config(CONFIG, sample=True)
    cfg[key] = None
    with pytest.raises(ValueError, match=f': {key} is missing'):
        check_settings(cfg)


def test_a_loop_has_a_type_or_a_unit() -> None:
    cfg = load_config(CONFIG, {'train_cfg.type': 'IterBasedTrainLoop'}, sample=True)
    with pytest.raises(ValueError, match='type=IterBasedTrainLoop and by_epoch'):
        check_settings(cfg)


@pytest.mark.parametrize(
    'path',
    sorted(CONFIGS.glob('[!_c]*/*.py')) + sorted(CONFIGS.glob('*.py')),
    ids=lambda path: path.stem,
)
def test_every_config_is_right(path: Path) -> None:
    for sample in (False, True):
        check_settings(load_config(path, sample=sample))


def test_what_a_program_may_set() -> None:
    check_settings(Config(dict(work_dir='x', load_from=None, visualizer=None, resume=False)))
    cfg = load_config(
        CONFIG,
        {
            'train_cfg.max_epochs': 2.0,
            'randomness.seed': None,
            'train_dataloader.sampler': None,
            'log_level': 10,
            'default_hooks.timer': None,
        },
        sample=True,
    )
    cfg.train_dataloader.dataset = object()
    check_settings(cfg)


def test_a_loader_has_a_dataset() -> None:
    cfg = load_config(CONFIG, sample=True)
    del cfg.val_dataloader['dataset']
    with pytest.raises(ValueError, match='val_dataloader'):
        check_settings(cfg)
