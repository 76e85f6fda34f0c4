"""The blocks of backbones of every library, and how deep a weight lies."""

from __future__ import annotations

from typing import Any

import pytest
from mmengine.registry import MODELS as ROOT
from torch import nn

from tests.models.helpers import IMAGE_ENCODER, TEXT_ENCODER, TINY_CLIP, cross_modal
from urbancross_mm.models.finetuning import find_blocks, layer_depths
from urbancross_mm.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS

CLIP_TEXT = dict(type='OpenCLIPTextEncoder', model_cfg=TINY_CLIP)
BACKBONES: dict[str, tuple[dict[str, Any], int, str]] = {
    'ResNet': (dict(type='mmpretrain.ResNet', depth=18, base_channels=8), 8, 'layer1.0'),
    'Swin': (
        dict(
            type='mmpretrain.SwinTransformer',
            arch=dict(embed_dims=8, depths=[2, 1, 2, 1], num_heads=[1, 2, 2, 4]),
            img_size=64,
        ),
        6,
        'stages.0.blocks.0',
    ),
    'ViT': (
        dict(
            type='mmpretrain.VisionTransformer',
            arch=dict(embed_dims=16, num_layers=3, num_heads=2, feedforward_channels=32),
            img_size=32,
        ),
        3,
        'layers.0',
    ),
    'ConvNeXt': (
        dict(
            type='mmpretrain.ConvNeXt',
            arch=dict(depths=[1, 2, 1, 1], channels=[8, 8, 16, 16]),
        ),
        5,
        'stages.0.0',
    ),
    'MiT': (
        dict(
            type='mmseg.MixVisionTransformer',
            embed_dims=8,
            num_layers=[1, 2, 1, 1],
            num_heads=[1, 1, 2, 2],
        ),
        5,
        'layers.0.1.0',
    ),
    'timm': (
        dict(type='mmpretrain.TIMMBackbone', model_name='efficientnet_lite0'),
        16,
        'timm_model.blocks.0.0',
    ),
}


@pytest.mark.parametrize('kind', BACKBONES)
def test_blocks_are_found(kind: str) -> None:
    cfg, count, first = BACKBONES[kind]
    backbone = MODELS.build(cfg)
    blocks = find_blocks(backbone)
    assert len(blocks) == count and blocks[0] == first
    assert len({type(backbone.get_submodule(name)) for name in blocks}) <= 2
    depths, blocks_counted = layer_depths(backbone)
    assert blocks_counted == count
    assert depths.keys() == {name for name, _ in backbone.named_parameters()}
    assert set(depths.values()) >= set(range(count + 1))


def test_depths_of_open_clip() -> None:
    image, text = (MODELS.build(cfg) for cfg in (IMAGE_ENCODER, CLIP_TEXT))
    expected = {
        'tower.conv1.weight': 0,
        'tower.class_embedding': 0,
        'tower.ln_pre.weight': 0,
        'tower.transformer.resblocks.0.attn.in_proj_weight': 1,
        'tower.transformer.resblocks.1.mlp.c_fc.bias': 2,
        'tower.ln_post.weight': 3,
        'tower.proj': 3,
    }
    depths, count = layer_depths(image)
    assert count == 2 and {name: depths[name] for name in expected} == expected
    expected = {
        'tower.token_embedding.weight': 0,
        'tower.positional_embedding': 0,
        'tower.ln_final.weight': 3,
        'tower.text_projection': 3,
    }
    depths, _ = layer_depths(text)
    assert {name: depths[name] for name in expected} == expected


def test_a_network_without_blocks_is_its_own_top() -> None:
    depths, count = layer_depths(nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2)))
    assert count == 0 and set(depths.values()) == {1}


def test_rates_fall_with_the_depth() -> None:
    """As mmpretrain's constructor asks for them; what is in no encoder learns at the full rate."""
    ROOT.import_from_location()
    model = cross_modal(
        text_encoder=CLIP_TEXT,
        head=dict(type='RetrievalHead', loss=dict(type='InfoNCELoss')),
        encoders=dict(audio=TEXT_ENCODER),
    )
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build(
        dict(
            type='mmpretrain.LearningRateDecayOptimWrapperConstructor',
            optim_wrapper_cfg=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1)
            ),
            paramwise_cfg=dict(layer_decay_rate=0.5),
        )
    )(model)
    rates = {group['param_name']: group['lr'] for group in wrapper.optimizer.param_groups}
    block = 'image_encoder.tower.transformer.resblocks'
    assert rates['image_encoder.tower.conv1.weight'] == 0.125
    assert rates[f'{block}.0.ln_1.bias'] == 0.25 and rates[f'{block}.1.ln_1.bias'] == 0.5
    assert rates['image_encoder.tower.proj'] == rates['head.image_loss.logit_scale'] == 1
    assert rates['text_encoder.tower.token_embedding.weight'] == 0.125
    assert rates['encoders.audio.words.weight'] == 1
    assert rates.keys() == {name for name, _ in model.named_parameters()}
