"""A run that cannot learn ends before it begins."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import Dataset

from tests.runs import reset_mmengine_state, small_config
from urbancross_mm.apis import build_runner

CONFIG = 'urbancross_finland_no-segments.py'


@MODELS.register_module(force=True)
class GuardedModel(BaseModel):
    """A weight; with ``head``, one that compares the pairs of a batch."""

    def __init__(self, frozen: bool = False, head: bool = False, scale: bool = False) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1), requires_grad=not frozen)
        if scale:
            self.head = torch.nn.Module()
            self.head.scale = torch.nn.Parameter(torch.ones(()))
        if head:
            self.head = torch.nn.Identity()
            self.head.pair_losses = None

    def forward(self, value: torch.Tensor, mode: str = 'loss') -> dict[str, torch.Tensor]:
        return dict(loss=(self.weight * torch.stack(value)).mean())


@DATASETS.register_module(force=True)
class GuardedSet(Dataset):
    """Numbers."""

    def __init__(self, items: int) -> None:
        self.items = items

    def __len__(self) -> int:
        return self.items

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return dict(value=torch.tensor(float(index)))


def config(
    work_dir: Path,
    items: int = 8,
    batch: int = 4,
    drop_last: bool = True,
    model: dict | None = None,
    lr: float = 0.1,
    **train_cfg: Any,
) -> Config:
    return Config(
        dict(
            model=dict(type='GuardedModel', **(model or {})),
            work_dir=str(work_dir),
            train_dataloader=dict(
                batch_size=batch,
                drop_last=drop_last,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='GuardedSet', items=items),
            ),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=lr)),
            train_cfg=ConfigDict(train_cfg or dict(by_epoch=True, max_epochs=1)),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=-1, save_last=False)
            ),
        )
    )


def train(cfg: Config) -> Any:
    reset_mmengine_state()
    runner = build_runner(cfg)
    runner.train()
    return runner


def test_a_run_that_can_learn_learns(tmp_path: Path) -> None:
    assert train(config(tmp_path)).iter == 2
    assert train(config(tmp_path, items=3, drop_last=False)).iter == 1
    assert train(config(tmp_path, by_epoch=False, max_iters=3)).iter == 3


@pytest.mark.parametrize(
    'loop', [dict(by_epoch=True, max_epochs=2), dict(by_epoch=False, max_iters=2)]
)
def test_too_few_items_for_a_batch(loop: dict, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError,
        match='30 .* 40 .*train_dataloader.batch_size=30',
    ):
        train(config(tmp_path, items=30, batch=40, **loop))


@pytest.mark.parametrize(
    'loop', [dict(by_epoch=True, max_epochs=0), dict(by_epoch=False, max_iters=0)]
)
def test_no_step(loop: dict, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='train_cfg.max_(epochs|iters)=0'):
        train(config(tmp_path, **loop))


def test_nothing_to_train(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='GuardedModel is frozen'):
        train(config(tmp_path, model=dict(frozen=True)))
    with pytest.raises(ValueError, match='lr=0 trains nothing'):
        train(config(tmp_path, lr=0.0))


def test_a_warm_up_from_zero_is_no_learning_rate_of_zero(tmp_path: Path) -> None:
    cfg = config(tmp_path, items=16)
    cfg.param_scheduler = [dict(type='LinearLR', start_factor=1e-9, end=2, by_epoch=False)]
    assert train(cfg).iter == 4


def test_rates_of_nothing(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=dict(weight=dict(lr_mult=0.0)))
    with pytest.raises(ValueError, match='paramwise_cfg'):
        train(cfg)


def test_statistics_of_the_target_need_no_rate(in_sample_dir: Path, tmp_path: Path) -> None:
    names = dict(CONFIG='baselines/resnet-18_gru_rsicd.py', TARGET='ucm', METHOD='batch-norm')
    cfg = small_config('adapt.py', tmp_path, **names)
    runner = train(cfg)
    assert runner.iter == 2
    assert {group['lr'] for group in runner.optim_wrapper.optimizer.param_groups} == {0}
    cfg.custom_hooks = [hook for hook in cfg.custom_hooks if 'BatchNorm' not in hook.type]
    with pytest.raises(ValueError, match='paramwise_cfg'):
        train(cfg)


@pytest.mark.parametrize(
    'loop', [dict(by_epoch=True, max_epochs=2), dict(by_epoch=False, max_iters=3)]
)
def test_a_schedule_of_nothing_saves_nothing(loop: dict, tmp_path: Path) -> None:
    cfg = config(tmp_path, **loop)
    cfg.default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
    cfg.param_scheduler = [dict(type='ConstantLR', factor=0.0, begin=0, end=100, by_epoch=False)]
    with pytest.raises(ValueError, match='learning rate .* 0 .*param_scheduler'):
        train(cfg)
    assert not list(tmp_path.glob('epoch_*.pth'))


@pytest.mark.parametrize('paired', [True, False])
def test_losses_of_nothing(paired: bool, in_sample_dir: Path, tmp_path: Path) -> None:
    name = CONFIG if paired else 'adapt.py'
    cfg = small_config(name, tmp_path)
    if paired:
        cfg.model.head.loss.loss_weight = 0
    else:
        cfg.model.adaptation.update(paired_loss=False, source_checkpoint=None)
        cfg.model.adaptation.losses[0].loss_weight = 0.0
    with pytest.raises(ValueError, match='CrossModalRetriever .*loss_weight=0'):
        train(cfg)


def test_a_frozen_encoder_without_projection(tmp_path: Path) -> None:
    cfg = config(tmp_path, model=dict(frozen=True, scale=True))
    with pytest.raises(ValueError, match=r'\(embed_dim\)'):
        train(cfg)
    assert train(config(tmp_path, model=dict(scale=True))).iter == 2


def test_the_best_checkpoint_needs_a_metric_that_is_there(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config(CONFIG, tmp_path)
    cfg.default_hooks.checkpoint.save_best = 'nope'
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1, val_interval=1)
    with pytest.raises(ValueError, match='save_best=nope is none .*: retrieval/i2t_R@1'):
        train(cfg)


@pytest.mark.parametrize(('items', 'batch', 'drop_last'), [(8, 1, True), (1, 4, False)])
def test_a_batch_of_one_pair_has_no_negative(
    items: int, batch: int, drop_last: bool, tmp_path: Path
) -> None:
    cfg = config(tmp_path, items, batch, drop_last, model=dict(head=True))
    with pytest.raises(ValueError, match='train_dataloader.batch_size'):
        train(cfg)
    train(config(tmp_path, items, batch, drop_last))  # nothing is compared
    # The last batch of an epoch may hold one.
    assert train(config(tmp_path, 5, 4, False, model=dict(head=True))).iter == 2


def test_the_other_ranks_give_negatives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from urbancross_mm.engine.hooks import training_guard_hook as module

    monkeypatch.setattr(module, 'get_world_size', lambda: 2)
    train(config(tmp_path, batch=1, model=dict(head=True)))
    with pytest.raises(ValueError, match='3 .* 2 ranks .* 4'):
        train(config(tmp_path, items=3))


def test_a_finished_run_that_is_resumed_says_so(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    cfg.default_hooks.checkpoint.interval = 1
    train(cfg)
    cfg.resume = True
    messages = []
    reset_mmengine_state()
    runner = build_runner(cfg)
    MMLogger.get_current_instance().warning = messages.append
    runner.train()
    assert any(
        'nothing is left to train: ' in text and '2 of 2 iterations' in text for text in messages
    )


def test_a_whole_config(in_sample_dir: Path, tmp_path: Path) -> None:
    for options, sentence in (
        (dict(items=6, batch=7), '6 items make no batch of 7'),
        (dict(items=6, batch=1), 'single pair'),
    ):
        cfg = small_config(CONFIG, tmp_path)
        cfg.train_dataloader.batch_size = options['batch']
        cfg.train_dataloader.dataset.indices = options['items']
        with pytest.raises(ValueError, match=sentence):
            train(cfg)
    cfg = small_config('urbancross_integration_no-segments.py', tmp_path, items=9)
    cfg.train_dataloader.batch_size = 10
    with pytest.raises(ValueError, match='9.* 10'):
        train(cfg)
    assert not list(tmp_path.glob('*.pth'))


def test_one_source_pair_in_a_batch_of_an_adaptation_is_said(
    in_sample_dir: Path, tmp_path: Path
) -> None:
    cfg = small_config('adapt.py', tmp_path, METHOD='plain')
    cfg.load_from = None
    sampler = cfg.train_dataloader.batch_sampler
    for domain, count in (('source', 1), ('target', 3)):
        (name,) = sampler[domain]
        sampler[domain][name] = count
    cfg.train_dataloader.batch_size = 4
    reset_mmengine_state()
    runner = build_runner(cfg)
    messages = []
    MMLogger.get_current_instance().warning = messages.append
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.call_hook('before_run')
    assert any('single pair' in text and 'batch_sampler.source' in text for text in messages)
