"""Blocks that are computed twice: the same gradient, from fewer activations."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.models.encoders.tiny_transformers import FAMILIES
from tests.models.helpers import EMBED_DIM, TINY_CLIP, batch, cross_modal, total
from urbancross_mm.models.activation_checkpointing import checkpoint_blocks
from urbancross_mm.models.finetuning import find_blocks

CLIP_TEXT = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
BOTH = ['image_encoder', 'text_encoder']


def backbone(**cfg: Any) -> dict[str, Any]:
    return dict(type='BackboneEncoder', embed_dim=EMBED_DIM, probe_size=32, backbone=cfg)


ENCODERS = {
    'open_clip': {},
    'ResNet': dict(image_encoder=backbone(type='mmpretrain.ResNet', depth=18, base_channels=8)),
    'Swin': dict(
        image_encoder=backbone(
            type='mmpretrain.SwinTransformer',
            arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
            pad_small_map=True,
        )
    ),
    'BERT': 'bert',
}


def build(kind: str, folder: Path) -> nn.Module:
    torch.manual_seed(0)
    options: Any = ENCODERS[kind]
    if isinstance(options, str):
        path = FAMILIES[options].save(folder)
        options = dict(
            text_encoder=dict(type='HuggingFaceTextEncoder', path=path, embed_dim=EMBED_DIM)
        )
    return cross_modal(**{'text_encoder': CLIP_TEXT, **options}).train()


def step(model: nn.Module) -> None:
    torch.manual_seed(1)
    inputs, samples = batch()
    inputs['text'] = inputs['text'] % 10 + 1
    total(model(inputs, samples, mode='loss')).backward()


@pytest.mark.parametrize('kind', ENCODERS)
@pytest.mark.parametrize('cached', [False, True])
def test_the_gradient_is_the_same(kind: str, cached: bool, tmp_path: Path) -> None:
    """Dropout included, and BatchNorm remembers a batch once."""
    plain = build(kind, tmp_path)
    if cached:
        plain.set_gradient_cache(2)
    model = copy.deepcopy(plain)
    assert checkpoint_blocks(model, BOTH) >= 4
    assert list(model.state_dict()) == list(plain.state_dict())
    step(plain), step(model)
    for (name, weight), other in zip(plain.named_parameters(), model.parameters()):
        if weight.grad is None:
            assert other.grad is None, name
        else:
            torch.testing.assert_close(other.grad, weight.grad, rtol=1e-5, atol=1e-7, msg=name)
    for (name, value), other in zip(plain.named_buffers(), model.buffers()):
        if 'running' in name:
            assert torch.equal(value, other), name


def test_activations_inside_a_block_are_not_kept() -> None:
    kept: list[weakref.ref] = []

    def watch(part: nn.Module) -> torch.Tensor:
        kept.clear()
        for name in find_blocks(part):
            layer = part.get_submodule(name).mlp
            layer.register_forward_hook(lambda _, __, out: kept.append(weakref.ref(out)))
        inputs, _ = batch()
        return part(inputs['image'])

    model = cross_modal(activation_checkpointing=['image_encoder'])
    out = watch(model.image_encoder)
    assert out.requires_grad and kept and all(reference() is None for reference in kept)


def test_a_copy_is_its_own_and_a_test_computes_once() -> None:
    model = cross_modal(activation_checkpointing=['image_encoder'])
    clone, (inputs, _) = copy.deepcopy(model), batch()
    for weight in clone.image_encoder.parameters():
        weight.data.zero_()
    assert model.encode_image(inputs['image']).abs().sum() > 0
    calls = []
    block = model.image_encoder.tower.transformer.resblocks[0].mlp
    block.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        model.encode_image(inputs['image'])
    assert len(calls) == 1


def test_bad_parts() -> None:
    for parts in ('image_encoder', True):
        with pytest.raises(ValueError, match=f'list of parts, got {parts!r}'):
            cross_modal(activation_checkpointing=parts)
    with pytest.raises(ValueError, match=r"'tower', which has no blocks.*image_encoder"):
        cross_modal(activation_checkpointing=['tower'])
    with pytest.raises(ValueError, match=r"'text_encoder', which has no blocks"):
        cross_modal(activation_checkpointing=['text_encoder'])
