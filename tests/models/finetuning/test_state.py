"""Checkpoints with and without LoRA and adapters, in models with and without them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from tests.models.helpers import TINY_CLIP, batch, cross_modal, total
from tests.models.helpers import urbancross as build_urbancross
from urbancross_mm.models.finetuning import merge_lora
from urbancross_mm.models.finetuning.branches import AdapterBranch, LoRABranch
from urbancross_mm.models.finetuning.state import plain_state_dict
from urbancross_mm.utils.state_dicts import check_state_dict

CLIP_TEXT = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
LORA = dict(image_encoder=dict(lora=dict(rank=2)), text_encoder=dict(lora=dict(rank=3)))
ADAPTERS = dict(image_encoder=dict(adapter=dict(width=4)))


def build(finetune: dict | None = None, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return cross_modal(text_encoder=CLIP_TEXT, finetune=finetune, **kwargs).eval()


def trained(finetune: dict, build: Any = build, **kwargs: Any) -> nn.Module:
    """Two steps: no branch is 0."""
    model = build(finetune, **kwargs).train()
    inputs, samples = batch()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.05)
    for _ in range(2):
        optimizer.zero_grad()
        total(model(inputs, samples, mode='loss')).backward()
        optimizer.step()
    return model.eval()


def embeds(model: nn.Module) -> torch.Tensor:
    torch.manual_seed(9)
    inputs, _ = batch()
    with torch.no_grad():
        return torch.cat([model.encode_image(inputs['image']), model.encode_text(inputs['text'])])


@pytest.mark.parametrize('loader', ['torch', 'mmengine'])
def test_a_plain_model_takes_lora_as_it_is(loader: str) -> None:
    model, plain = trained(LORA), build()
    state = model.state_dict()
    assert not torch.allclose(embeds(model), embeds(plain), atol=1e-3)
    check_state_dict(plain, state, 'x.pth')
    if loader == 'torch':
        plain.load_state_dict(state)
    else:
        load_state_dict(plain, state, strict=True)
    torch.testing.assert_close(embeds(plain), embeds(model), rtol=1e-5, atol=1e-6)
    assert set(state) == set(model.state_dict())  # as it was


def test_a_merged_checkpoint_is_one_of_the_plain_model() -> None:
    model, plain = trained(LORA), build()
    state = dict(model.state_dict())
    assert len(merge_lora(state)) == 4 * 2 + 4 * 2
    assert list(state) == list(plain.state_dict())
    plain.load_state_dict(state)
    torch.testing.assert_close(embeds(plain), embeds(model), rtol=1e-5, atol=1e-6)
    assert merge_lora(state) == []


def test_half_precision_is_merged_in_single() -> None:
    state = {
        'a.weight': torch.ones(1, 1, dtype=torch.bfloat16),
        'a.lora.up': torch.full((1, 1), 0.5, dtype=torch.bfloat16),
        'a.lora.down': torch.ones(1, 1, dtype=torch.bfloat16),
        'a.lora.scale': torch.tensor(2.0),
    }
    merge_lora(state)
    assert state == {'a.weight': torch.full((1, 1), 2.0, dtype=torch.bfloat16)}


@pytest.mark.parametrize('broken', ['lora.down', 'weight'])
def test_a_broken_update_is_named(broken: str) -> None:
    state = {'a.weight': torch.ones(1, 1), 'a.lora.up': torch.ones(1, 1)}
    state.update({'a.lora.down': torch.ones(1, 1), 'a.lora.scale': torch.tensor(1.0)})
    del state[f'a.{broken}']
    with pytest.raises(ValueError, match=f'LoRA of a cannot be merged: .*a.{broken}'):
        merge_lora(state)


@pytest.mark.parametrize('finetune', [LORA, ADAPTERS], ids=['lora', 'adapters'])
def test_a_plain_checkpoint_resets_what_was_learned(finetune: dict) -> None:
    """As a frozen copy of the starting checkpoint needs it in a resumed run."""
    model, plain = trained(finetune), build()
    check_state_dict(model, plain.state_dict(), 'x.pth')
    model.load_state_dict(plain.state_dict())
    torch.testing.assert_close(embeds(model), embeds(plain), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('finetune', [LORA, ADAPTERS], ids=['lora', 'adapters'])
def test_a_checkpoint_comes_back(finetune: dict) -> None:
    model, again = trained(finetune), build(finetune)
    again.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(embeds(again), embeds(model))


def test_adapters_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match=r'2 adapters .*resblocks\.0\.adapter.*model\.finetune'):
        build().load_state_dict(trained(ADAPTERS).state_dict())


def test_a_segment_tower_starts_without_them() -> None:
    torch.manual_seed(0)
    model = build_urbancross('trainable', text_encoder=CLIP_TEXT, finetune={**LORA, **ADAPTERS})
    model.init_weights()
    names = {name for name, _ in model.segment_encoder.named_parameters()}
    assert names and not any('lora' in name or 'adapter' in name for name in names)
    plain = trained(LORA)
    model = build_urbancross('frozen', text_encoder=CLIP_TEXT).eval()
    model.load_state_dict(plain.state_dict())
    tower = model.segment_encoder.encoder.state_dict()
    assert all(
        torch.equal(value, tower[n]) for n, value in model.image_encoder.state_dict().items()
    )
    torch.testing.assert_close(embeds(model), embeds(plain), rtol=1e-5, atol=1e-6)
    both = {**LORA, 'segment_encoder': dict(lora=dict(rank=2))}
    build_urbancross('trainable', text_encoder=CLIP_TEXT, finetune=both).init_weights()


def test_plain_weights_of_a_trained_model() -> None:
    model, plain = trained({**LORA, **ADAPTERS}), build()
    assert list(plain_state_dict(model)) == list(plain.state_dict())


def test_pretrained_weights_reach_the_layers_below(tmp_path: Path) -> None:
    """``init_cfg`` of a part runs after LoRA was added, and draws no new one."""
    vit = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    backbone = dict(
        type='mmpretrain.VisionTransformer', arch=vit, img_size=32, out_type='cls_token'
    )
    cfg = dict(type='BackboneEncoder', embed_dim=16, probe_size=32)
    source = build(image_encoder=dict(cfg, backbone=backbone)).image_encoder.backbone
    for weight in source.parameters():
        nn.init.normal_(weight)
    torch.save(dict(state_dict=source.state_dict()), tmp_path / 'vit.pth')
    backbone['init_cfg'] = dict(type='Pretrained', checkpoint=str(tmp_path / 'vit.pth'))
    model = build(LORA, image_encoder=dict(cfg, backbone=backbone))
    model.init_weights()
    state = model.image_encoder.backbone.state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(state[name], value), name
    branches = [m for m in model.modules() if isinstance(m, LoRABranch | AdapterBranch)]
    assert branches and all(not branch.up.any() for branch in branches)
