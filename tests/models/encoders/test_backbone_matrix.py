"""Every backbone of two packages, and some of timm, encode images and train."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.models.encoders.backbone_sizes import NO_BACKBONES, SIDES, SIZES, TIMM
from urbancross_mm.models import BackboneEncoder
from urbancross_mm.registry import MODELS


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
