"""Every backbone of two packages, and some of timm, encode images and train."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.models.encoders.backbone_sizes import SIDES, SIZES
from urbancross_mm.models import BackboneEncoder
from urbancross_mm.registry import MODELS

_MASKED = 'pre-training alone: its forward needs a mask; the class that it extends encodes images'
_SPARSE = 'pre-training alone (SparK): its convolutions read a mask from a global variable'
_UPSAMPLES = 'no backbone: the part of UNet that enlarges a map of its own width'
# Registered among the backbones, and why they encode no images.
NO_BACKBONES = {
    **dict.fromkeys(
        [
            'mmpretrain.BEiTPretrainViT',
            'mmpretrain.CAEPretrainViT',
            'mmpretrain.MAEHiViT',
            'mmpretrain.MAEViT',
            'mmpretrain.MFFViT',
            'mmpretrain.MILANViT',
            'mmpretrain.MaskFeatViT',
            'mmpretrain.MixMIMPretrainTransformer',
            'mmpretrain.SimMIMSwinTransformer',
            'mmpretrain.iTPNHiViT',
        ],
        _MASKED,
    ),
    **dict.fromkeys(['mmpretrain.SparseConvNeXt', 'mmpretrain.SparseResNet'], _SPARSE),
    **dict.fromkeys(['mmseg.DeconvModule', 'mmseg.InterpConv'], _UPSAMPLES),
    'mmseg.VPD': 'a diffusion model: it needs the package ldm and Stable Diffusion weights',
}
# Models of timm with the arguments that make them small, and the side of their images.
TIMM: dict[str, tuple[dict[str, Any], int]] = {
    'resnet10t': ({}, 64),
    'efficientnet_lite0': ({}, 64),
    'mobilenetv3_small_050': ({}, 64),
    'regnetx_002': ({}, 64),
    'convnext_atto': ({}, 64),
    'vit_tiny_patch16_224': (dict(img_size=64, depth=1), 64),
    'deit_tiny_distilled_patch16_224': (dict(img_size=64, depth=1), 64),
    'swin_tiny_patch4_window7_224': (
        dict(img_size=56, embed_dim=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 2, 2)),
        56,
    ),
    'beit_base_patch16_224': (dict(img_size=64, embed_dim=24, depth=1, num_heads=2), 64),
    'vit_small_patch14_dinov2': (dict(img_size=56, depth=1), 56),
    'mobilevit_xxs': ({}, 64),
    'edgenext_xx_small': ({}, 64),
}


def registered(package: str) -> set[str]:
    """The backbones of a package, by their prefixed names, wherever it keeps them."""
    MODELS.get(f'{package}.ResNet')
    registry = MODELS.root.children[package]
    registry.import_from_location()
    # The image tower of Chinese CLIP derives from none of the others.
    return {f'{package}.ModifiedResNet'} & {
        f'{package}.{name}' for name in registry.module_dict
    } | {
        f'{package}.{name}'
        for name, kind in registry.module_dict.items()
        if isinstance(kind, type)
        and any(base.__module__.startswith(f'{package}.models.backbones') for base in kind.mro())
    }


@pytest.mark.parametrize('package', ['mmpretrain', 'mmseg'])
def test_the_lists_are_the_registry(package: str) -> None:
    """A backbone that a new version adds is missing here until it is tried, or left out."""
    listed = {name for name in (*SIZES, *NO_BACKBONES) if name.startswith(f'{package}.')}
    assert listed == registered(package)
    assert not SIZES.keys() & NO_BACKBONES.keys()


def check(encoder: BackboneEncoder, side: int) -> None:
    """One step trains every weight that is to train; evaluation reads the same width."""
    image = torch.randn(2, encoder.image_channels, side, side)
    feats = encoder.train()(image)
    assert feats.shape == (2, 4)
    feats.square().sum().backward()
    for name, weight in encoder.named_parameters():
        assert (weight.grad is not None) is weight.requires_grad, name
        assert weight.grad is None or weight.grad.isfinite().all(), name
    assert sum(weight.requires_grad for weight in encoder.backbone.parameters()) > 1
    with torch.no_grad():
        assert encoder.eval()(image).isfinite().all()


@pytest.mark.parametrize('name', list(SIZES))
def test_backbone(name: str) -> None:
    side, channels = SIDES.get(name, 64), 1 if 'LeNet' in name else 3
    cfg: dict[str, Any] = dict(type=name, **SIZES[name])
    check(BackboneEncoder(cfg, embed_dim=4, probe_size=side, image_channels=channels), side)


@pytest.mark.parametrize('name', list(TIMM))
def test_timm(name: str) -> None:
    options, side = TIMM[name]
    cfg: dict[str, Any] = dict(type='mmpretrain.TIMMBackbone', model_name=name, **options)
    check(BackboneEncoder(cfg, embed_dim=4, probe_size=side), side)


HIVIT, PLAIN = SIZES['mmpretrain.HiViT'], SIZES['mmpretrain.VisionTransformer']
REFUSED: dict[str, dict[str, Any]] = {
    'mmpretrain.BEiTPretrainViT': PLAIN,
    'mmpretrain.MAEHiViT': HIVIT,
    'mmpretrain.MAEViT': PLAIN,
    'mmpretrain.MFFViT': dict(PLAIN, out_indices=[0, 1]),
    'mmpretrain.MILANViT': PLAIN,
    'mmpretrain.MaskFeatViT': PLAIN,
    'mmpretrain.MixMIMPretrainTransformer': SIZES['mmpretrain.MixMIMTransformer'],
    'mmpretrain.SimMIMSwinTransformer': SIZES['mmpretrain.SwinTransformer'],
    'mmpretrain.SparseConvNeXt': SIZES['mmpretrain.ConvNeXt'],
    'mmpretrain.iTPNHiViT': HIVIT,
}


@pytest.mark.parametrize('name', list(REFUSED))
def test_what_is_left_out_is_refused(name: str) -> None:
    """In one sentence that names it, and not by reading a mask as features."""
    side = 224 if 'Swin' in name or 'MixMIM' in name else 64
    with pytest.raises(ValueError, match=name.partition('.')[2]) as caught:
        BackboneEncoder(dict(type=name, **REFUSED[name]), embed_dim=4, probe_size=side)
    assert name in NO_BACKBONES and '\n' not in str(caught.value)
