"""Fine-tuning, gradient caching, averaged weights and learning rates by depth, in whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from tests.engine.test_resume import Killed
from tests.runs import reset_mmengine_state, run, small_config, weights
from urbancross_mm.models.finetuning import merge_lora

CLIP = dict(
    embed_dim=256,
    vision_cfg=dict(image_size=88, patch_size=44, width=32, layers=2, head_width=16),
    text_cfg=dict(context_length=8, vocab_size=64, width=32, heads=2, layers=1),
)
LORA = dict(image_encoder=dict(lora=dict(rank=2), bias=True))
DECAY = dict(
    type='OptimWrapper',
    constructor='mmpretrain.LearningRateDecayOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=0.7),
)
EMA = dict(type='EMAHook', momentum=0.3)


def config(work_dir: Path, name: str = 'urbancross_finland_no-segments.py', **model: Any) -> Config:
    cfg = small_config(name, work_dir, **{'train_cfg.max_epochs': 3, 'train_cfg.val_interval': 1})
    cfg.model.image_encoder = dict(type='OpenCLIPImageEncoder', model_cfg=CLIP)
    for key, value in model.items():
        cfg.model[key] = value
    return cfg


def score(cfg: Config, file: Path) -> float:
    """What a test of these weights on the validation data says."""
    cfg.load_from, cfg.test_dataloader = str(file), cfg.val_dataloader
    cfg.train_cfg = cfg.train_dataloader = cfg.optim_wrapper = cfg.param_scheduler = None
    reset_mmengine_state()
    return Runner.from_cfg(cfg).test()['retrieval/mR']


def checkpoint(work_dir: Path, epoch: int) -> dict[str, Any]:
    return torch.load(work_dir / f'epoch_{epoch}.pth', map_location='cpu', weights_only=False)


def test_a_resumed_run_equals_an_uninterrupted_one(in_sample_dir: Path, tmp_path: Path) -> None:
    def train(work_dir: Path, **options: Any) -> None:
        cfg = config(work_dir, finetune=LORA, gradient_cache=3)
        cfg.optim_wrapper = DECAY
        cfg.default_hooks.ema = dict(EMA, update_buffers=True)
        cfg.resume = options.get('resume', False)
        if 'kill' in options:
            cfg.custom_hooks.append(dict(type='KillHook', epoch=options['kill']))
        run(cfg)

    train(tmp_path / 'whole')
    with pytest.raises(Killed):
        train(tmp_path / 'parts', kill=2)
    train(tmp_path / 'parts', resume=True)
    whole, parts = (checkpoint(tmp_path / name, 3) for name in ('whole', 'parts'))
    for key in ('state_dict', 'ema_state_dict'):
        assert whole[key].keys() == parts[key].keys()
        for name, value in whole[key].items():
            assert torch.equal(value, parts[key][name]), f'{key} {name}'
    first = checkpoint(tmp_path / 'whole', 2)['state_dict']
    moved = {name for name, value in whole['state_dict'].items() if (value != first[name]).any()}
    image = {name for name in moved if name.startswith('image_encoder')}
    assert image and all('.lora.' in name or name.endswith('bias') for name in image)
    assert any(name.startswith('text_encoder') for name in moved)


def test_the_average_is_validated_saved_and_tested(in_sample_dir: Path, tmp_path: Path) -> None:
    """BatchNorm of the average: the statistics of the trained model, as mmengine has it."""
    cfg = small_config(
        'urbancross_finland_no-segments.py',
        tmp_path / 'ema',
        **{'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 1},
    )
    cfg.default_hooks.ema = EMA
    runner = run(cfg)
    saved = checkpoint(tmp_path / 'ema', 2)
    trained = {name: value.cpu() for name, value in runner.model.state_dict().items()}
    averaged, kept = saved['state_dict'], saved['ema_state_dict']
    different = [name for name in trained if not torch.equal(trained[name], averaged[name])]
    assert 'image_encoder.backbone.conv1.weight' in different
    assert not any('running' in name for name in different)
    for name in different:  # what goes on training is kept as well
        assert torch.equal(kept[f'module.{name}'], trained[name])
    validated = runner.message_hub.get_scalar('val/retrieval/mR').current()
    plain = small_config('urbancross_finland_no-segments.py', tmp_path / 'plain')
    assert score(plain, tmp_path / 'ema' / 'epoch_2.pth') == pytest.approx(validated, abs=1e-4)


@pytest.mark.parametrize('form', ['as it is', 'merged'])
def test_lora_is_tested_by_the_plain_config(form: str, in_sample_dir: Path, tmp_path: Path) -> None:
    cfg = config(tmp_path / 'lora', finetune=LORA)
    cfg.train_cfg.max_epochs = 1
    runner = run(cfg)
    validated = runner.message_hub.get_scalar('val/retrieval/mR').current()
    file = tmp_path / 'lora' / 'epoch_1.pth'
    if form == 'merged':
        state = weights(file)
        assert merge_lora(state)
        file = tmp_path / 'merged.pth'
        torch.save(dict(state_dict=state), file)
    plain = config(tmp_path / 'plain')
    assert score(plain, file) == pytest.approx(validated, abs=1e-4)
