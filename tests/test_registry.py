"""A part of another package is built as that package alone would build it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from tests.models.encoders.backbone_sizes import SIZES
from urbancross_mm.models import BackboneEncoder, GRUTextEncoder
from urbancross_mm.registry import DATASETS, MODELS, SCOPE, TRANSFORMS

NORM = dict(type='BN')
STDC = dict(
    stdc_type='STDCNet1',
    in_channels=3,
    channels=(8, 8, 16, 16, 16),
    bottleneck_type='cat',
    num_convs=4,
    norm_cfg=NORM,
    act_cfg=dict(type='ReLU'),
)
# What a backbone needs beside its defaults; nested parts by their bare names.
SETTINGS = {
    'mmseg.UNet': dict(base_channels=4),
    'mmseg.BiSeNetV1': SIZES['mmseg.BiSeNetV1'],
    'mmseg.STDCNet': STDC,
    'mmseg.STDCContextPathNet': dict(
        backbone_cfg=dict(type='STDCNet', **STDC),
        last_in_channels=(16, 16),
        out_channels=8,
        ffm_cfg=dict(in_channels=16, out_channels=8, scale_factor=4),
    ),
    'mmseg.ICNet': dict(
        backbone_cfg=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4),
        layer_channels=(8, 32),
        light_branch_middle_channels=4,
        psp_out_channels=8,
        out_channels=(4, 8, 8),
    ),
    'mmseg.MixVisionTransformer': dict(embed_dims=8, num_layers=[1] * 4, num_heads=[1, 1, 2, 4]),
    'mmseg.InterpConv': dict(in_channels=3, out_channels=4),
    'mmseg.DeconvModule': dict(in_channels=3, out_channels=4),
    'mmpretrain.MobileOne': dict(arch='s0'),
    'mmpretrain.SwinTransformer': dict(
        arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 4])
    ),
    'mmpretrain.TIMMBackbone': dict(model_name='resnet18'),
}


def package_of(name: str) -> Any:
    """The registry of a name's package, with its models."""
    MODELS.get(name)
    registry = MODELS.root.children[name.partition('.')[0]]
    registry.import_from_location()
    return registry


def backbones(package: str) -> list[str]:
    """Every registered backbone of a package that its defaults or the settings above build."""
    registry = package_of(f'{package}.ResNet')
    results = []
    for name, kind in registry.module_dict.items():
        needed = [
            p
            for p in inspect.signature(kind.__init__).parameters.values()
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
        ]
        depth = dict(depth=50) if any(p.name == 'depth' for p in needed) else {}
        SETTINGS.setdefault(f'{package}.{name}', depth)
        if kind.__module__.startswith(f'{package}.models.backbones'):
            results.append(name)
    return results


def shapes(build: Any, cfg: dict[str, Any], scope: str) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of the weights, without memory for them; None if that does not build."""
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        try:
            return {key: tuple(one.shape) for key, one in build(cfg).state_dict().items()}
        except (TypeError, RuntimeError, KeyError, ImportError, AssertionError):
            return None


@pytest.mark.parametrize('package', ['mmseg', 'mmpretrain'])
def test_every_backbone_builds_as_in_its_own_package(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Rates of drop path are read out of a tensor, which needs memory.
    monkeypatch.setattr(torch, 'linspace', partial(torch.linspace, device='cpu'))
    names = backbones(package)
    alone, within = [
        {
            name: shapes(
                build, dict(type=f'{prefix}{name}', **SETTINGS[f'{package}.{name}']), scope
            )
            for name in names
        }
        for build, prefix, scope in (
            (MODELS.root.children[package].build, '', package),
            (MODELS.build, f'{package}.', SCOPE),
        )
    ]
    assert within == alone
    assert sum(weights is not None for weights in alone.values()) > 20


@pytest.mark.parametrize(
    'name',
    [
        'mmseg.UNet',
        'mmseg.BiSeNetV1',
        'mmseg.MixVisionTransformer',
        'mmseg.STDCContextPathNet',
        'mmpretrain.SwinTransformer',
        'mmpretrain.TIMMBackbone',
    ],
)
def test_same_weights_inside_our_encoder(name: str) -> None:
    package, _, bare = name.partition('.')
    with DefaultScope.overwrite_default_scope(package):
        torch.manual_seed(0)
        alone = package_of(name).build(dict(type=bare, **SETTINGS[name]))
        torch.manual_seed(0)
        alone.init_weights()
    with DefaultScope.overwrite_default_scope(SCOPE):
        torch.manual_seed(0)
        encoder = BackboneEncoder(dict(type=name, **SETTINGS[name]), in_channels=8, embed_dim=4)
        torch.manual_seed(0)
        encoder.backbone.init_weights()
    expected, result = alone.state_dict(), encoder.backbone.state_dict()
    assert list(expected) == list(result)
    assert all(torch.equal(expected[key], result[key]) for key in expected)


def test_a_class_instead_of_a_name() -> None:
    unet = package_of('mmseg.UNet').get('UNet')
    with DefaultScope.overwrite_default_scope(SCOPE):
        encoder = BackboneEncoder(dict(type=unet, base_channels=4), embed_dim=8)
        assert encoder(torch.zeros(1, 3, 32, 32)).shape == (1, 8)
        assert DefaultScope.get_current_instance().scope_name == SCOPE


@pytest.mark.parametrize('scope', [None, SCOPE])
@pytest.mark.parametrize('name', ['GRUTextEncoder', 'urbancross_mm.GRUTextEncoder'])
def test_ours_inside_a_foreign_wrapper(name: str, scope: str | None) -> None:
    cfg = ConfigDict(
        type='mmpretrain.LoRAModel',
        rank=2,
        alpha=2,
        targets=[dict(type='projection')],
        module=dict(type=name, vocab_size=9, embed_dim=4, word_dim=4, hidden_dim=4),
    )
    before = cfg.to_dict()
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg)
    assert cfg.to_dict() == before
    assert isinstance(model.module, GRUTextEncoder)
    assert type(model.module.projection).__name__ == 'LoRALinear'
    assert model(torch.ones(2, 3, dtype=torch.long)).shape == (2, 4)


def test_foreign_inside_ours_inside_foreign() -> None:
    """LoRA around our encoder around a U-Net: each is built under the scope of its package."""
    inner = dict(
        type='BackboneEncoder',
        embed_dim=8,
        backbone=dict(type='mmseg.UNet', base_channels=4),
    )
    cfg = dict(
        type='mmpretrain.LoRAModel',
        module=inner,
        rank=2,
        alpha=2,
        targets=[dict(type='projection')],
    )
    with DefaultScope.overwrite_default_scope(SCOPE):
        model = MODELS.build(cfg)
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 8)


def test_a_scope_that_the_user_wrote_stays() -> None:
    with DefaultScope.overwrite_default_scope(SCOPE):
        assert isinstance(
            MODELS.build(dict(type='UNet', base_channels=4, _scope_='mmseg')), nn.Module
        )


def test_foreign_transforms_find_their_own() -> None:
    """``RandAugment`` builds its policies by bare names, here inside a wrapper of mmcv."""
    augment = dict(
        type='mmpretrain.RandAugment', policies='timm_increasing', num_policies=2, magnitude_level=9
    )
    views = dict(
        type='mmpretrain.ApplyToList',
        transforms=[dict(type='ResizeImage', scale=8)],
        scatter_key='images',
        collate_keys=['img'],
    )
    with DefaultScope.overwrite_default_scope(SCOPE):
        pipeline = TRANSFORMS.build(dict(type='RandomApply', prob=1.0, transforms=[augment]))
        wrapper = TRANSFORMS.build(views)
    image = np.zeros((16, 16, 3), dtype=np.uint8)
    assert pipeline(dict(img=image, img_shape=(16, 16)))['img'].shape == image.shape
    assert type(wrapper.transforms.transforms[0]).__module__.startswith(SCOPE)


def test_our_dataset_inside_a_foreign_wrapper(tmp_path: Any) -> None:
    inner = dict(
        type='ImageTextDataset',
        ann_file=str(tmp_path / 'none.json'),
        captions='all',
        lazy_init=True,
        pipeline=[dict(type='ResizeImage', scale=8)],
    )
    with DefaultScope.overwrite_default_scope(SCOPE):
        dataset = DATASETS.build(dict(type='ConcatDataset', datasets=[inner], lazy_init=True))
        with pytest.raises(FileNotFoundError, match=r'none\.json'):
            DATASETS.build(
                dict(type='mmpretrain.KFoldDataset', dataset=inner, fold=0, num_splits=2)
            ).full_init()
    assert type(dataset.datasets[0]).__name__ == 'ImageTextDataset'


def test_ours_inside_a_foreign_transform_without_a_scope() -> None:
    before = DefaultScope._instance_dict.copy()
    DefaultScope._instance_dict.clear()
    try:
        pipeline = TRANSFORMS.build(
            dict(type='RandomApply', prob=1.0, transforms=[dict(type='ResizeImage', scale=8)])
        )
        assert DefaultScope.get_current_instance() is None
    finally:
        DefaultScope._instance_dict.update(before)
    assert type(pipeline.transforms.transforms[0]).__module__.startswith(SCOPE)


def test_a_foreign_package_is_imported_without_its_remarks() -> None:
    script = (
        'import urbancross_mm; from urbancross_mm.registry import MODELS;'
        'assert MODELS.get("mmpretrain.ResNet") is not None;'
        'from mmengine.logging import print_log; print_log("heard", "current")'
    )
    run = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True)
    assert 'OneDL' not in run.stdout and 'MultiScaleDeformable' not in run.stderr
    assert 'heard' in run.stdout
